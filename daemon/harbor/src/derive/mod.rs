//! From the snapshot of a job to its state, its trials and its figures; pure.

pub(crate) mod agent_names;
pub(crate) mod group_figures;
pub(crate) mod job_figures;
pub(crate) mod job_state;
pub(crate) mod job_view;
pub(crate) mod numbers;
pub(crate) mod reward_rules;
pub(crate) mod trial_counts;
pub(crate) mod trial_facts;
pub(crate) mod trial_state;
pub(crate) mod trial_table;
pub(crate) mod trial_view;
pub(crate) mod unstarted_trials;
pub(crate) mod waiting_retries;
