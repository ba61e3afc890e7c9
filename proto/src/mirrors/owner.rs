//! Whose mirror it is: a profile's, or that of a token which belongs to no profile.

use std::fmt;
use std::io;
use std::path::Path;

use ring::hmac;

use crate::secret::Token;
use crate::settings::Target;

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
    /// The user of this machine: a jobs directory has no credentials of its own, and neither has a `harbor serve`
    /// without a key.
    User,
}

impl Owner {
    /// Returns whose a token is: the first of these profiles that has it now, or else its own.
    ///
    /// `docks` and `docksd` both decide by this rule, so that they use the same files.
    #[must_use]
    pub fn of_token(
        token: &Token,
        profiles: impl IntoIterator<Item = String>,
        mut token_of: impl FnMut(&str) -> Option<Token>,
        fingerprints: &Fingerprints,
    ) -> Self {
        let mut profiles = profiles.into_iter();
        let same = profiles.find(|name| token_of(name).as_ref() == Some(token));
        same.map_or_else(|| Self::Token(fingerprints.of(token)), Self::Profile)
    }

    /// Parses what [`Owner`] displays.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix("profile ") {
            return Some(Self::Profile(name.to_owned()));
        }
        if text == "user" {
            return Some(Self::User);
        }
        let digits = text.strip_prefix("token ")?;
        let is_fingerprint = digits.len() == 2 * FINGERPRINT_BYTES
            && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_fingerprint.then(|| Self::Token(TokenFingerprint(digits.to_owned())))
    }

    /// Names the kind of owner: `profile`, `token` or `user`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Profile(_) => "profile",
            Self::Token(_) => "token",
            Self::User => "user",
        }
    }

    /// Returns the profile that is the owner.
    #[must_use]
    pub fn profile(&self) -> Option<&str> {
        match self {
            Self::Profile(name) => Some(name),
            Self::Token(_) | Self::User => None,
        }
    }
}

/// For the identity of a mirror.
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
pub struct Fingerprints(hmac::Key);

impl Fingerprints {
    /// Reads the secret from a file, or creates it. Blocks.
    ///
    /// # Errors
    ///
    /// When it can be neither read nor created; see [`Fingerprints::temporary`].
    pub fn open(path: &Path) -> io::Result<Self> {
        let secret = read_secret(path).or_else(|_| create_secret(path))?;
        Ok(Self::new(&secret))
    }

    /// Uses a secret that lasts as long as the process: what belongs to tokens is then not found
    /// again, and what belongs to profiles is.
    #[must_use]
    pub fn temporary() -> Self {
        Self::new(&random_secret())
    }

    fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Makes the fingerprint of a token.
    #[must_use]
    pub fn of(&self, token: &Token) -> TokenFingerprint {
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
        let of = |path: &Path, text| {
            let secret = Fingerprints::open(path).unwrap();
            secret.of(&Token::new(text).unwrap())
        };
        let first = of(&here, "one");
        assert_eq!(of(&here, "one"), first);
        assert_ne!(of(&here, "two"), first);
        assert_ne!(of(&there, "one"), first);
        std::fs::write(&here, "cut off").unwrap();
        let renewed = of(&here, "one");
        assert_ne!(renewed, first);
        assert_eq!(of(&here, "one"), renewed);
        std::fs::create_dir_all(home.path().join("file")).unwrap();
        assert!(Fingerprints::open(&home.path().join("file")).is_err());
    }

    #[test]
    fn an_owner_is_read_as_it_is_written() {
        let secret = Fingerprints::temporary();
        let token = Token::new("one").unwrap();
        for owner in [
            Owner::Profile("a b".into()),
            Owner::Token(secret.of(&token)),
            Owner::User,
        ] {
            assert_eq!(Owner::parse(&owner.to_string()), Some(owner));
        }
        for other in ["", "token", "token one", "user one", "/jobs"] {
            assert_eq!(Owner::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_token_is_its_profiles_or_its_own() {
        let secret = Fingerprints::temporary();
        let token = |text: &str| Token::new(text).unwrap();
        let owner = |text: &str| {
            let profiles = ["a", "b"].map(str::to_owned);
            Owner::of_token(&token(text), profiles, |name| Some(token(name)), &secret)
        };
        assert_eq!(owner("b"), Owner::Profile("b".into()));
        assert_eq!(owner("c"), Owner::Token(secret.of(&token("c"))));
    }
}
