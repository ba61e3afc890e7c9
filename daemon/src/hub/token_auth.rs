//! Who may ask: the holder of the hub's token.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, header};
use docks_proto::credentials::hub_token::{self, HubTokenError};
use docks_proto::secret::Token;
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

/// Checks tokens against the file, as it is now: a replaced token counts at once.
#[derive(Debug)]
pub(super) struct Keeper {
    path: PathBuf,
    known: Mutex<Known>,
}

type Hash = [u8; SHA256_OUTPUT_LEN];

/// One version of the file.
#[derive(Debug, Default)]
struct Known {
    stamp: Option<Stamp>,
    /// `None` lets nobody in.
    hash: Option<Hash>,
}

/// Device, inode, change of content and of mode, size.
type Stamp = [i64; 7];

impl Keeper {
    /// Reads the token, or makes the first one; tells whether it was made now.
    ///
    /// # Errors
    ///
    /// [`HubTokenError`] when there is none that can be trusted.
    pub(super) fn open(path: PathBuf) -> Result<(Self, bool), HubTokenError> {
        let (_, made) = hub_token::read_or_create(&path)?;
        let keeper = Self {
            path,
            known: Mutex::default(),
        };
        Ok((keeper, made))
    }

    /// Tells whether a request brought the token, in exactly one `Authorization: Bearer`.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        match (brought(headers), self.expected()) {
            // Hashes: how far two of them agree says nothing about the token, so the time that
            // comparing takes tells nothing either.
            (Some(brought), Some(expected)) => hash(brought) == expected,
            _ => false,
        }
    }

    fn expected(&self) -> Option<Hash> {
        let stamp = stamp(&self.path);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if stamp.is_none() || known.stamp != stamp {
            let token = hub_token::read(&self.path).unwrap_or_else(|error| {
                tracing::error!(
                    error = docks_proto::error::error_chain(&error),
                    "nobody is let in"
                );
                None
            });
            *known = Known {
                stamp,
                hash: token.as_ref().map(|token| hash(token.expose())),
            };
        }
        known.hash
    }
}

fn brought(headers: &HeaderMap) -> Option<&str> {
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

fn stamp(path: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(path).ok()?;
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    Some([
        number(found.dev()),
        number(found.ino()),
        found.mtime(),
        found.mtime_nsec(),
        found.ctime(),
        found.ctime_nsec(),
        number(found.size()),
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
    fn only_the_whole_token_opens() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("hub-token");
        let (keeper, made) = Keeper::open(path.clone()).unwrap();
        assert!(made);
        let token = hub_token::read(&path).unwrap().unwrap();
        let bearer = format!("Bearer {}", token.expose());
        assert!(keeper.admits(&with(&[&bearer])));
        assert!(keeper.admits(&with(&[&bearer.replace("Bearer", "bearer")])));
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
            assert!(!keeper.admits(&with(refused)), "{refused:?}");
        }
    }

    #[test]
    fn a_replaced_token_counts_at_once_and_a_removed_one_opens_nothing() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("hub-token");
        let (keeper, _) = Keeper::open(path.clone()).unwrap();
        let bearer = |token: &Token| with(&[&format!("Bearer {}", token.expose())]);
        let old = bearer(&hub_token::read(&path).unwrap().unwrap());
        assert!(keeper.admits(&old));
        let new = bearer(&hub_token::rotate(&path).unwrap());
        assert!(!keeper.admits(&old) && keeper.admits(&new));
        std::fs::remove_file(&path).unwrap();
        assert!(!keeper.admits(&new));
    }
}
