//! The calls for events and history.

use std::time::Duration;

use http::HeaderValue;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::answer::{Answer, ClientError, check_streaming};
use super::calls::Client;
use super::unix::StreamingReply;
use super::{Request, SendError, Transport};
use crate::event::{Event, EventQuery};
use crate::freshness::CachePolicy;
use crate::history::ChangesQuery;
use crate::routes;

/// The daemon sends something every 15 s; after two missed turns it is gone, or this machine slept.
pub(super) const TIMEOUT: Duration = Duration::from_secs(40);

/// An event as received.
#[derive(Debug, Clone, PartialEq)]
pub struct EventMessage {
    /// The event.
    pub event: Event,
    /// The JSON object it was parsed from.
    pub text: String,
}

impl EventMessage {
    /// Reads one line of the stream; `None` unless it has the data of an event.
    pub(crate) fn from_line(line: &[u8]) -> Option<Result<Self, ClientError>> {
        let text = String::from_utf8_lossy(line.strip_prefix(b"data: ")?).into_owned();
        let event = serde_json::from_str(&text)
            .map_err(|e| ClientError::InvalidReply(format!("an event cannot be read: {e}")));
        Some(event.map(|event| Self { event, text }))
    }
}

/// The events of a subscription, as they arrive.
#[derive(Debug)]
pub struct EventStream {
    reply: StreamingReply,
}

impl EventStream {
    /// Waits for the next event; `None` when the daemon ends the stream. The future may be dropped
    /// while it waits: no event is lost.
    ///
    /// # Errors
    ///
    /// [`ClientError`] when the connection broke or was silent for too long.
    pub async fn next(&mut self) -> Result<Option<EventMessage>, ClientError> {
        while let Some(line) = self.reply.next_line().await? {
            if let Some(message) = EventMessage::from_line(&line) {
                return message.map(Some);
            }
        }
        Ok(None)
    }
}

impl Client {
    /// Subscribes to events; `after` is the id of the last event that was read.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn events(
        &self,
        filter: &EventQuery,
        after: Option<&str>,
    ) -> Result<EventStream, ClientError> {
        let Transport::Unix(unix) = self.transport() else {
            let what = "only a daemon sends events";
            return Err(SendError::InvalidRequest(what.to_owned()).into());
        };
        let mut request = self.request(
            Request::get(self.with_tenant(filter.path())),
            CachePolicy::Default,
        );
        if let Some(after) = after {
            let id = HeaderValue::from_str(after);
            let id =
                id.map_err(|_| SendError::InvalidRequest(format!("`{after}` is not an event id")))?;
            request.headers.insert(routes::LAST_EVENT_ID, id);
        }
        let mut reply = unix
            .clone()
            .with_answer_timeout(Some(TIMEOUT))
            .open(request)
            .await?;
        check_streaming(&mut reply).await?;
        Ok(EventStream { reply })
    }

    /// Requests the history of a run or of one of its trials.
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
        self.get_own(path).await
    }

    /// Requests the changes of all runs.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn changes(&self, query: &ChangesQuery) -> Result<Answer, ClientError> {
        self.get_own(query.path()).await
    }

    async fn get_own(&self, path: String) -> Result<Answer, ClientError> {
        let request = self.request(Request::get(self.with_tenant(path)), CachePolicy::Default);
        // The daemon may have to find the run at the remote first.
        self.get_from_daemon(request, TIMEOUT).await
    }

    /// Adds the tenant, which is not part of the daemon's own paths.
    pub(super) fn with_tenant(&self, mut path: String) -> String {
        path.push(if path.contains('?') { '&' } else { '?' });
        path + "tenant=" + self.routes().tenant()
    }
}
