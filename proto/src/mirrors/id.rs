//! The short name of a mirror.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::identity::{mirror_key, shared_key};
use super::owner::OwnedRemote;
use crate::hash::fnv1a_64;
use crate::settings::Target;

/// Digits of a handle: enough that two mirrors of one home do not share one by chance.
const HANDLE_DIGITS: usize = 8;

/// Identifies a mirror: the hash of its remote and owner, which is also in the name of its file.
///
/// The owner is a name or a keyed fingerprint, so it reveals nothing about a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MirrorId(u64);

impl MirrorId {
    /// Returns the id of the mirror of a remote and its owner.
    #[must_use]
    pub fn new(remote: &OwnedRemote) -> Self {
        Self(fnv1a_64(mirror_key(remote)))
    }

    /// Returns the id of a mirror without an owner, as every remote had it in earlier releases.
    #[must_use]
    pub fn shared(target: &Target) -> Self {
        Self(fnv1a_64(shared_key(target)))
    }

    /// Returns the id of the mirror that an earlier release had of a Docks API, from what
    /// [`Target`] displays.
    #[must_use]
    pub fn of_former_api(target: &str) -> Self {
        Self(fnv1a_64(format!("docks_api {target}")))
    }

    /// Parses the 16 hexadecimal digits that [`MirrorId`] displays.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let valid = text.len() == 16 && text.bytes().all(lower);
        let number = valid.then(|| u64::from_str_radix(text, 16).ok());
        number.flatten().map(Self)
    }

    /// Returns the short form that people type.
    #[must_use]
    pub fn handle(self) -> String {
        let mut text = self.to_string();
        text.truncate(HANDLE_DIGITS);
        text
    }

    /// Returns whether a text is a handle of this mirror: at least as many of its first digits as
    /// [`MirrorId::handle`] shows.
    #[must_use]
    pub fn is_named(self, text: &str) -> bool {
        text.len() >= HANDLE_DIGITS && self.to_string().starts_with(&text.to_ascii_lowercase())
    }
}

impl fmt::Display for MirrorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl From<MirrorId> for String {
    fn from(id: MirrorId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for MirrorId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not the id of a mirror")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_named_by_enough_of_its_digits() {
        let id = MirrorId::parse("00c0ffee12345678").unwrap();
        assert_eq!(id.handle(), "00c0ffee");
        for good in ["00c0ffee", "00C0FFEE1", "00c0ffee12345678"] {
            assert!(id.is_named(good), "{good}");
        }
        for bad in ["", "00c0ffe", "00c0ffef", "00c0ffee123456780"] {
            assert!(!id.is_named(bad), "{bad}");
        }
        for bad in ["00c0ffee1234567", "+0c0ffee12345678", "00C0FFEE12345678"] {
            assert_eq!(MirrorId::parse(bad), None, "{bad}");
        }
    }
}
