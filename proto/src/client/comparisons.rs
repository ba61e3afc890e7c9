//! Requests for comparisons of runs, which only a daemon answers.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::events::TIMEOUT;
use super::{Answer, Client, ClientError, Request};
use crate::comparison::CompareQuery;
use crate::freshness::CachePolicy;
use crate::routes;

impl Client {
    /// Compares runs. The answer is a [`Comparison`](crate::comparison::Comparison).
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn compare(
        &self,
        query: &CompareQuery,
        policy: CachePolicy,
    ) -> Result<Answer, ClientError> {
        let request = self.request(Request::get(self.with_tenant(query.path())), policy);
        self.get_from_daemon(request, TIMEOUT).await
    }

    /// Requests what comparisons need of a run. The answer is a [`SavedRun`](crate::comparison::SavedRun).
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn saved_run(&self, run: &str, policy: CachePolicy) -> Result<Answer, ClientError> {
        let run = utf8_percent_encode(run, NON_ALPHANUMERIC);
        let path = format!("{}?run={run}", routes::SAVED_RUN);
        let request = self.request(Request::get(self.with_tenant(path)), policy);
        self.get_from_daemon(request, TIMEOUT).await
    }
}
