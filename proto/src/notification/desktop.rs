//! The notification service of this session.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use notify_rust::Notification;

use super::RunEndNotice;
use crate::credentials::keyring::has_session_bus;
use crate::settings::Environment;

/// How long the service may take. One that has to be started first takes a second.
const PATIENCE: Duration = Duration::from_secs(5);

/// Says why nothing can be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotifyError {
    /// There is no session to show it in.
    #[error("there is no desktop session (no session bus)")]
    NoSession,
    /// Nobody in the session shows notifications, or it failed.
    #[error("the notification service cannot be reached: {0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("the notification service did not answer in time")]
    Silent,
}

/// Shows notifications.
#[derive(Debug, Clone, Copy)]
pub struct DesktopNotifier {
    session: bool,
}

impl DesktopNotifier {
    /// Takes the session from what the environment says.
    #[must_use]
    pub fn new(environment: &Environment) -> Self {
        Self {
            // Without a bus its library would try to start one.
            session: !cfg!(target_os = "linux") || has_session_bus(environment),
        }
    }

    /// Asks whether anybody would show a notification. Blocks for some seconds at most.
    ///
    /// # Errors
    ///
    /// [`NotifyError`].
    pub fn check(self) -> Result<(), NotifyError> {
        self.ask(|| {
            #[cfg(all(unix, not(target_os = "macos")))]
            notify_rust::get_server_information()?;
            Ok(())
        })
    }

    /// Shows a notification. Blocks for some seconds at most.
    ///
    /// # Errors
    ///
    /// [`NotifyError`].
    pub fn show(self, notice: RunEndNotice) -> Result<(), NotifyError> {
        self.ask(move || {
            let mut notification = Notification::new();
            notification
                .appname("docks")
                .summary(&notice.title)
                .body(&notice.text);
            notification.show().map(drop)
        })
    }

    /// Asks on a thread of its own, which is left alone when it takes too long.
    fn ask(
        self,
        question: impl FnOnce() -> notify_rust::error::Result<()> + Send + 'static,
    ) -> Result<(), NotifyError> {
        if !self.session {
            return Err(NotifyError::NoSession);
        }
        let (answer, wait) = sync_channel(1);
        let asking = std::thread::Builder::new().name("notification".to_owned());
        let asking = asking.spawn(move || {
            // Nobody listens any more when patience ran out.
            answer.send(question()).ok();
        });
        asking.map_err(|error| NotifyError::Unreachable(error.to_string()))?;
        match wait.recv_timeout(PATIENCE) {
            Ok(answer) => answer.map_err(|error| NotifyError::Unreachable(words(&error))),
            Err(RecvTimeoutError::Timeout) => Err(NotifyError::Silent),
            Err(RecvTimeoutError::Disconnected) => {
                Err(NotifyError::Unreachable("its library gave up".to_owned()))
            }
        }
    }
}

/// Writes an error of the library on one line.
fn words(error: &notify_rust::error::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}
