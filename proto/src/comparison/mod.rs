//! Comparisons of runs: the query of `GET /v1/compare` and its response.

mod query;
mod response;
mod saved_run;

pub use query::{
    By, CompareQuery, DEFAULT_MARGIN, GateQuery, MetricName, RemoteReference, RunReference, Union,
};
pub use response::{
    Change, Comparison, Delta, Figures, Gate, GateOutcome, Group, Known, OutcomeStatus, RateFigure,
    Side, Summary, TaskOutcome, TaskRow, Verdict,
};
pub use saved_run::{SAVED_RUN_FORMAT, SavedRun, SavedTrial};
