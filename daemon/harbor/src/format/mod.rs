//! The content of the files that Harbor writes.

pub(crate) mod job;
pub(crate) mod json;
pub(crate) mod json_tree;
pub(crate) mod stated_outcomes;
pub(crate) mod stated_trial;
pub(crate) mod task;
pub(crate) mod trial;
pub(crate) mod usage;
pub(crate) mod written_time;
