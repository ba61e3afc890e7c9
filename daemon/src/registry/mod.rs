//! The remotes that are mirrored, each opened when somebody first asks for it.
//!
//! Two profiles with the same address and tenant share one mirror.

mod connector;
mod mirrored_remote;
pub mod profiles;
pub mod tokens;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use docks_artifacts::source::{Reach, Sources, StoreVariables};
use docks_proto::client::Limits;
use docks_proto::paths::Paths;
use docks_proto::secret::Token;
use docks_proto::settings::{Environment, SettingsError, StoreKeys, Target, normalise_api_url};
use tokio::sync::{Notify, OnceCell};

pub use connector::{Connect, Network};
pub use mirrored_remote::{Source, database, identity};

use self::profiles::{Resolved, Settings, canonical};
use self::tokens::Tokens;
use crate::config::Config;
use crate::list_response;
use docksd_events::EventFeed;
use docksd_mirror::{Mirror, MirrorError};
use docksd_remote::RemoteError;
use docksd_remote::docks_api::TokenSource;
use docksd_response_cache::ResponseCache;
use docksd_sync::{Clock, Options};

/// Which remote a request means.
#[derive(Debug, Clone)]
pub enum Pick {
    /// The default profile's.
    Default,
    /// That of a profile.
    Profile(String),
    /// A Docks API that no profile holds.
    Api {
        /// Its address as the request wrote it.
        url: String,
        /// The token that the request brought.
        token: Option<Token>,
    },
    /// Harbor jobs directories.
    Jobs(Vec<PathBuf>),
}

/// Says why a remote cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum NoSource {
    /// The profile is none, or is incomplete.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The request itself is wrong.
    #[error("{0}")]
    Request(String),
    /// The tenant in the path is not the profile's.
    #[error("tenant `{asked}` is not that of the profile, which has `{has}`")]
    OtherTenant {
        /// In the path.
        asked: String,
        /// In the profile.
        has: String,
    },
    /// The mirror could not be opened.
    #[error("could not open the mirror of {location}")]
    Mirror {
        /// Of which remote.
        location: String,
        /// Cause.
        #[source]
        source: MirrorError,
    },
    /// The remote cannot be spoken to at all.
    #[error("could not set up {location}")]
    Remote {
        /// Which.
        location: String,
        /// Cause.
        #[source]
        source: RemoteError,
    },
    /// We are ending.
    #[error("docksd is ending")]
    Closed,
}

type Slot = Arc<OnceCell<Arc<Source>>>;

/// All remotes.
pub struct Registry {
    settings: Arc<Settings>,
    keyring: Environment,
    options: Options,
    limits: Limits,
    connect: Box<dyn Connect>,
    clock: Arc<dyn Clock>,
    /// `None` once it is closed.
    slots: Mutex<Option<HashMap<Target, Slot>>>,
    /// Woken when a mirror turns out to be damaged.
    damage: Arc<Notify>,
    /// Where damaged mirrors of remotes that are open lie now.
    asides: Mutex<HashMap<Target, PathBuf>>,
}

impl Registry {
    /// Starts without any.
    #[must_use]
    pub fn new(config: &Config, connect: Box<dyn Connect>, clock: Arc<dyn Clock>) -> Self {
        Self {
            settings: Arc::new(Settings::new(config.places.clone())),
            keyring: config.keyring.clone(),
            options: config.sync.clone(),
            limits: config.limits,
            connect,
            clock,
            slots: Mutex::new(Some(HashMap::new())),
            damage: Arc::default(),
            asides: Mutex::default(),
        }
    }

    /// Returns the clock that all parts go by.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Returns where everything lies.
    #[must_use]
    pub fn places(&self) -> &Paths {
        self.settings.places()
    }

    /// Puts the places together that a remote's artifacts may lie in, with its own token.
    #[must_use]
    pub fn reach(&self, source: &Source, variables: &StoreVariables) -> Sources {
        let profile = self.settings.profile_of(&source.target);
        let keys = profile
            .as_ref()
            .map(|profile| &profile.artifact_settings.stores);
        Reach {
            target: &source.target,
            token: source.tokens.token(),
            insecure: profile.as_ref().is_some_and(|profile| profile.insecure),
            ca_file: profile.as_ref().and_then(|profile| profile.ca_file.clone()),
            keys: keys.unwrap_or(&StoreKeys::default()),
            variables,
        }
        .sources()
    }

    /// Returns the profiles that use a remote.
    #[must_use]
    pub fn profiles_of(&self, target: &Target) -> Vec<String> {
        self.settings.profiles_of(target)
    }

    /// Returns the remote that a request means, opening it if need be.
    ///
    /// `tenant` is the one in the path, where there is one.
    ///
    /// # Errors
    ///
    /// [`NoSource`].
    pub async fn source(&self, pick: Pick, tenant: Option<&str>) -> Result<Arc<Source>, NoSource> {
        let (resolved, token) = self.resolve(pick, tenant)?;
        let source = self.open(resolved).await?;
        if let Some(token) = token {
            source.tokens.bring(token);
        }
        source.mark_used(self.clock.monotonic());
        Ok(source)
    }

    fn resolve(
        &self,
        pick: Pick,
        tenant: Option<&str>,
    ) -> Result<(Resolved, Option<Token>), NoSource> {
        let profile = match pick {
            Pick::Jobs(dirs) => {
                if let Some(dir) = dirs.iter().find(|dir| !dir.is_absolute()) {
                    let message = format!("the jobs directory must be absolute: {}", dir.display());
                    return Err(NoSource::Request(message));
                }
                let resolved = Resolved {
                    target: canonical(Target::harbor_jobs(dirs)),
                    insecure: false,
                };
                return Ok((resolved, None));
            }
            Pick::Api { url, token } => return Ok((self.api(&url, tenant)?, token)),
            Pick::Profile(name) => Some(name),
            Pick::Default => None,
        };
        let resolved = self.settings.resolve(profile.as_deref())?;
        match (&resolved.target, tenant) {
            (Target::DocksApi { tenant: has, .. }, Some(asked)) if has != asked => {
                Err(NoSource::OtherTenant {
                    asked: asked.to_owned(),
                    has: has.clone(),
                })
            }
            // A jobs directory has no tenant, so any will do.
            _ => Ok((resolved, None)),
        }
    }

    /// A request of ours has no tenant in its path; it means the one that is open.
    fn api(&self, url: &str, tenant: Option<&str>) -> Result<Resolved, NoSource> {
        let api_url = normalise_api_url(url, false)
            .map_err(|bad| NoSource::Request(format!("`{url}` cannot be used: {bad}")))?;
        let target = match tenant {
            Some(tenant) => Target::DocksApi {
                api_url,
                tenant: tenant.to_owned(),
            },
            None => self.only_open(&api_url)?,
        };
        Ok(Resolved {
            target,
            insecure: false,
        })
    }

    fn only_open(&self, url: &str) -> Result<Target, NoSource> {
        let sources = self.open_sources().into_iter();
        let mut targets = sources
            .map(|source| source.target.clone())
            .filter(|target| matches!(target, Target::DocksApi { api_url, .. } if api_url == url));
        match (targets.next(), targets.next()) {
            (Some(target), None) => Ok(target),
            _ => Err(NoSource::Request(format!(
                "it cannot be told which tenant of {url} is meant"
            ))),
        }
    }

    async fn open(&self, resolved: Resolved) -> Result<Arc<Source>, NoSource> {
        let slot = {
            let mut slots = self.slots();
            let slots = slots.as_mut().ok_or(NoSource::Closed)?;
            Arc::clone(slots.entry(resolved.target.clone()).or_default())
        };
        if let Some(source) = slot.get() {
            return Ok(Arc::clone(source));
        }
        let opened = slot.get_or_try_init(|| self.make(resolved)).await;
        opened.map(Arc::clone)
    }

    async fn make(&self, resolved: Resolved) -> Result<Arc<Source>, NoSource> {
        let Resolved { target, insecure } = resolved;
        let database = mirrored_remote::database(&self.settings.places().cache_dir(), &target);
        let location = target.to_string();
        let tokens = Arc::new(Tokens::new(
            target.clone(),
            Arc::clone(&self.settings),
            self.keyring.clone(),
        ));
        // What was mirrored once can be read though the remote is gone for now.
        let known = database.exists();
        let limits = Limits {
            insecure,
            ..self.limits
        };
        let remote = self.connect.connect(&target, limits, known, &tokens);
        let remote = remote.map_err(|source| NoSource::Remote {
            location: location.clone(),
            source,
        })?;
        let (path, identity) = (database.clone(), mirrored_remote::identity(&target));
        let now = self.clock.wall();
        let opening = tokio::task::spawn_blocking(move || Mirror::open(&path, &identity, now));
        let (mirror, mut opened) =
            opening
                .await
                .map_err(|_| NoSource::Closed)?
                .map_err(|source| NoSource::Mirror {
                    location: location.clone(),
                    source,
                })?;
        if let Some(aside) = &opened.set_aside {
            tracing::error!(
                remote = location,
                aside = %aside.display(),
                "the mirror was damaged; it is set aside and mirrored again"
            );
        }
        if opened.set_aside.is_none() {
            opened.set_aside = self.asides().get(&target).cloned();
        }
        let (mut damaged, damage) = (mirror.damage(), Arc::clone(&self.damage));
        // Ends with the mirror, whose end is an error here.
        drop(tokio::spawn(async move {
            if damaged.wait_for(|damaged| *damaged).await.is_ok() {
                damage.notify_one();
            }
        }));
        let kind = remote.properties().kind;
        let sync = docksd_sync::spawn(
            remote,
            mirror.clone(),
            Arc::clone(&self.clock),
            self.options.clone(),
        );
        let feed = EventFeed::new(
            mirror.clone(),
            Arc::new(mirrored_remote::Engine(sync.clone())),
        );
        tracing::info!(remote = location, kind, "mirroring {location}");
        Ok(Arc::new(Source {
            target,
            kind,
            mirror,
            sync,
            database,
            opened,
            feed,
            lists: ResponseCache::new(list_response::LIMITS),
            tokens,
            marked_s: AtomicU64::new(0),
        }))
    }

    /// Sets mirrors aside that turn out to be damaged, and mirrors again; never returns.
    pub async fn mend(&self) {
        loop {
            self.damage.notified().await;
            for source in self.open_sources() {
                if *source.mirror.damage().borrow() {
                    self.replace(&source).await;
                }
            }
            self.open_likely().await;
        }
    }

    async fn replace(&self, source: &Source) {
        source.sync.clone().stop().await;
        source.mirror.clone().close().await;
        let (path, now) = (source.database.clone(), self.clock.wall());
        let moving = tokio::task::spawn_blocking(move || Mirror::set_aside(&path, now));
        let remote = source.location();
        match moving.await {
            Ok(Ok(aside)) => {
                tracing::error!(remote, aside = %aside.display(),
                    "the mirror is damaged; it is set aside and mirrored again");
                self.asides().insert(source.target.clone(), aside);
            }
            Ok(Err(error)) => {
                let error = docks_proto::error::error_chain(&error);
                tracing::error!(remote, error, "could not set a damaged mirror aside");
            }
            Err(_) => return,
        }
        // The next one who asks opens it anew.
        if let Some(slots) = self.slots().as_mut() {
            slots.remove(&source.target);
        }
    }

    fn asides(&self) -> MutexGuard<'_, HashMap<Target, PathBuf>> {
        self.asides.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens what is likely to be asked for: the default profile's remote, and those used lately.
    pub async fn open_likely(&self) {
        let cache = self.settings.places().cache_dir();
        let mut likely: Vec<Resolved> = self.settings.resolve(None).into_iter().collect();
        let profiles = self
            .settings
            .all()
            .into_iter()
            .map(|(_, resolved)| resolved);
        likely.extend(profiles.filter(|r| mirrored_remote::used_lately(&cache, &r.target)));
        let jobs = mirrored_remote::jobs_used_lately(&cache).into_iter();
        likely.extend(jobs.map(|target| Resolved {
            target: canonical(target),
            insecure: false,
        }));
        for resolved in likely {
            let location = resolved.target.to_string();
            if let Err(error) = self.open(resolved).await {
                let error = docks_proto::error::error_chain(&error);
                tracing::warn!(remote = location, error, "could not open {location}");
            }
        }
    }

    /// Returns the remotes that are open.
    #[must_use]
    pub fn open_sources(&self) -> Vec<Arc<Source>> {
        let slots = self.slots();
        let open = slots.iter().flat_map(HashMap::values);
        let mut sources: Vec<_> = open.filter_map(|slot| slot.get().cloned()).collect();
        sources.sort_by_cached_key(|source| source.location());
        sources
    }

    /// Ends all engines, then closes all mirrors; nothing is opened any more.
    pub async fn close(&self) {
        let sources = self.open_sources();
        *self.slots() = None;
        for source in &sources {
            source.sync.clone().stop().await;
        }
        for source in &sources {
            source.mirror.clone().close().await;
        }
    }

    fn slots(&self) -> MutexGuard<'_, Option<HashMap<Target, Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
