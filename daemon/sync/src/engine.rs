//! The task that drives [`Core`]: commands, timers and finished steps.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use docks_proto::object::RawObject;
use docks_proto::routes::{Action, RunKind};
use docks_proto::status::SyncProgress;
use docks_proto::time::UnixMs;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use docksd_mirror::{Mirror, MirrorError, Resource, Retention};
use docksd_remote::{ChangeDetection, FaultClass, Remote};

use super::apply::{carry_out, last_sweep_note_key};
use super::capabilities::{Capabilities, NOTE};
use super::catch_up::Report;
use super::clock::{Clock, Now, Steady};
use super::health::Shared;
use super::plan::Options;
use super::state::{Core, Reply, Waiter};
use super::task::{FetchKey, Outcome, Step, SyncError, Task};

/// Longest sleep: timers stand still while the machine sleeps, and it must be noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// Pause after a mirror that could not even be summarised.
const MIRROR_RETRY: Duration = Duration::from_secs(5);
/// Key of the note that says when upkeep last ended.
const UPKEEP_NOTE: &str = "upkeep";
/// Upkeep is nightly, at a minute that differs from start to start.
const UPKEEP_MISSED: Duration = Duration::from_secs(26 * 3_600);

/// What the handle asks of the task.
pub(super) enum Command {
    Refresh {
        want: FetchKey,
        not_before: Duration,
        reply: oneshot::Sender<Result<UnixMs, SyncError>>,
    },
    Act {
        action: Action,
        id: String,
        kill: bool,
        reply: oneshot::Sender<Result<RawObject, SyncError>>,
    },
    Touch(Resource),
    CatchUp {
        full: bool,
        progress: mpsc::Sender<SyncProgress>,
    },
    Sweep,
    Upkeep(Retention),
    MissedUpkeep(Retention),
    Stop(oneshot::Sender<()>),
}

enum Answerer {
    Refresh(oneshot::Sender<Result<UnixMs, SyncError>>),
    Act(oneshot::Sender<Result<RawObject, SyncError>>),
}

pub(super) struct Engine {
    remote: Arc<dyn Remote>,
    mirror: Mirror,
    clock: Arc<dyn Clock>,
    steady: Arc<Mutex<Steady>>,
    core: Core,
    shared: Arc<Mutex<Shared>>,
    commands: mpsc::UnboundedReceiver<Command>,
    steps: JoinSet<(Step, Outcome)>,
    upkeep: JoinSet<Result<UnixMs, MirrorError>>,
    answerers: HashMap<Waiter, Answerer>,
    progress: HashMap<u64, mpsc::Sender<SyncProgress>>,
    next_number: u64,
    last_upkeep: Option<UnixMs>,
    mirror_broken_until: Duration,
}

/// Locks a value that is only ever replaced whole, so that a panic elsewhere left it sound.
pub(super) fn lock<T>(value: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells whether a night went by without upkeep.
pub(super) fn is_missed(last_upkeep: Option<UnixMs>, now: UnixMs) -> bool {
    last_upkeep.is_none_or(|at| now.since(at) > UPKEEP_MISSED)
}

impl Engine {
    pub(super) fn new(
        remote: Arc<dyn Remote>,
        mirror: Mirror,
        clock: Arc<dyn Clock>,
        options: Options,
        commands: mpsc::UnboundedReceiver<Command>,
    ) -> (Self, Arc<Mutex<Shared>>) {
        let mut steady = Steady::new(clock.as_ref(), UnixMs(0));
        let now = steady.now(clock.as_ref());
        let core = Core::new(
            remote.properties(),
            options,
            Capabilities::default(),
            [None, None],
            fastrand::Rng::new(),
            now,
        );
        let shared = Arc::new(Mutex::new(Shared::of(&core, &steady, now, None)));
        let engine = Self {
            remote,
            mirror,
            clock,
            steady: Arc::new(Mutex::new(steady)),
            core,
            shared: Arc::clone(&shared),
            commands,
            steps: JoinSet::new(),
            upkeep: JoinSet::new(),
            answerers: HashMap::new(),
            progress: HashMap::new(),
            next_number: 0,
            last_upkeep: None,
            mirror_broken_until: Duration::ZERO,
        };
        (engine, shared)
    }

    fn now(&self) -> Now {
        lock(&self.steady).now(self.clock.as_ref())
    }

    /// Reads what an earlier process noted, and begins no stamp before its last one.
    async fn remember(&mut self) {
        let note = async |key: &str| self.mirror.read_note(key).await.ok().flatten();
        let facts = Capabilities::from_note(note(NOTE).await.as_deref());
        let time = |text: Option<String>| text.and_then(|t| t.parse().ok()).map(UnixMs);
        let mut swept = [None, None];
        let mut floor = UnixMs(0);
        for (place, kind) in RunKind::ALL.into_iter().enumerate() {
            swept[place] = time(note(&last_sweep_note_key(kind)).await);
            if let Ok(Some(confirmed)) = self.mirror.confirmation(&Resource::List(kind)).await {
                floor = floor.max(confirmed.at);
            }
        }
        self.last_upkeep = time(note(UPKEEP_NOTE).await);
        let steady = Steady::new(self.clock.as_ref(), floor);
        *lock(&self.steady) = steady;
        let now = self.now();
        self.core.remember(facts, swept, now);
    }

    pub(super) async fn run(mut self) {
        self.remember().await;
        let remote = Arc::clone(&self.remote);
        let mut changed = remote.wait_for_changes();
        loop {
            let now = self.now();
            self.turn(now).await;
            let mono = self.clock.monotonic();
            let sleep = self.core.next_wake().max(self.mirror_wake());
            let sleep = sleep.saturating_sub(mono).min(LONGEST_SLEEP);
            tokio::select! {
                command = self.commands.recv() => {
                    let Some(command) = command else { break };
                    if let Some(stopped) = self.command(command) {
                        self.stop().await;
                        let _gone = stopped.send(());
                        return;
                    }
                    while let Ok(command) = self.commands.try_recv() {
                        if let Some(stopped) = self.command(command) {
                            self.stop().await;
                            let _gone = stopped.send(());
                            return;
                        }
                    }
                }
                Some(done) = self.steps.join_next() => self.step_done(done),
                Some(done) = self.upkeep.join_next() => self.upkeep_done(done),
                () = &mut changed, if !self.core.owes_news() => {
                    self.core.has_news();
                    changed = remote.wait_for_changes();
                }
                () = tokio::time::sleep(sleep) => {}
            }
        }
        self.stop().await;
    }

    fn mirror_wake(&self) -> Duration {
        self.mirror_broken_until
    }

    async fn turn(&mut self, now: Now) {
        if self.core.wants_summary() && now.mono >= self.mirror_broken_until {
            let most = self.core.trials_wanted();
            match self.mirror.summary(most).await {
                Ok(summary) => self.core.set_summary(summary, now),
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "could not plan");
                    self.mirror_broken_until = now.mono + MIRROR_RETRY;
                    self.core.cannot_plan(&error.into(), now);
                }
            }
        }
        let following = self.remote.change_detection();
        self.core
            .set_followed(matches!(following, ChangeDetection::Events { .. }));
        for step in self.core.due(now) {
            self.spawn(step);
        }
        self.answer().await;
        let steady = lock(&self.steady).clone();
        let mut shared = Shared::of(&self.core, &steady, now, self.last_upkeep);
        shared.health.change_detection = following;
        *lock(&self.shared) = shared;
    }

    fn spawn(&mut self, step: Step) {
        debug!(step = %step.task.describe(), class = ?step.class, "begins");
        let (remote, mirror) = (Arc::clone(&self.remote), self.mirror.clone());
        let (clock, steady) = (Arc::clone(&self.clock), Arc::clone(&self.steady));
        self.steps.spawn(async move {
            let arrived = || lock(&steady).now(clock.as_ref()).stamp;
            let work = carry_out(remote.as_ref(), &mirror, &step, arrived);
            // A panic in a remote must not leave its flight up for ever.
            let outcome =
                match futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(work))
                    .await
                {
                    Ok(outcome) => outcome,
                    Err(_panic) => Outcome::panicked(),
                };
            (step, outcome)
        });
    }

    fn step_done(&mut self, done: Result<(Step, Outcome), tokio::task::JoinError>) {
        let Ok((step, outcome)) = done else {
            return;
        };
        let now = self.now();
        let what = step.task.describe();
        match &outcome.answer {
            // Somebody mistyped an id, which is theirs to know.
            Err(SyncError::Remote(error)) if error.class() == FaultClass::NotFound => {
                debug!(step = %what, "the remote has no {what}");
            }
            Err(error) => warn!(step = %what, error = %error.chain(), "could not sync {what}"),
            Ok(_) if matches!(step.task, Task::SweepEnd { .. }) => info!("swept {what}"),
            Ok(_) => debug!(step = %what, changed = outcome.changed, "done"),
        }
        self.core.finished(&step, outcome, now);
    }

    fn upkeep_done(&mut self, done: Result<Result<UnixMs, MirrorError>, tokio::task::JoinError>) {
        match done {
            Ok(Ok(at)) => self.last_upkeep = Some(at),
            Ok(Err(error)) => {
                warn!(error = &error as &dyn std::error::Error, "upkeep failed");
            }
            Err(_) => warn!("upkeep ended in a panic"),
        }
    }

    fn command(&mut self, command: Command) -> Option<oneshot::Sender<()>> {
        let now = self.now();
        self.next_number += 1;
        let number = self.next_number;
        match command {
            Command::Refresh {
                want,
                not_before,
                reply,
            } => {
                self.answerers.insert(number, Answerer::Refresh(reply));
                self.core.want(&want, not_before.min(now.mono), number);
            }
            Command::Act {
                action,
                id,
                kill,
                reply,
            } => {
                self.answerers.insert(number, Answerer::Act(reply));
                self.core.act(action, id, kill, number);
            }
            Command::Touch(what) => self.core.touch(&what, now),
            Command::CatchUp { full, progress } => {
                self.progress.insert(number, progress);
                self.core.catch_up(number, full, now);
            }
            Command::Sweep => self.core.sweep(now),
            Command::Upkeep(retention) => self.begin_upkeep(retention, now),
            Command::MissedUpkeep(retention) => {
                if is_missed(self.last_upkeep, now.stamp) {
                    self.begin_upkeep(retention, now);
                }
            }
            Command::Stop(stopped) => return Some(stopped),
        }
        None
    }

    fn begin_upkeep(&mut self, retention: Retention, now: Now) {
        let mirror = self.mirror.clone();
        let at = now.stamp;
        self.upkeep.spawn(async move {
            mirror.run_upkeep(at, retention).await?;
            mirror.write_note(UPKEEP_NOTE, &at.0.to_string()).await?;
            Ok(at)
        });
    }

    async fn answer(&mut self) {
        for (waiter, reply) in self.core.take_replies() {
            // Whoever waited may have gone; the answer is in the mirror all the same.
            match (self.answerers.remove(&waiter), reply) {
                (Some(Answerer::Refresh(to)), Reply::Confirmed(result)) => {
                    let _gone = to.send(result);
                }
                (Some(Answerer::Act(to)), Reply::Acted(result)) => {
                    let _gone = to.send(result);
                }
                _ => {}
            }
        }
        for report in self.core.take_reports() {
            self.report(report).await;
        }
    }

    async fn report(&mut self, report: Report) {
        let rows = self.mirror.stats().await.map(|s| s.rows);
        let message = SyncProgress {
            done: report.done,
            left: report.left,
            doing: report.doing,
            finished: report.finished,
            error: report.error,
            rows: rows.unwrap_or_default(),
        };
        let Some(to) = self.progress.get(&report.id) else {
            return;
        };
        if report.finished {
            if let Some(to) = self.progress.remove(&report.id) {
                // The last word must arrive, but never hold up the engine.
                tokio::spawn(async move {
                    let _gone = to.send(message).await;
                });
            }
        } else if let Err(mpsc::error::TrySendError::Closed(_)) = to.try_send(message) {
            self.progress.remove(&report.id);
            self.core.abandon_catch_up(report.id);
        }
    }

    async fn stop(&mut self) {
        self.steps.shutdown().await;
        self.upkeep.shutdown().await;
        for (_, answerer) in self.answerers.drain() {
            match answerer {
                Answerer::Refresh(to) => drop(to.send(Err(SyncError::Stopped))),
                Answerer::Act(to) => drop(to.send(Err(SyncError::Stopped))),
            }
        }
    }
}
