//! Trials of evaluation runs: how they are written and read.

pub(crate) mod positions;
pub(crate) mod rows;
pub(crate) mod vocabulary;
pub(crate) mod write;
