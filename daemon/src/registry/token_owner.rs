//! Whose a token is that came with a request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use docks_proto::credentials::files::FilesVersion;
use docks_proto::credentials::{CredentialError, Keyring};
use docks_proto::mirrors::{self, Fingerprints, Owner, TokenFingerprint};
use docks_proto::secret::Token;
use docks_proto::settings::Target;

use super::profiles::Profiles;
use super::tokens::ProfileToken;

/// How many owners are remembered.
const MAX_KNOWN: usize = 256;

/// Returns the keyring, for the token of one profile.
type KeyringSource = dyn Fn() -> Box<dyn Keyring> + Send + Sync;

/// Finds the owners of tokens, and the tokens of profiles.
pub(super) struct TokenOwners {
    profiles: Arc<Profiles>,
    keyring: Box<KeyringSource>,
    /// Of each profile, for the remote that it had when it was last used.
    sources: Mutex<HashMap<String, (Target, Arc<ProfileToken>)>>,
    fingerprints: Mutex<Option<Arc<Fingerprints>>>,
    /// Owners that were found while the settings files were as they are now: comparing a token with
    /// that of a profile can take the time of the keyring.
    known: Mutex<(Option<FilesVersion>, KnownOwners)>,
}

type KnownOwners = HashMap<(Target, TokenFingerprint), Owner>;

impl TokenOwners {
    pub(super) fn new(
        profiles: Arc<Profiles>,
        keyring: impl Fn() -> Box<dyn Keyring> + Send + Sync + 'static,
    ) -> Self {
        Self {
            profiles,
            keyring: Box::new(keyring),
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
        let mut is_certain = true;
        let token_of = |name: &str| {
            let found = self.profile_token(name, target).look_up();
            is_certain &= !found.as_ref().is_err_and(CredentialError::is_uncertain);
            found.ok()
        };
        let owner = Owner::of_token(token, names, token_of, &fingerprints);
        // While a keyring does not answer, the token of a profile looks like nobody's.
        if !is_certain && owner.profile().is_none() {
            return owner;
        }
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
        let keyring = (self.keyring)();
        let source = ProfileToken::new(paths, name.to_owned(), target.clone(), keyring);
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

#[cfg(test)]
mod tests {
    use docks_proto::credentials::KeyringError;
    use docks_proto::paths::Paths;

    use super::*;

    /// A keyring with one token, which answers once the flag is set.
    struct LockedKeyring(Arc<Mutex<bool>>);

    impl Keyring for LockedKeyring {
        fn get(&self, _user: &str) -> Result<Option<String>, KeyringError> {
            match *self.0.lock().unwrap() {
                true => Ok(Some("secret".to_owned())),
                false => Err(KeyringError::Silent),
            }
        }

        fn set(&self, _user: &str, _secret: &str) -> Result<(), KeyringError> {
            Err(KeyringError::Silent)
        }

        fn delete(&self, _user: &str) -> Result<bool, KeyringError> {
            Err(KeyringError::Silent)
        }
    }

    #[test]
    fn a_profiles_token_is_the_profiles_as_soon_as_the_keyring_answers() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths {
            home: home.path().to_owned(),
            socket: home.path().join("run/docksd.sock"),
        };
        std::fs::write(
            paths.config_file(),
            "[default]\napi_url = \"https://a.example\"\ntenant_id = \"t\"\n",
        )
        .unwrap();
        let target = Target::DocksApi {
            api_url: "https://a.example".into(),
            tenant: "t".into(),
        };
        let profiles = Arc::new(Profiles::new(paths));
        profiles.refresh();
        let is_unlocked = Arc::new(Mutex::new(false));
        let shared = Arc::clone(&is_unlocked);
        let owners = TokenOwners::new(profiles, move || {
            Box::new(LockedKeyring(Arc::clone(&shared)))
        });
        let owner = || owners.owner_of(&target, &Token::new("secret").unwrap());
        assert_eq!(owner().kind(), "token");
        *is_unlocked.lock().unwrap() = true;
        assert_eq!(owner(), Owner::Profile("default".to_owned()));
    }
}
