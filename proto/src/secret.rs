//! A token that cannot be printed, and what keeps secrets from other programs.

use std::fmt;

use http::HeaderValue;

/// Environment variables with secrets of docks. No program that docks or docksd runs has them.
pub const SECRET_VARIABLES: [&str; 2] = ["DOCKS_TOKEN", "HARBOR_API_KEY"];

/// Environment variable that leaves a process open to debuggers, profilers and core dumps.
pub const DEBUGGABLE_VARIABLE: &str = "DOCKS_DEBUGGABLE";

/// Keeps the memory of this process, which has tokens in it, from other processes of the user and out of core dumps.
///
/// Programs that it runs are not affected by the first, and may raise the limit that is the second.
pub fn keep_memory_private() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // What fails leaves the process as any other.
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable).ok();
    let Rlimit { maximum, .. } = getrlimit(Resource::Core);
    let none = Rlimit {
        current: Some(0),
        maximum,
    };
    setrlimit(Resource::Core, none).ok();
}

/// A bearer token; `Debug` hides it, and it can be neither displayed nor serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Accepts a token with or without its `Bearer ` prefix: the Python client stores both.
    ///
    /// Returns `None` if it is empty or cannot be sent in an HTTP header.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let bare = text.strip_prefix("Bearer ").unwrap_or(text).trim();
        let sendable =
            !bare.is_empty() && bare != "Bearer" && bare.bytes().all(|b| (0x21..0x7f).contains(&b));
        sendable.then(|| Self(bare.to_owned()))
    }

    /// Returns the value of an `Authorization` header, marked sensitive.
    #[must_use]
    pub fn authorization(&self) -> HeaderValue {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0))
            .expect("a token holds only visible ASCII, checked when it was made");
        value.set_sensitive(true);
        value
    }

    /// Returns the secret, for storing it in a keyring or a private file.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_printed_and_its_prefix_is_not_repeated() {
        let token = Token::new(" Bearer s3cret\n").unwrap();
        assert!(!format!("{token:?} {:?}", token.authorization()).contains("s3cret"));
        assert_eq!(token.authorization().as_bytes(), b"Bearer s3cret");
        assert_eq!(Token::new("Bearer "), None);
        assert_eq!(Token::new("a b"), None);
    }
}
