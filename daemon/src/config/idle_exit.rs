//! `idle_exit`: when the daemon stops on its own.

use std::time::Duration;

use docks_proto::time::parse_duration;

/// When the daemon stops on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdleExit {
    /// After this time without a request.
    After(Duration),
    /// Never.
    Never,
}

impl IdleExit {
    /// Returns the time, unless it is never.
    #[must_use]
    pub fn after(self) -> Option<Duration> {
        match self {
            IdleExit::After(time) => Some(time),
            IdleExit::Never => None,
        }
    }
}

/// Parses a duration or `never`.
///
/// # Errors
///
/// The reason, for people.
pub fn parse_idle_exit(text: &str) -> Result<IdleExit, String> {
    if text.eq_ignore_ascii_case("never") {
        return Ok(IdleExit::Never);
    }
    let time = parse_duration(text).map_err(|error| format!("{error}, or never"))?;
    if time < Duration::from_secs(1) {
        return Err("it must be 1s or more, or never".to_owned());
    }
    Ok(IdleExit::After(time))
}
