//! Hooks: the `[[on_end]]` rules of `daemon.toml`, applied when a run has ended, and the `[[on_limit]]` rules
//! ([`run_limits`]).
//!
//! [`RunEndCursor`] returns each end once. A command receives what the remote says as JSON on its
//! standard input and in no other way. A few ends are handled at a time; the others stay in the
//! mirror's history, so that they survive a restart.

pub mod artifact_prefetch;
mod program;
mod rule;
pub mod run_limits;

use std::sync::Arc;

use docks_proto::event::{EventQuery, ObjectKind, ObjectState, Position, Progress};
use docks_proto::notification::RunEndNotice;
use docks_proto::routes::RunKind;
use docks_proto::settings::Environment;
use docksd_desktop::DesktopNotifier;
use rustix::fs::RawMode;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use self::program::Program;
use crate::config::OnEndRule;
use crate::registry::{MirroredRemote, Registry, RemoteRequest};
use crate::run_end_cursor::{POLL_INTERVAL, RunEndCursor};
use docksd_mirror::{MirrorError, StatusEvent, Subject};

/// Key of the note that stores the cursor's position.
const NOTE_KEY: &str = "acted_to";

/// Ends that are handled at once, each with one command at a time.
const MAX_CONCURRENT: usize = 4;

/// The JSON object that a command reads.
#[derive(Debug, Serialize)]
struct RunEndReport {
    event: &'static str,
    /// Position of the event in the history; the same whenever the event is read again.
    id: String,
    remote: String,
    profiles: Vec<String>,
    from: Option<String>,
    at: String,
    observed_at: String,
    run: ObjectState,
    progress: Option<Progress>,
}

/// Applies the rules to every run that ends; returns only if there are no rules.
///
/// A command that runs when the daemon stops keeps running.
pub async fn run(
    registry: Arc<Registry>,
    rules: Vec<OnEndRule>,
    environment: Environment,
    umask: Option<RawMode>,
) {
    if rules.is_empty() {
        return;
    }
    let count = rules.len();
    tracing::info!(count, "{count} on_end rules are active");
    let profiles: Vec<String> = rules
        .iter()
        .flat_map(|rule| rule.profiles.clone())
        .collect();
    open_profiles_of_rules(&registry, "on_end", profiles).await;
    let runner = HookRunner {
        registry,
        rules,
        umask,
        desktop: DesktopNotifier::new(&environment),
        slots: Arc::new(Semaphore::new(MAX_CONCURRENT)),
    };
    let mut cursor = RunEndCursor::new(NOTE_KEY, &RunKind::ALL);
    let mut running = JoinSet::new();
    loop {
        for remote in runner.registry.open_remotes() {
            if let Err(error) = runner.start_hooks(&remote, &mut cursor, &mut running).await {
                let (remote, error) = (remote.location(), docks_proto::error::error_chain(&error));
                tracing::warn!(remote, error, "could not read which runs have ended");
            }
        }
        while running.try_join_next().is_some() {}
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Opens the remotes of the profiles that rules name, so that they are mirrored without a request.
async fn open_profiles_of_rules(registry: &Registry, kind: &'static str, profiles: Vec<String>) {
    for profile in profiles {
        let opened = registry
            .open(RemoteRequest::of_profile(profile.clone()))
            .await;
        if let Err(error) = opened {
            let error = docks_proto::error::error_chain(&error);
            tracing::warn!(
                profile,
                error,
                "an {kind} rule names a profile that can't be opened"
            );
        }
    }
}

struct HookRunner {
    registry: Arc<Registry>,
    rules: Vec<OnEndRule>,
    /// The file mode creation mask of the commands.
    umask: Option<RawMode>,
    desktop: DesktopNotifier,
    slots: Arc<Semaphore>,
}

impl HookRunner {
    async fn start_hooks(
        &self,
        remote: &Arc<MirroredRemote>,
        cursor: &mut RunEndCursor,
        running: &mut JoinSet<()>,
    ) -> Result<(), MirrorError> {
        for event in cursor.poll(remote, self.registry.clock().as_ref()).await? {
            let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
                // All slots are taken; this end stays pending until one of the next polls.
                return Ok(());
            };
            let report = self.report(remote, &event).await?;
            cursor.ack(remote, event.seq).await?;
            if let Some(report) = report {
                self.spawn_hooks(report, slot, running);
            }
        }
        Ok(())
    }

    /// Builds the report of an end; `None` if no rule should see it.
    async fn report(
        &self,
        remote: &MirroredRemote,
        event: &StatusEvent,
    ) -> Result<Option<RunEndReport>, MirrorError> {
        let mirror = &remote.mirror;
        let scan = mirror
            .history_page(event.seq - 1, 1, &EventQuery::default())
            .await?;
        let Some(first) = scan.events.into_iter().next() else {
            return Ok(None);
        };
        // A Harbor job is both a run and an evaluation run; only the latter is reported.
        let plain = event.subject == Subject::Run(RunKind::Run);
        if plain && mirror.run(RunKind::Evaluation, &event.run).await?.is_some() {
            return Ok(None);
        }
        let progress = mirror.progress(vec![event.run.clone()]).await?;
        let kind = Some(ObjectKind::from(event.subject));
        let position = Position {
            history: scan.bounds.history_id,
            seq: event.seq,
        };
        Ok(Some(RunEndReport {
            event: "ended",
            id: position.to_string(),
            remote: remote.location(),
            profiles: self.registry.profile_names(remote),
            from: event.from.clone(),
            at: event.at.rfc3339(),
            observed_at: event.observed.rfc3339(),
            run: first.object,
            progress: progress.into_iter().find(|progress| progress.kind == kind),
        }))
    }

    fn spawn_hooks(
        &self,
        report: RunEndReport,
        slot: OwnedSemaphorePermit,
        running: &mut JoinSet<()>,
    ) {
        let matches = |rule: &&OnEndRule| rule::matches(rule, &report.profiles, &report.run);
        let rules: Vec<OnEndRule> = self.rules.iter().filter(matches).cloned().collect();
        if rules.is_empty() {
            return;
        }
        let (desktop, umask) = (self.desktop, self.umask);
        running.spawn(async move {
            let _slot = slot;
            // Two matching rules that notify show one notification.
            if rules.iter().any(|rule| rule.notify) {
                let notice = RunEndNotice::new(&report.run, report.progress.as_ref());
                notify(desktop, notice, &report.run.run_id).await;
            }
            let text =
                serde_json::to_string(&report).expect("a report holds only strings and numbers");
            for rule in rules {
                let program = Program {
                    rule: "on_end",
                    exec: rule.exec,
                    timeout: rule.timeout,
                    umask,
                };
                program.run(&report.run.run_id, &text).await;
            }
        });
    }
}

async fn notify(desktop: DesktopNotifier, notice: RunEndNotice, run: &str) {
    let shown = tokio::task::spawn_blocking(move || desktop.show(notice)).await;
    if let Ok(Err(error)) = shown {
        let error = error.to_string();
        tracing::warn!(run, error, "could not show a notification about `{run}`");
    }
}
