//! `docks runs watch`.

mod live;
mod plain;
mod select_runs;

use std::time::Duration;

use docks_proto::event::is_failure;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use crate::args::{Format, RunsWatch};
use crate::ask::SeveralRemotes;
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::watch::end_hook::EndHook;
use crate::watch::model::{Model, StatusChange, WatchedRun, is_waiting};
use crate::watch::subscription::{Subscription, merged_key};

/// How long a watch waits, after all runs have ended, for the final state of their trials.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(20);

/// Why a watch stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopReason {
    /// Every run has ended.
    Ended,
    /// A run or trial failed, and that was enough.
    Failed,
    /// `--timeout` is over.
    TimedOut,
    /// `--wait-for-start` is over, and a run has not started.
    NotStarted,
    /// The user quit.
    Quit,
    /// Ctrl-C, or the terminal was closed.
    Interrupted,
}

/// What stops a watch besides the end of its runs.
#[derive(Debug)]
struct Limits {
    timeout: Option<Instant>,
    start_timeout: Option<Instant>,
    fail_fast: bool,
    settle_timeout: Option<Instant>,
}

/// Watches runs until they have ended.
pub(super) async fn run(context: &Context, args: &RunsWatch) -> Result<(), Failure> {
    if context.global.format == Format::Json {
        return Err(Failure::usage("a watch does not print a single JSON value")
            .hint("--format jsonl prints each event on its own line"));
    }
    let start = Instant::now();
    let live = context.output.style().live && context.global.format == Format::Table;
    let mut hook = EndHook::new(args, live);
    let several = SeveralRemotes::of(context)?.filter(|several| several.remotes.len() > 1);
    let (keys, subscription) = match &several {
        None => {
            let keys = select_runs::select_runs(context, args).await?;
            (keys.clone(), Subscription::of_one(context, keys, live))
        }
        // On the heap, as few commands need it.
        Some(several) => {
            let keys = Box::pin(select_runs::select_of_several(context, several, args)).await?;
            let merged = keys.iter().filter_map(|(index, key)| {
                let remote = several.remotes.get(*index)?;
                Some(merged_key(&remote.name, key))
            });
            let subscription = Subscription::of_several(several, &keys, live);
            (merged.collect(), subscription)
        }
    };
    let mut limits = Limits {
        timeout: args.timeout.map(|time| start + time),
        start_timeout: args.wait_for_start.map(|time| start + time),
        fail_fast: args.fail_fast,
        settle_timeout: None,
    };
    let mut model = Model::new(keys);
    if let Some(several) = &several {
        let names = several.remotes.iter().map(|remote| remote.name.clone());
        model.remotes = names.collect();
    }
    hook.check(context).await;
    let reason = if live {
        live::watch(
            context,
            args,
            subscription,
            &mut model,
            &mut limits,
            &mut hook,
        )
        .await?
    } else {
        plain::watch(context, subscription, &mut model, &mut limits, &mut hook).await?
    };
    hook.finish(context, &model).await;
    if live {
        plain::print_summary(context, &model);
    }
    context.output.flush()?;
    exit_result(context, args, &model, reason)
}

impl Limits {
    /// Returns whether the watch stops with this change.
    fn check(&mut self, model: &Model, change: Option<&StatusChange>) -> Option<StopReason> {
        if self.fail_fast && change.is_some_and(|change| is_failed(&change.object.status)) {
            return Some(StopReason::Failed);
        }
        if model.settled() {
            return Some(StopReason::Ended);
        }
        if model.ended() && self.settle_timeout.is_none() {
            self.settle_timeout = Some(Instant::now() + SETTLE_TIMEOUT);
        }
        if self.start_timeout.is_some() && model.ready && model.runs.iter().all(has_started) {
            self.start_timeout = None;
        }
        None
    }

    /// Waits until one of the timeouts is over.
    async fn expired(&self) -> StopReason {
        let never = Instant::now() + Duration::from_secs(86_400 * 365);
        tokio::select! {
            () = sleep_until(self.timeout.unwrap_or(never)) => StopReason::TimedOut,
            () = sleep_until(self.start_timeout.unwrap_or(never)) => StopReason::NotStarted,
            () = sleep_until(self.settle_timeout.unwrap_or(never)) => StopReason::Ended,
        }
    }
}

fn has_started(run: &WatchedRun) -> bool {
    run.run.is_some() && !is_waiting(run.status())
}

/// Returns whether a run of this status failed; a partial run counts as failed.
fn is_failed(status: &str) -> bool {
    is_failure(status) || status.eq_ignore_ascii_case("partial")
}

/// Waits for a signal that stops this command.
async fn interrupted() -> StopReason {
    let register = |kind| signal(kind).ok();
    let wait = async |mut registered: Option<tokio::signal::unix::Signal>| match &mut registered {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    };
    tokio::select! {
        () = wait(register(SignalKind::interrupt())) => {}
        () = wait(register(SignalKind::terminate())) => {}
        () = wait(register(SignalKind::hangup())) => {}
    }
    StopReason::Interrupted
}

/// Decides the exit code and message.
fn exit_result(
    context: &Context,
    args: &RunsWatch,
    model: &Model,
    reason: StopReason,
) -> Result<(), Failure> {
    let still_active = || match &model.active_labels()[..] {
        [] => "no run is active".to_owned(),
        [one] => format!("{one} is still active"),
        [one, rest @ ..] => format!("{one} and {} more are still active", rest.len()),
    };
    match reason {
        StopReason::Interrupted => Err(Failure::new(
            Kind::Interrupted,
            format!("stopped watching; {}", still_active()),
        )),
        StopReason::TimedOut => Err(Failure::new(
            Kind::StillRunning,
            format!("timed out; {}", still_active()),
        )),
        StopReason::NotStarted => Err(Failure::new(
            Kind::StillRunning,
            "timed out before a run started".to_owned(),
        )),
        StopReason::Quit if !model.ended() => {
            context
                .output
                .note(format!("stopped watching; {}", still_active()));
            match args.exit_status {
                true => Err(Failure::new(Kind::StillRunning, "not ended yet")),
                false => Ok(()),
            }
        }
        StopReason::Failed => Err(Failure::new(Kind::RunFailed, first_failure(model))),
        StopReason::Ended | StopReason::Quit => runs_result(args, model),
    }
}

fn first_failure(model: &Model) -> String {
    for run in &model.runs {
        let failed = run.failures.front().and_then(|id| run.trials.get(id));
        match failed {
            _ if is_failed(run.status()) => return format!("{} {}", run.label(), run.status()),
            Some(trial) => {
                let id = trial.trial_id.as_deref().unwrap_or_default();
                return format!("trial {id} of {}: {}", run.label(), trial.status);
            }
            None => {}
        }
    }
    "a run or trial failed".to_owned()
}

fn runs_result(args: &RunsWatch, model: &Model) -> Result<(), Failure> {
    if let Some(run) = model.runs.iter().find(|run| run.gone()) {
        let text = format!("{} no longer exists on the remote", run.label());
        return Err(Failure::new(Kind::NotFound, text));
    }
    if !args.exit_status {
        return Ok(());
    }
    let find = |wanted: fn(&str) -> bool| model.runs.iter().find(|run| wanted(run.status()));
    if let Some(run) = find(is_failed) {
        let text = format!("{}: {}", run.label(), run.status());
        return Err(Failure::new(Kind::RunFailed, text));
    }
    let cancelled = |status: &str| status.eq_ignore_ascii_case("cancelled");
    match find(cancelled) {
        Some(run) => Err(Failure::new(
            Kind::RunCancelled,
            format!("{}: cancelled", run.label()),
        )),
        None => Ok(()),
    }
}
