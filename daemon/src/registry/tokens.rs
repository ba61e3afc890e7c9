//! The token of one remote, whoever brought it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use docks_proto::credentials::{self, CredentialError};
use docks_proto::object::RawObject;
use docks_proto::routes::{Action, RunKind};
use docks_proto::secret::Token;
use docks_proto::settings::{Environment, Target};

use super::profiles::Settings;
use crate::config::KEYRING_PATIENCE;
use docksd_remote::docks_api::TokenSource;
use docksd_remote::{Fetched, Page, PageRequest, Remote, RemoteError, RemoteProperties, Validator};

/// Finds the token of a remote: one that a request brought, else that of a profile.
///
/// A token from a request stays in memory, and only until the remote refuses it.
pub struct Tokens {
    target: Target,
    settings: Arc<Settings>,
    keyring: Environment,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    brought: Option<Token>,
    given: Option<Token>,
    refused: Option<Token>,
    problem: Option<String>,
    profiles: HashMap<String, credentials::TokenProvider>,
}

impl Tokens {
    /// Takes the remote and what decides about its token.
    #[must_use]
    pub fn new(target: Target, settings: Arc<Settings>, keyring: Environment) -> Self {
        Self {
            target,
            settings,
            keyring,
            state: Mutex::default(),
        }
    }

    /// Takes the token that a request brought.
    pub fn bring(&self, token: Token) {
        let mut state = self.state();
        if state.brought.as_ref() != Some(&token) {
            state.brought = Some(token);
        }
    }

    /// Returns the certificates to trust besides the system's.
    #[must_use]
    pub fn ca_file(&self) -> Option<std::path::PathBuf> {
        self.settings.ca_file_of(&self.target)
    }

    /// Notes that the remote refused the token it was given last.
    fn refused(&self) {
        let mut state = self.state();
        if state.given.is_some() && state.given == state.brought {
            state.brought = None;
        }
        state.refused = state.given.take();
    }

    fn problem(&self) -> Option<String> {
        self.state().problem.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of_profile(&self, state: &mut State, name: &str) -> Result<Token, CredentialError> {
        let source = state.profiles.entry(name.to_owned()).or_insert_with(|| {
            credentials::TokenProvider::new(
                self.settings.places().clone(),
                name.to_owned(),
                self.target.clone(),
                credentials::system_keyring(&self.keyring, KEYRING_PATIENCE),
            )
        });
        source.token(state.refused.as_ref())
    }
}

impl TokenSource for Tokens {
    fn token(&self) -> Option<Token> {
        let names = self.settings.profiles_of(&self.target);
        let mut state = self.state();
        if let Some(token) = state.brought.clone() {
            state.given = Some(token.clone());
            return Some(token);
        }
        state.problem = None;
        for name in names {
            match self.of_profile(&mut state, &name) {
                Ok(token) => {
                    state.given = Some(token.clone());
                    return Some(token);
                }
                Err(error) => state.problem = Some(error.to_string()),
            }
        }
        None
    }
}

/// A remote that tells its tokens when one is refused, and says why there is none.
pub struct Signed<R> {
    inner: R,
    tokens: Arc<Tokens>,
}

impl<R: Remote> Signed<R> {
    /// Joins a remote and its tokens.
    pub fn new(inner: R, tokens: Arc<Tokens>) -> Self {
        Self { inner, tokens }
    }

    fn noted<T>(&self, answer: Result<T, RemoteError>) -> Result<T, RemoteError> {
        match answer {
            Err(error @ RemoteError::Status { status: 401, .. }) => {
                self.tokens.refused();
                Err(error)
            }
            Err(RemoteError::NotSignedIn(plain)) => Err(RemoteError::NotSignedIn(
                self.tokens.problem().unwrap_or(plain),
            )),
            other => other,
        }
    }
}

#[async_trait]
impl<R: Remote> Remote for Signed<R> {
    fn properties(&self) -> RemoteProperties {
        self.inner.properties()
    }

    async fn list(
        &self,
        kind: RunKind,
        page: &PageRequest,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Page>, RemoteError> {
        self.noted(self.inner.list(kind, page, validator).await)
    }

    async fn run(
        &self,
        kind: RunKind,
        id: &str,
        validator: Option<&Validator>,
    ) -> Result<Fetched<RawObject>, RemoteError> {
        self.noted(self.inner.run(kind, id, validator).await)
    }

    async fn trials(
        &self,
        run: &str,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Page>, RemoteError> {
        self.noted(self.inner.trials(run, validator).await)
    }

    async fn trial(&self, run: &str, trial: &str) -> Result<RawObject, RemoteError> {
        self.noted(self.inner.trial(run, trial).await)
    }

    async fn act(&self, action: Action, id: &str) -> Result<RawObject, RemoteError> {
        self.noted(self.inner.act(action, id).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use docks_proto::paths::Paths;

    fn tokens(home: &std::path::Path) -> Tokens {
        let places = Paths {
            home: home.to_owned(),
            socket: home.join("run/docksd.sock"),
        };
        let text =
            "[default]\napi_url = \"https://a.example\"\ntenant_id = \"t\"\ntoken = \"stored\"\n";
        std::fs::write(places.config_file(), text).unwrap();
        let settings = Arc::new(Settings::new(places));
        let target = settings.resolve(None).unwrap().target;
        Tokens::new(target, settings, Environment::default())
    }

    #[test]
    fn a_brought_token_serves_until_it_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let tokens = tokens(home.path());
        let now = || tokens.token().unwrap().expose().to_owned();
        assert_eq!(now(), "stored");
        tokens.bring(Token::new("brought").unwrap());
        assert_eq!(now(), "brought");
        tokens.refused();
        assert_eq!(now(), "stored");
    }
}
