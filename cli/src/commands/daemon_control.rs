//! `docks daemon start`, `stop`, `restart` and `run`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;

use crate::ask::{Door, Ended, check, docksd, find_docksd};
use crate::context::Context;
use crate::environment::Environment;
use crate::failure::{Failure, Kind};

/// Starts the daemon unless it answers already.
pub(super) async fn start(context: &Context) -> Result<(), Failure> {
    let door = Door::new(Environment::of_process())?;
    let before = door.status().await.ok().flatten();
    if let Some(status) = before {
        let pid = status.pid;
        context
            .output
            .remark(format!("docksd is already running (pid {pid})"));
        return Ok(());
    }
    door.ready().await?;
    say_running(context, &door).await
}

/// Ends the daemon and waits until it is gone.
pub(super) async fn stop(context: &Context) -> Result<(), Failure> {
    let door = Door::new(Environment::of_process())?;
    let words = match door.end().await? {
        Ended::NotRunning => "docksd is not running",
        Ended::Asked => "docksd has stopped",
        Ended::Signalled => "docksd did not answer and was ended by a signal",
    };
    context.output.remark(words);
    Ok(())
}

/// Ends the daemon, if there is one, and starts it; one that could not start ends no other.
pub(super) async fn restart(context: &Context) -> Result<(), Failure> {
    let door = Door::new(Environment::of_process())?;
    check(&door.environment).map_err(|failure| failure.hint("nothing was stopped"))?;
    if door.end().await? == Ended::Signalled {
        context
            .output
            .warn("docksd did not answer and was ended by a signal");
    }
    door.ready().await?;
    say_running(context, &door).await
}

async fn say_running(context: &Context, door: &Door) -> Result<(), Failure> {
    match door.status().await {
        Ok(Some(status)) => {
            let (pid, version) = (status.pid, status.version);
            context
                .output
                .remark(format!("docksd {version} is running (pid {pid})"));
            Ok(())
        }
        Ok(None) => Err(
            Failure::new(Kind::Unreachable, "docksd ended as soon as it had started")
                .hint("see `docks daemon logs`"),
        ),
        Err(error) => Err(Failure::chain(
            Kind::Unreachable,
            "docksd does not answer well",
            &error,
        )),
    }
}

/// Becomes the daemon, in the foreground.
pub(super) fn run(options: &[OsString]) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let program = find_docksd(&environment)?;
    let mut command = docksd(&program);
    command.args(options);
    let error = command.exec();
    let doing = format!("could not run {}", program.display());
    Err(Failure::chain(Kind::Failed, &doing, &error))
}
