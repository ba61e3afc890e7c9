//! The current token of one remote, for a long-running process.

use std::sync::{Mutex, PoisonError};

use super::files::{self, FilesVersion};
use super::{CredentialError, FoundToken, Keyring, find_token};
use crate::paths::Paths;
use crate::secret::Token;
use crate::settings::{Environment, Flags, Target, resolve};

/// Finds the token of a profile, and caches it until the files change or the remote refuses it.
///
/// Logging in or out with `docks` changes a file, which is noticed at the next use; that costs three
/// `stat` calls.
pub struct TokenProvider {
    paths: Paths,
    profile: String,
    target: Target,
    keyring: Box<dyn Keyring>,
    cached: Mutex<Option<(FilesVersion, FoundToken)>>,
}

impl std::fmt::Debug for TokenProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenProvider")
            .field("profile", &self.profile)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

impl TokenProvider {
    /// Creates a provider for a profile and the remote that its token is for.
    #[must_use]
    pub fn new(paths: Paths, profile: String, target: Target, keyring: Box<dyn Keyring>) -> Self {
        Self {
            paths,
            profile,
            target,
            keyring,
            cached: Mutex::new(None),
        }
    }

    /// Returns the token; blocks on files and keyring when it has to be found again.
    ///
    /// `refused` is the token that the remote has just refused, if any: if it is the cached one, it is
    /// looked up again.
    ///
    /// # Errors
    ///
    /// [`CredentialError`] when there is none, or when the profile is no longer this remote.
    pub fn token(&self, refused: Option<&Token>) -> Result<Token, CredentialError> {
        let version = FilesVersion::current(&self.paths);
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((then, found)) = cached.as_ref()
            && *then == version
            && refused != Some(&found.token)
        {
            return Ok(found.token.clone());
        }
        *cached = None;
        let found = self.find()?;
        let token = found.token.clone();
        *cached = Some((version, found));
        Ok(token)
    }

    fn find(&self) -> Result<FoundToken, CredentialError> {
        let file = files::load(&self.paths)?;
        let flags = Flags {
            profile: Some(self.profile.clone()),
            ..Flags::default()
        };
        // The daemon's environment is that of the user who started it, so it must not matter here.
        let profile = resolve(&flags, &Environment::default(), &file)?;
        if profile.target != self.target {
            return Err(CredentialError::OtherRemote {
                profile: self.profile.clone(),
            });
        }
        find_token(
            &profile,
            &file,
            self.keyring.as_ref(),
            &self.paths.token_file(),
        )
    }
}
