//! `docks daemon start`, `stop`, `restart` and `run`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;

use crate::ask::{DaemonEndpoint, DaemonStarter, StopOutcome, WaitPolicy, stop as stop_daemon};
use crate::context::Context;
use crate::daemon_program::{check_daemon_settings, docksd_command, find_docksd};
use crate::environment::Environment;
use crate::failure::{Failure, Kind};

/// Starts the daemon unless it is running.
pub(super) async fn start(context: &Context) -> Result<(), Failure> {
    let endpoint = DaemonEndpoint::new(Environment::of_process())?;
    let running = endpoint.status(WaitPolicy::Limited).await.ok().flatten();
    if let Some(status) = running {
        let pid = status.pid;
        context
            .output
            .message(format!("docksd is already running (pid {pid})"));
        return Ok(());
    }
    start_and_report(context, &endpoint).await
}

/// Stops the daemon and waits until it has exited.
pub(super) async fn stop(context: &Context) -> Result<(), Failure> {
    let endpoint = DaemonEndpoint::new(Environment::of_process())?;
    let message = match stop_daemon(&endpoint).await? {
        StopOutcome::NotRunning => "docksd is not running",
        StopOutcome::Requested => "docksd has stopped",
        StopOutcome::Signalled => "docksd did not answer and was stopped by a signal",
    };
    context.output.message(message);
    Ok(())
}

/// Stops the daemon, if one is running, and starts it; checks first that it could start.
pub(super) async fn restart(context: &Context) -> Result<(), Failure> {
    let endpoint = DaemonEndpoint::new(Environment::of_process())?;
    check_daemon_settings(&endpoint.environment)
        .map_err(|failure| failure.hint("nothing was stopped"))?;
    if stop_daemon(&endpoint).await? == StopOutcome::Signalled {
        context
            .output
            .warn("docksd did not answer and was stopped by a signal");
    }
    start_and_report(context, &endpoint).await
}

async fn start_and_report(context: &Context, endpoint: &DaemonEndpoint) -> Result<(), Failure> {
    let policy = WaitPolicy::while_alive(&context.output);
    let starter = DaemonStarter::default();
    starter.ensure_running(endpoint, policy).await?;
    match endpoint.status(policy).await {
        Ok(Some(status)) => {
            let (pid, version) = (status.pid, status.version);
            context
                .output
                .message(format!("docksd {version} is running (pid {pid})"));
            Ok(())
        }
        Ok(None) => Err(Failure::new(
            Kind::Unreachable,
            "docksd exited right after it had started",
        )
        .hint("see `docks daemon logs`")),
        Err(error) => Err(Failure::chain(
            Kind::Unreachable,
            "docksd is not responding correctly",
            &error,
        )),
    }
}

/// Replaces this process by the daemon, in the foreground.
pub(super) fn run(options: &[OsString]) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let program = find_docksd(&environment)?;
    let mut command = docksd_command(&program);
    command.args(options);
    let error = command.exec();
    let doing = format!("could not run {}", program.display());
    Err(Failure::chain(Kind::Failed, &doing, &error))
}
