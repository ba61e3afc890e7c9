//! Whose a token is that came with a request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use docks_proto::credentials::files::FilesVersion;
use docks_proto::mirrors::{self, Fingerprints, Owner, TokenFingerprint};
use docks_proto::secret::Token;
use docks_proto::settings::{Environment, Target};
use docksd_remote::docks_api::TokenSource;

use super::profiles::Profiles;
use super::tokens::ProfileToken;

/// How many owners are remembered.
const MAX_KNOWN: usize = 256;

/// Finds the owners of tokens, and the tokens of profiles.
pub(super) struct TokenOwners {
    profiles: Arc<Profiles>,
    keyring: Environment,
    /// Of each profile, for the remote that it had when it was last used.
    sources: Mutex<HashMap<String, (Target, Arc<ProfileToken>)>>,
    fingerprints: Mutex<Option<Arc<Fingerprints>>>,
    /// Owners that were found while the settings files were as they are now: comparing a token with
    /// that of a profile can take the time of the keyring.
    known: Mutex<(Option<FilesVersion>, KnownOwners)>,
}

type KnownOwners = HashMap<(Target, TokenFingerprint), Owner>;

impl TokenOwners {
    /// `keyring` decides whether the keyring is used.
    pub(super) fn new(profiles: Arc<Profiles>, keyring: Environment) -> Self {
        Self {
            profiles,
            keyring,
            sources: Mutex::default(),
            fingerprints: Mutex::default(),
            known: Mutex::default(),
        }
    }

    /// Returns the profile of `target` that has this token now, or else the token itself. Blocks.
    pub(super) fn owner_of(&self, target: &Target, token: &Token) -> Owner {
        let fingerprints = self.fingerprints();
        let key = (target.clone(), fingerprints.of(token));
        let version = FilesVersion::current(self.profiles.paths());
        if let Some(owner) = self.known_owners(&version).1.get(&key) {
            return owner.clone();
        }
        let names = self.profiles.names_of(target);
        let token_of = |name: &str| self.profile_token(name, target).token();
        let owner = Owner::of_token(token, names, token_of, &fingerprints);
        let mut known = self.known_owners(&version);
        if known.1.len() >= MAX_KNOWN {
            known.1.clear();
        }
        known.1.insert(key, owner.clone());
        owner
    }

    /// Returns the owners that are known for this version of the files.
    fn known_owners(
        &self,
        version: &FilesVersion,
    ) -> MutexGuard<'_, (Option<FilesVersion>, KnownOwners)> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0.as_ref() != Some(version) {
            *known = (Some(version.clone()), KnownOwners::new());
        }
        known
    }

    /// Returns the source of a profile's token; one for all who ask.
    pub(super) fn profile_token(&self, name: &str, target: &Target) -> Arc<ProfileToken> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, source)) = sources.get(name)
            && known == target
        {
            return Arc::clone(source);
        }
        let paths = self.profiles.paths().clone();
        let source = ProfileToken::new(paths, name.to_owned(), target.clone(), &self.keyring);
        let source = Arc::new(source);
        sources.insert(name.to_owned(), (target.clone(), Arc::clone(&source)));
        source
    }

    fn fingerprints(&self) -> Arc<Fingerprints> {
        let mut opened = self
            .fingerprints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let open = || {
            let path = mirrors::secret_path(&self.profiles.paths().cache_dir());
            let fingerprints = Fingerprints::open(&path).unwrap_or_else(|error| {
                tracing::warn!(path = %path.display(), %error,
                    "could not store the secret for the names of mirrors");
                Fingerprints::temporary()
            });
            Arc::new(fingerprints)
        };
        Arc::clone(opened.get_or_insert_with(open))
    }
}
