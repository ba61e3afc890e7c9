//! `docks runs watch`.

mod choose;
mod live;
mod plain;

use std::time::Duration;

use docks_proto::event::is_failure;
use docks_proto::time::UnixMs;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use crate::args::{Format, RunsWatch};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::watch::end_hook::Hook;
use crate::watch::event_subscriber::Ear;
use crate::watch::model::{Model, Note, RunKey, Watched, waits};

/// How long a watch goes on after the end for the last word about trials.
const LINGER: Duration = Duration::from_secs(20);

/// Why a watch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Every run has ended.
    Ended,
    /// A run or trial failed, and that was enough.
    Failed,
    /// The time is over.
    TimeOver,
    /// None started in time.
    NotStarted,
    /// The user has seen enough.
    Quit,
    /// Ctrl-C, or the terminal went.
    Interrupted,
}

/// What ends a watch besides the runs themselves.
#[derive(Debug)]
struct Limits {
    timeout: Option<Instant>,
    start: Option<Instant>,
    fail_fast: bool,
    linger: Option<Instant>,
}

/// Watches runs until they have ended.
pub(super) async fn run(context: &Context, args: &RunsWatch) -> Result<(), Failure> {
    if context.global.format == Format::Json {
        return Err(Failure::usage("a watch is no single answer")
            .hint("--format jsonl prints each event on a line of its own"));
    }
    let began = Instant::now();
    let live = context.output.look().live && context.global.format == Format::Table;
    let mut hook = Hook::new(args, live);
    let keys = choose::runs(context, args).await?;
    let mut limits = Limits {
        timeout: args.timeout.map(|time| began + time),
        start: args.wait_for_start.map(|time| began + time),
        fail_fast: args.fail_fast,
        linger: None,
    };
    let mut model = Model::new(keys.clone());
    hook.ready(context).await;
    let end = if live {
        live::watch(context, args, keys, &mut model, &mut limits, &mut hook).await?
    } else {
        plain::watch(context, keys, &mut model, &mut limits, &mut hook).await?
    };
    hook.finish(context, &model).await;
    if live {
        plain::sum_up(context, &model);
    }
    context.output.flush()?;
    verdict(context, args, &model, end)
}

impl Limits {
    /// Tells whether the watch ends with what has just become known.
    fn reached(&mut self, model: &Model, note: Option<&Note>) -> Option<End> {
        if self.fail_fast && note.is_some_and(|note| fails(&note.object.status)) {
            return Some(End::Failed);
        }
        if model.settled() {
            return Some(End::Ended);
        }
        if model.ended() && self.linger.is_none() {
            self.linger = Some(Instant::now() + LINGER);
        }
        if self.start.is_some() && model.ready && model.runs.iter().all(has_started) {
            self.start = None;
        }
        None
    }

    /// Waits until a time is over.
    async fn over(&self) -> End {
        let never = Instant::now() + Duration::from_secs(86_400 * 365);
        tokio::select! {
            () = sleep_until(self.timeout.unwrap_or(never)) => End::TimeOver,
            () = sleep_until(self.start.unwrap_or(never)) => End::NotStarted,
            () = sleep_until(self.linger.unwrap_or(never)) => End::Ended,
        }
    }
}

fn has_started(run: &Watched) -> bool {
    run.run.is_some() && !waits(run.status())
}

/// Tells whether a run of this status failed; one that ended in part has failed in part.
fn fails(status: &str) -> bool {
    is_failure(status) || status.eq_ignore_ascii_case("partial")
}

/// Waits for a signal that ends us.
async fn interrupted() -> End {
    let listen = |kind| signal(kind).ok();
    let wait = async |mut heard: Option<tokio::signal::unix::Signal>| match &mut heard {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    };
    tokio::select! {
        () = wait(listen(SignalKind::interrupt())) => {}
        () = wait(listen(SignalKind::terminate())) => {}
        () = wait(listen(SignalKind::hangup())) => {}
    }
    End::Interrupted
}

/// Turns how it ended into the exit code.
fn verdict(context: &Context, args: &RunsWatch, model: &Model, end: End) -> Result<(), Failure> {
    let going_on = || match &model.going_on()[..] {
        [] => "nothing goes on".to_owned(),
        [one] => format!("{one} goes on"),
        [one, rest @ ..] => format!("{one} and {} more go on", rest.len()),
    };
    match end {
        End::Interrupted => Err(Failure::new(
            Kind::Interrupted,
            format!("stopped watching; {}", going_on()),
        )),
        End::TimeOver => Err(Failure::new(
            Kind::StillRunning,
            format!("not ended in time; {}", going_on()),
        )),
        End::NotStarted => Err(Failure::new(
            Kind::StillRunning,
            "not started in time".to_owned(),
        )),
        End::Quit if !model.ended() => {
            context
                .output
                .note(format!("stopped watching; {}", going_on()));
            match args.exit_status {
                true => Err(Failure::new(Kind::StillRunning, "not ended yet")),
                false => Ok(()),
            }
        }
        End::Failed => Err(Failure::new(Kind::RunFailed, first_failure(model))),
        End::Ended | End::Quit => outcome(args, model),
    }
}

fn first_failure(model: &Model) -> String {
    for run in &model.runs {
        let failed = run.failures.front().and_then(|id| run.trials.get(id));
        match failed {
            _ if fails(run.status()) => return format!("{} {}", run.label(), run.status()),
            Some(trial) => {
                let id = trial.trial_id.as_deref().unwrap_or_default();
                return format!("trial {id} of {}: {}", run.label(), trial.status);
            }
            None => {}
        }
    }
    "a run or trial failed".to_owned()
}

fn outcome(args: &RunsWatch, model: &Model) -> Result<(), Failure> {
    if let Some(run) = model.runs.iter().find(|run| run.gone()) {
        let text = format!("{} is gone from the remote", run.label());
        return Err(Failure::new(Kind::NotFound, text));
    }
    if !args.exit_status {
        return Ok(());
    }
    let find = |wanted: fn(&str) -> bool| model.runs.iter().find(|run| wanted(run.status()));
    if let Some(run) = find(fails) {
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

/// Starts to listen.
fn listen(context: &Context, keys: Vec<RunKey>) -> Ear<'_> {
    Ear::new(context, keys)
}

/// Returns the present, for ages.
fn now() -> UnixMs {
    UnixMs::now()
}
