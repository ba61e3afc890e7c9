//! What the process that started us is told: ready, or the reason why not.
//!
//! One JSON line on standard output, then the terminal and the pipe are let go.

use std::fs::OpenOptions;
use std::io::{self, Write};

use serde::Serialize;

use crate::instance::ClaimError;
use crate::logging::LogError;

/// The line.
#[derive(Debug, Serialize)]
struct Report<'a> {
    ready: bool,
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// What went wrong without keeping us from serving.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

/// Tells the starter, in the form it asked for.
#[derive(Debug)]
pub struct Reporter {
    report: bool,
}

impl Reporter {
    /// Begins; with `report` the process leaves the terminal's session, so that a Ctrl-C there
    /// does not reach it, and stands in no directory that somebody may want to unmount.
    #[must_use]
    pub fn new(report: bool) -> Self {
        if report {
            // Fails for a process that leads its group, which then at least has a group of its own.
            rustix::process::setsid().ok();
            rustix::process::chdir("/").ok();
        }
        Self { report }
    }

    /// Says that requests are answered from now on.
    ///
    /// # Errors
    ///
    /// When the standard streams cannot be let go. Nobody reading the line is no error: the
    /// command that started us may have ended already.
    pub fn ready(&mut self, log: Option<LogError>) -> io::Result<()> {
        let warning = log.map(|error| docks_proto::error::error_chain(&error));
        if !self.report {
            if let Some(warning) = warning {
                self.say(&format!("docksd: {warning}\n"));
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
        let nowhere = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")?;
        rustix::stdio::dup2_stdin(&nowhere)?;
        rustix::stdio::dup2_stdout(&nowhere)?;
        rustix::stdio::dup2_stderr(&nowhere)?;
        Ok(())
    }

    /// Says why there will be no daemon, or why it ended.
    pub fn failed(&mut self, error: &anyhow::Error) {
        let reason = docks_proto::error::error_chain(error.as_ref());
        tracing::error!(error = reason, "docksd cannot go on");
        if !self.report {
            self.say(&format!("docksd: {reason}\n"));
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
        let mut line = serde_json::to_string(report).expect("a report holds only texts");
        line.push('\n');
        let mut out = io::stdout().lock();
        // The reader may be gone; there is nobody else to tell.
        out.write_all(line.as_bytes())
            .and_then(|()| out.flush())
            .ok();
    }

    fn say(&self, text: &str) {
        io::stderr().write_all(text.as_bytes()).ok();
    }
}
