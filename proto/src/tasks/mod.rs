//! Tasks over all runs: the queries of `GET /v1/tasks` and `GET /v1/task-history` and their responses.

mod query;
mod response;

pub use query::{HistoryBy, TaskHistoryQuery, TaskSort, TaskSortKey, TasksQuery};
pub use response::{TaskChange, TaskFigures, TaskHistory, TaskPeriod};
