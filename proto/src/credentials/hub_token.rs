//! The shared token of a hub, generated here and kept in its own file.
//!
//! It is one secret for everyone, like the join token of a cluster: everyone who has it has access, and
//! replacing it locks out everyone who has the old one.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::files;
use crate::secret::Token;
use crate::settings::SettingsError;

/// Identifies the kind of token, also for secret scanners.
const PREFIX: &str = "dockshub_";

/// Number of random bytes in a token: 256 bits cannot be guessed.
const RANDOM_BYTES: usize = 32;

/// Maximum size of the file.
const MAX_BYTES: u64 = 4_096;

/// Why there is no usable token.
#[derive(Debug, thiserror::Error)]
pub enum HubTokenError {
    /// The system provided no random bytes.
    #[error("the system provided no random bytes for a token: {0}")]
    Randomness(String),
    /// The file could not be read or written.
    #[error("could not {doing} the hub's token in {}", path.display())]
    File {
        /// `read` or `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Other users can read or write the file.
    #[error(
        "other users can read the hub's token in {}; protect it with `chmod 600`, and replace the token with `docks hub token --rotate`",
        path.display()
    )]
    ReadableByOthers {
        /// The file.
        path: PathBuf,
    },
    /// The file belongs to another user.
    #[error("the hub's token in {} belongs to another user", path.display())]
    OwnedByAnother {
        /// The file.
        path: PathBuf,
    },
    /// The file has no valid token.
    #[error("{} has no valid token; create one with `docks hub token --rotate`", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
    },
    /// The file of named tokens is damaged.
    #[error("{} is not a list of tokens; restore it, or remove it and add the tokens again", path.display())]
    InvalidList {
        /// The file.
        path: PathBuf,
    },
    /// A name that cannot be used.
    #[error(
        "`{name}` cannot be the name of a token: use letters, digits, `-`, `_`, `.` and `@`, at most 64"
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// There is a token of this name already.
    #[error("there is a token `{name}` already; `docks hub token revoke {name}` revokes it")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// There is no token of this name.
    #[error("there is no token `{name}`{}", known_names(known))]
    UnknownName {
        /// The name.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// The token could not be written.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

fn known_names(known: &[String]) -> String {
    match known {
        [] => String::new(),
        _ => format!("; there are {}", known.join(", ")),
    }
}

/// Reads the token; `None` when there is no file.
///
/// # Errors
///
/// [`HubTokenError`]; a file that others can read is refused, since they may have read it.
pub fn read(path: &Path) -> Result<Option<Token>, HubTokenError> {
    let Some(text) = read_protected(path, MAX_BYTES)? else {
        return Ok(None);
    };
    match Token::new(&text) {
        Some(token) => Ok(Some(token)),
        None => Err(HubTokenError::Invalid {
            path: path.to_owned(),
        }),
    }
}

/// Reads a file that only its owner may read; `None` when there is none.
pub(super) fn read_protected(path: &Path, max_bytes: u64) -> Result<Option<String>, HubTokenError> {
    let failed = |source| HubTokenError::File {
        doing: "read",
        path: path.to_owned(),
        source,
    };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let found = file.metadata().map_err(failed)?;
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(HubTokenError::OwnedByAnother {
            path: path.to_owned(),
        });
    }
    if found.mode() & 0o077 != 0 {
        return Err(HubTokenError::ReadableByOthers {
            path: path.to_owned(),
        });
    }
    let mut text = String::new();
    file.take(max_bytes)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(Some(text))
}

/// Reads the token, or creates the first one; also returns whether it was created.
///
/// # Errors
///
/// As [`read`], and when none can be created.
pub fn read_or_create(path: &Path) -> Result<(Token, bool), HubTokenError> {
    if let Some(token) = read(path)? {
        return Ok((token, false));
    }
    let token = random_token()?;
    let failed = |source| HubTokenError::File {
        doing: "write",
        path: path.to_owned(),
        source,
    };
    if create_first(path, &token).map_err(failed)? {
        return Ok((token, true));
    }
    // Another process created the first one at the same time.
    match read(path)? {
        Some(token) => Ok((token, false)),
        None => Err(failed(io::ErrorKind::NotFound.into())),
    }
}

/// Replaces the token by a new one; the old one is no longer valid.
///
/// # Errors
///
/// [`HubTokenError`]; the old token then stays valid.
pub fn rotate(path: &Path) -> Result<Token, HubTokenError> {
    let token = random_token()?;
    files::write_private(path, &format!("{}\n", token.expose()))?;
    Ok(token)
}

/// Generates a token.
pub(super) fn random_token() -> Result<Token, HubTokenError> {
    let mut bytes = [0_u8; RANDOM_BYTES];
    getrandom::fill(&mut bytes).map_err(|e| HubTokenError::Randomness(e.to_string()))?;
    let mut text = String::from(PREFIX);
    for byte in bytes {
        for digit in [byte >> 4, byte & 0xf] {
            text.push(char::from_digit(u32::from(digit), 16).expect("four bits are one digit"));
        }
    }
    Ok(Token::new(&text).expect("letters, digits and an underscore make a token"))
}

/// Writes the first token atomically, unless the file exists by now; returns whether it was written.
fn create_first(path: &Path, token: &Token) -> io::Result<bool> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    files::create_private_dir(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = folder.join(format!(".{name}.{}.new", std::process::id()));
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    let written = writeln!(file, "{}", token.expose())
        .and_then(|()| file.sync_all())
        // Unlike renaming, linking does not replace an existing token.
        .and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_first_token_is_created_once_and_for_its_owner_only() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("docks/hub-token");
        assert!(read(&path).unwrap().is_none());
        let (token, created) = read_or_create(&path).unwrap();
        assert!(created && token.expose().len() == PREFIX.len() + 64);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(read_or_create(&path).unwrap(), (token.clone(), false));
        assert!(
            !create_first(&path, &random_token().unwrap()).unwrap(),
            "it stays"
        );
        assert_eq!(read(&path).unwrap(), Some(token));
        let files = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(files, 1, "no draft is left");
    }

    #[test]
    fn rotating_replaces_the_token() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("hub-token");
        let (old, _) = read_or_create(&path).unwrap();
        let new = rotate(&path).unwrap();
        assert_ne!(old, new);
        assert_eq!(read(&path).unwrap(), Some(new));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_token_that_others_can_read_is_not_used() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("hub-token");
        read_or_create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            read(&path),
            Err(HubTokenError::ReadableByOthers { .. })
        ));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, " \n").unwrap();
        assert!(matches!(read(&path), Err(HubTokenError::Invalid { .. })));
    }
}
