//! The notification service of the desktop session, with a time limit.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use docks_proto::credentials::has_session_bus;
use docks_proto::notification::{NotifyError, RunEndNotice};
use docks_proto::settings::Environment;
use notify_rust::Notification;

/// Longest time that the service may take; one that has to be started first takes a second.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Shows notifications.
#[derive(Debug, Clone, Copy)]
pub struct DesktopNotifier {
    session: bool,
}

impl DesktopNotifier {
    /// Finds the session that the environment names.
    #[must_use]
    pub fn new(environment: &Environment) -> Self {
        Self {
            // Without a bus the library would try to start one.
            session: !cfg!(target_os = "linux") || has_session_bus(environment),
        }
    }

    /// Returns whether notifications can be shown. Blocks for a few seconds at most.
    ///
    /// # Errors
    ///
    /// [`NotifyError`].
    pub fn check(self) -> Result<(), NotifyError> {
        self.request(|| {
            #[cfg(all(unix, not(target_os = "macos")))]
            notify_rust::get_server_information()?;
            Ok(())
        })
    }

    /// Shows a notification. Blocks for a few seconds at most.
    ///
    /// # Errors
    ///
    /// [`NotifyError`].
    pub fn show(self, notice: RunEndNotice) -> Result<(), NotifyError> {
        self.request(move || {
            let mut notification = Notification::new();
            notification
                .appname("docks")
                .summary(notice.title())
                .body(notice.text());
            notification.show().map(drop)
        })
    }

    /// Runs a request on a thread that is abandoned after the time limit.
    fn request(
        self,
        request: impl FnOnce() -> notify_rust::error::Result<()> + Send + 'static,
    ) -> Result<(), NotifyError> {
        if !self.session {
            return Err(NotifyError::NoSession);
        }
        let (answer, wait) = sync_channel(1);
        let thread = std::thread::Builder::new().name("notification".to_owned());
        let thread = thread.spawn(move || {
            // The receiver is gone after the time limit.
            answer.send(request()).ok();
        });
        thread.map_err(|error| NotifyError::Unreachable(error.to_string()))?;
        match wait.recv_timeout(TIMEOUT) {
            Ok(answer) => answer.map_err(|error| NotifyError::Unreachable(first_line(&error))),
            Err(RecvTimeoutError::Timeout) => Err(NotifyError::Silent),
            Err(RecvTimeoutError::Disconnected) => Err(NotifyError::Unreachable(
                "the notification library panicked".to_owned(),
            )),
        }
    }
}

/// Returns the first line of an error of the library.
fn first_line(error: &notify_rust::error::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}
