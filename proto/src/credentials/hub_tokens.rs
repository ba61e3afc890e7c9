//! The named tokens of a hub: one per person, each of which can be revoked on its own.
//!
//! Only their hashes are stored. A token is 256 random bits, so a fast hash is enough: there is no
//! word to guess.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::files;
use super::hub_token::{HubTokenError, random_token, read_protected};
use crate::secret::Token;
use crate::time::UnixMs;

/// Maximum size of the file: thousands of tokens.
const MAX_BYTES: u64 = 4 << 20;

/// Longest name of a token.
const MAX_NAME_BYTES: usize = 64;

/// The SHA-256 of a token.
#[derive(Clone, Copy)]
pub struct TokenHash([u8; SHA256_OUTPUT_LEN]);

impl TokenHash {
    /// Hashes a token as a request shows it.
    #[must_use]
    pub fn of(token: &str) -> Self {
        let digest = digest(&SHA256, token.as_bytes());
        let bytes = digest.as_ref().try_into();
        Self(bytes.expect("SHA-256 has 32 bytes"))
    }

    /// Compares in a time that does not depend on where the two differ.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    fn hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        if text.len() != 2 * bytes.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).ok()?;
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl std::fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenHash(hidden)")
    }
}

/// A token of one person or program.
#[derive(Debug, Clone)]
pub struct NamedToken {
    /// Whose it is.
    pub name: String,
    /// Whether nothing can be changed with it.
    pub read_only: bool,
    /// When it was added.
    pub created: UnixMs,
    /// Its hash.
    pub hash: TokenHash,
}

/// The file.
#[derive(Default, Serialize, Deserialize)]
struct StoredTokens {
    tokens: Vec<StoredToken>,
}

#[derive(Serialize, Deserialize)]
struct StoredToken {
    name: String,
    /// 64 hexadecimal digits.
    sha256: String,
    read_only: bool,
    /// RFC 3339.
    created: String,
}

/// Reads the tokens; none when there is no file.
///
/// # Errors
///
/// [`HubTokenError`]; as with the shared token, a file that others can read is refused.
pub fn read(path: &Path) -> Result<Vec<NamedToken>, HubTokenError> {
    let Some(text) = read_protected(path, MAX_BYTES)? else {
        return Ok(Vec::new());
    };
    let invalid = || HubTokenError::InvalidList {
        path: path.to_owned(),
    };
    let stored: StoredTokens = serde_json::from_str(&text).map_err(|_| invalid())?;
    let tokens = stored.tokens.into_iter().map(|token| {
        Some(NamedToken {
            hash: TokenHash::from_hex(&token.sha256)?,
            created: UnixMs::parse(&token.created).unwrap_or_default(),
            read_only: token.read_only,
            name: token.name,
        })
    });
    tokens.collect::<Option<_>>().ok_or_else(invalid)
}

/// Adds a token and returns it; nobody can read it again.
///
/// # Errors
///
/// [`HubTokenError::NameTaken`], [`HubTokenError::BadName`], and what went wrong with the file.
pub fn add(path: &Path, name: &str, read_only: bool, now: UnixMs) -> Result<Token, HubTokenError> {
    check_name(name)?;
    let token = random_token()?;
    change(path, |tokens| {
        if tokens.iter().any(|other| other.name == name) {
            return Err(HubTokenError::NameTaken {
                name: name.to_owned(),
            });
        }
        tokens.push(NamedToken {
            name: name.to_owned(),
            read_only,
            created: now,
            hash: TokenHash::of(token.expose()),
        });
        Ok(())
    })?;
    Ok(token)
}

/// Removes a token, which is no longer valid from then on.
///
/// # Errors
///
/// [`HubTokenError::UnknownName`], and what went wrong with the file.
pub fn revoke(path: &Path, name: &str) -> Result<(), HubTokenError> {
    change(path, |tokens| {
        let before = tokens.len();
        tokens.retain(|token| token.name != name);
        if tokens.len() == before {
            return Err(HubTokenError::UnknownName {
                name: name.to_owned(),
                known: tokens.iter().map(|token| token.name.clone()).collect(),
            });
        }
        Ok(())
    })
}

/// Names are part of log lines and tables, and are typed in a shell.
fn check_name(name: &str) -> Result<(), HubTokenError> {
    let may_be_in_it = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    let first = name.bytes().next();
    if first.is_some_and(|byte| byte.is_ascii_alphanumeric())
        && name.len() <= MAX_NAME_BYTES
        && name.bytes().all(may_be_in_it)
    {
        return Ok(());
    }
    Err(HubTokenError::BadName {
        name: name.to_owned(),
    })
}

/// Changes the file, one process at a time, so that no change is lost.
fn change(
    path: &Path,
    change: impl FnOnce(&mut Vec<NamedToken>) -> Result<(), HubTokenError>,
) -> Result<(), HubTokenError> {
    let _lock = lock(path).map_err(|source| HubTokenError::File {
        doing: "write",
        path: path.to_owned(),
        source,
    })?;
    let mut tokens = read(path)?;
    change(&mut tokens)?;
    let tokens = tokens.into_iter().map(|token| StoredToken {
        sha256: token.hash.hex(),
        created: token.created.rfc3339(),
        read_only: token.read_only,
        name: token.name,
    });
    let stored = StoredTokens {
        tokens: tokens.collect(),
    };
    let text = serde_json::to_string_pretty(&stored).expect("it contains only text and booleans");
    Ok(files::write_private(path, &format!("{text}\n"))?)
}

fn lock(path: &Path) -> io::Result<File> {
    files::create_private_dir(path.parent().unwrap_or(Path::new("/")))?;
    let lock: PathBuf = path.with_extension("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(lock)?;
    file.lock()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    fn names(path: &Path) -> Vec<(String, bool)> {
        let tokens = read(path).unwrap().into_iter();
        tokens.map(|token| (token.name, token.read_only)).collect()
    }

    #[test]
    fn tokens_are_stored_as_hashes_and_revoked_one_by_one() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("docks/hub-tokens.json");
        assert!(names(&path).is_empty());
        let alice = add(&path, "alice", false, UnixMs(0)).unwrap();
        let bob = add(&path, "bob@example.com", true, UnixMs(0)).unwrap();
        assert_ne!(alice, bob);
        let text = std::fs::read_to_string(&path).unwrap();
        for token in [&alice, &bob] {
            let secret = token.expose().strip_prefix("dockshub_").unwrap();
            assert!(!text.contains(secret), "{text}");
            let known = read(&path).unwrap();
            let hash = TokenHash::of(token.expose());
            assert!(known.iter().any(|known| known.hash.matches(&hash)));
        }
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let taken = add(&path, "alice", true, UnixMs(0));
        assert!(matches!(taken, Err(HubTokenError::NameTaken { .. })));
        revoke(&path, "alice").unwrap();
        assert_eq!(names(&path), [("bob@example.com".to_owned(), true)]);
        let gone = revoke(&path, "alice");
        assert!(matches!(gone, Err(HubTokenError::UnknownName { known, .. }) if known.len() == 1));
    }

    #[test]
    fn a_name_cannot_break_a_line_or_look_like_an_option() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("hub-tokens.json");
        let long = "a".repeat(65);
        for bad in ["", "a b", "a\nb", "--force", "ä", "a/b", &long] {
            let refused = add(&path, bad, false, UnixMs(0));
            assert!(
                matches!(refused, Err(HubTokenError::BadName { .. })),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_list_that_others_can_read_or_that_is_damaged_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("hub-tokens.json");
        add(&path, "alice", false, UnixMs(0)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let read_by_others = read(&path);
        assert!(matches!(
            read_by_others,
            Err(HubTokenError::ReadableByOthers { .. })
        ));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(
            read(&path),
            Err(HubTokenError::InvalidList { .. })
        ));
        let added = add(&path, "bob", false, UnixMs(0));
        assert!(added.is_err(), "nothing is overwritten");
    }

    #[test]
    fn tokens_that_are_added_at_once_are_all_kept() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("hub-tokens.json");
        std::thread::scope(|scope| {
            for number in 0..8 {
                let path = &path;
                scope.spawn(move || add(path, &format!("t{number}"), false, UnixMs(0)).unwrap());
            }
        });
        assert_eq!(names(&path).len(), 8);
    }
}
