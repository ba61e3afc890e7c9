//! How old an answer may be, and how old it is, in HTTP's terms.
//!
//! Requests carry `Cache-Control` (RFC 9111 §5.2.1). Responses carry `Age` (§5.1) and
//! `Cache-Status` (RFC 9211), and our own headers with milliseconds and the instant, since `Age`
//! counts whole seconds.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};

use crate::routes;
use crate::time::UnixMs;

/// The validator of an earlier response (an `ETag`), sent as `If-None-Match` (RFC 9110 §13.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validator(pub String);

/// How old the answer to a request may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CachePolicy {
    /// What the mirror has, refreshed in the background; fetched from the remote if it has nothing.
    #[default]
    Default,
    /// An answer that the remote confirmed at most this long ago.
    MaxAge(Duration),
    /// An answer that the remote confirmed after the request started (`--fresh`).
    NoCache,
    /// What the mirror has, and nothing else (`--offline`).
    OnlyIfCached,
}

impl CachePolicy {
    /// Returns the value of `Cache-Control`; `None` for the default.
    #[must_use]
    pub fn to_header_value(self) -> Option<HeaderValue> {
        match self {
            CachePolicy::Default => None,
            CachePolicy::NoCache => Some(HeaderValue::from_static("no-cache")),
            CachePolicy::OnlyIfCached => Some(HeaderValue::from_static("only-if-cached")),
            CachePolicy::MaxAge(age) => {
                HeaderValue::from_str(&format!("max-age={}", age.as_secs())).ok()
            }
        }
    }

    /// Parses `Cache-Control`; unknown directives are ignored, as RFC 9111 §5.2 requires.
    ///
    /// `max-age=0` means the same as `no-cache`. Of several directives the strictest wins;
    /// `only-if-cached` wins over all others, since it forbids a request to the remote.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let mut allowed = CachePolicy::Default;
        let directives = headers
            .get_all(header::CACHE_CONTROL)
            .into_iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(','));
        for directive in directives {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "only-if-cached" => return CachePolicy::OnlyIfCached,
                "no-cache" | "no-store" => allowed = CachePolicy::NoCache,
                "max-age" if allowed != CachePolicy::NoCache => {
                    match argument.trim().trim_matches('"').parse::<u64>() {
                        Ok(0) => allowed = CachePolicy::NoCache,
                        Ok(seconds) => allowed = CachePolicy::MaxAge(Duration::from_secs(seconds)),
                        Err(_) => {}
                    }
                }
                _ => {}
            }
        }
        allowed
    }
}

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnsweredBy {
    /// The daemon's mirror.
    Mirror,
    /// The remote itself, through the daemon or directly.
    Remote,
}

/// How old an answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freshness {
    /// When the remote last confirmed it.
    pub as_of: UnixMs,
    /// How long ago that was when the answer was sent.
    pub age: Duration,
    /// Why it is older than it should be; `None` when it is fresh.
    pub stale_reason: Option<String>,
    /// Why rows may be missing from a list; `None` when it is whole.
    pub incomplete: Option<String>,
    /// What users should know about what the remote shows, such as what it left out; `None` if nothing.
    pub notice: Option<String>,
    /// Who answered.
    pub answered_by: AnsweredBy,
}

impl Freshness {
    /// Whether the answer is older than it should be.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.stale_reason.is_some()
    }

    /// Adds the headers of a response.
    pub fn write_headers(&self, headers: &mut HeaderMap) {
        let number = |n: u128| HeaderValue::from_str(&n.to_string()).ok();
        let mut insert = |name: &'static str, value: Option<HeaderValue>| {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        };
        insert("age", number(u128::from(self.age.as_secs())));
        insert(routes::AGE_MS, number(self.age.as_millis()));
        insert(
            routes::AS_OF,
            HeaderValue::from_str(&self.as_of.rfc3339()).ok(),
        );
        if let Some(reason) = &self.incomplete {
            insert(
                routes::INCOMPLETE,
                HeaderValue::from_str(&quoted(reason)).ok(),
            );
        }
        if let Some(notice) = &self.notice {
            insert(routes::NOTICE, HeaderValue::from_str(&quoted(notice)).ok());
        }
        let mut status = String::from("docksd; ");
        status.push_str(match self.answered_by {
            AnsweredBy::Mirror => "hit",
            AnsweredBy::Remote => "fwd=miss; stored",
        });
        if let Some(reason) = &self.stale_reason {
            status.push_str("; detail=");
            status.push_str(&quoted(reason));
        }
        insert("cache-status", HeaderValue::from_str(&status).ok());
    }

    /// Reads the headers of a daemon's response; `None` if they are missing.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
        let status = text("cache-status").unwrap_or("");
        let stale_reason = status.split_once("detail=").map(|(_, rest)| unquoted(rest));
        Some(Self {
            as_of: UnixMs::parse(text(routes::AS_OF)?)?,
            age: Duration::from_millis(text(routes::AGE_MS)?.parse().ok()?),
            stale_reason,
            incomplete: text(routes::INCOMPLETE).map(unquoted),
            notice: text(routes::NOTICE).map(unquoted),
            answered_by: if status.contains("fwd=") {
                AnsweredBy::Remote
            } else {
                AnsweredBy::Mirror
            },
        })
    }
}

/// Returns an RFC 8941 string: visible ASCII, with quotes and backslashes escaped.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => out.push('?'),
        }
    }
    out.push('"');
    out
}

/// Reads what [`quoted`] writes.
fn unquoted(text: &str) -> String {
    let text = text.strip_prefix('"').unwrap_or(text);
    let text = text.strip_suffix('"').unwrap_or(text);
    text.replace("\\\"", "\"").replace("\\\\", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freshness_survives_the_round_trip_through_headers() {
        let freshness = Freshness {
            as_of: UnixMs(1_764_000_000_123),
            age: Duration::from_millis(4_321),
            stale_reason: Some("remote \"down\" since 3 min".into()),
            incomplete: Some("rows may be missing".into()),
            notice: Some("left out: 2 symbolic links".into()),
            answered_by: AnsweredBy::Mirror,
        };
        let mut headers = HeaderMap::new();
        freshness.write_headers(&mut headers);
        assert_eq!(headers["age"], "4");
        assert_eq!(Freshness::from_headers(&headers), Some(freshness));
    }

    #[test]
    fn cache_control_is_read_strictest_first() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(text));
            CachePolicy::from_headers(&headers)
        };
        assert_eq!(
            read("max-age=5"),
            CachePolicy::MaxAge(Duration::from_secs(5))
        );
        assert_eq!(read("max-age=0"), CachePolicy::NoCache);
        assert_eq!(read("no-cache, max-age=60"), CachePolicy::NoCache);
        assert_eq!(read("no-cache, only-if-cached"), CachePolicy::OnlyIfCached);
        assert_eq!(read("immutable, max-age=soon"), CachePolicy::Default);
    }
}
