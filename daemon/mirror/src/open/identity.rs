//! What a mirror holds.

/// The permanent name of what a mirror holds. A file opens only under its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name that the file has, or gets.
    pub current: String,
    /// The name that a file of an earlier release has; it is replaced.
    pub former: String,
}

/// A name that was always the same.
impl From<&str> for Identity {
    fn from(name: &str) -> Self {
        Self {
            current: name.to_owned(),
            former: name.to_owned(),
        }
    }
}
