//! Trials of evaluation runs: how they are written, and how one is read.

mod at_task;
mod batch;
mod changes;
mod facts;
mod positions;
mod read;
mod rows;
mod trial_list;
mod vocabulary;
mod write;

pub(crate) use at_task::{TaskMatch, find_task, read_at_task};
pub(crate) use batch::{ChangeBatch, TrialBatch};
pub(crate) use changes::apply_changes;
pub use facts::Selection as FactsSelection;
pub(crate) use facts::{for_each_of_run, read as read_facts, unread_runs};
pub(crate) use read::get;
pub(crate) use rows::{DERIVED_COLUMNS, FACTS_COLUMN, with_derived_values};
pub(crate) use trial_list::{
    COUNTED_ROWS, confirm as confirm_trial_list, confirmed_ms as trial_list_confirmed_ms,
    recount_rows,
};
pub(crate) use vocabulary::{Vocabulary, words_matching};
pub(crate) use write::{replace_all, upsert_one};
