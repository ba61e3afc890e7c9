//! SHA-256 of content.

use std::fmt;
use std::io::{self, Read};

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

/// A SHA-256 in lower-case hexadecimal.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256(String);

impl Sha256 {
    /// Returns the 64 hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0
    }

    /// Hashes a text.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(text.as_bytes());
        hasher.finish()
    }

    /// Hashes the rest of a reader; returns the hash and the number of bytes.
    ///
    /// # Errors
    ///
    /// The error of the reader.
    pub fn of_reader(reader: &mut impl Read) -> io::Result<(Self, u64)> {
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; 64 * 1024];
        let mut size_bytes = 0;
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok((hasher.finish(), size_bytes)),
                Ok(got) => {
                    hasher.update(buffer.get(..got).unwrap_or(&buffer));
                    size_bytes += got as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Sha256> for String {
    fn from(sha: Sha256) -> Self {
        sha.0
    }
}

impl TryFrom<String> for Sha256 {
    type Error = &'static str;

    /// Accepts exactly 64 lower-case hexadecimal digits, because the text becomes part of a path.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == 64 && text.bytes().all(lower) {
            Ok(Self(text))
        } else {
            Err("not a SHA-256 in hexadecimal")
        }
    }
}

/// Hashes bytes incrementally.
#[derive(Clone)]
pub(crate) struct Hasher(Context);

impl Hasher {
    pub(crate) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Sha256 {
        let digest = self.0.finish();
        let hex = digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
            hex.push_str(&format!("{byte:02x}"));
            hex
        });
        Sha256(hex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_sha_256() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Sha256::of_text("").hex(), empty);
        let (sha, size_bytes) = Sha256::of_reader(&mut &b"abc"[..]).unwrap();
        assert_eq!((sha, size_bytes), (Sha256::of_text("abc"), 3));
    }

    #[test]
    fn only_hexadecimal_digits_are_accepted_since_they_become_a_path() {
        for bad in ["", "../x", &"A".repeat(64), &"a".repeat(63)] {
            assert!(Sha256::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
