//! The remotes that are mirrored, each opened when a request first names it.
//!
//! Two profiles with the same address and tenant share one mirror.

mod authenticated_remote;
mod connector;
mod error;
mod mirrored_remote;
pub mod profiles;
mod resolve;
mod selector;
pub mod tokens;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use docks_artifacts::source::{SourceSettings, Sources};
use docks_proto::client::Limits;
use docks_proto::paths::Paths;
use docks_proto::settings::{Environment, StoreKeys, Target};
use tokio::sync::{Notify, OnceCell};

pub use connector::{NetworkConnector, RemoteConnector};
pub use error::RegistryError;
pub use mirrored_remote::{MirroredRemote, database_path, identity};
pub use selector::RemoteSelector;

use self::profiles::{Profiles, ResolvedTarget, canonicalize};
use self::tokens::RemoteTokens;
use crate::config::Config;
use crate::list_response;
use docksd_events::EventFeed;
use docksd_mirror::Mirror;
use docksd_remote::docks_api::TokenSource;
use docksd_response_cache::ResponseCache;
use docksd_stores::{ObjectStores, StoreVariables};
use docksd_sync::{Clock, Options};

/// A remote that is open, or being opened.
type RemoteCell = Arc<OnceCell<Arc<MirroredRemote>>>;

/// All remotes.
pub struct Registry {
    profiles: Arc<Profiles>,
    keyring: Environment,
    options: Options,
    limits: Limits,
    connector: Box<dyn RemoteConnector>,
    clock: Arc<dyn Clock>,
    /// `None` once the registry is closed.
    remotes: Mutex<Option<HashMap<Target, RemoteCell>>>,
    /// Notified when a mirror turns out to be damaged.
    damage: Arc<Notify>,
    /// Where the damaged mirrors of open remotes were moved to.
    set_aside: Mutex<HashMap<Target, PathBuf>>,
}

impl Registry {
    /// Creates a registry without open remotes.
    #[must_use]
    pub fn new(
        config: &Config,
        connector: Box<dyn RemoteConnector>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            profiles: Arc::new(Profiles::new(config.paths.clone())),
            keyring: config.keyring.clone(),
            options: config.sync.clone(),
            limits: config.limits,
            connector,
            clock,
            remotes: Mutex::new(Some(HashMap::new())),
            damage: Arc::default(),
            set_aside: Mutex::default(),
        }
    }

    /// Returns the clock that all parts use.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Returns the paths of all files.
    #[must_use]
    pub fn paths(&self) -> &Paths {
        self.profiles.paths()
    }

    /// Builds the artifact sources of a remote, with the remote's own token.
    #[must_use]
    pub fn artifact_sources(&self, remote: &MirroredRemote, variables: &StoreVariables) -> Sources {
        let profile = self.profiles.profile_of(&remote.target);
        let keys = profile
            .as_ref()
            .map(|profile| &profile.artifact_settings.stores);
        let buckets = ObjectStores::from_machine(variables, keys.unwrap_or(&StoreKeys::default()));
        SourceSettings {
            target: &remote.target,
            token: remote.tokens.token(),
            insecure: profile.as_ref().is_some_and(|profile| profile.insecure),
            ca_file: profile.as_ref().and_then(|profile| profile.ca_file.clone()),
        }
        .into_sources(Box::new(buckets))
    }

    /// Returns the names of the profiles that use a remote.
    #[must_use]
    pub fn profile_names(&self, target: &Target) -> Vec<String> {
        self.profiles.names_of(target)
    }

    /// Returns the remote that a request names, and opens it if necessary.
    ///
    /// `tenant` is the one in the path, if there is one.
    ///
    /// # Errors
    ///
    /// [`RegistryError`].
    pub async fn open(
        &self,
        selector: RemoteSelector,
        tenant: Option<&str>,
    ) -> Result<Arc<MirroredRemote>, RegistryError> {
        let (resolved, token) =
            resolve::resolve(selector, tenant, &self.profiles, || self.open_targets())?;
        let remote = self.open_resolved(resolved).await?;
        if let Some(token) = token {
            remote.tokens.set_request_token(token);
        }
        remote.record_use(self.clock.monotonic());
        Ok(remote)
    }

    fn open_targets(&self) -> Vec<Target> {
        let open = self.open_remotes().into_iter();
        open.map(|remote| remote.target.clone()).collect()
    }

    async fn open_resolved(
        &self,
        resolved: ResolvedTarget,
    ) -> Result<Arc<MirroredRemote>, RegistryError> {
        let cell = {
            let mut remotes = self.remotes();
            let remotes = remotes.as_mut().ok_or(RegistryError::Closed)?;
            Arc::clone(remotes.entry(resolved.target.clone()).or_default())
        };
        if let Some(remote) = cell.get() {
            return Ok(Arc::clone(remote));
        }
        let opened = cell
            .get_or_try_init(|| self.start_mirroring(resolved))
            .await;
        opened.map(Arc::clone)
    }

    async fn start_mirroring(
        &self,
        resolved: ResolvedTarget,
    ) -> Result<Arc<MirroredRemote>, RegistryError> {
        let ResolvedTarget { target, insecure } = resolved;
        let database = database_path(&self.paths().cache_dir(), &target);
        let location = target.to_string();
        let tokens = Arc::new(RemoteTokens::new(
            target.clone(),
            Arc::clone(&self.profiles),
            self.keyring.clone(),
        ));
        // A mirror that exists can be read even if the remote is unreachable now.
        let is_mirrored = database.exists();
        let limits = Limits {
            insecure,
            ..self.limits
        };
        let remote = self
            .connector
            .connect(&target, limits, is_mirrored, &tokens);
        let remote = remote.map_err(|source| RegistryError::Remote {
            location: location.clone(),
            source,
        })?;
        let (path, identity) = (database.clone(), identity(&target));
        let now = self.clock.wall();
        let opening = tokio::task::spawn_blocking(move || Mirror::open(&path, &identity, now));
        let opened = opening.await.map_err(|_| RegistryError::Closed)?;
        let (mirror, mut open_report) = opened.map_err(|source| RegistryError::Mirror {
            location: location.clone(),
            source,
        })?;
        if let Some(path) = &open_report.set_aside {
            tracing::error!(
                remote = location,
                aside = %path.display(),
                "the mirror was damaged; it was set aside and the remote is mirrored again"
            );
        } else {
            open_report.set_aside = self.set_aside().get(&target).cloned();
        }
        self.watch_for_damage(&mirror);
        let kind = remote.properties().kind;
        let sync = docksd_sync::spawn(
            remote,
            mirror.clone(),
            Arc::clone(&self.clock),
            self.options.clone(),
        );
        let attention = Arc::new(mirrored_remote::SyncAttention(sync.clone()));
        let feed = EventFeed::new(mirror.clone(), attention);
        tracing::info!(remote = location, kind, "mirroring {location}");
        Ok(Arc::new(MirroredRemote {
            target,
            kind,
            mirror,
            sync,
            database,
            open_report,
            feed,
            lists: ResponseCache::new(list_response::LIMITS),
            tokens,
            use_recorded_s: AtomicU64::new(0),
        }))
    }

    /// Notifies [`Registry::replace_damaged_mirrors`] when the mirror reports damage.
    fn watch_for_damage(&self, mirror: &Mirror) {
        let (mut damaged, damage) = (mirror.damage(), Arc::clone(&self.damage));
        // The task ends with the mirror: waiting fails then.
        drop(tokio::spawn(async move {
            if damaged.wait_for(|damaged| *damaged).await.is_ok() {
                damage.notify_one();
            }
        }));
    }

    /// Sets aside mirrors that turn out to be damaged, and mirrors their remotes again; never
    /// returns.
    pub async fn replace_damaged_mirrors(&self) {
        loop {
            self.damage.notified().await;
            for remote in self.open_remotes() {
                if *remote.mirror.damage().borrow() {
                    self.set_mirror_aside(&remote).await;
                }
            }
            self.open_recent().await;
        }
    }

    /// Closes a remote and moves its mirror away; the next request opens a new one.
    async fn set_mirror_aside(&self, remote: &MirroredRemote) {
        remote.sync.clone().stop().await;
        remote.mirror.clone().close().await;
        let (path, now) = (remote.database.clone(), self.clock.wall());
        let moving = tokio::task::spawn_blocking(move || Mirror::set_aside(&path, now));
        let location = remote.location();
        match moving.await {
            Ok(Ok(path)) => {
                tracing::error!(remote = location, aside = %path.display(),
                    "the mirror is damaged; it was set aside and the remote is mirrored again");
                self.set_aside().insert(remote.target.clone(), path);
            }
            Ok(Err(error)) => {
                let error = docks_proto::error::error_chain(&error);
                tracing::error!(
                    remote = location,
                    error,
                    "could not set a damaged mirror aside"
                );
            }
            Err(_) => return,
        }
        if let Some(remotes) = self.remotes().as_mut() {
            remotes.remove(&remote.target);
        }
    }

    fn set_aside(&self) -> MutexGuard<'_, HashMap<Target, PathBuf>> {
        self.set_aside
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the remotes that are likely to be requested: the default profile's, and those that
    /// were used recently.
    pub async fn open_recent(&self) {
        let cache = self.paths().cache_dir();
        let mut recent: Vec<ResolvedTarget> = self.profiles.resolve(None).into_iter().collect();
        let profiles = self.profiles.resolve_all().into_iter();
        recent.extend(
            profiles
                .map(|(_, resolved)| resolved)
                .filter(|resolved| mirrored_remote::used_recently(&cache, &resolved.target)),
        );
        let jobs = mirrored_remote::recently_used_jobs(&cache).into_iter();
        recent.extend(jobs.map(|target| ResolvedTarget {
            target: canonicalize(target),
            insecure: false,
        }));
        for resolved in recent {
            let location = resolved.target.to_string();
            if let Err(error) = self.open_resolved(resolved).await {
                let error = docks_proto::error::error_chain(&error);
                tracing::warn!(remote = location, error, "could not open {location}");
            }
        }
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

    fn remotes(&self) -> MutexGuard<'_, Option<HashMap<Target, RemoteCell>>> {
        self.remotes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
