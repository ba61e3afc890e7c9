//! The report to the process that started docksd: ready, or the reason why not.
//!
//! With `--report` it is one JSON line on standard output, after which the standard streams are
//! detached from the terminal and the pipe.

use std::fs::OpenOptions;
use std::io::{self, Write};

use serde::Serialize;

use crate::instance::ClaimError;
use crate::logging::LogError;

/// The JSON line.
#[derive(Debug, Serialize)]
struct Report<'a> {
    ready: bool,
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// A problem that does not prevent docksd from serving.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

/// Reports the outcome of the start: as JSON with `--report`, else as text on standard error.
#[derive(Debug)]
pub struct StartupReporter {
    report: bool,
}

impl StartupReporter {
    /// Creates a reporter. With `report` the process also starts a session of its own, so that
    /// neither Ctrl-C nor the end of a terminal or of a job reaches it, and changes to `/`, so that
    /// it keeps no mount busy.
    #[must_use]
    pub fn new(report: bool) -> Self {
        if report {
            // Fails only for a group leader: a shell makes those, `docks` does not.
            rustix::process::setsid().ok();
            rustix::process::chdir("/").ok();
        }
        Self { report }
    }

    /// Reports that docksd now accepts requests.
    ///
    /// # Errors
    ///
    /// When the standard streams cannot be detached. An unread line is not an error: the command
    /// that started docksd may have exited already.
    pub fn ready(&mut self, log: Option<LogError>) -> io::Result<()> {
        let warning = log.map(|error| docks_proto::error::error_chain(&error));
        if !self.report {
            if let Some(warning) = warning {
                self.print(&format!("docksd: {warning}\n"));
            }
            return Ok(());
        }
        self.write(&Report {
            ready: true,
            pid: std::process::id(),
            code: None,
            reason: None,
            warning,
        });
        let null = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")?;
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(&null)?;
        Ok(())
    }

    /// Reports why docksd could not start, or why it stopped.
    pub fn failed(&mut self, error: &anyhow::Error) {
        let reason = docks_proto::error::error_chain(error.as_ref());
        tracing::error!(error = reason, "docksd stopped because of an error");
        if !self.report {
            self.print(&format!("docksd: {reason}\n"));
            return;
        }
        let code = error
            .downcast_ref::<ClaimError>()
            .map_or("failed", ClaimError::code);
        self.write(&Report {
            ready: false,
            pid: std::process::id(),
            code: Some(code),
            reason: Some(&reason),
            warning: None,
        });
    }

    fn write(&self, report: &Report<'_>) {
        let mut line =
            serde_json::to_string(report).expect("a report holds only strings and numbers");
        line.push('\n');
        let mut out = io::stdout().lock();
        // The reader may be gone, and there is no other place to report to.
        out.write_all(line.as_bytes())
            .and_then(|()| out.flush())
            .ok();
    }

    fn print(&self, text: &str) {
        io::stderr().write_all(text.as_bytes()).ok();
    }
}
