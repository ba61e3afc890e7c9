//! Fetches the artifacts of a run into the cache when the run ends: `pull` in `daemon.toml`.
//!
//! [`RunEndCursor`] returns a run once its trials are confirmed after its end. The run is then kept in
//! the backlog of its remote until all its artifacts are cached or it is given up. `docks cache`
//! lists and removes what was fetched.

mod attempt;
mod backlog;
mod real_id;
mod slots;

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, Weak};

use docks_proto::routes::RunKind;
use docks_proto::status::PrefetchStatus;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use self::backlog::{AttemptResult, Backlog, PendingRun};
use self::real_id::real_id;
use self::slots::Slots;
use crate::config::ArtifactPrefetch;
use crate::registry::{MirroredRemote, OwnedRemote, Registry};
use crate::run_end_cursor::{POLL_INTERVAL, RunEndCursor};
use docksd_mirror::{Mirror, MirrorError};

/// Key of the note that stores the cursor's position.
const CURSOR_NOTE: &str = "pulled_to";

/// Key of the note that stores the backlog.
const BACKLOG_NOTE: &str = "pull_backlog";

/// Prefetches the artifacts of every run that ends; returns only if `settings` name no type.
///
/// All downloads run on the task of the caller, which can block without harm to others.
pub async fn run(registry: Arc<Registry>, settings: ArtifactPrefetch) {
    if settings.kinds.is_empty() {
        return;
    }
    let mut prefetcher = Prefetcher {
        registry,
        settings: Arc::new(settings),
        cursor: RunEndCursor::new(CURSOR_NOTE, &[RunKind::Evaluation]),
        backlogs: HashMap::new(),
        slots: Slots::default(),
        failing: HashSet::new(),
    };
    let mut running = FuturesUnordered::new();
    let mut finished = Vec::new();
    loop {
        let started = {
            let mut step = pin!(prefetcher.step(std::mem::take(&mut finished)));
            // Downloads continue while a mirror answers.
            loop {
                tokio::select! {
                    started = &mut step => break started,
                    Some(attempt) = running.next() => finished.push(attempt),
                }
            }
        };
        running.extend(started);
        tokio::select! {
            Some(attempt) = running.next() => finished.push(attempt),
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
    }
}

/// Describes what is still to be fetched from a remote; `None` if there is nothing to say.
///
/// # Errors
///
/// [`MirrorError`].
pub async fn status(mirror: &Mirror) -> Result<Option<PrefetchStatus>, MirrorError> {
    let note = mirror.read_note(BACKLOG_NOTE).await?;
    Ok(note.and_then(|text| Backlog::parse(&text).status()))
}

/// Decides what is fetched when.
struct Prefetcher {
    registry: Arc<Registry>,
    settings: Arc<ArtifactPrefetch>,
    cursor: RunEndCursor,
    backlogs: HashMap<OwnedRemote, RemoteBacklog>,
    slots: Slots,
    /// The remotes whose mirror failed the last time, each of which is logged once.
    failing: HashSet<OwnedRemote>,
}

/// The backlog of an open remote.
struct RemoteBacklog {
    /// Compared with the open remote: a mirror that was replaced has its own backlog.
    remote: Weak<MirroredRemote>,
    backlog: Backlog,
    /// Whether the note is not up to date.
    is_unsaved: bool,
}

/// An attempt that has ended.
struct FinishedAttempt {
    remote: Arc<MirroredRemote>,
    pending: PendingRun,
    result: AttemptResult,
}

impl Prefetcher {
    /// Records what was done, looks for runs that have ended, and returns the attempts to run next.
    async fn step(
        &mut self,
        finished: Vec<FinishedAttempt>,
    ) -> Vec<BoxFuture<'static, FinishedAttempt>> {
        for attempt in finished {
            self.record(attempt);
        }
        let remotes = self.registry.open_remotes();
        for remote in &remotes {
            let Err(error) = self.update_backlog(remote).await else {
                self.failing.remove(&remote.id);
                continue;
            };
            if self.failing.insert(remote.id.clone()) {
                let (remote, error) = (remote.location(), docks_proto::error::error_chain(&error));
                tracing::warn!(remote, error, "could not read which runs have ended");
            }
        }
        self.start_due(&remotes)
    }

    /// Moves runs that have ended to the backlog of their remote, and stores it.
    async fn update_backlog(&mut self, remote: &Arc<MirroredRemote>) -> Result<(), MirrorError> {
        let mirror = &remote.mirror;
        let known = self.backlogs.get(&remote.id);
        if known.is_none_or(|known| !known.remote.ptr_eq(&Arc::downgrade(remote))) {
            let note = mirror.read_note(BACKLOG_NOTE).await?;
            let loaded = RemoteBacklog {
                remote: Arc::downgrade(remote),
                backlog: note.map_or_else(Backlog::default, |text| Backlog::parse(&text)),
                is_unsaved: false,
            };
            self.backlogs.insert(remote.id.clone(), loaded);
        }
        let Some(kept) = self.backlogs.get_mut(&remote.id) else {
            return Ok(());
        };
        let clock = self.registry.clock();
        let events = self.cursor.poll(remote, clock.as_ref()).await?;
        let mut changed = kept.backlog.clone();
        for event in &events {
            changed.add(&event.run, event.observed, clock.wall());
        }
        let due = changed.due(clock.wall()).into_iter();
        let waiting: Vec<String> = due
            .filter(|pending| !self.slots.contains(&remote.id, &pending.run))
            .map(|pending| pending.run.clone())
            .collect();
        for provisional in waiting {
            if let Some(id) = real_id(mirror, &provisional).await? {
                changed.rename(&provisional, &id);
                kept.is_unsaved = true;
            }
        }
        if kept.is_unsaved || !events.is_empty() {
            mirror.write_note(BACKLOG_NOTE, &changed.text()).await?;
            kept.backlog = changed;
            kept.is_unsaved = false;
        }
        // Only now: a daemon that is killed in between reads the end again.
        for event in events {
            self.cursor.ack(remote, event.seq).await?;
        }
        Ok(())
    }

    fn record(&mut self, attempt: FinishedAttempt) {
        let FinishedAttempt {
            remote,
            pending,
            result,
        } = attempt;
        self.slots.release(&remote.id, &pending.run);
        let kept = self.backlogs.get_mut(&remote.id);
        let Some(kept) = kept.filter(|kept| kept.remote.ptr_eq(&Arc::downgrade(&remote))) else {
            return;
        };
        let now = self.registry.clock().wall();
        if let Some(reason) = kept.backlog.record(&pending, &result, now) {
            let run = pending.run;
            tracing::warn!(run, reason, "gave up pulling the artifacts of `{run}`");
        }
        kept.is_unsaved = true;
    }

    /// Starts attempts while there are slots: the remote with the fewest has the next one.
    fn start_due(
        &mut self,
        remotes: &[Arc<MirroredRemote>],
    ) -> Vec<BoxFuture<'static, FinishedAttempt>> {
        let clock = Arc::clone(self.registry.clock());
        let mut started = Vec::new();
        loop {
            let next_of = |remote: &Arc<MirroredRemote>| {
                let kept = self.backlogs.get(&remote.id)?;
                let due = kept.backlog.due(clock.wall()).into_iter();
                let mut waiting = due.filter(|run| !self.slots.contains(&remote.id, &run.run));
                Some((Arc::clone(remote), waiting.next()?.clone()))
            };
            let open = remotes.iter().filter(|remote| !remote.is_closed());
            let waiting = open.filter_map(next_of);
            let next =
                waiting.min_by_key(|(remote, run)| (self.slots.count_of(&remote.id), run.next_ms));
            let Some((remote, pending)) = next else {
                return started;
            };
            if !self.slots.is_free() {
                self.slots.make_room(clock.monotonic());
                return started;
            }
            started.push(self.start(remote, pending));
        }
    }

    fn start(
        &mut self,
        remote: Arc<MirroredRemote>,
        mut pending: PendingRun,
    ) -> BoxFuture<'static, FinishedAttempt> {
        let now = self.registry.clock().monotonic();
        let yields = pending.yields;
        let yield_now = self.slots.take(&remote.id, &pending.run, yields, now);
        let (registry, settings) = (Arc::clone(&self.registry), Arc::clone(&self.settings));
        Box::pin(async move {
            let result =
                attempt::fetch(&registry, &settings, &remote, &mut pending, &yield_now).await;
            FinishedAttempt {
                remote,
                pending,
                result,
            }
        })
    }
}
