//! The requests for tasks over all runs, which only a daemon answers.

use super::events::TIMEOUT;
use super::{Answer, Client, ClientError, Request};
use crate::freshness::CachePolicy;
use crate::tasks::{TaskHistoryQuery, TasksQuery};

impl Client {
    /// Requests a list of tasks. The answer is an array of [`TaskFigures`](crate::tasks::TaskFigures).
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn list_tasks(
        &self,
        query: &TasksQuery,
        policy: CachePolicy,
    ) -> Result<Answer, ClientError> {
        let request = self.request(Request::get(self.with_tenant(query.path())), policy);
        self.get_from_daemon(request, TIMEOUT).await
    }

    /// Requests the history of a task. The answer is a [`TaskHistory`](crate::tasks::TaskHistory).
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn task_history(
        &self,
        query: &TaskHistoryQuery,
        policy: CachePolicy,
    ) -> Result<Answer, ClientError> {
        let request = self.request(Request::get(self.with_tenant(query.path())), policy);
        self.get_from_daemon(request, TIMEOUT).await
    }
}
