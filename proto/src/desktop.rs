//! Requests to the desktop session that the command line leaves to `docksd --helper desktop`.
//!
//! The helper reads one request, a line of JSON, from its standard input and writes one response to
//! its standard output. Requests and responses can hold secrets, so they cannot be printed.

use serde::{Deserialize, Serialize};

use crate::credentials::KeyringError;
use crate::notification::{NotifyError, RunEndNotice};

/// What the helper is to do.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum DesktopRequest {
    /// Return a secret of the keyring.
    GetSecret {
        /// Whose.
        user: String,
    },
    /// Store a secret in the keyring.
    SetSecret {
        /// Whose.
        user: String,
        /// The secret.
        secret: String,
    },
    /// Remove a secret from the keyring.
    DeleteSecret {
        /// Whose.
        user: String,
    },
    /// Find out whether notifications can be shown.
    CheckNotifications,
    /// Show a notification.
    Notify {
        /// Which.
        notice: RunEndNotice,
    },
}

/// What came of it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum DesktopResponse {
    /// The secret, if there is one.
    Secret {
        /// The secret.
        secret: Option<String>,
    },
    /// The secret is stored.
    Stored,
    /// The secret is removed.
    Deleted {
        /// Whether there was one.
        existed: bool,
    },
    /// The keyring did not answer.
    KeyringFailed {
        /// Why.
        error: KeyringError,
    },
    /// The notification is shown, or could be.
    Shown,
    /// The notification cannot be shown.
    NotifyFailed {
        /// Why.
        error: NotifyError,
    },
}
