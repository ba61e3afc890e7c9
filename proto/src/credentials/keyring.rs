//! The keyring of the system, asked in bounded time or not at all.

#[cfg(feature = "keyring")]
use std::sync::Arc;
#[cfg(feature = "keyring")]
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(feature = "keyring")]
use std::time::Duration;

#[cfg(any(feature = "keyring", feature = "notification"))]
use crate::settings::Environment;

/// Service under which the Python client stores tokens too.
pub const KEYRING_SERVICE: &str = "docks-cli";

/// Returns the keyring's user name for a profile, as the Python client writes it.
#[must_use]
pub fn keyring_user(profile: &str) -> String {
    format!("token-{profile}")
}

/// Says why the keyring gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// It is not to be asked.
    #[error("the keyring is not used: {0}")]
    Off(&'static str),
    /// It did not answer in time; it may be waiting for its owner to unlock it.
    #[error("the keyring did not answer in time; is it locked?")]
    Silent,
    /// It said no.
    #[error("the keyring failed: {0}")]
    Failed(String),
}

/// A place that keeps secrets by user name, under [`KEYRING_SERVICE`].
pub trait Keyring: Send + Sync {
    /// Returns the secret, `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] when it cannot be told; so for all below.
    fn get(&self, user: &str) -> Result<Option<String>, KeyringError>;
    /// Stores the secret.
    ///
    /// # Errors
    ///
    /// As [`Keyring::get`].
    fn set(&self, user: &str, secret: &str) -> Result<(), KeyringError>;
    /// Removes the secret, and tells whether there was one.
    ///
    /// # Errors
    ///
    /// As [`Keyring::get`].
    fn delete(&self, user: &str) -> Result<bool, KeyringError>;
}

/// Stands for a keyring where none is to be asked.
#[derive(Debug, Clone, Copy)]
pub struct NoKeyring(
    /// Why not.
    pub &'static str,
);

impl Keyring for NoKeyring {
    fn get(&self, _user: &str) -> Result<Option<String>, KeyringError> {
        Err(KeyringError::Off(self.0))
    }

    fn set(&self, _user: &str, _secret: &str) -> Result<(), KeyringError> {
        Err(KeyringError::Off(self.0))
    }

    fn delete(&self, _user: &str) -> Result<bool, KeyringError> {
        Err(KeyringError::Off(self.0))
    }
}

/// Picks the keyring that the environment allows: the system's, or none with the reason.
#[cfg(feature = "keyring")]
#[must_use]
pub fn system_keyring(environment: &Environment, patience: Duration) -> Box<dyn Keyring> {
    let off = environment.use_keyring.as_deref();
    if off.is_some_and(|text| text.trim().eq_ignore_ascii_case("false")) {
        return Box::new(NoKeyring("DOCKS_USE_KEYRING is false"));
    }
    if cfg!(target_os = "linux") && !has_session_bus(environment) {
        return Box::new(NoKeyring("there is no session bus"));
    }
    Box::new(SystemKeyring {
        patience,
        busy: Arc::default(),
    })
}

/// Tells whether a bus could be reached; connecting without one can take seconds to fail.
#[cfg(any(feature = "keyring", feature = "notification"))]
pub(crate) fn has_session_bus(environment: &Environment) -> bool {
    if let Some(address) = &environment.session_bus
        && !address.trim().is_empty()
    {
        return true;
    }
    let runtime = environment.runtime_dir.as_ref();
    runtime.is_some_and(|dir| dir.is_absolute() && dir.join("bus").exists())
}

/// The system's keyring, each question on a thread of its own that is not waited for beyond patience.
#[cfg(feature = "keyring")]
#[derive(Debug)]
pub struct SystemKeyring {
    patience: Duration,
    /// Set while a question is unanswered, so that a hanging keyring costs one thread, not many.
    busy: Arc<AtomicBool>,
}

#[cfg(feature = "keyring")]
impl SystemKeyring {
    fn ask<T: Send + 'static>(
        &self,
        user: &str,
        question: impl FnOnce(&::keyring::Entry) -> ::keyring::Result<T> + Send + 'static,
    ) -> Result<Option<T>, KeyringError> {
        if self.busy.swap(true, Ordering::AcqRel) {
            return Err(KeyringError::Silent);
        }
        let (answer, wait) = std::sync::mpsc::sync_channel(1);
        let (user, busy) = (user.to_owned(), Arc::clone(&self.busy));
        let asking = std::thread::Builder::new()
            .name("keyring".to_owned())
            .spawn(move || {
                let result =
                    ::keyring::Entry::new(KEYRING_SERVICE, &user).and_then(|e| question(&e));
                busy.store(false, Ordering::Release);
                // Nobody listens any more when patience ran out.
                answer.send(result).ok();
            });
        if let Err(problem) = asking {
            self.busy.store(false, Ordering::Release);
            return Err(KeyringError::Failed(problem.to_string()));
        }
        match wait.recv_timeout(self.patience) {
            Ok(Ok(value)) => Ok(Some(value)),
            Ok(Err(::keyring::Error::NoEntry)) => Ok(None),
            Ok(Err(problem)) => Err(KeyringError::Failed(plain(&problem))),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => Err(KeyringError::Silent),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
                self.busy.store(false, Ordering::Release);
                Err(KeyringError::Failed("its library gave up".to_owned()))
            }
        }
    }
}

/// Words for a failure; those that may carry stored bytes are named only.
#[cfg(feature = "keyring")]
fn plain(problem: &::keyring::Error) -> String {
    match problem {
        ::keyring::Error::BadEncoding(_) => "the stored secret is not text".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(feature = "keyring")]
impl Keyring for SystemKeyring {
    fn get(&self, user: &str) -> Result<Option<String>, KeyringError> {
        self.ask(user, |entry| entry.get_password())
    }

    fn set(&self, user: &str, secret: &str) -> Result<(), KeyringError> {
        let secret = secret.to_owned();
        self.ask(user, move |entry| entry.set_password(&secret))
            .map(|_| ())
    }

    fn delete(&self, user: &str) -> Result<bool, KeyringError> {
        self.ask(user, |entry| entry.delete_credential())
            .map(|done| done.is_some())
    }
}
