//! Lists of runs and trials, answered from the mirror.

pub(crate) mod all_trials;
pub(crate) mod clauses;
pub(crate) mod row_source;
