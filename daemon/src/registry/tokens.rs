//! The token of one remote: from a request, or from a profile.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use docks_proto::credentials::{self, CredentialError};
use docks_proto::secret::Token;
use docks_proto::settings::{Environment, Target};

use super::profiles::Profiles;
use docksd_desktop::system_keyring;
use docksd_remote::docks_api::TokenSource;

/// How long the keyring may take before the next source of tokens is tried.
const KEYRING_TIMEOUT: Duration = Duration::from_secs(2);

/// Finds the token of a remote: the one that a request carried, else that of a profile.
///
/// A token from a request stays in memory, and only until the remote refuses it.
pub struct RemoteTokens {
    target: Target,
    profiles: Arc<Profiles>,
    keyring: Environment,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// From the latest request that carried one.
    from_request: Option<Token>,
    /// Used for the latest request to the remote.
    last_used: Option<Token>,
    /// Refused by the remote.
    refused: Option<Token>,
    /// Why the latest look-up found no token.
    lookup_error: Option<String>,
    /// By profile name.
    profile_sources: HashMap<String, credentials::TokenProvider>,
}

impl RemoteTokens {
    /// Creates the token store of a remote. `keyring` decides whether the keyring is used.
    #[must_use]
    pub fn new(target: Target, profiles: Arc<Profiles>, keyring: Environment) -> Self {
        Self {
            target,
            profiles,
            keyring,
            state: Mutex::default(),
        }
    }

    /// Stores the token that a request carried.
    pub fn set_request_token(&self, token: Token) {
        let mut state = self.state();
        if state.from_request.as_ref() != Some(&token) {
            state.from_request = Some(token);
        }
    }

    /// Returns the file of certificates to trust in addition to the system's.
    #[must_use]
    pub fn ca_file(&self) -> Option<PathBuf> {
        self.profiles.ca_file_of(&self.target)
    }

    /// Records that the remote refused the token that was used last.
    pub(super) fn mark_refused(&self) {
        let mut state = self.state();
        if state.last_used.is_some() && state.last_used == state.from_request {
            state.from_request = None;
        }
        state.refused = state.last_used.take();
    }

    pub(super) fn lookup_error(&self) -> Option<String> {
        self.state().lookup_error.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn profile_token(&self, state: &mut State, name: &str) -> Result<Token, CredentialError> {
        let source = state
            .profile_sources
            .entry(name.to_owned())
            .or_insert_with(|| {
                credentials::TokenProvider::new(
                    self.profiles.paths().clone(),
                    name.to_owned(),
                    self.target.clone(),
                    system_keyring(&self.keyring, KEYRING_TIMEOUT),
                )
            });
        source.token(state.refused.as_ref())
    }
}

impl TokenSource for RemoteTokens {
    fn token(&self) -> Option<Token> {
        let names = self.profiles.names_of(&self.target);
        let mut state = self.state();
        if let Some(token) = state.from_request.clone() {
            state.last_used = Some(token.clone());
            return Some(token);
        }
        state.lookup_error = None;
        for name in names {
            match self.profile_token(&mut state, &name) {
                Ok(token) => {
                    state.last_used = Some(token.clone());
                    return Some(token);
                }
                Err(error) => state.lookup_error = Some(error.to_string()),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use docks_proto::paths::Paths;

    fn tokens(home: &std::path::Path) -> RemoteTokens {
        let places = Paths {
            home: home.to_owned(),
            socket: home.join("run/docksd.sock"),
        };
        let text =
            "[default]\napi_url = \"https://a.example\"\ntenant_id = \"t\"\ntoken = \"stored\"\n";
        std::fs::write(places.config_file(), text).unwrap();
        let profiles = Arc::new(Profiles::new(places));
        let target = profiles.resolve(None).unwrap().target;
        RemoteTokens::new(target, profiles, Environment::default())
    }

    #[test]
    fn a_request_token_is_used_until_it_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let tokens = tokens(home.path());
        let now = || tokens.token().unwrap().expose().to_owned();
        assert_eq!(now(), "stored");
        tokens.set_request_token(Token::new("from-request").unwrap());
        assert_eq!(now(), "from-request");
        tokens.mark_refused();
        assert_eq!(now(), "stored");
    }
}
