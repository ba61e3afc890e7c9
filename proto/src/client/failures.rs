//! The request for why trials failed, which only a daemon answers.

use super::events::TIMEOUT;
use super::{Answer, Client, ClientError, Request};
use crate::failures::FailuresQuery;
use crate::freshness::CachePolicy;

impl Client {
    /// Requests why trials failed. The answer is a [`FailureReport`](crate::failures::FailureReport).
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn failures(
        &self,
        query: &FailuresQuery,
        policy: CachePolicy,
    ) -> Result<Answer, ClientError> {
        let request = self.request(Request::get(self.with_tenant(query.path())), policy);
        self.get_from_daemon(request, TIMEOUT).await
    }
}
