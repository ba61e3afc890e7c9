//! Answers to calls, and the checks that a response must pass to become one.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use super::unix::StreamingReply;
use super::{Reply, SendError, retry_after};
use crate::error::{RemoteErrorBody, parse_error_body};
use crate::freshness::Freshness;
use crate::id::InvalidId;
use crate::object::RawList;
use crate::routes;

/// A checked answer: of the right protocol, with a success status, and to the right request.
#[derive(Debug, Clone)]
pub struct Answer {
    /// JSON: an object, or a bare array for lists.
    pub body: Bytes,
    /// How old it is, if a daemon answered.
    pub freshness: Option<Freshness>,
    /// How many objects match before `offset` and `limit`, if a daemon answered.
    pub total: Option<u64>,
    /// Whether the requested statuses were ever seen, if a daemon answered with an empty list.
    pub status_seen: Option<bool>,
    /// Protocol of the daemon, if one answered.
    pub protocol: Option<u32>,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No complete response arrived.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The server responded with an error status.
    #[error("refused with status {status}{}", body.message.as_ref().map(|m| format!(": {m}")).unwrap_or_default())]
    Refused {
        /// HTTP status.
        status: u16,
        /// The error in its body, as far as it could be understood.
        body: Box<RemoteErrorBody>,
        /// How long to wait before the next attempt, if the server said so.
        retry_after: Option<Duration>,
    },
    /// The daemon speaks another protocol, or did not state one.
    #[error("docksd {} speaks protocol {}, this docks {}", version.as_deref().unwrap_or("of an unknown version"), theirs.map_or_else(|| "unknown".to_owned(), |n| n.to_string()), crate::PROTOCOL)]
    Protocol {
        /// The daemon's protocol.
        theirs: Option<u32>,
        /// The daemon's release.
        version: Option<String>,
    },
    /// The daemon is of the right protocol, but a later build than its own was installed.
    #[error("docksd is not the build that is installed")]
    OtherBuild,
    /// The response is not an answer to the request.
    #[error("the response makes no sense: {0}")]
    InvalidReply(String),
}

impl From<InvalidId> for ClientError {
    fn from(bad: InvalidId) -> Self {
        ClientError::Send(SendError::InvalidRequest(bad.to_string()))
    }
}

/// Checks that the daemon speaks our protocol; nothing else compares protocols.
pub(super) fn check_protocol(headers: &HeaderMap) -> Result<(), ClientError> {
    let theirs = protocol(headers);
    if theirs == Some(crate::PROTOCOL) {
        return Ok(());
    }
    Err(ClientError::Protocol {
        theirs,
        version: text(headers, routes::VERSION).map(str::to_owned),
    })
}

/// Checks protocol and status of a response whose body is still arriving.
pub(super) async fn check_streaming(reply: &mut StreamingReply) -> Result<(), ClientError> {
    check_protocol(&reply.headers)?;
    if reply.status.is_success() {
        return Ok(());
    }
    let (status, headers) = (reply.status, reply.headers.clone());
    let body = reply.read_to_end().await?;
    check_status(Reply {
        status,
        headers,
        body,
    })
    .map(drop)
}

pub(super) fn check_status(reply: Reply) -> Result<Reply, ClientError> {
    if reply.status.is_success() {
        return Ok(reply);
    }
    Err(ClientError::Refused {
        status: reply.status.as_u16(),
        body: Box::new(parse_error_body(&reply.body)),
        retry_after: retry_after(&reply.headers),
    })
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self {
            freshness: Freshness::from_headers(&reply.headers),
            total: text(&reply.headers, routes::TOTAL).and_then(|t| t.parse().ok()),
            status_seen: text(&reply.headers, routes::STATUS_SEEN).map(|seen| seen == "true"),
            protocol: protocol(&reply.headers),
            body: reply.body,
        }
    }
}

fn protocol(headers: &HeaderMap) -> Option<u32> {
    text(headers, routes::PROTOCOL)?.parse().ok()
}

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

pub(super) fn parse_json<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(|e| {
        ClientError::InvalidReply(format!("the daemon's response cannot be read: {e}"))
    })
}

/// Returns the objects as a bare array, each as it arrived.
pub(super) fn join(list: &RawList) -> Bytes {
    let length = list
        .objects
        .iter()
        .map(|o| o.text().len() + 1)
        .sum::<usize>();
    let mut body = String::with_capacity(length + 2);
    body.push('[');
    for (index, object) in list.objects.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        body.push_str(object.text());
    }
    body.push(']');
    body.into()
}
