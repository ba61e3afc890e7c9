//! Runs the program of a rule, for a bounded time.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use docks_proto::allocator::ARENAS_VARIABLE;
use docks_proto::build::BUILD_VARIABLE;
use docks_proto::secret::SECRET_VARIABLES;
use rustix::fs::RawMode;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("could not run `{program}`")]
    Io {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("could not run `{program}`: {reason}")]
    NotRun {
        program: String,
        reason: &'static str,
    },
    #[error("`{program}` failed: {status}")]
    Status { program: String, status: ExitStatus },
    #[error("`{program}` took longer than {seconds} s and was killed")]
    TimedOut { program: String, seconds: u64 },
}

/// The program of a rule.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// What kind of rule it is of: `on_end` or `on_limit`.
    pub(super) rule: &'static str,
    /// The program and its arguments; empty for none.
    pub(super) exec: Vec<String>,
    /// It is killed after this time.
    pub(super) timeout: Duration,
    /// The file mode creation mask that it gets.
    pub(super) umask: Option<RawMode>,
}

impl Program {
    /// Runs the program, if there is one, with a report about `run` on its standard input, and logs how it went.
    pub(super) async fn run(&self, run: &str, report: &str) {
        let Some((program, arguments)) = self.exec.split_first() else {
            return;
        };
        let rule = self.rule;
        let command = command(program, arguments, self.umask);
        match execute(command, program, self.timeout, report).await {
            Ok(()) => tracing::info!(
                run,
                program,
                "ran `{program}` of an {rule} rule for `{run}`"
            ),
            Err(error) => {
                let error = docks_proto::error::error_chain(&error);
                tracing::warn!(
                    run,
                    error,
                    "the command of an {rule} rule failed for `{run}`"
                );
            }
        }
    }
}

async fn execute(
    mut command: Command,
    program: &str,
    patience: Duration,
    report: &str,
) -> Result<(), CommandError> {
    let program = program.to_owned();
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(source) => return Err(CommandError::Io { program, source }),
    };
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    let completed = async {
        if let Some(mut stdin) = child.stdin.take() {
            // A command may exit without reading its input.
            drop(stdin.write_all(format!("{report}\n").as_bytes()).await);
        }
        child.wait().await
    };
    match timeout(patience, completed).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(match status.code() {
            Some(NOT_FOUND) => CommandError::NotRun {
                program,
                reason: "it was not found (exit status 127)",
            },
            Some(NOT_EXECUTABLE) => CommandError::NotRun {
                program,
                reason: "it is not executable (exit status 126)",
            },
            _ => CommandError::Status { program, status },
        }),
        Ok(Err(source)) => Err(CommandError::Io { program, source }),
        Err(_) => {
            // The whole group, so that its children stop too.
            if let Some(group) = group.and_then(Pid::from_raw) {
                kill_process_group(group, Signal::KILL).ok();
            }
            // A process that waits for a disk ends only when that answers.
            drop(timeout(KILL_PATIENCE, child.wait()).await);
            let seconds = patience.as_secs();
            Err(CommandError::TimedOut { program, seconds })
        }
    }
}

/// How long a killed command may take to end before it is left alone.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// Status with which a shell reports that it may not run a program.
const NOT_EXECUTABLE: i32 = 126;
/// Status with which a shell reports that it did not find a program.
const NOT_FOUND: i32 = 127;

/// Sets up a command with the mask of the user instead of docksd's own.
///
/// A shell changes the mask and becomes the program: in docksd the change would affect the files
/// that other threads create meanwhile. Without a mask, too, a shell starts it, so that a program on a
/// disk that hangs does not hold up a thread of docksd.
fn command(program: &str, arguments: &[String], umask: Option<RawMode>) -> Command {
    let set_mask = umask.map_or_else(String::new, |umask| format!("umask {umask:04o} && "));
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("{set_mask}exec \"$0\" \"$@\""), program]);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Its own group: it can be killed as a whole, and a signal to docksd does not reach it.
        .process_group(0)
        .env_remove(BUILD_VARIABLE)
        .env_remove(ARENAS_VARIABLE);
    for secret in SECRET_VARIABLES {
        command.env_remove(secret);
    }
    command
}
