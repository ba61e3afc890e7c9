//! Verifies the tokens of a hub: the shared one, and those of persons.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, header};
use docks_proto::credentials::hub_token::{self, HubTokenError};
use docks_proto::credentials::hub_tokens::{self, TokenHash};
use docks_proto::secret::Token;

/// Verifies tokens against the files as they are now, so that a replaced or revoked token is refused
/// from the next request on.
#[derive(Debug)]
pub(super) struct TokenVerifier {
    shared: PathBuf,
    named: PathBuf,
    cached: Mutex<CachedTokens>,
}

/// What a token permits, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    /// `None` for the shared token.
    pub(super) name: Option<Arc<str>>,
    /// Whether nothing can be changed with it.
    pub(super) read_only: bool,
}

/// The tokens of one version of the files.
#[derive(Debug, Default)]
struct CachedTokens {
    versions: [Option<FileVersion>; 2],
    tokens: Arc<[(TokenHash, Grant)]>,
}

/// Device, inode, modification time, change time (seconds and nanoseconds each), size.
type FileVersion = [i64; 7];

impl TokenVerifier {
    /// Reads the tokens, or creates the shared one if there is none at all. Returns whether it was
    /// created.
    ///
    /// # Errors
    ///
    /// [`HubTokenError`] if a file cannot be trusted or written.
    pub(super) fn open(shared: PathBuf, named: PathBuf) -> Result<(Self, bool), HubTokenError> {
        let created = if hub_tokens::read(&named)?.is_empty() {
            hub_token::read_or_create(&shared)?.1
        } else {
            hub_token::read(&shared)?;
            false
        };
        let verifier = Self {
            shared,
            named,
            cached: Mutex::default(),
        };
        Ok((verifier, created))
    }

    /// Returns what a token permits; `None` if it is not one of the hub's. Blocks.
    pub(super) fn verify(&self, shown: &TokenHash) -> Option<Grant> {
        let mut found = None;
        // All of them, so that the time does not tell which one it is.
        let tokens = self.tokens();
        for (hash, grant) in tokens.iter() {
            if hash.matches(shown) {
                found = Some(grant);
            }
        }
        found.cloned()
    }

    fn tokens(&self) -> Arc<[(TokenHash, Grant)]> {
        let versions = [&self.shared, &self.named].map(|path| file_version(path));
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.versions != versions {
            *cached = CachedTokens {
                versions,
                tokens: self.read(),
            };
        }
        Arc::clone(&cached.tokens)
    }

    fn read(&self) -> Arc<[(TokenHash, Grant)]> {
        fn report<T: Default>(error: &HubTokenError) -> T {
            tracing::error!(
                error = docks_proto::error::error_chain(error),
                "could not read tokens of the hub; requests with them are refused"
            );
            T::default()
        }
        let shared = hub_token::read(&self.shared).unwrap_or_else(|error| report(&error));
        let named = hub_tokens::read(&self.named).unwrap_or_else(|error| report(&error));
        let shared = shared.map(|token| {
            let everyone = Grant {
                name: None,
                read_only: false,
            };
            (TokenHash::of(token.expose()), everyone)
        });
        let named = named.into_iter().map(|token| {
            let person = Grant {
                name: Some(token.name.into()),
                read_only: token.read_only,
            };
            (token.hash, person)
        });
        shared.into_iter().chain(named).collect()
    }
}

/// Returns the hash of the token of a request; `None` without exactly one `Authorization: Bearer` header.
pub(super) fn shown_token(headers: &HeaderMap) -> Option<TokenHash> {
    bearer_token(headers).map(TokenHash::of)
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
    use docks_proto::time::UnixMs;

    fn with(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_str(value).unwrap();
            headers.append(header::AUTHORIZATION, value);
        }
        headers
    }

    fn open(home: &tempfile::TempDir) -> TokenVerifier {
        let path = |name| home.path().join(name);
        let opened = TokenVerifier::open(path("hub-token"), path("hub-tokens.json"));
        opened.unwrap().0
    }

    fn verify(verifier: &TokenVerifier, headers: &HeaderMap) -> Option<Grant> {
        verifier.verify(&shown_token(headers)?)
    }

    fn bearer(token: &Token) -> HeaderMap {
        with(&[&format!("Bearer {}", token.expose())])
    }

    #[test]
    fn only_the_whole_token_is_accepted() {
        let home = tempfile::tempdir().unwrap();
        let verifier = open(&home);
        let token = hub_token::read(&verifier.shared).unwrap().unwrap();
        let bearer = format!("Bearer {}", token.expose());
        let everyone = Some(Grant {
            name: None,
            read_only: false,
        });
        assert_eq!(verify(&verifier, &with(&[&bearer])), everyone);
        let lower = bearer.replace("Bearer", "bearer");
        assert_eq!(verify(&verifier, &with(&[&lower])), everyone);
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
            assert_eq!(verify(&verifier, &with(refused)), None, "{refused:?}");
        }
    }

    #[test]
    fn a_replaced_token_takes_effect_at_once_and_without_a_file_every_token_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let verifier = open(&home);
        let old = bearer(&hub_token::read(&verifier.shared).unwrap().unwrap());
        assert!(verify(&verifier, &old).is_some());
        let new = bearer(&hub_token::rotate(&verifier.shared).unwrap());
        assert!(verify(&verifier, &old).is_none() && verify(&verifier, &new).is_some());
        std::fs::remove_file(&verifier.shared).unwrap();
        assert!(verify(&verifier, &new).is_none());
    }

    #[test]
    fn a_persons_token_is_valid_until_it_is_revoked() {
        let home = tempfile::tempdir().unwrap();
        let verifier = open(&home);
        let shared = bearer(&hub_token::read(&verifier.shared).unwrap().unwrap());
        let add = |name, read_only| {
            let added = hub_tokens::add(&verifier.named, name, read_only, UnixMs(0));
            bearer(&added.unwrap())
        };
        let (alice, bob) = (add("alice", false), add("bob", true));
        let grant = |name: &str, read_only| {
            Some(Grant {
                name: Some(name.into()),
                read_only,
            })
        };
        assert_eq!(verify(&verifier, &alice), grant("alice", false));
        assert_eq!(verify(&verifier, &bob), grant("bob", true));
        hub_tokens::revoke(&verifier.named, "alice").unwrap();
        assert_eq!(verify(&verifier, &alice), None);
        assert_eq!(verify(&verifier, &bob), grant("bob", true));
        assert!(verify(&verifier, &shared).is_some());
    }

    #[test]
    fn no_shared_token_is_created_beside_those_of_persons() {
        let home = tempfile::tempdir().unwrap();
        let named = home.path().join("hub-tokens.json");
        hub_tokens::add(&named, "alice", false, UnixMs(0)).unwrap();
        assert!(!open(&home).shared.exists());
    }
}
