//! What to run again: the query of `GET /v1/rerun` and its response.

mod query;
mod response;

pub use query::{RerunQuery, RerunSelector};
pub use response::{NotRerun, RerunConfig, RerunPlan, RerunReason, RerunTrial, ResumeCommand};
