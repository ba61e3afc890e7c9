//! Errors that cross the socket: few and coded, inside FastAPI's envelope.

use serde::{Deserialize, Serialize};

use crate::repair;

/// What went wrong, for programs; the message is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request itself is wrong: 400 or 422.
    InvalidRequest,
    /// Refused before any handler ran, for instance a foreign `Host`: 403.
    ForbiddenRequest,
    /// No such run: 404.
    RunNotFound,
    /// No such trial: 404.
    TrialNotFound,
    /// No such route or object: 404.
    NotFound,
    /// A prefix or name matches several objects, see `candidates`: 409.
    AmbiguousId,
    /// The remote refused the token: 401.
    Unauthorized,
    /// The remote refused access: 403.
    Forbidden,
    /// The profile has no token or is incomplete: 401.
    NotSignedIn,
    /// No such profile: 404.
    UnknownProfile,
    /// The remote's rate limit is exhausted: 429.
    RateLimited,
    /// Only a cached answer was allowed, and nothing is cached: 504.
    NotCached,
    /// The remote could not confirm an answer that is fresh enough: 504.
    FreshnessUnmet,
    /// The remote cannot be reached and nothing usable is cached: 504.
    RemoteUnreachable,
    /// The remote sent an invalid response: 502.
    RemoteBroken,
    /// This remote does not support the request, or not now: 409.
    Unsupported,
    /// The run's process ignores signals, so only killing it stops it: 409.
    NeedsKill,
    /// The daemon is shutting down: 503.
    ShuttingDown,
    /// The daemon cannot read or write its mirror, as on a full disk; nothing was sent to the remote, which
    /// can be asked instead: 500.
    MirrorUnusable,
    /// A defect on our side: 500.
    Internal,
    /// A code that a newer daemon knows.
    #[serde(other)]
    Unknown,
}

/// One object that an ambiguous id matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Full id.
    pub id: String,
    /// Name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Status as the remote wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Where the remote keeps it: the folder of a job.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "place")]
    pub location: Option<String>,
}

/// The coded error, found under `detail`, where every Docks API client looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// For programs.
    pub code: ErrorCode,
    /// For people: one sentence.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Objects that an ambiguous id matches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
    /// Seconds to wait before another attempt, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
}

/// Body of every error response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The envelope's only field.
    pub detail: ErrorDetail,
}

impl ErrorDetail {
    /// Creates a detail without a hint.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
            candidates: Vec::new(),
            retry_after_s: None,
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The error response of any Docks API, as far as it could be understood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RemoteErrorBody {
    /// The sentence for people.
    pub message: Option<String>,
    /// The server's own hint.
    pub hint: Option<String>,
    /// Tasks that the server does not know.
    pub missing_tasks: Vec<String>,
    /// The coded detail, if a daemon answered.
    pub detail: Option<ErrorDetail>,
}

/// Longest body of an error that is read, in bytes; a longer one says nothing to anybody, and could be made to take much
/// memory.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Parses FastAPI's three forms of `detail`: text, object, and the list of a 422.
///
/// Anything else (HTML of a proxy, truncated JSON, more than a mebibyte) gives an empty result.
#[must_use]
pub fn parse_error_body(body: &[u8]) -> RemoteErrorBody {
    if body.len() > MAX_BODY_BYTES {
        return RemoteErrorBody::default();
    }
    let value: serde_json::Value = repair::read(&String::from_utf8_lossy(body));
    let text = |v: &serde_json::Value| v.as_str().map(str::to_owned);
    match value.get("detail") {
        Some(serde_json::Value::String(message)) => RemoteErrorBody {
            message: Some(message.clone()),
            ..Default::default()
        },
        Some(detail @ serde_json::Value::Object(fields)) => RemoteErrorBody {
            message: fields.get("message").and_then(text),
            hint: fields.get("hint").and_then(text),
            missing_tasks: fields
                .get("missing_tasks")
                .and_then(|v| v.as_array())
                .map(|list| list.iter().filter_map(text).collect())
                .unwrap_or_default(),
            detail: serde_json::from_value(detail.clone()).ok(),
        },
        Some(serde_json::Value::Array(problems)) => {
            let sentences: Vec<String> = problems
                .iter()
                .map(|problem| {
                    let location = problem
                        .get("loc")
                        .and_then(|v| v.as_array())
                        .map(|parts| {
                            parts
                                .iter()
                                .map(|p| p.as_str().map_or_else(|| p.to_string(), str::to_owned))
                                .collect::<Vec<_>>()
                                .join(".")
                        })
                        .unwrap_or_default();
                    let what = problem.get("msg").and_then(text).unwrap_or_default();
                    if location.is_empty() {
                        what
                    } else {
                        format!("{location}: {what}")
                    }
                })
                .filter(|s| !s.is_empty())
                .collect();
            RemoteErrorBody {
                message: (!sentences.is_empty()).then(|| sentences.join("; ")),
                ..Default::default()
            }
        }
        _ => RemoteErrorBody::default(),
    }
}

/// Returns an error and its causes on one line.
#[must_use]
pub fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // A transparent error repeats its cause.
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
