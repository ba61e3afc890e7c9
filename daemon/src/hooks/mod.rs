//! Standing rules of `daemon.toml`: what is done when a run has ended.
//!
//! [`crate::run_end_cursor`] tells of each end once. What a remote says reaches a command as JSON on its
//! standard input and in no other way. A few ends are acted on at a time; the others wait in the
//! history, so that they outlive this daemon.

pub mod artifact_prefetch;
mod command;
mod rule;

use std::sync::Arc;

use docks_proto::event::{EventQuery, ObjectKind, ObjectState, Position, Progress};
use docks_proto::notification::{DesktopNotifier, RunEndNotice};
use docks_proto::routes::RunKind;
use docks_proto::settings::Environment;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

pub use rule::{Rule, Wish};

use crate::registry::{Pick, Registry, Source};
use crate::run_end_cursor::{Ends, LOOK_AGAIN};
use docksd_mirror::{MirrorError, StatusEvent, Subject};

/// Note of a mirror: the change up to which ends were acted on.
const NOTE: &str = "acted_to";

/// Ends that are acted on at once, each with one command at a time.
const AT_ONCE: usize = 4;

/// What a command reads.
#[derive(Debug, Serialize)]
struct Report {
    event: &'static str,
    /// Number of the change, the same however often it is told.
    id: String,
    remote: String,
    profiles: Vec<String>,
    from: Option<String>,
    at: String,
    observed_at: String,
    run: ObjectState,
    progress: Option<Progress>,
}

/// Acts on what ends, for as long as the daemon runs. A command that is under way then goes on.
pub async fn keep_acting(registry: Arc<Registry>, rules: Vec<Rule>, environment: Environment) {
    if rules.is_empty() {
        return;
    }
    let count = rules.len();
    tracing::info!(count, "{count} rules stand for the end of a run");
    open_named(&registry, &rules).await;
    let actor = Actor {
        registry,
        rules,
        desktop: DesktopNotifier::new(&environment),
        slots: Arc::new(Semaphore::new(AT_ONCE)),
    };
    let mut ends = Ends::new(NOTE, &RunKind::ALL);
    let mut acting = JoinSet::new();
    loop {
        for source in actor.registry.open_sources() {
            if let Err(error) = actor.look(&source, &mut ends, &mut acting).await {
                let (remote, error) = (source.location(), docks_proto::error::error_chain(&error));
                tracing::warn!(remote, error, "could not look for runs that ended");
            }
        }
        while acting.try_join_next().is_some() {}
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Opens the remotes that rules name, so that they hold without anybody asking for these.
async fn open_named(registry: &Registry, rules: &[Rule]) {
    for profile in rules.iter().flat_map(|rule| &rule.profiles) {
        let opened = registry.source(Pick::Profile(profile.clone()), None).await;
        if let Err(error) = opened {
            let error = docks_proto::error::error_chain(&error);
            tracing::warn!(profile, error, "a rule of on_end names a profile in vain");
        }
    }
}

struct Actor {
    registry: Arc<Registry>,
    rules: Vec<Rule>,
    desktop: DesktopNotifier,
    slots: Arc<Semaphore>,
}

impl Actor {
    async fn look(
        &self,
        source: &Arc<Source>,
        ends: &mut Ends,
        acting: &mut JoinSet<()>,
    ) -> Result<(), MirrorError> {
        for event in ends.look(source, self.registry.clock().as_ref()).await? {
            let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
                // It stays open, and its turn comes at one of the next looks.
                return Ok(());
            };
            let report = self.report(source, &event).await?;
            ends.taken(source, event.seq).await?;
            if let Some(report) = report {
                self.act(report, slot, acting);
            }
        }
        Ok(())
    }

    /// Puts together what there is to say; `None` when it is for nobody.
    async fn report(
        &self,
        source: &Source,
        event: &StatusEvent,
    ) -> Result<Option<Report>, MirrorError> {
        let mirror = &source.mirror;
        let scan = mirror
            .history_page(event.seq - 1, 1, &EventQuery::default())
            .await?;
        let Some(told) = scan.events.into_iter().next() else {
            return Ok(None);
        };
        // A job that is known under both kinds ends once.
        let plain = event.subject == Subject::Run(RunKind::Run);
        if plain && mirror.run(RunKind::Evaluation, &event.run).await?.is_some() {
            return Ok(None);
        }
        let counts = mirror.progress(vec![event.run.clone()]).await?;
        let kind = Some(ObjectKind::from(event.subject));
        let position = Position {
            history: scan.bounds.history_id,
            seq: event.seq,
        };
        Ok(Some(Report {
            event: "ended",
            id: position.to_string(),
            remote: source.location(),
            profiles: self.registry.profiles_of(&source.target),
            from: event.from.clone(),
            at: event.at.rfc3339(),
            observed_at: event.observed.rfc3339(),
            run: told.object,
            progress: counts.into_iter().find(|counted| counted.kind == kind),
        }))
    }

    fn act(&self, report: Report, slot: OwnedSemaphorePermit, acting: &mut JoinSet<()>) {
        let fits = |rule: &&Rule| rule.fits(&report.profiles, &report.run);
        let rules: Vec<Rule> = self.rules.iter().filter(fits).cloned().collect();
        if rules.is_empty() {
            return;
        }
        let desktop = self.desktop;
        acting.spawn(async move {
            let _slot = slot;
            // Two rules that both notify are one notification.
            if rules.iter().any(|rule| rule.notify) {
                notify(desktop, &report).await;
            }
            let text = serde_json::to_string(&report).expect("it holds only texts and numbers");
            for rule in &rules {
                command::run(rule, &report.run.run_id, &text).await;
            }
        });
    }
}

async fn notify(desktop: DesktopNotifier, report: &Report) {
    let notice = RunEndNotice::new(&report.run, report.progress.as_ref());
    let shown = tokio::task::spawn_blocking(move || desktop.show(notice)).await;
    if let Ok(Err(error)) = shown {
        let (run, error) = (&report.run.run_id, error.to_string());
        tracing::warn!(run, error, "could not notify of the end of `{run}`");
    }
}
