//! `docks sync`: waits until the mirror is up to date, and shows the progress.

use std::pin::pin;
use std::time::Duration;

use docks_proto::status::SyncProgress;
use tokio::time::timeout;

use super::of_several::Unanswered;
use crate::args::Sync;
use crate::ask::{Requester, SeveralRemotes};
use crate::context::Context;
use crate::failure::{Answerer, Failure};
use crate::output::clean;
use crate::output::progress_line::ProgressLine;

/// Time without an answer after which progress is shown.
const SHOW_AFTER: Duration = Duration::from_secs(1);

/// Asks the daemon to sync and waits for it.
pub(super) async fn run(context: &Context, args: &Sync) -> Result<(), Failure> {
    let requester = Requester::new(context)?;
    let client = requester.daemon().await?;
    let mut shown = ProgressLine::new(&context.output);
    let mut last = None;
    let outcome = client
        .sync(args.full, |progress| {
            show(&mut shown, &progress);
            last = Some(progress);
        })
        .await;
    drop(shown);
    outcome.map_err(|error| Failure::from_client_error(&error, Answerer::Daemon))?;
    let Some(last) = last else {
        return Ok(());
    };
    if let Some(error) = last.error {
        return Err(Failure::from(error));
    }
    let rows = last.rows;
    context.output.message(format!(
        "up to date: {} runs, {} evaluation runs, {} trials",
        rows.runs, rows.evaluation_runs, rows.trials
    ));
    Ok(())
}

/// Syncs one remote after the other; one that cannot be synced keeps none of the others.
pub(super) async fn run_all(
    context: &Context,
    several: &SeveralRemotes,
    args: &Sync,
) -> Result<(), Failure> {
    let mut unanswered = Unanswered::of(several);
    for remote in &several.remotes {
        context.output.message(format!("{}:", remote.name));
        if let Err(failure) = run(&remote.context, args).await {
            unanswered.add(remote, failure);
        }
    }
    unanswered.fail_if_all()?;
    unanswered.report(context);
    unanswered.into_result()
}

/// Awaits `work`, for which the daemon fetches much; at a terminal, shows how far it is if that takes longer than a
/// second.
///
/// Another sync only watches: what it would fetch is being fetched.
pub(super) async fn with_progress<T>(
    context: &Context,
    requester: &Requester<'_>,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    if let Ok(done) = timeout(SHOW_AFTER, &mut work).await {
        return done;
    }
    let mut shown = ProgressLine::new(&context.output);
    shown.show_at_terminal(requester.remote.wait_notice());
    let watch = async {
        if let Ok(client) = requester.running_daemon() {
            // What is wrong, the answer will say.
            let _failed = client
                .sync(false, |progress| show(&mut shown, &progress))
                .await;
        }
    };
    tokio::select! {
        done = &mut work => return done,
        () = watch => {}
    }
    work.await
}

fn show(line: &mut ProgressLine<'_>, progress: &SyncProgress) {
    if progress.finished {
        return;
    }
    let doing = clean::line(&progress.doing);
    line.show(format!(
        "{doing} ({} done, {} left)",
        progress.done, progress.left
    ));
}
