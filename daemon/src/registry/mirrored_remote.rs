//! One mirrored remote: its mirror file, its sync engine and its response cache.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use docks_proto::event::ConnectionState;
use docks_proto::file_list::FileList;
use docks_proto::mirrors::{OwnedRemote, Owner, write_use_marker};
use docks_proto::settings::Target;

use super::mirror_copy::MirrorCopy;
use super::notices::Notices;
use super::settled_notes::SettledNotes;
use super::tokens::Credentials;
use crate::list_response::ListResponse;
use docksd_events::{EngineHandle, EventFeed};
use docksd_mirror::{Mirror, OpenReport, Resource};
use docksd_remote::{Remote, RemoteError};
use docksd_response_cache::ResponseCache;
use docksd_sync::SyncHandle;
use tokio::sync::watch;

/// Time between two updates of the use marker.
const RECORD_USE_EVERY: Duration = Duration::from_secs(3_600);

/// The mirror of a token that is no profile's is closed after this time without a request: nobody may
/// ever use the token again, and each open mirror costs the remote requests.
const CLOSE_TOKEN_AFTER: Duration = Duration::from_secs(3_600);

/// One mirrored remote.
pub struct MirroredRemote {
    /// The remote, and who asks it.
    pub id: OwnedRemote,
    /// `docks_api`, `harbor_jobs` or `harbor_server`.
    pub kind: &'static str,
    /// Its mirror.
    pub mirror: Mirror,
    /// Its sync engine.
    pub sync: SyncHandle,
    /// The file of the mirror.
    pub database: PathBuf,
    /// Which file that was when it was opened.
    pub(super) file: Option<MirrorFile>,
    pub(super) _copy: Option<MirrorCopy>,
    /// What opening the file found.
    pub open_report: OpenReport,
    /// The remote itself, for what is not mirrored.
    pub(super) remote: Arc<dyn Remote>,
    /// What users should know about what it shows.
    pub(crate) notices: Notices,
    /// The event stream of its watchers.
    pub feed: Arc<EventFeed>,
    /// Responses to recent list requests.
    pub lists: ResponseCache<ListResponse>,
    /// Which of this machine's actions the mirror has caught up with.
    pub(super) settled_notes: Mutex<SettledNotes>,
    pub(super) credentials: Credentials,
    pub(super) use_recorded_s: AtomicU64,
    /// Monotonic time of the last request.
    pub(super) last_used_s: AtomicU64,
    /// Whether the mirror is closed.
    pub(super) closed: watch::Sender<bool>,
}

/// Identifies a file, so that another one under the same name is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MirrorFile {
    device: u64,
    inode: u64,
}

impl MirrorFile {
    /// Returns the file at a path; `None` when there is none. Blocks.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
        })
    }
}

/// Passes the attention of watchers on to the sync engine.
pub(super) struct SyncAttention(pub(super) SyncHandle);

impl EngineHandle for SyncAttention {
    fn mark_active(&self, what: &Resource) {
        self.0.mark_watched(what);
    }

    fn connection_state(&self) -> ConnectionState {
        self.0.connection_state()
    }
}

impl MirroredRemote {
    /// Names the remote for people: origin and tenant, or the directory.
    #[must_use]
    pub fn location(&self) -> String {
        self.id.target.to_string()
    }

    /// Whether a client can get an answer from the remote itself, as from a Docks API and not from a jobs
    /// directory or a `harbor serve`.
    pub(crate) fn can_be_asked_directly(&self) -> bool {
        matches!(self.id.target, Target::DocksApi { .. })
    }

    /// Asks the remote for the files of a trial, or of a run; `None` if it has no more than the objects name.
    ///
    /// # Errors
    ///
    /// When the remote gives no answer.
    pub(crate) async fn files(
        &self,
        run: &str,
        trial: Option<&str>,
    ) -> Result<Option<FileList>, RemoteError> {
        self.remote.files(run, trial).await
    }

    /// Returns which of this machine's actions the mirror has caught up with.
    pub(crate) fn settled_notes(&self) -> MutexGuard<'_, SettledNotes> {
        self.settled_notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops syncing, then closes the mirror.
    pub(super) async fn close(&self) {
        self.closed.send_replace(true);
        self.sync.clone().stop().await;
        self.mirror.clone().close().await;
    }

    /// Whether the mirror is being closed.
    pub(crate) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Waits until the mirror is being closed.
    pub async fn closed(&self) {
        let mut closed = self.closed.subscribe();
        // The sender lives as long as `self`.
        drop(closed.wait_for(|closed| *closed).await);
    }

    /// Returns how long ago the last request was.
    #[must_use]
    pub fn unused_for(&self, now: Duration) -> Duration {
        now.saturating_sub(Duration::from_secs(
            self.last_used_s.load(Ordering::Relaxed),
        ))
    }

    /// Whether the mirror should be closed: it is a token's, and nobody uses it.
    pub(super) fn is_abandoned(&self, now: Duration) -> bool {
        matches!(self.id.owner, Owner::Token(_))
            && self.feed.subscribers() == 0
            && self.unused_for(now) >= CLOSE_TOKEN_AFTER
    }

    /// Records that the remote is in use; on disk at most once an hour.
    pub(super) fn record_use(&self, now: Duration) {
        self.last_used_s.store(now.as_secs(), Ordering::Relaxed);
        // The files of a closed mirror may have been deleted.
        if *self.closed.borrow() {
            return;
        }
        let last = self.use_recorded_s.load(Ordering::Relaxed);
        let now_s = now.as_secs().max(1);
        let due = last == 0 || now_s.saturating_sub(last) >= RECORD_USE_EVERY.as_secs();
        let is_first = || {
            self.use_recorded_s
                .compare_exchange(last, now_s, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        };
        if due && is_first() {
            let (database, id) = (self.database.clone(), self.id.clone());
            // Nobody waits for it.
            drop(tokio::task::spawn_blocking(move || {
                if let Err(error) = write_use_marker(&database, &id) {
                    tracing::debug!(%error, "could not record the use of a mirror");
                }
            }));
        }
    }
}
