//! Which version of an object bytes are of, and where to go on from.

use serde::{Deserialize, Serialize};

/// A mark that is equal only for equal bytes: a strong entity tag, or what a file system says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(String);

impl Version {
    /// Takes an entity tag; a weak one promises too little to join two halves on.
    #[must_use]
    pub fn from_strong_tag(tag: &str) -> Option<Self> {
        let tag = tag.trim();
        let usable = !tag.is_empty() && !tag.starts_with("W/") && tag.len() <= 1_024;
        (usable && tag.bytes().all(|b| (0x20..0x7f).contains(&b))).then(|| Self(tag.to_owned()))
    }

    /// Returns the tag as it came.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.0
    }
}

/// Bytes that are there already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumePoint {
    /// Of this version.
    pub version: Version,
    /// So many of them; never 0.
    pub offset_bytes: u64,
    /// Of so many in all, where that was said.
    pub size_bytes: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_strong_tag_is_a_version() {
        assert!(Version::from_strong_tag("\"abc\"").is_some());
        assert!(Version::from_strong_tag("0x8DC").is_some());
        for bad in ["", " ", "W/\"abc\"", "a\nb", "\u{e9}"] {
            assert_eq!(Version::from_strong_tag(bad), None, "{bad:?}");
        }
    }
}
