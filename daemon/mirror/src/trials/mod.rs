//! Trials of evaluation runs: how they are written, and how one is read.

mod backfill;
mod batch;
mod positions;
mod read;
mod rows;
mod trial_list;
mod vocabulary;
mod write;

pub(crate) use backfill::fill_columns_from_texts;
pub(crate) use batch::TrialBatch;
pub(crate) use read::get;
pub(crate) use trial_list::{
    confirm as confirm_trial_list, confirmed_ms as trial_list_confirmed_ms,
};
pub(crate) use vocabulary::words_matching;
pub(crate) use write::{replace_all, upsert_one};
