//! Why trials failed: the query of `GET /v1/failures` and its response.

mod query;
mod response;

pub use query::{DEFAULT_CLUSTERS, FailuresQuery};
pub use response::{
    AnalysedRun, CauseCount, ClassCount, FailureClass, FailureCluster, FailureExample,
    FailureReport,
};
