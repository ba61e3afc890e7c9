//! Lists of runs and trials: filter, order, page, and the stored texts joined.
//!
//! Answers exactly as [`docks_proto::query::apply_query`] does on the same objects.

mod all_trials;
mod listing;
mod one_kind;
mod page;
mod row_source;
mod search;
mod sort_order;
mod trial_filter;
mod where_clause;

pub use all_trials::AgeOfTrials;
pub(crate) use all_trials::{list_all_trials, matching_trials, oldest_confirmation};
pub use listing::Listing;
pub(crate) use one_kind::{list_runs, list_trials};
pub(crate) use sort_order::add_sql_functions;
