//! The `[[on_limit]]` rules of `daemon.toml`, applied when a run exceeds a limit: at most once for each run and rule.
//!
//! Runs that have not ended are looked at whenever their mirror has changed, and once more with their final trials when they end.
//! What a rule has done is noted in the mirror before it is done, so that a daemon that is killed never does it twice. Only
//! stopping is tried again, until the remote has answered or the run has ended.

mod measure;
mod state;
mod stop;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use docks_proto::error::error_chain;
use docks_proto::event::{ObjectKind, ObjectState, Progress};
use docks_proto::notification::RunEndNotice;
use docks_proto::object::RawObject;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docksd_desktop::DesktopNotifier;
use docksd_mirror::{MirrorError, Resource};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use self::measure::{Measured, Measurer};
use self::state::{RuleState, RuleStates};
use super::program::Program;
use super::{MAX_CONCURRENT, notify, open_profiles_of_rules, rule};
use crate::api::Service;
use crate::config::{Limit, OnLimitRule};
use crate::registry::{MirroredRemote, OwnedRemote};
use crate::run_end_cursor::{POLL_INTERVAL, RunEndCursor};

/// Key of the note that stores up to which end runs were looked at for the last time.
const NOTE_KEY: &str = "limits_to";

/// Most active runs of a remote that are looked at, the newest first.
const MAX_RUNS: usize = 1_000;

/// How often the trials of runs that rules are about are asked for: less than the minute for which the engine then keeps
/// them fresher.
const MARK_EVERY: Duration = Duration::from_secs(20);

/// The JSON object that a program reads.
#[derive(Debug, Serialize)]
struct LimitReport {
    event: &'static str,
    remote: String,
    profiles: Vec<String>,
    /// When the limit was found to be exceeded.
    at: String,
    limit: ReportedLimit,
    /// Whether the rule stops the run.
    stop: bool,
    run: ObjectState,
    progress: Option<Progress>,
}

/// A limit and what it was compared with, in dollars, seconds, or as a share.
#[derive(Debug, Clone, Copy, Serialize)]
struct ReportedLimit {
    of: &'static str,
    limit: f64,
    value: f64,
    /// Over how many trials `value` is, of how many that could have one; absent for a duration.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    known: Option<measure::Known>,
}

/// Applies the rules to every run that exceeds a limit; returns only if there are no rules.
///
/// A program that runs when the daemon stops keeps running.
pub async fn run(service: Arc<Service>) {
    let rules = service.config.on_limit.clone();
    if rules.is_empty() {
        return;
    }
    let count = rules.len();
    tracing::info!(count, "{count} on_limit rules are active");
    let profiles: Vec<String> = rules
        .iter()
        .flat_map(|rule| rule.profiles.clone())
        .collect();
    open_profiles_of_rules(&service.registry, "on_limit", profiles).await;
    let mut watcher = LimitWatcher {
        desktop: DesktopNotifier::new(&service.config.keyring),
        measurer: Measurer::new(Arc::clone(&service.failure_rules)),
        service,
        rules,
        slots: Arc::new(Semaphore::new(MAX_CONCURRENT)),
        cursor: RunEndCursor::new(NOTE_KEY, &[RunKind::Evaluation]),
        remotes: HashMap::new(),
        running: JoinSet::new(),
    };
    loop {
        for remote in watcher.service.registry.open_remotes() {
            if let Err(error) = watcher.look_at(&remote).await {
                let (remote, error) = (remote.location(), error_chain(&error));
                tracing::warn!(remote, error, "could not compare runs with their limits");
            }
        }
        while watcher.running.try_join_next().is_some() {}
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

struct LimitWatcher {
    service: Arc<Service>,
    rules: Vec<OnLimitRule>,
    desktop: DesktopNotifier,
    measurer: Measurer,
    slots: Arc<Semaphore>,
    cursor: RunEndCursor,
    remotes: HashMap<OwnedRemote, WatchedRemote>,
    running: JoinSet<()>,
}

/// What was seen of a remote so far.
struct WatchedRemote {
    /// Compared with the open remote: a mirror that was replaced starts over.
    remote: Weak<MirroredRemote>,
    /// The commit of the mirror at which its runs were last looked at.
    commit: Option<u64>,
    /// Monotonic time at which trials were last asked for.
    marked_at: Option<Duration>,
    /// What rules have done to runs.
    states: RuleStates,
}

impl LimitWatcher {
    async fn look_at(&mut self, remote: &Arc<MirroredRemote>) -> Result<(), MirrorError> {
        let registry = Arc::clone(&self.service.registry);
        let profiles = registry.profile_names(remote);
        let rules = self.rules.iter();
        let rules: Vec<OnLimitRule> = rules
            .filter(|rule| rule::is_of_profile(&rule.profiles, &profiles))
            .cloned()
            .collect();
        if rules.is_empty() {
            return Ok(());
        }
        let is_current = |seen: &WatchedRemote| seen.remote.ptr_eq(&Arc::downgrade(remote));
        let known = self.remotes.remove(&remote.id).filter(is_current);
        let mut seen = known.unwrap_or_else(|| WatchedRemote {
            remote: Arc::downgrade(remote),
            commit: None,
            marked_at: None,
            states: RuleStates::default(),
        });
        let looked = self
            .look_at_runs(remote, &rules, &profiles, &mut seen)
            .await;
        self.remotes.insert(remote.id.clone(), seen);
        looked
    }

    async fn look_at_runs(
        &mut self,
        remote: &Arc<MirroredRemote>,
        rules: &[OnLimitRule],
        profiles: &[String],
        seen: &mut WatchedRemote,
    ) -> Result<(), MirrorError> {
        let clock = Arc::clone(self.service.registry.clock());
        // Those that have ended, with their final trials.
        for end in self.cursor.poll(remote, clock.as_ref()).await? {
            if !self.apply(remote, rules, profiles, &end.run, seen).await? {
                return Ok(());
            }
            self.cursor.ack(remote, end.seq).await?;
            seen.states.forget(&end.run);
        }
        let commit = *remote.mirror.commits().borrow();
        if seen.commit == Some(commit) && !seen.states.has_open_stops() {
            return Ok(());
        }
        let now = clock.monotonic();
        let is_due = |at: Duration| now.saturating_sub(at) >= MARK_EVERY;
        let marks = seen.marked_at.is_none_or(is_due);
        if marks {
            seen.marked_at = Some(now);
        }
        let mut is_complete = true;
        let mut active = HashSet::new();
        for run in remote.mirror.unsettled_runs(MAX_RUNS).await? {
            if !run.active {
                continue;
            }
            if marks && rules.iter().any(is_of_trials) {
                self.mark_watched(remote, rules, &run.id).await?;
            }
            is_complete &= self.apply(remote, rules, profiles, &run.id, seen).await?;
            active.insert(run.id);
        }
        seen.states.keep_open_stops_of(&active);
        if is_complete {
            seen.commit = Some(commit);
        }
        Ok(())
    }

    /// Has the trials of a run kept fresh, if rules about trials apply to it.
    async fn mark_watched(
        &self,
        remote: &MirroredRemote,
        rules: &[OnLimitRule],
        run: &str,
    ) -> Result<(), MirrorError> {
        if let Some((state, _)) = read_run(remote, run).await? {
            let mut of_trials = rules.iter().filter(|rule| is_of_trials(rule));
            if of_trials.any(|rule| rule::has_name(rule.name.as_ref(), &state)) {
                remote.sync.mark_watched(&Resource::Trials(run.to_owned()));
            }
        }
        Ok(())
    }

    /// Applies the rules to a run; returns whether all could be: else all slots are taken, and the next poll goes on.
    async fn apply(
        &mut self,
        remote: &Arc<MirroredRemote>,
        rules: &[OnLimitRule],
        profiles: &[String],
        run: &str,
        seen: &mut WatchedRemote,
    ) -> Result<bool, MirrorError> {
        let Some((state, confirmed_at)) = read_run(remote, run).await? else {
            return Ok(true);
        };
        let mut progress = None;
        for rule in rules {
            if !rule::has_name(rule.name.as_ref(), &state) {
                continue;
            }
            match seen.states.of(&remote.mirror, rule, run).await? {
                RuleState::Applied => {}
                RuleState::Stopping => self.stop(remote, rule, &state, seen),
                RuleState::Open => {
                    if progress.is_none() {
                        progress = read_progress(remote, run).await?;
                    }
                    let measured = self.measurer.measure(
                        remote,
                        &rule.limit,
                        &state,
                        confirmed_at,
                        progress.as_ref(),
                    );
                    let Some(measured) = measured
                        .await?
                        .filter(|found| found.value > rule.limit.value())
                    else {
                        continue;
                    };
                    let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
                        return Ok(false);
                    };
                    let stops = rule.stop && !state.ended;
                    let next = if stops {
                        RuleState::Stopping
                    } else {
                        RuleState::Applied
                    };
                    seen.states.set(&remote.mirror, rule, run, next).await?;
                    let report = LimitReport {
                        event: "limit",
                        remote: remote.location(),
                        profiles: profiles.to_vec(),
                        at: self.service.registry.clock().wall().rfc3339(),
                        limit: reported(&rule.limit, measured),
                        stop: stops,
                        run: state.clone(),
                        progress: progress.clone(),
                    };
                    self.spawn(rule, report, &measured, slot);
                    if stops {
                        self.stop(remote, rule, &state, seen);
                    }
                }
            }
        }
        Ok(true)
    }

    /// Shows a notification and runs the program of a rule.
    fn spawn(
        &mut self,
        rule: &OnLimitRule,
        report: LimitReport,
        measured: &Measured,
        slot: OwnedSemaphorePermit,
    ) {
        let exceeded = measure::describe(&rule.limit, measured);
        let run = report.run.run_id.clone();
        tracing::info!(run, "`{run}`: {exceeded}");
        let notice = rule.notify.then(|| {
            RunEndNotice::of_limit(
                &report.run,
                report.progress.as_ref(),
                &exceeded,
                report.stop,
            )
        });
        let program = Program {
            rule: "on_limit",
            exec: rule.exec.clone(),
            timeout: rule.timeout,
            umask: self.service.config.umask,
        };
        let desktop = self.desktop;
        self.running.spawn(async move {
            let _slot = slot;
            if let Some(notice) = notice {
                notify(desktop, notice, &run).await;
            }
            let text =
                serde_json::to_string(&report).expect("a report holds only strings and numbers");
            program.run(&run, &text).await;
        });
    }

    /// Stops a run, beside everything else, unless that is in progress or was tried a moment ago.
    fn stop(
        &mut self,
        remote: &Arc<MirroredRemote>,
        rule: &OnLimitRule,
        run: &ObjectState,
        seen: &mut WatchedRemote,
    ) {
        if run.ended {
            return;
        }
        let now = self.service.registry.clock().monotonic();
        if seen.states.begin_stop(rule, &run.run_id, now) {
            let (service, remote) = (Arc::clone(&self.service), Arc::clone(remote));
            let (topic, run) = (state::note_topic(rule), run.run_id.clone());
            self.running
                .spawn(async move { stop::stop(&service, &remote, &run, &topic).await });
        }
    }
}

/// Whether a rule is about what trials say.
fn is_of_trials(rule: &OnLimitRule) -> bool {
    !matches!(rule.limit, Limit::Duration(_))
}

fn reported(limit: &Limit, measured: Measured) -> ReportedLimit {
    ReportedLimit {
        of: limit.name(),
        limit: limit.value(),
        value: measured.value,
        known: measured.known,
    }
}

/// Reads a run with the time at which the remote last confirmed it.
async fn read_run(
    remote: &MirroredRemote,
    run: &str,
) -> Result<Option<(ObjectState, UnixMs)>, MirrorError> {
    let stored = remote.mirror.run(RunKind::Evaluation, run).await?;
    Ok(stored
        .filter(|run| run.gone_at.is_none())
        .and_then(|stored| {
            let object = RawObject::parse(&stored.text).ok().flatten()?;
            let state = ObjectState::from_run(RunKind::Evaluation, &object);
            Some((state, stored.confirmed_at))
        }))
}

async fn read_progress(
    remote: &MirroredRemote,
    run: &str,
) -> Result<Option<Progress>, MirrorError> {
    let progress = remote.mirror.progress(vec![run.to_owned()]).await?;
    let is_evaluation = |progress: &Progress| progress.kind == Some(ObjectKind::Evaluation);
    Ok(progress.into_iter().find(is_evaluation))
}
