//! The remotes that are mirrored, each opened when a request first names it.
//!
//! A mirror belongs to an address, a tenant and who asks: two profiles never share one, and a token
//! that is no profile's has its own.

mod artifacts;
mod blocking_calls;
mod connector;
mod error;
mod forget;
mod mirror_archive;
mod mirror_copy;
mod mirror_files;
mod mirrored_remote;
mod notices;
pub mod profiles;
mod resolve;
mod selector;
mod settled_notes;
mod shared_call;
mod token_owner;
pub mod tokens;
mod upkeep;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use docks_proto::action_notes::{ActionNotes, NotesVersion};
use docks_proto::client::Limits;
use docks_proto::mirrors;
use docks_proto::paths::Paths;
use tokio::sync::{Notify, OnceCell, RwLock, watch};

pub use connector::{NetworkConnector, RemoteConnector};
pub use docks_proto::mirrors::{OwnedRemote, Owner, TokenFingerprint, database_path, identity};
pub use error::RegistryError;
pub use mirror_archive::MirrorArchive;
pub use mirrored_remote::MirroredRemote;
pub use selector::{RemoteRequest, RemoteSelector};

use self::blocking_calls::BlockingCalls;
use self::mirror_copy::OpenMirror;
use self::mirrored_remote::MirrorFile;
use self::notices::Notices;
use self::profiles::Profiles;
use self::resolve::ResolvedRemote;
use self::shared_call::SharedCall;
use self::token_owner::TokenOwners;
use self::tokens::{Credentials, RequestToken};
use crate::config::Config;
use crate::list_response;
use docksd_desktop::system_keyring;
use docksd_events::EventFeed;
use docksd_mirror::{Identity, Mirror};
use docksd_remote::docks_api::TokenSource;
use docksd_response_cache::ResponseCache;
use docksd_sync::{Clock, Options};

/// How long the keyring may take before the next source of tokens is tried.
const KEYRING_TIMEOUT: Duration = Duration::from_secs(2);

/// A remote that is open, or being opened.
type RemoteCell = Arc<OnceCell<Arc<MirroredRemote>>>;

/// All remotes.
pub struct Registry {
    profiles: Arc<Profiles>,
    owners: Arc<TokenOwners>,
    options: Options,
    limits: Limits,
    connector: Arc<dyn RemoteConnector>,
    clock: Arc<dyn Clock>,
    blocking_calls: BlockingCalls,
    /// Looks at the files that a request depends on: settings, and notes of actions.
    look: Arc<SharedCall>,
    notes_version: Arc<Mutex<NotesVersion>>,
    /// Directory for mirrors whose own place cannot be written.
    temporary: PathBuf,
    /// `None` once the registry is closed.
    remotes: Mutex<Option<HashMap<OwnedRemote, RemoteCell>>>,
    /// Held for writing while the files of a mirror are deleted, so that none is opened meanwhile.
    opening: RwLock<()>,
    /// Notified when a mirror turns out to be damaged.
    damage: Arc<Notify>,
    /// Where the damaged mirrors of open remotes were moved to.
    set_aside: Mutex<HashMap<OwnedRemote, PathBuf>>,
}

impl Registry {
    /// Creates a registry without open remotes.
    #[must_use]
    pub fn new(
        config: &Config,
        connector: Box<dyn RemoteConnector>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let profiles = Arc::new(Profiles::new(config.paths.clone()));
        let notes_version = Arc::new(Mutex::new(NotesVersion::default()));
        let (notes, version) = (ActionNotes::new(&config.paths), Arc::clone(&notes_version));
        let settings = Arc::clone(&profiles);
        let look = SharedCall::new(move || {
            settings.refresh();
            *lock(&version) = notes.version();
        });
        let environment = config.keyring.clone();
        let keyring = move || system_keyring(&environment, KEYRING_TIMEOUT);
        let owners = TokenOwners::new(Arc::clone(&profiles), keyring);
        Self {
            profiles,
            owners: Arc::new(owners),
            options: config.sync.clone(),
            limits: config.limits,
            connector: connector.into(),
            clock,
            blocking_calls: BlockingCalls::default(),
            look,
            notes_version,
            temporary: config.temporary.clone(),
            remotes: Mutex::new(Some(HashMap::new())),
            opening: RwLock::default(),
            damage: Arc::default(),
            set_aside: Mutex::default(),
        }
    }

    /// Returns the clock that all parts use.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Runs a call that may block for long, such as one to a disk, after earlier calls with the same name.
    ///
    /// # Errors
    ///
    /// As [`Registry::open`], when it takes too long or during the shutdown.
    pub(crate) async fn run_blocking<T: Send + 'static>(
        &self,
        name: &str,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, RegistryError> {
        self.blocking_calls.run(name, call).await
    }

    /// Returns the paths of all files.
    #[must_use]
    pub fn paths(&self) -> &Paths {
        self.profiles.paths()
    }

    /// Returns the names of the profiles that use a mirror.
    #[must_use]
    pub fn profile_names(&self, remote: &MirroredRemote) -> Vec<String> {
        match &remote.id.owner {
            Owner::Profile(name) => vec![name.clone()],
            Owner::Token(_) => Vec::new(),
            Owner::User => self.profiles.names_of(&remote.id.target),
        }
    }

    /// Returns the remote that a request names, as who asks sees it, and opens it if necessary.
    ///
    /// # Errors
    ///
    /// [`RegistryError`].
    pub async fn open(&self, request: RemoteRequest) -> Result<Arc<MirroredRemote>, RegistryError> {
        self.refresh().await?;
        let resolved = match resolve::resolve_at_once(&request, &self.profiles) {
            Some(resolved) => resolved?,
            None => {
                let (profiles, owners) = (Arc::clone(&self.profiles), Arc::clone(&self.owners));
                let name = request.selector.to_string();
                let resolving = move || resolve::resolve(request, &profiles, &owners);
                self.blocking_calls.run(&name, resolving).await??
            }
        };
        let remote = self.open_resolved(resolved).await?;
        remote.record_use(self.clock.monotonic());
        Ok(remote)
    }

    /// Looks at the files that requests depend on, outside the runtime's threads.
    ///
    /// # Errors
    ///
    /// [`RegistryError::HomeNoAnswer`] when they are on a disk that hangs.
    pub async fn refresh(&self) -> Result<(), RegistryError> {
        self.look.run().await
    }

    /// Returns when the notes of actions had last changed at the last [`Registry::refresh`].
    #[must_use]
    pub fn notes_version(&self) -> NotesVersion {
        *lock(&self.notes_version)
    }

    async fn open_resolved(
        &self,
        resolved: ResolvedRemote,
    ) -> Result<Arc<MirroredRemote>, RegistryError> {
        let cell = {
            let mut remotes = self.remotes();
            let remotes = remotes.as_mut().ok_or(RegistryError::Closed)?;
            Arc::clone(remotes.entry(resolved.id.clone()).or_default())
        };
        if let Some(remote) = cell.get() {
            return Ok(Arc::clone(remote));
        }
        // Until the cell is filled: who deletes files must see which of them are open.
        let not_deleting = self.opening.read().await;
        let opened = cell
            .get_or_try_init(|| self.start_mirroring(resolved))
            .await;
        drop(not_deleting);
        opened.map(Arc::clone)
    }

    async fn start_mirroring(
        &self,
        resolved: ResolvedRemote,
    ) -> Result<Arc<MirroredRemote>, RegistryError> {
        let credentials = self.credentials(&resolved);
        let ResolvedRemote { id, insecure, .. } = resolved;
        let cache_dir = self.paths().cache_dir();
        let database = database_path(&cache_dir, &id);
        let location = id.target.to_string();
        if self.profiles.inherits(&id) {
            let id = id.clone();
            let moving = move || mirror_files::take_over_shared_mirror(&cache_dir, &id);
            self.blocking_calls.run(&location, moving).await?;
        }
        let limits = Limits {
            insecure,
            ..self.limits
        };
        let (connector, path) = (Arc::clone(&self.connector), database.clone());
        let (target, access) = (id.target.clone(), credentials.clone());
        let archive = Arc::new(MirrorArchive::default());
        let later = Arc::clone(&archive);
        let connecting = move || {
            // A mirror that exists can be read even if the remote is unreachable now.
            connector.connect(&target, limits, path.exists(), &access, later)
        };
        let remote = self.blocking_calls.run(&location, connecting).await?;
        let remote = remote.map_err(|source| RegistryError::Remote {
            location: location.clone(),
            source,
        })?;
        let (path, temporary) = (database, self.temporary.clone());
        let identity = identity_of(&id);
        let (now, owner_id) = (self.clock.wall(), id.clone());
        let opening = move || {
            mirror_files::keep_token_mirror(&path, &owner_id);
            let opened = mirror_copy::open(&path, identity, &temporary, now)?;
            let file = MirrorFile::of(&opened.database);
            Ok((opened, file))
        };
        let opened = self.blocking_calls.run(&location, opening).await;
        let opened = opened.map_err(|error| match error {
            RegistryError::NoAnswer(location) => RegistryError::MirrorNoAnswer(location),
            other => other,
        })?;
        let (opened, file) = opened.map_err(|source| RegistryError::Mirror {
            location: location.clone(),
            source,
        })?;
        let OpenMirror {
            mirror,
            report: mut open_report,
            database,
            copy,
        } = opened;
        if let Some(path) = &open_report.set_aside {
            tracing::error!(
                remote = location,
                aside = %path.display(),
                "the mirror was damaged; what is sound was kept, and the remote is mirrored again"
            );
        } else {
            open_report.set_aside = self.set_aside().get(&id).cloned();
        }
        self.watch_for_damage(&mirror);
        archive.set(mirror.clone());
        let kind = remote.properties().kind;
        let sync = docksd_sync::spawn(
            Arc::clone(&remote),
            mirror.clone(),
            Arc::clone(&self.clock),
            self.options.clone(),
        );
        let attention = Arc::new(mirrored_remote::SyncAttention(sync.clone()));
        let feed = EventFeed::new(mirror.clone(), attention);
        tracing::info!(remote = location, kind, "mirroring {location}");
        Ok(Arc::new(MirroredRemote {
            id,
            kind,
            mirror,
            sync,
            database,
            file,
            _copy: copy,
            open_report,
            notices: Notices::new(Arc::clone(&remote)),
            remote,
            feed,
            lists: ResponseCache::new(list_response::LIMITS),
            settled_notes: Mutex::default(),
            credentials,
            use_recorded_s: AtomicU64::new(0),
            last_used_s: AtomicU64::new(self.clock.monotonic().as_secs()),
            closed: watch::Sender::new(false),
        }))
    }

    /// Returns the token of who asks, and the certificates to trust.
    fn credentials(&self, resolved: &ResolvedRemote) -> Credentials {
        let target = &resolved.id.target;
        let token: Arc<dyn TokenSource> = match (&resolved.token, &resolved.id.owner) {
            (Some(token), _) => Arc::new(RequestToken(token.clone())),
            (None, Owner::Profile(name)) => self.owners.profile_token(name, target),
            (None, Owner::Token(_) | Owner::User) => Arc::new(|| None),
        };
        let (profiles, id) = (Arc::clone(&self.profiles), resolved.id.clone());
        Credentials {
            token,
            trust: Arc::new(move || match &id.owner {
                // As when `docks` asks the remote directly: another profile's certificates are not
                // this one's.
                Owner::Profile(name) => profiles
                    .profile(name)
                    .map(|profile| profile.trust)
                    .unwrap_or_default(),
                Owner::Token(_) | Owner::User => profiles.trust_of(&id.target),
            }),
        }
    }

    /// Notifies [`Registry::replace_damaged_mirrors`] when the mirror reports damage.
    fn watch_for_damage(&self, mirror: &Mirror) {
        let (mut damaged, damage) = (mirror.damage(), Arc::clone(&self.damage));
        // The task ends with the mirror: waiting fails then.
        drop(tokio::spawn(async move {
            while damaged.wait_for(|damaged| *damaged).await.is_ok() {
                damage.notify_one();
                // It may be a false alarm.
                if damaged.wait_for(|damaged| !damaged).await.is_err() {
                    break;
                }
            }
        }));
    }

    /// Lets the next request open a remote again that was closed.
    fn remove(&self, id: &OwnedRemote) {
        if let Some(remotes) = self.remotes().as_mut() {
            remotes.remove(id);
        }
    }

    fn set_aside(&self) -> MutexGuard<'_, HashMap<OwnedRemote, PathBuf>> {
        self.set_aside
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the remotes that are open, by location.
    #[must_use]
    pub fn open_remotes(&self) -> Vec<Arc<MirroredRemote>> {
        let remotes = self.remotes();
        let cells = remotes.iter().flat_map(HashMap::values);
        let mut open: Vec<_> = cells.filter_map(|cell| cell.get().cloned()).collect();
        open.sort_by_cached_key(|remote| remote.location());
        open
    }

    /// Stops all sync engines, then closes all mirrors; no remote can be opened after that.
    pub async fn close(&self) {
        let open = self.open_remotes();
        *self.remotes() = None;
        for remote in &open {
            remote.sync.clone().stop().await;
        }
        for remote in &open {
            remote.mirror.clone().close().await;
        }
    }

    fn remotes(&self) -> MutexGuard<'_, Option<HashMap<OwnedRemote, RemoteCell>>> {
        self.remotes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Locks a value that is only ever replaced as a whole.
fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns what the mirror of a remote is called inside its file.
fn identity_of(id: &OwnedRemote) -> Identity {
    Identity {
        current: identity(id),
        former: mirrors::shared_identity(&id.target),
    }
}
