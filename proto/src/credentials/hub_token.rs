//! The token that lets others mirror what a hub shares: made here, kept in a file of its own.
//!
//! One secret for everybody, like the join token of a cluster: whoever has it may ask, and
//! replacing it shuts everybody out who has the old one.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::files;
use crate::secret::Token;
use crate::settings::SettingsError;

/// Tells the token apart from others, also for programs that look for secrets in texts.
const PREFIX: &str = "dockshub_";

/// Random bytes in a token: as many as its hash has, so guessing is hopeless at any rate.
const RANDOM_BYTES: usize = 32;

/// Longest file that is read.
const MOST_BYTES: u64 = 4_096;

/// Says why there is no usable token.
#[derive(Debug, thiserror::Error)]
pub enum HubTokenError {
    /// The system gave no randomness.
    #[error("the system gave no random bytes for a token: {0}")]
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
    /// Others may read or write the file.
    #[error(
        "others may read the hub's token in {}; close it with `chmod 600`, and replace the token with `docks hub token --rotate`",
        path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// The file belongs to another user.
    #[error("the hub's token in {} belongs to another user", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file holds no token.
    #[error("{} holds no token; `docks hub token --rotate` makes one", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
    },
    /// The settings files' own error.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

/// Reads the token; `None` when there is no file.
///
/// # Errors
///
/// [`HubTokenError`]: a file that others can read is not used, since they may have read it.
pub fn read(path: &Path) -> Result<Option<Token>, HubTokenError> {
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
        return Err(HubTokenError::Foreign {
            path: path.to_owned(),
        });
    }
    if found.mode() & 0o077 != 0 {
        return Err(HubTokenError::Open {
            path: path.to_owned(),
        });
    }
    let mut text = String::new();
    file.take(MOST_BYTES)
        .read_to_string(&mut text)
        .map_err(failed)?;
    match Token::new(&text) {
        Some(token) => Ok(Some(token)),
        None => Err(HubTokenError::Unusable {
            path: path.to_owned(),
        }),
    }
}

/// Reads the token, or makes the first one; tells whether it was made now.
///
/// # Errors
///
/// As [`read`], and when none can be made.
pub fn read_or_create(path: &Path) -> Result<(Token, bool), HubTokenError> {
    if let Some(token) = read(path)? {
        return Ok((token, false));
    }
    let token = random()?;
    let failed = |source| HubTokenError::File {
        doing: "write",
        path: path.to_owned(),
        source,
    };
    if first(path, &token).map_err(failed)? {
        return Ok((token, true));
    }
    // Somebody else made the first one at the same time.
    match read(path)? {
        Some(token) => Ok((token, false)),
        None => Err(failed(io::ErrorKind::NotFound.into())),
    }
}

/// Makes a new token in place of the old one, which is good no more.
///
/// # Errors
///
/// [`HubTokenError`]; the old one is then still in force.
pub fn rotate(path: &Path) -> Result<Token, HubTokenError> {
    let token = random()?;
    files::write_private(path, &format!("{}\n", token.expose()))?;
    Ok(token)
}

fn random() -> Result<Token, HubTokenError> {
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

/// Writes the first token unless there is one meanwhile; the file appears whole or not at all.
fn first(path: &Path, token: &Token) -> io::Result<bool> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    files::make_private_dir(folder)?;
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
        // Unlike renaming, linking leaves a token alone that is there already.
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
    fn the_first_token_is_made_once_for_its_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("docks/hub-token");
        assert!(read(&path).unwrap().is_none());
        let (token, made) = read_or_create(&path).unwrap();
        assert!(made && token.expose().len() == PREFIX.len() + 64);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(read_or_create(&path).unwrap(), (token.clone(), false));
        assert!(!first(&path, &random().unwrap()).unwrap(), "it stays");
        assert_eq!(read(&path).unwrap(), Some(token));
        let files = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(files, 1, "no draft is left");
    }

    #[test]
    fn a_rotated_token_is_another_one() {
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
        assert!(matches!(read(&path), Err(HubTokenError::Open { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, " \n").unwrap();
        assert!(matches!(read(&path), Err(HubTokenError::Unusable { .. })));
    }
}
