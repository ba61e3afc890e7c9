//! Runs `docksd --helper KIND` for one request: a line of JSON in, a line of JSON out.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::daemon_program::{docksd_command, find_docksd};
use crate::environment::Environment;

/// Longest time for a whole request. The helper's own limits are shorter; this one is for a
/// machine so busy that the helper hardly starts.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What is said of a response that is none.
pub(crate) const UNEXPECTED: &str = "docksd sent no usable answer; is it another release?";

/// Why the helper did not answer.
#[derive(Debug)]
pub(crate) enum HelperError {
    /// It could not be started, or died.
    Failed(String),
    /// It took too long.
    Silent,
}

/// Runs a helper process for one request. Blocks, for [`TIMEOUT`] at most.
///
/// # Errors
///
/// Why there is no response.
pub(crate) fn ask<Response: DeserializeOwned>(
    environment: &Environment,
    kind: &str,
    request: &impl Serialize,
) -> Result<Response, HelperError> {
    let failed = |reason: String| HelperError::Failed(format!("could not run docksd: {reason}"));
    let program = find_docksd(environment).map_err(|f| failed(f.message))?;
    let mut command = docksd_command(&program);
    command
        .args(["--helper", kind])
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
    let unexpected = |_| HelperError::Failed(UNEXPECTED.to_owned());
    serde_json::from_str(&answer?).map_err(unexpected)
}

/// Sends the request and waits for the line of the response.
fn exchange(child: &mut Child, request: &impl Serialize) -> Result<String, HelperError> {
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
        Ok(line) => Ok(line),
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
