//! The system's keyring, with a time limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use docks_proto::credentials::{KEYRING_SERVICE, Keyring, KeyringError, keyring_off};
use docks_proto::settings::Environment;
use keyring::Entry;

/// Returns the keyring that the environment allows: the system's, or none with the reason.
#[must_use]
pub fn system_keyring(environment: &Environment, timeout: Duration) -> Box<dyn Keyring> {
    match keyring_off(environment) {
        Some(off) => Box::new(off),
        None => Box::new(SystemKeyring {
            timeout,
            busy: Arc::default(),
        }),
    }
}

/// The system's keyring. Each request runs on a thread that is abandoned after the time limit.
#[derive(Debug)]
pub struct SystemKeyring {
    timeout: Duration,
    /// Set while a request is unanswered, so that a hanging keyring costs one thread, not many.
    busy: Arc<AtomicBool>,
}

impl SystemKeyring {
    fn request<T: Send + 'static>(
        &self,
        user: &str,
        request: impl FnOnce(&Entry) -> keyring::Result<T> + Send + 'static,
    ) -> Result<Option<T>, KeyringError> {
        if self.busy.swap(true, Ordering::AcqRel) {
            return Err(KeyringError::Silent);
        }
        let (answer, wait) = sync_channel(1);
        let (user, busy) = (user.to_owned(), Arc::clone(&self.busy));
        let thread = std::thread::Builder::new()
            .name("keyring".to_owned())
            .spawn(move || {
                let result = Entry::new(KEYRING_SERVICE, &user).and_then(|entry| request(&entry));
                busy.store(false, Ordering::Release);
                // The receiver is gone after the time limit.
                answer.send(result).ok();
            });
        if let Err(error) = thread {
            self.busy.store(false, Ordering::Release);
            return Err(KeyringError::Failed(error.to_string()));
        }
        match wait.recv_timeout(self.timeout) {
            Ok(Ok(value)) => Ok(Some(value)),
            Ok(Err(keyring::Error::NoEntry)) => Ok(None),
            Ok(Err(error)) => Err(KeyringError::Failed(describe(&error))),
            Err(RecvTimeoutError::Timeout) => Err(KeyringError::Silent),
            Err(RecvTimeoutError::Disconnected) => {
                self.busy.store(false, Ordering::Release);
                Err(KeyringError::Failed(
                    "the keyring library panicked".to_owned(),
                ))
            }
        }
    }
}

/// Describes an error without stored bytes, which some errors contain.
fn describe(error: &keyring::Error) -> String {
    match error {
        keyring::Error::BadEncoding(_) => "the stored secret is not text".to_owned(),
        other => other.to_string(),
    }
}

impl Keyring for SystemKeyring {
    fn get(&self, user: &str) -> Result<Option<String>, KeyringError> {
        self.request(user, Entry::get_password)
    }

    fn set(&self, user: &str, secret: &str) -> Result<(), KeyringError> {
        let secret = secret.to_owned();
        self.request(user, move |entry| entry.set_password(&secret))
            .map(|_| ())
    }

    fn delete(&self, user: &str) -> Result<bool, KeyringError> {
        self.request(user, Entry::delete_credential)
            .map(|done| done.is_some())
    }
}
