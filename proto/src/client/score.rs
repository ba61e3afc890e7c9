//! The request for a scoreboard, which only a daemon answers.

use super::events::TIMEOUT;
use super::{Answer, Client, ClientError, Request};
use crate::freshness::CachePolicy;
use crate::score::ScoreQuery;

impl Client {
    /// Requests a scoreboard. The answer is a [`ScoreReport`](crate::score::ScoreReport).
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn score(
        &self,
        query: &ScoreQuery,
        policy: CachePolicy,
    ) -> Result<Answer, ClientError> {
        let request = self.request(Request::get(self.with_tenant(query.path())), policy);
        self.get_from_daemon(request, TIMEOUT).await
    }
}
