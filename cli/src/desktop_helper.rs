//! Keyring and notifications, through `docksd --helper desktop`.
//!
//! Talking to the desktop session takes a D-Bus library that few commands need, so only the daemon's
//! program contains it.

use docks_proto::credentials::{Keyring, KeyringError, has_session_bus, keyring_off};
use docks_proto::desktop::{DesktopRequest, DesktopResponse};
use docks_proto::notification::{NotifyError, RunEndNotice};

use crate::environment::Environment;
use crate::helper_process::{self, HelperError, UNEXPECTED};

/// Returns the keyring that the environment allows: the system's, or none with the reason.
pub(crate) fn system_keyring(environment: &Environment) -> Box<dyn Keyring> {
    match keyring_off(&environment.settings) {
        Some(off) => Box::new(off),
        None => Box::new(DesktopHelper::new(environment)),
    }
}

/// Runs a helper process for each request.
#[derive(Debug, Clone)]
pub(crate) struct DesktopHelper {
    environment: Environment,
}

impl DesktopHelper {
    pub(crate) fn new(environment: &Environment) -> Self {
        Self {
            environment: environment.clone(),
        }
    }

    /// Returns whether notifications can be shown. Blocks for a few seconds at most.
    pub(crate) fn check_notifications(&self) -> Result<(), NotifyError> {
        self.notify_with(&DesktopRequest::CheckNotifications)
    }

    /// Shows a notification. Blocks for a few seconds at most.
    pub(crate) fn notify(&self, notice: RunEndNotice) -> Result<(), NotifyError> {
        self.notify_with(&DesktopRequest::Notify { notice })
    }

    fn notify_with(&self, request: &DesktopRequest) -> Result<(), NotifyError> {
        if cfg!(target_os = "linux") && !has_session_bus(&self.environment.settings) {
            return Err(NotifyError::NoSession);
        }
        match self.request(request) {
            Ok(DesktopResponse::Shown) => Ok(()),
            Ok(DesktopResponse::NotifyFailed { error }) => Err(error),
            Ok(_) => Err(NotifyError::Unreachable(UNEXPECTED.to_owned())),
            Err(HelperError::Failed(reason)) => Err(NotifyError::Unreachable(reason)),
            Err(HelperError::Silent) => Err(NotifyError::Silent),
        }
    }

    fn keyring(&self, request: &DesktopRequest) -> Result<DesktopResponse, KeyringError> {
        match self.request(request) {
            Ok(DesktopResponse::KeyringFailed { error }) => Err(error),
            Ok(response) => Ok(response),
            Err(HelperError::Failed(reason)) => Err(KeyringError::Failed(reason)),
            Err(HelperError::Silent) => Err(KeyringError::Silent),
        }
    }

    fn request(&self, request: &DesktopRequest) -> Result<DesktopResponse, HelperError> {
        helper_process::ask(&self.environment, "desktop", request)
    }
}

impl Keyring for DesktopHelper {
    fn get(&self, user: &str) -> Result<Option<String>, KeyringError> {
        let user = user.to_owned();
        match self.keyring(&DesktopRequest::GetSecret { user })? {
            DesktopResponse::Secret { secret } => Ok(secret),
            _ => Err(KeyringError::Failed(UNEXPECTED.to_owned())),
        }
    }

    fn set(&self, user: &str, secret: &str) -> Result<(), KeyringError> {
        let (user, secret) = (user.to_owned(), secret.to_owned());
        match self.keyring(&DesktopRequest::SetSecret { user, secret })? {
            DesktopResponse::Stored => Ok(()),
            _ => Err(KeyringError::Failed(UNEXPECTED.to_owned())),
        }
    }

    fn delete(&self, user: &str) -> Result<bool, KeyringError> {
        let user = user.to_owned();
        match self.keyring(&DesktopRequest::DeleteSecret { user })? {
            DesktopResponse::Deleted { existed } => Ok(existed),
            _ => Err(KeyringError::Failed(UNEXPECTED.to_owned())),
        }
    }
}
