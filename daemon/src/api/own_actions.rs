//! Actions that this machine has sent and the mirror may not know of: its runs are confirmed again
//! before anything about them counts as confirmed.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use docks_proto::action_notes::{ActionNote, ActionNotes, NotesVersion, OpenNote};
use docks_proto::freshness::CachePolicy;
use docks_proto::paths::Paths;
use docks_proto::routes::{Action, RunKind};
use docks_proto::time::UnixMs;
use docksd_mirror::{Mirror, MirrorError, Resolution, StoredObject};
use docksd_remote::{ActionTarget, FaultClass};
use docksd_sync::{Acted, FetchKey, SyncError};
use tokio::time::timeout;

use super::error::ApiError;
use crate::registry::MirroredRemote;

/// How long a read waits for the remote to confirm a run; then the answer says that it did not.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long an action may take. Giving up earlier would leave its outcome unknown.
const ACTION_TIMEOUT: Duration = Duration::from_secs(40);

/// The times of directories are as coarse as this: a change may follow another one unseen.
const CLOCK_STEP: Duration = Duration::from_millis(50);

/// The notes of this machine's actions.
pub struct OwnActions {
    notes: Arc<ActionNotes>,
    listed: Mutex<Listed>,
}

/// The notes as they were read last.
#[derive(Default)]
struct Listed {
    /// `None` when the directories may have changed since.
    version: Option<NotesVersion>,
    notes: Vec<(PathBuf, ActionNote)>,
}

impl OwnActions {
    /// Reads the notes beside the socket.
    #[must_use]
    pub fn new(paths: &Paths) -> Self {
        Self {
            notes: Arc::new(ActionNotes::new(paths)),
            listed: Mutex::default(),
        }
    }

    /// Carries out an action on a run, given by its full id, with a note of it for as long as the mirror does not know
    /// what it did.
    ///
    /// # Errors
    ///
    /// When the remote refuses, does not answer, or does so too late. Unless it [refused](is_refusal), it is unknown whether
    /// the action was carried out.
    pub(crate) async fn carry_out(
        &self,
        remote: &MirroredRemote,
        action: Action,
        target: &ActionTarget,
        run: &str,
        now: impl Fn() -> UnixMs,
    ) -> Result<Acted, ApiError> {
        let note = self.begin(remote, action.kind(), run, now()).await;
        let acting = async {
            match target {
                ActionTarget::Run => remote.sync.act(action, run).await,
                ActionTarget::Process(options) => {
                    remote.sync.stop_process(action, run, *options).await
                }
                ActionTarget::Trial(trial) => remote.sync.retry_trial(run, trial).await,
            }
        };
        let acted = match timeout(ACTION_TIMEOUT, acting).await {
            Ok(acted) => acted.map_err(ApiError::Sync),
            Err(_) => Err(ApiError::TooSlow(ACTION_TIMEOUT)),
        };
        if let Some(note) = note {
            let is_known = match &acted {
                Ok(acted) => acted.is_mirrored,
                Err(error) => is_refusal(error),
            };
            self.finish(note, is_known, now()).await;
        }
        acted
    }

    /// Leaves a note of an action that is about to be sent.
    async fn begin(
        &self,
        remote: &MirroredRemote,
        kind: RunKind,
        run: &str,
        now: UnixMs,
    ) -> Option<OpenNote> {
        let (notes, target, run) = (Arc::clone(&self.notes), remote.location(), run.to_owned());
        let beginning = move || notes.begin(target, kind, &run, now);
        let begun = tokio::task::spawn_blocking(beginning).await.ok()?;
        begun
            .inspect_err(|error| tracing::warn!(%error, "could not leave a note of an action"))
            .ok()
    }

    /// Ends a note: takes it away where the mirror knows what the action did.
    async fn finish(&self, note: OpenNote, is_known: bool, now: UnixMs) {
        let finishing = move || {
            if is_known {
                note.remove();
                return Ok(());
            }
            note.end(None, now)
        };
        if let Ok(Err(error)) = tokio::task::spawn_blocking(finishing).await {
            tracing::warn!(%error, "could not note the end of an action");
        }
    }

    /// Makes the remote confirm the runs that this machine has acted on, as far as the mirror has not
    /// caught up with them.
    ///
    /// # Errors
    ///
    /// When the mirror cannot store what the remote says, so that only the remote has the answer.
    pub(super) async fn settle(
        &self,
        remote: &MirroredRemote,
        version: NotesVersion,
        policy: CachePolicy,
        now: UnixMs,
    ) -> Result<(), ApiError> {
        let open = self.open_notes(remote, version, now).await;
        if open.is_empty() {
            remote.settled_notes().unconfirmed = None;
            return Ok(());
        }
        let mut unconfirmed = None;
        for (path, note) in open {
            if !has_settled(remote, &note, policy, now).await? {
                unconfirmed = Some(format!(
                    "this machine acted on {} at {}, and the remote has not confirmed it since",
                    note.run,
                    note.at.rfc3339()
                ));
            } else if note.ended {
                remote.settled_notes().settled.insert((path, note.at));
            }
        }
        remote.settled_notes().unconfirmed = unconfirmed;
        Ok(())
    }

    /// Lists the notes about a remote that its mirror has not caught up with. `version` is that of the
    /// notes when the request arrived, or a later one.
    async fn open_notes(
        &self,
        remote: &MirroredRemote,
        version: NotesVersion,
        now: UnixMs,
    ) -> Vec<(PathBuf, ActionNote)> {
        if version == NotesVersion::default() {
            return Vec::new();
        }
        if self.listed().version != Some(version) {
            let notes = Arc::clone(&self.notes);
            let reading = tokio::task::spawn_blocking(move || notes.read(now));
            let notes = reading.await.unwrap_or_default();
            let is_past = |time: SystemTime| {
                let elapsed = time.elapsed();
                elapsed.is_ok_and(|elapsed| elapsed > CLOCK_STEP)
            };
            let is_unchanged = version.into_iter().flatten().all(is_past);
            *self.listed() = Listed {
                version: is_unchanged.then_some(version),
                notes,
            };
        }
        let listed = self.listed();
        let mut state = remote.settled_notes();
        // What is known of notes that are gone need not be kept.
        let is_listed = |path: &PathBuf| listed.notes.iter().any(|(known, _)| known == path);
        state.settled.retain(|(path, _)| is_listed(path));
        if listed.notes.is_empty() {
            return Vec::new();
        }
        let location = remote.location();
        let of_remote = listed.notes.iter().filter(|(path, note)| {
            note.target == location && !state.settled.contains(&(path.clone(), note.at))
        });
        of_remote.cloned().collect()
    }

    fn listed(&self) -> MutexGuard<'_, Listed> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the remote has refused an action, so that nothing was done.
pub(crate) fn is_refusal(error: &ApiError) -> bool {
    let ApiError::Sync(error) = error else {
        return false;
    };
    matches!(
        error.class(),
        Some(
            FaultClass::NotFound
                | FaultClass::Auth
                | FaultClass::Rejected
                | FaultClass::Unsupported
        )
    )
}

/// Whether the mirror's copy of the run that was acted on is younger than the action.
async fn has_settled(
    remote: &MirroredRemote,
    note: &ActionNote,
    policy: CachePolicy,
    now: UnixMs,
) -> Result<bool, ApiError> {
    let Some(kind) = note.kind() else {
        return Ok(true);
    };
    let from = note.confirmed_from(now);
    // What is not mirrored is not shown.
    let Some(run) = mirrored(&remote.mirror, kind, &note.run).await? else {
        return Ok(true);
    };
    if run.confirmed_at >= from {
        return Ok(true);
    }
    if policy == CachePolicy::OnlyIfCached {
        return Ok(false);
    }
    let fetching = remote.sync.refresh(FetchKey::Run(kind, run.id), from);
    match timeout(PATIENCE, fetching).await {
        Ok(Ok(_)) => Ok(true),
        // Nobody else can say anything about a jobs directory.
        Ok(Err(error @ SyncError::Mirror(_))) if remote.can_be_asked_directly() => {
            Err(ApiError::Sync(error))
        }
        Ok(Err(error)) => Ok(error.class() == Some(FaultClass::NotFound)),
        Err(_) => Ok(false),
    }
}

async fn mirrored(
    mirror: &Mirror,
    kind: RunKind,
    run: &str,
) -> Result<Option<StoredObject>, MirrorError> {
    match mirror.resolve_run(kind, run).await? {
        Resolution::Unique(id) => mirror.run(kind, &id).await,
        // Nobody acts on a name that several runs share.
        Resolution::Ambiguous(_) | Resolution::NotFound => Ok(None),
    }
}
