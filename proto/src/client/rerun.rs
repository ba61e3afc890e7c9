//! The request for what to run again, which only a daemon answers.

use super::events::TIMEOUT;
use super::{Answer, Client, ClientError, Request};
use crate::freshness::CachePolicy;
use crate::rerun::RerunQuery;

impl Client {
    /// Requests what to run again. The answer is a [`RerunPlan`](crate::rerun::RerunPlan).
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn rerun(
        &self,
        query: &RerunQuery,
        policy: CachePolicy,
    ) -> Result<Answer, ClientError> {
        let request = self.request(Request::get(self.with_tenant(query.path())), policy);
        self.get_from_daemon(request, TIMEOUT).await
    }
}
