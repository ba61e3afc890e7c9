//! Runs the command of a rule, for a bounded time.

use std::io;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::Rule;

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("could not run `{program}`")]
    Start {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("`{program}` ended with {status}")]
    Status { program: String, status: ExitStatus },
    #[error("`{program}` took longer than {seconds} s and was killed")]
    Late { program: String, seconds: u64 },
}

/// Runs the command that a rule has, if it has one; a failure is in the log.
pub(super) async fn run(rule: &Rule, run: &str, report: &str) {
    let Some((program, arguments)) = rule.exec.split_first() else {
        return;
    };
    match carry_out(program, arguments, rule, report).await {
        Ok(()) => tracing::info!(run, program, "ran `{program}` at the end of `{run}`"),
        Err(error) => {
            let error = docks_proto::error::error_chain(&error);
            tracing::warn!(run, error, "a rule of on_end failed at the end of `{run}`");
        }
    }
}

async fn carry_out(
    program: &str,
    arguments: &[String],
    rule: &Rule,
    report: &str,
) -> Result<(), Failed> {
    let program = program.to_owned();
    let mut child = match start(&program, arguments) {
        Ok(child) => child,
        Err(source) => return Err(Failed::Start { program, source }),
    };
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    let ended = async {
        if let Some(mut stdin) = child.stdin.take() {
            // It may not want to know.
            drop(stdin.write_all(format!("{report}\n").as_bytes()).await);
        }
        child.wait().await
    };
    match timeout(rule.timeout, ended).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(Failed::Status { program, status }),
        Ok(Err(source)) => Err(Failed::Start { program, source }),
        Err(_) => {
            // With whatever it has started.
            if let Some(group) = group.and_then(Pid::from_raw) {
                kill_process_group(group, Signal::KILL).ok();
            }
            drop(child.wait().await);
            let seconds = rule.timeout.as_secs();
            Err(Failed::Late { program, seconds })
        }
    }
}

fn start(program: &str, arguments: &[String]) -> io::Result<Child> {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ours to end as a whole, and none of it ends with us.
        .process_group(0)
        .env_remove("DOCKS_TOKEN")
        .spawn()
}
