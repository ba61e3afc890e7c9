//! The calls about what happens and what happened.

use std::time::Duration;

use http::HeaderValue;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::calls::{Answer, Client, ClientError, check_answer};
use super::unix::Opened;
use super::{Request, SendError, Transport};
use crate::event::{Event, EventQuery};
use crate::freshness::CachePolicy;
use crate::history::ChangesQuery;
use crate::routes;

/// The daemon says something every 15 s; one that missed two turns is gone, or we slept.
const PATIENCE: Duration = Duration::from_secs(40);

/// One event as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct EventMessage {
    /// What it says.
    pub event: Event,
    /// The JSON object it was read from.
    pub text: String,
}

/// EventStream as they arrive.
#[derive(Debug)]
pub struct EventStream {
    opened: Opened,
}

impl EventStream {
    /// Waits for the next event; `None` when the daemon ends the answer. May be dropped while it
    /// waits: nothing is lost.
    ///
    /// # Errors
    ///
    /// [`ClientError`] when the connection broke or was silent for too long.
    pub async fn next(&mut self) -> Result<Option<EventMessage>, ClientError> {
        while let Some(line) = self.opened.line().await? {
            let Some(data) = line.strip_prefix(b"data: ") else {
                continue;
            };
            let text = String::from_utf8_lossy(data).into_owned();
            let event = serde_json::from_str(&text)
                .map_err(|e| ClientError::InvalidReply(format!("an event cannot be read: {e}")))?;
            return Ok(Some(EventMessage { event, text }));
        }
        Ok(None)
    }
}

impl Client {
    /// Begins to hear of what changes; `after` is the id of the last event that was read.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; so for all below.
    pub async fn events(
        &self,
        filter: &EventQuery,
        after: Option<&str>,
    ) -> Result<EventStream, ClientError> {
        let Transport::Unix(unix) = self.transport() else {
            let what = "only a daemon tells what changes";
            return Err(SendError::InvalidRequest(what.to_owned()).into());
        };
        let mut request =
            self.request(Request::get(self.ours(filter.path())), CachePolicy::Default);
        if let Some(after) = after {
            let id = HeaderValue::from_str(after);
            let id =
                id.map_err(|_| SendError::InvalidRequest(format!("`{after}` is no event id")))?;
            request.headers.insert(routes::LAST_EVENT_ID, id);
        }
        let mut opened = unix.clone().patience(Some(PATIENCE)).open(request).await?;
        check_answer(&mut opened).await?;
        Ok(EventStream { opened })
    }

    /// Asks for the history of a run, or of one of its trials.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn history(&self, run: &str, trial: Option<&str>) -> Result<Answer, ClientError> {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut path = format!("{}?run={}", routes::HISTORY, encode(run));
        if let Some(trial) = trial {
            path.push_str(&format!("&trial={}", encode(trial)));
        }
        self.of_ours(path).await
    }

    /// Asks what changed.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn changes(&self, query: &ChangesQuery) -> Result<Answer, ClientError> {
        self.of_ours(query.path()).await
    }

    async fn of_ours(&self, path: String) -> Result<Answer, ClientError> {
        let request = self.request(Request::get(self.ours(path)), CachePolicy::Default);
        // A run that the mirror has not met yet is asked of the remote first.
        self.asked(request, PATIENCE).await
    }

    /// Adds the tenant, which the daemon's own paths do not hold.
    fn ours(&self, mut path: String) -> String {
        path.push(if path.contains('?') { '&' } else { '?' });
        path + "tenant=" + self.routes().tenant()
    }
}
