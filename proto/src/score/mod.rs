//! The scoreboard: the query of `GET /v1/score` and its response.

mod query;
mod response;

pub use query::{ScoreKey, ScoreQuery};
pub use response::{KFigure, RowKey, ScoreReport, ScoreRow, ScoredRun, TaskScore, TaskShare};
