//! Verifies the hub's token.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, header};
use docks_proto::credentials::hub_token::{self, HubTokenError};
use docks_proto::secret::Token;
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

/// Verifies tokens against the token file as it is now, so a replaced token takes effect at once.
#[derive(Debug)]
pub(super) struct TokenVerifier {
    path: PathBuf,
    cached: Mutex<CachedHash>,
}

type Hash = [u8; SHA256_OUTPUT_LEN];

/// The hash of the token in one version of the file.
#[derive(Debug, Default)]
struct CachedHash {
    version: Option<FileVersion>,
    /// `None` if the file holds no usable token; then every request is refused.
    hash: Option<Hash>,
}

/// Device, inode, modification time, change time (seconds and nanoseconds each), size.
type FileVersion = [i64; 7];

impl TokenVerifier {
    /// Reads the token, or creates one. Returns whether it was created.
    ///
    /// # Errors
    ///
    /// [`HubTokenError`] if the file cannot be trusted or written.
    pub(super) fn open(path: PathBuf) -> Result<(Self, bool), HubTokenError> {
        let (_, created) = hub_token::read_or_create(&path)?;
        let verifier = Self {
            path,
            cached: Mutex::default(),
        };
        Ok((verifier, created))
    }

    /// Whether a request has the token, in exactly one `Authorization: Bearer` header.
    pub(super) fn verify(&self, headers: &HeaderMap) -> bool {
        match (bearer_token(headers), self.expected_hash()) {
            // How far two hashes agree says nothing about the token, so the time that the
            // comparison takes reveals nothing either.
            (Some(token), Some(expected)) => hash(token) == expected,
            _ => false,
        }
    }

    fn expected_hash(&self) -> Option<Hash> {
        let version = file_version(&self.path);
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if version.is_none() || cached.version != version {
            let token = hub_token::read(&self.path).unwrap_or_else(|error| {
                tracing::error!(
                    error = docks_proto::error::error_chain(&error),
                    "could not read the hub's token; every request is refused"
                );
                None
            });
            *cached = CachedHash {
                version,
                hash: token.as_ref().map(|token| hash(token.expose())),
            };
        }
        cached.hash
    }
}

/// Reads the token of a request. Unlike `headers::Authorization`, refuses a second header.
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim())
        .filter(|token| Token::new(token).is_some())
}

fn hash(text: &str) -> Hash {
    let digest = digest(&SHA256, text.as_bytes());
    let mut hash = [0; SHA256_OUTPUT_LEN];
    hash.copy_from_slice(digest.as_ref());
    hash
}

fn file_version(path: &Path) -> Option<FileVersion> {
    let metadata = std::fs::metadata(path).ok()?;
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    Some([
        number(metadata.dev()),
        number(metadata.ino()),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec(),
        number(metadata.size()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn with(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_str(value).unwrap();
            headers.append(header::AUTHORIZATION, value);
        }
        headers
    }

    #[test]
    fn only_the_whole_token_is_accepted() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("hub-token");
        let (verifier, created) = TokenVerifier::open(path.clone()).unwrap();
        assert!(created);
        let token = hub_token::read(&path).unwrap().unwrap();
        let bearer = format!("Bearer {}", token.expose());
        assert!(verifier.verify(&with(&[&bearer])));
        assert!(verifier.verify(&with(&[&bearer.replace("Bearer", "bearer")])));
        let cut = &bearer[..bearer.len() - 1];
        let longer = format!("{bearer}0");
        let basic = bearer.replace("Bearer", "Basic");
        for refused in [
            &[][..],
            &[cut],
            &[&longer],
            &[&basic],
            &["Bearer "],
            &[token.expose()],
            &[&bearer, &bearer],
            &["Bearer x", &bearer],
        ] {
            assert!(!verifier.verify(&with(refused)), "{refused:?}");
        }
    }

    #[test]
    fn a_replaced_token_takes_effect_at_once_and_without_a_file_every_token_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("hub-token");
        let (verifier, _) = TokenVerifier::open(path.clone()).unwrap();
        let bearer = |token: &Token| with(&[&format!("Bearer {}", token.expose())]);
        let old = bearer(&hub_token::read(&path).unwrap().unwrap());
        assert!(verifier.verify(&old));
        let new = bearer(&hub_token::rotate(&path).unwrap());
        assert!(!verifier.verify(&old) && verifier.verify(&new));
        std::fs::remove_file(&path).unwrap();
        assert!(!verifier.verify(&new));
    }
}
