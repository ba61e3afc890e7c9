//! Keyring and notifications, through `docksd --helper desktop`.
//!
//! Talking to the desktop session takes a D-Bus library that few commands need, so only the daemon's
//! program contains it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use docks_proto::credentials::{Keyring, KeyringError, has_session_bus, keyring_off};
use docks_proto::desktop::{DesktopRequest, DesktopResponse};
use docks_proto::notification::{NotifyError, RunEndNotice};

use crate::daemon_program::{docksd_command, find_docksd};
use crate::environment::Environment;

/// Longest time for a whole request. The helper's own limits are shorter; this one is for a
/// machine so busy that the helper hardly starts.
const TIMEOUT: Duration = Duration::from_secs(20);

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

/// Why the helper did not answer.
enum HelperError {
    /// It could not be started, or died.
    Failed(String),
    /// It took too long.
    Silent,
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
        let failed =
            |reason: String| HelperError::Failed(format!("could not run docksd: {reason}"));
        let program = find_docksd(&self.environment).map_err(|f| failed(f.message))?;
        let mut command = docksd_command(&program);
        command
            .args(["--helper", "desktop"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().map_err(|e| failed(e.to_string()))?;
        let answer = exchange(&mut child, request);
        if answer.is_err() {
            // It may have exited already.
            child.kill().ok();
        }
        child.wait().ok();
        answer
    }
}

/// Sends the request and waits for the response.
fn exchange(child: &mut Child, request: &DesktopRequest) -> Result<DesktopResponse, HelperError> {
    let failed = |reason: String| HelperError::Failed(reason);
    let mut line = serde_json::to_vec(request).map_err(|e| failed(e.to_string()))?;
    line.push(b'\n');
    let mut input = child.stdin.take().expect("it is piped");
    let output = child.stdout.take().expect("it is piped");
    input.write_all(&line).map_err(|e| failed(e.to_string()))?;
    drop(input);
    let (answer, wait) = sync_channel(1);
    std::thread::spawn(move || answer.send(read_line(output)).ok());
    match wait.recv_timeout(TIMEOUT) {
        Ok(line) => serde_json::from_str(&line).map_err(|_| failed(UNEXPECTED.to_owned())),
        Err(RecvTimeoutError::Timeout) => Err(HelperError::Silent),
        Err(RecvTimeoutError::Disconnected) => Err(failed(UNEXPECTED.to_owned())),
    }
}

fn read_line(output: ChildStdout) -> String {
    let mut line = String::new();
    // A helper that died leaves an empty line, which is not a response.
    BufReader::new(output).read_line(&mut line).ok();
    line
}

const UNEXPECTED: &str = "docksd sent no usable answer; is it another release?";

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
