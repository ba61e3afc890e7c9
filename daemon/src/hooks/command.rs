//! Runs the command of a rule, for a bounded time.

use std::io;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::config::OnEndRule;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("could not run `{program}`")]
    Io {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("`{program}` failed: {status}")]
    Status { program: String, status: ExitStatus },
    #[error("`{program}` took longer than {seconds} s and was killed")]
    TimedOut { program: String, seconds: u64 },
}

/// Runs the command of a rule, if it has one, and logs how it went.
pub(super) async fn run_command(rule: &OnEndRule, run: &str, report: &str) {
    let Some((program, arguments)) = rule.exec.split_first() else {
        return;
    };
    match execute(program, arguments, rule, report).await {
        Ok(()) => tracing::info!(run, program, "ran `{program}` for the end of `{run}`"),
        Err(error) => {
            let error = docks_proto::error::error_chain(&error);
            tracing::warn!(
                run,
                error,
                "the command of an on_end rule failed for `{run}`"
            );
        }
    }
}

async fn execute(
    program: &str,
    arguments: &[String],
    rule: &OnEndRule,
    report: &str,
) -> Result<(), CommandError> {
    let program = program.to_owned();
    let mut child = match spawn(&program, arguments) {
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
    match timeout(rule.timeout, completed).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(CommandError::Status { program, status }),
        Ok(Err(source)) => Err(CommandError::Io { program, source }),
        Err(_) => {
            // The whole group, so that its children stop too.
            if let Some(group) = group.and_then(Pid::from_raw) {
                kill_process_group(group, Signal::KILL).ok();
            }
            drop(child.wait().await);
            let seconds = rule.timeout.as_secs();
            Err(CommandError::TimedOut { program, seconds })
        }
    }
}

fn spawn(program: &str, arguments: &[String]) -> io::Result<Child> {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Its own group: it can be killed as a whole, and a signal to docksd does not reach it.
        .process_group(0)
        .env_remove("DOCKS_TOKEN")
        .spawn()
}
