//! All settings of the daemon, and their defaults.

use std::path::PathBuf;
use std::time::Duration;

use docks_artifacts::ArtifactType;
use docks_proto::build::BuildId;
use docks_proto::client::Limits;
use docks_proto::paths::Paths;
use docks_proto::proxies::Proxies;
use docks_proto::settings::Environment;
use docks_statistics::failures::Rule;
use docksd_mirror::Retention;
use docksd_stores::StoreVariables;
use docksd_sync::Options;
use rustix::fs::RawMode;

use super::hub::HubSettings;
use super::idle_exit::IdleExit;
use super::job_schedule::JobSchedule;
use super::on_end::OnEndRule;
use super::on_limit::OnLimitRule;

/// Default of `idle_exit`.
const IDLE_EXIT: Duration = Duration::from_secs(12 * 3_600);

/// All settings of the daemon.
#[derive(Debug, Clone)]
pub struct Config {
    /// Paths of all files.
    pub paths: Paths,
    /// Directory for what cannot be kept in the home.
    pub temporary: PathBuf,
    /// When the daemon stops on its own.
    pub idle_exit: IdleExit,
    /// Filter of the log.
    pub log_level: String,
    /// Settings of the sync engines.
    pub sync: Options,
    /// Limits on the responses of a remote.
    pub limits: Limits,
    /// What upkeep keeps.
    pub retention: Retention,
    /// When sweep and upkeep are due.
    pub schedules: JobSchedules,
    /// The hub, if a jobs directory is shared over TCP.
    pub hub: Option<HubSettings>,
    /// Which artifacts are fetched when a run ends.
    pub prefetch: ArtifactPrefetch,
    /// What else is done when a run ends.
    pub on_end: Vec<OnEndRule>,
    /// What is done when a run exceeds a limit.
    pub on_limit: Vec<OnLimitRule>,
    /// Why trials fail, besides the rules of this release.
    pub failure_rules: Vec<Rule>,
    /// Variables that decide whether the keyring and desktop notifications are available.
    pub keyring: Environment,
    /// The proxies that requests to remotes go through.
    pub proxies: Proxies,
    /// The build that this process runs, if it is known.
    pub build: Option<BuildId>,
    /// The file mode creation mask of the user, for the programs of rules; `None` keeps docksd's own.
    pub umask: Option<RawMode>,
    /// Problems that do not prevent the start, for the log.
    pub warnings: Vec<String>,
}

/// When the scheduled jobs are due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSchedules {
    /// The full sweep.
    pub sweep: JobSchedule,
    /// The upkeep.
    pub upkeep: JobSchedule,
}

impl Default for JobSchedules {
    fn default() -> Self {
        Self {
            sweep: JobSchedule::Hourly,
            upkeep: JobSchedule::Nightly,
        }
    }
}

/// Which artifacts are fetched when a run ends.
#[derive(Debug, Clone, Default)]
pub struct ArtifactPrefetch {
    /// The types to fetch; if empty, nothing is fetched.
    pub kinds: Vec<ArtifactType>,
    /// Environment variables that the stores' own programs read.
    pub variables: StoreVariables,
}

impl Config {
    /// Returns the defaults for these paths.
    #[must_use]
    pub fn new(paths: Paths) -> Self {
        Self {
            paths,
            temporary: std::env::temp_dir(),
            idle_exit: IdleExit::After(IDLE_EXIT),
            log_level: "info".to_owned(),
            sync: Options::default(),
            limits: Limits::default(),
            retention: Retention::default(),
            schedules: JobSchedules::default(),
            hub: None,
            prefetch: ArtifactPrefetch::default(),
            on_end: Vec::new(),
            on_limit: Vec::new(),
            failure_rules: Vec::new(),
            keyring: Environment::default(),
            proxies: Proxies::default(),
            build: None,
            umask: None,
            warnings: Vec::new(),
        }
    }
}
