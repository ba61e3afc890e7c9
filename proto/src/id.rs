//! Identifiers that the remote assigns: opaque strings, never paths.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but RFC 3986's unreserved characters are encoded, so an id is one path segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Longest id that is sent anywhere, in bytes; real ones have 36.
pub const MAX_ID_BYTES: usize = 512;

/// Why a text cannot be an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// It is empty.
    #[error("an id cannot be empty")]
    Empty,
    /// It has more than [`MAX_ID_BYTES`].
    #[error("an id has at most {MAX_ID_BYTES} bytes, this one has {0}")]
    TooLong(usize),
    /// It has a control character.
    #[error("an id has no control characters")]
    Control,
    /// `.` and `..` have a meaning of their own in a path, even percent-encoded.
    #[error("`{0}` is not an id")]
    DotSegment(String),
}

/// Encodes `text` as exactly one path segment.
///
/// # Errors
///
/// [`InvalidId`] if no encoding can make the text safe: empty, over
/// [`MAX_ID_BYTES`], with control characters, or a dot segment, which
/// proxies and servers resolve even when it is percent-encoded.
pub fn path_segment(text: &str) -> Result<String, InvalidId> {
    validate(text)?;
    Ok(utf8_percent_encode(text, SEGMENT).to_string())
}

/// Checks that `text` can be an id.
///
/// # Errors
///
/// See [`path_segment`].
pub fn validate(text: &str) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    if text.len() > MAX_ID_BYTES {
        return Err(InvalidId::TooLong(text.len()));
    }
    if text.chars().any(char::is_control) {
        return Err(InvalidId::Control);
    }
    if matches!(text, "." | "..") {
        return Err(InvalidId::DotSegment(text.to_owned()));
    }
    Ok(())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps any text; [`validate`] checks whether it may be sent.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// Returns the id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

id! {
    /// Id of a run or an evaluation run.
    RunId
}
id! {
    /// Id of a trial; unique only inside its run.
    TrialId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_always_one_segment() {
        assert_eq!(
            path_segment("a/../b?c#d%e").unwrap(),
            "a%2F..%2Fb%3Fc%23d%25e"
        );
        assert_eq!(path_segment("r\u{e9}").unwrap(), "r%C3%A9");
        assert_eq!(path_segment(".."), Err(InvalidId::DotSegment("..".into())));
        assert_eq!(path_segment("a\r\nHost: x"), Err(InvalidId::Control));
        assert_eq!(path_segment(""), Err(InvalidId::Empty));
        assert_eq!(
            path_segment(&"x".repeat(10_000)),
            Err(InvalidId::TooLong(10_000))
        );
    }
}
