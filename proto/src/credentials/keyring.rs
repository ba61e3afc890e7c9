//! The system's keyring: what it can do, and when it must not be used.
//!
//! The implementation is the daemon's (`daemon/desktop`); the command line asks it through a helper.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::settings::Environment;

/// Service under which the Python client stores tokens too.
pub const KEYRING_SERVICE: &str = "docks-cli";

/// Returns the keyring's user name for a profile, as the Python client writes it.
#[must_use]
pub fn keyring_user(profile: &str) -> String {
    format!("token-{profile}")
}

/// Why the keyring did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum KeyringError {
    /// It must not be used, for this reason.
    #[error("the keyring is not used: {0}")]
    Off(Cow<'static, str>),
    /// It did not answer in time; it may be waiting for the user to unlock it.
    #[error("the keyring did not answer in time; is it locked?")]
    Silent,
    /// It reported an error.
    #[error("the keyring failed: {0}")]
    Failed(String),
}

/// A store of secrets by user name, under [`KEYRING_SERVICE`].
pub trait Keyring: Send + Sync {
    /// Returns the secret; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if the keyring does not answer; the same applies to all methods.
    fn get(&self, user: &str) -> Result<Option<String>, KeyringError>;
    /// Stores the secret.
    ///
    /// # Errors
    ///
    /// As [`Keyring::get`].
    fn set(&self, user: &str, secret: &str) -> Result<(), KeyringError>;
    /// Removes the secret; returns whether there was one.
    ///
    /// # Errors
    ///
    /// As [`Keyring::get`].
    fn delete(&self, user: &str) -> Result<bool, KeyringError>;
}

/// A keyring that is never used.
#[derive(Debug, Clone, Copy)]
pub struct NoKeyring(
    /// Why it is not used.
    pub &'static str,
);

impl Keyring for NoKeyring {
    fn get(&self, _user: &str) -> Result<Option<String>, KeyringError> {
        Err(KeyringError::Off(self.0.into()))
    }

    fn set(&self, _user: &str, _secret: &str) -> Result<(), KeyringError> {
        Err(KeyringError::Off(self.0.into()))
    }

    fn delete(&self, _user: &str) -> Result<bool, KeyringError> {
        Err(KeyringError::Off(self.0.into()))
    }
}

/// Returns why the environment rules out the keyring; `None` if it may be used.
#[must_use]
pub fn keyring_off(environment: &Environment) -> Option<NoKeyring> {
    let setting = environment.use_keyring.as_deref();
    if setting.is_some_and(|text| text.trim().eq_ignore_ascii_case("false")) {
        return Some(NoKeyring("DOCKS_USE_KEYRING is false"));
    }
    if cfg!(target_os = "linux") && !has_session_bus(environment) {
        return Some(NoKeyring("there is no session bus"));
    }
    None
}

/// Returns whether there is a session bus; connecting without one can take seconds to fail.
#[must_use]
pub fn has_session_bus(environment: &Environment) -> bool {
    if let Some(address) = &environment.session_bus
        && !address.trim().is_empty()
    {
        return true;
    }
    let runtime = environment.runtime_dir.as_ref();
    runtime.is_some_and(|dir| dir.is_absolute() && dir.join("bus").exists())
}
