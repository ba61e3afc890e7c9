//! Whose mirror it is: a profile's, or that of a token which belongs to no profile.

use std::fmt;
use std::io;
use std::path::Path;

use docks_proto::secret::Token;
use docks_proto::settings::Target;
use ring::hmac;

/// Bytes of the secret with which fingerprints are made.
const SECRET_BYTES: usize = 32;

/// Bytes of a fingerprint: enough that two tokens never share one.
const FINGERPRINT_BYTES: usize = 16;

/// Who asks a remote. What one owner was shown is never shown to another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A profile, whatever its token is at the moment.
    Profile(String),
    /// A token from the environment or a request, which is no profile's.
    Token(TokenFingerprint),
    /// The user of this machine: a jobs directory has no credentials of its own.
    User,
}

/// For people and for the identity of a mirror.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Profile(name) => write!(f, "profile {name}"),
            Self::Token(fingerprint) => write!(f, "token {}", fingerprint.0),
            Self::User => f.write_str("user"),
        }
    }
}

/// A remote as one owner sees it. Each has a mirror, a sync engine, a budget and caches of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OwnedRemote {
    /// The remote.
    pub target: Target,
    /// Who asks it.
    pub owner: Owner,
}

/// Tells tokens apart without revealing them, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenFingerprint(String);

/// Makes the fingerprints of one user's tokens.
///
/// They are keyed by a secret of this home, so that nobody who sees the name of a file can find out
/// whether it belongs to a token that they guess.
#[derive(Debug)]
pub(super) struct Fingerprints(hmac::Key);

impl Fingerprints {
    /// Reads the secret from a file, or creates it. Blocks.
    ///
    /// Where it can be neither read nor created, the secret lasts as long as the process: mirrors of
    /// tokens are then not found again, and those of profiles are.
    pub(super) fn open(path: &Path) -> Self {
        let secret = read_secret(path).or_else(|_| create_secret(path));
        let secret = secret.unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error,
                "could not store the secret for the names of mirrors");
            random_secret()
        });
        Self(hmac::Key::new(hmac::HMAC_SHA256, &secret))
    }

    pub(super) fn of(&self, token: &Token) -> TokenFingerprint {
        let tag = hmac::sign(&self.0, token.expose().as_bytes());
        let bytes = tag.as_ref().iter().take(FINGERPRINT_BYTES);
        TokenFingerprint(bytes.map(|byte| format!("{byte:02x}")).collect())
    }
}

fn read_secret(path: &Path) -> io::Result<[u8; SECRET_BYTES]> {
    let bytes = std::fs::read(path)?;
    let wrong_length = |_| io::Error::new(io::ErrorKind::InvalidData, "it has the wrong length");
    bytes.try_into().map_err(wrong_length)
}

/// Writes a new secret under a temporary name and links it, so that the file is never incomplete and
/// an existing one is never replaced.
fn create_secret(path: &Path) -> io::Result<[u8; SECRET_BYTES]> {
    use std::io::Write;
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    let directory = path.parent().unwrap_or(Path::new("/"));
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    if path.exists() {
        // Not a secret of ours: most likely cut off when a disk was full.
        std::fs::remove_file(path)?;
    }
    let secret = random_secret();
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    let written = (|| {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&secret)?;
        file.sync_all()?;
        std::fs::hard_link(&temporary, path)
    })();
    std::fs::remove_file(&temporary).ok();
    match written {
        Ok(()) => Ok(secret),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read_secret(path),
        Err(error) => Err(error),
    }
}

fn random_secret() -> [u8; SECRET_BYTES] {
    use ring::rand::SecureRandom;
    let mut secret = [0; SECRET_BYTES];
    ring::rand::SystemRandom::new()
        .fill(&mut secret)
        .expect("the system has random numbers");
    secret
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_depends_on_token_and_home_and_outlives_the_process() {
        let home = tempfile::tempdir().unwrap();
        let (here, there) = (home.path().join("a/secret"), home.path().join("b/secret"));
        let token = |text| Token::new(text).unwrap();
        let first = Fingerprints::open(&here).of(&token("one"));
        assert_eq!(Fingerprints::open(&here).of(&token("one")), first);
        assert_ne!(Fingerprints::open(&here).of(&token("two")), first);
        assert_ne!(Fingerprints::open(&there).of(&token("one")), first);
        std::fs::write(&here, "cut off").unwrap();
        let renewed = Fingerprints::open(&here).of(&token("one"));
        assert_ne!(renewed, first);
        assert_eq!(Fingerprints::open(&here).of(&token("one")), renewed);
        std::fs::create_dir_all(home.path().join("file")).unwrap();
        Fingerprints::open(&home.path().join("file"));
    }
}
