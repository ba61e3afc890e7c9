//! From the snapshot of a job to its state, its trials and its figures; pure.

pub(crate) mod agent_names;
#[cfg_attr(
    not(test),
    expect(
        clippy::indexing_slicing,
        reason = "places are numbers that were given out for this table, which only grows"
    )
)]
pub(crate) mod group_figures;
#[cfg_attr(
    not(test),
    expect(
        clippy::indexing_slicing,
        reason = "places are numbers that were given out for this table, which only grows"
    )
)]
pub(crate) mod job_figures;
pub(crate) mod job_state;
pub(crate) mod job_view;
#[cfg_attr(
    not(test),
    expect(
        clippy::indexing_slicing,
        reason = "places are numbers that were given out for this table, which only grows"
    )
)]
pub(crate) mod numbers;
pub(crate) mod reward_rules;
pub(crate) mod trial_counts;
pub(crate) mod trial_facts;
pub(crate) mod trial_state;
pub(crate) mod trial_table;
pub(crate) mod trial_view;
#[cfg_attr(
    not(test),
    expect(
        clippy::indexing_slicing,
        reason = "places are numbers that were given out for this table, which only grows"
    )
)]
pub(crate) mod unstarted_trials;
pub(crate) mod waiting_retries;
