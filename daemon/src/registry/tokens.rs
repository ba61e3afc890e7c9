//! The token of one remote as its owner sees it.

use docks_proto::credentials::{CredentialError, Keyring, TokenProvider};
use docks_proto::paths::Paths;
use docks_proto::secret::Token;
use docks_proto::settings::{Target, TrustSettings};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use docksd_remote::docks_api::TokenSource;

/// The current token of one profile, looked up again when the files change or the remote refuses it.
pub struct ProfileToken {
    provider: TokenProvider,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The token that the remote has refused last.
    refused: Option<Token>,
    /// Why the latest look-up found no token.
    lookup_error: Option<String>,
}

impl ProfileToken {
    /// Creates the source of a profile's token for `target`.
    #[must_use]
    pub fn new(paths: Paths, profile: String, target: Target, keyring: Box<dyn Keyring>) -> Self {
        Self {
            provider: TokenProvider::new(paths, profile, target, keyring),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks the token up, unless it is known. Blocks on files and the keyring.
    pub(super) fn look_up(&self) -> Result<Token, CredentialError> {
        let refused = self.state().refused.clone();
        self.provider.token(refused.as_ref())
    }
}

impl TokenSource for ProfileToken {
    fn token(&self) -> Option<Token> {
        let found = self.look_up();
        let mut state = self.state();
        state.lookup_error = found.as_ref().err().map(ToString::to_string);
        found.ok()
    }

    fn refused(&self, token: &Token) {
        self.state().refused = Some(token.clone());
    }

    fn missing_reason(&self) -> Option<String> {
        self.state().lookup_error.clone()
    }
}

/// A token that came with a request. It stays in memory, and is used for its owner only.
pub struct RequestToken(pub(super) Token);

impl TokenSource for RequestToken {
    fn token(&self) -> Option<Token> {
        Some(self.0.clone())
    }
}

/// The credentials of one remote: its token, and the certificates that it trusts.
#[derive(Clone)]
pub struct Credentials {
    /// The token of its owner.
    pub token: Arc<dyn TokenSource>,
    /// The certificates to trust. Called before each request.
    pub trust: Arc<dyn Fn() -> TrustSettings + Send + Sync>,
}

#[cfg(test)]
mod tests {
    use docks_proto::credentials::NoKeyring;

    use super::*;

    #[test]
    fn a_refusal_concerns_the_token_that_was_sent() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths {
            home: home.path().to_owned(),
            socket: home.path().join("run/docksd.sock"),
        };
        let write = |token: &str| {
            let text = format!(
                "[default]\napi_url = \"https://a.example\"\ntenant_id = \"t\"\ntoken = \"{token}\"\n"
            );
            std::fs::write(paths.config_file(), text).unwrap();
        };
        write("old");
        let target = Target::DocksApi {
            api_url: "https://a.example".into(),
            tenant: "t".into(),
        };
        let keyring = Box::new(NoKeyring("it is off"));
        let source = ProfileToken::new(paths.clone(), "default".into(), target, keyring);
        let old = source.token().unwrap();
        write("renewed");
        let renewed = source.token().unwrap();
        assert_eq!((old.expose(), renewed.expose()), ("old", "renewed"));
        // The refusal of an earlier request arrives late.
        source.refused(&old);
        assert_eq!(source.token(), Some(renewed));
    }
}
