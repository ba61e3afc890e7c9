//! The version of an object, and the point from which a download resumes.

use serde::{Deserialize, Serialize};

/// A tag that is equal only for equal bytes: a strong entity tag, or the metadata of a local file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(String);

impl Version {
    /// Accepts a strong entity tag; a weak one does not guarantee that two parts belong together.
    #[must_use]
    pub fn from_strong_tag(tag: &str) -> Option<Self> {
        let tag = tag.trim();
        let usable = !tag.is_empty() && !tag.starts_with("W/") && tag.len() <= 1_024;
        (usable && tag.bytes().all(|b| (0x20..0x7f).contains(&b))).then(|| Self(tag.to_owned()))
    }

    /// Returns the tag unchanged.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.0
    }
}

/// The bytes that were already downloaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumePoint {
    /// The version they belong to.
    pub version: Version,
    /// Their number; never 0.
    pub offset_bytes: u64,
    /// Size of the whole object, if it is known.
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
