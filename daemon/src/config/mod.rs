//! Flags, environment and file, as one [`Config`].
//!
//! The only place besides `main.rs` that reads the environment. Everything
//! else gets what it needs as values.

mod file;
mod hub;
mod hub_flags;
mod on_end;

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use docks_artifacts::source::StoreVariables;
use docks_proto::client::Limits;
use docks_proto::credentials::files;
use docks_proto::paths::{PathVariables, Paths, PathsError};
use docks_proto::settings::{Environment, SettingsError};
use docks_proto::time::parse_duration;

pub use file::{BadDaemonFile, DaemonFile};
pub use hub::{HubConfigError, HubOptions, HubSettings, TlsFiles};
pub use hub_flags::HubFlags;

use crate::cron::Calendar;
use crate::hooks::Rule;
use crate::hooks::artifact_prefetch;
use docksd_mirror::Retention;
use docksd_sync::Options;

/// Idle time after which the daemon ends by itself, unless it is told otherwise.
const IDLE_EXIT: Duration = Duration::from_secs(12 * 3_600);

/// How long the keyring may take before the next source of tokens is tried.
pub const KEYRING_TIMEOUT: Duration = Duration::from_secs(2);

/// Mirrors runs, evaluation runs and trials, and serves them on a Unix socket
///
/// Without options it stays in the foreground and logs to standard error. `docks` starts it with --report.
#[derive(Debug, Default, Parser)]
#[command(name = "docksd", version)]
pub struct Flags {
    /// Socket to listen on
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Directory of settings, mirrors and logs
    #[arg(long, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// End after this time without a request and with nothing active, or `never`
    #[arg(long, value_name = "DURATION", value_parser = parse_idle_exit)]
    pub idle_exit: Option<IdleExit>,
    /// What to log: error, warn, info, debug, trace, or a filter such as `docksd::sync=debug`
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Leave the terminal, log to a file, and tell on standard output whether the start went well
    #[arg(long)]
    pub report: bool,
    /// Only read the settings and say what is wrong with them
    #[arg(long, conflicts_with = "report")]
    pub check: bool,
    /// Stay in the foreground and log to standard error (the default without --report)
    #[arg(long, conflicts_with = "report")]
    pub foreground: bool,
    /// What to share with other machines.
    #[command(flatten)]
    pub hub: HubFlags,
}

/// When to end without being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdleExit {
    /// After this long.
    After(Duration),
    /// Not at all.
    Never,
}

impl IdleExit {
    /// Returns the time, if there is one.
    #[must_use]
    pub fn after(self) -> Option<Duration> {
        match self {
            IdleExit::After(time) => Some(time),
            IdleExit::Never => None,
        }
    }
}

/// Reads a duration or `never`.
///
/// # Errors
///
/// The reason, for people.
pub fn parse_idle_exit(text: &str) -> Result<IdleExit, String> {
    if text.eq_ignore_ascii_case("never") {
        return Ok(IdleExit::Never);
    }
    let time = parse_duration(text).map_err(|bad| format!("{bad}, or never"))?;
    if time < Duration::from_secs(1) {
        return Err("a daemon that ends at once is of no use; write 1s or more".to_owned());
    }
    Ok(IdleExit::After(time))
}

/// Everything the daemon was told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where everything lies.
    pub places: Paths,
    /// When to end without being asked.
    pub idle_exit: IdleExit,
    /// Filter of the log.
    pub log_level: String,
    /// Settings of the engines.
    pub sync: Options,
    /// What one answer of a remote may cost.
    pub limits: Limits,
    /// What upkeep keeps.
    pub retention: Retention,
    /// When sweep and upkeep are due; no setting, for nobody needs another.
    pub calendar: Calendar,
    /// What is shared over TCP, if anything is.
    pub hub: Option<HubSettings>,
    /// What is pulled when a run ends.
    pub pull: artifact_prefetch::Settings,
    /// What else is done then.
    pub on_end: Vec<Rule>,
    /// What decides whether the keyring, and who shows notifications, can be asked.
    pub keyring: Environment,
    /// What is odd about the settings without making them useless, for the log.
    pub warnings: Vec<String>,
}

/// Says why there is no usable configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No home can be told.
    #[error(transparent)]
    Place(#[from] PathsError),
    /// `daemon.toml` could not be read.
    #[error(transparent)]
    Read(#[from] SettingsError),
    /// `daemon.toml` holds something that cannot be.
    #[error(transparent)]
    File(#[from] BadDaemonFile),
    /// The hub cannot be as it is options.
    #[error(transparent)]
    Hub(#[from] HubConfigError),
    /// The filter of the log is none.
    #[error("`{given}` is no log level; write error, warn, info, debug or trace")]
    LogLevel {
        /// What was given.
        given: String,
    },
}

impl Config {
    /// Returns the defaults for these places.
    #[must_use]
    pub fn of(places: Paths) -> Self {
        Self {
            places,
            idle_exit: IdleExit::After(IDLE_EXIT),
            log_level: "info".to_owned(),
            sync: Options::default(),
            limits: Limits::default(),
            retention: Retention::default(),
            calendar: Calendar::default(),
            hub: None,
            pull: artifact_prefetch::Settings::default(),
            on_end: Vec::new(),
            keyring: Environment::default(),
            warnings: Vec::new(),
        }
    }

    /// Joins flags, this process's environment, and `daemon.toml`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming what cannot be used.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        let mut config = Self::decide(flags, &environment_places(), environment_keyring())?;
        config.pull.variables = StoreVariables::read(|name| env::var_os(name));
        Ok(config)
    }

    /// As [`Config::load`], with the environment as values.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn decide(
        flags: &Flags,
        environment: &PathVariables,
        keyring: Environment,
    ) -> Result<Self, ConfigError> {
        let mut input = environment.clone();
        input.docks_home = flags.home.clone().or(input.docks_home);
        input.docks_socket = flags.socket.clone().or(input.docks_socket);
        let places = Paths::resolve(&input)?;
        let path = places.daemon_file();
        let file = match files::read_text(&path)? {
            Some(text) => DaemonFile::parse(&path, &text)?,
            None => DaemonFile::default(),
        };
        let mut config = Self::of(places);
        config.keyring = keyring;
        let options = flags.hub.options().or(file.hub());
        file.apply(&mut config);
        if let Some(idle_exit) = flags.idle_exit {
            config.idle_exit = idle_exit;
        }
        if let Some(level) = &flags.log_level {
            config.log_level.clone_from(level);
        }
        config.hub = options.check(config.places.hub_token_file())?;
        if config.hub.is_some() {
            // Whoever mirrors it may come back after any time.
            config.idle_exit = IdleExit::Never;
        }
        if !crate::logging::is_filter(&config.log_level) {
            return Err(ConfigError::LogLevel {
                given: config.log_level,
            });
        }
        Ok(config)
    }
}

fn environment_places() -> PathVariables {
    let path = |name: &str| env::var_os(name).map(PathBuf::from);
    PathVariables {
        home: path("HOME"),
        docks_home: path("DOCKS_HOME"),
        docks_socket: path("DOCKS_SOCKET"),
        xdg_runtime_dir: path("XDG_RUNTIME_DIR"),
    }
}

/// Reads what decides about the keyring, and nothing that would pick a remote.
fn environment_keyring() -> Environment {
    Environment {
        use_keyring: env::var("DOCKS_USE_KEYRING").ok(),
        session_bus: env::var("DBUS_SESSION_BUS_ADDRESS").ok(),
        runtime_dir: env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from),
        ..Environment::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(flags: &Flags, home: &std::path::Path) -> Result<Config, ConfigError> {
        let input = PathVariables {
            docks_home: Some(home.to_owned()),
            ..PathVariables::default()
        };
        Config::decide(flags, &input, Environment::default())
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let home = tempfile::tempdir().unwrap();
        let plain = decide(&Flags::default(), home.path()).unwrap();
        assert_eq!(plain.idle_exit, IdleExit::After(IDLE_EXIT));
        let text = "idle_exit = \"never\"\nbudget_per_minute = 12\nlog_level = \"warn\"\nremote_timeout = \"8s\"\n";
        std::fs::write(home.path().join("daemon.toml"), text).unwrap();
        let from_file = decide(&Flags::default(), home.path()).unwrap();
        assert_eq!(from_file.idle_exit, IdleExit::Never);
        assert_eq!(from_file.sync.budget_per_minute, 12);
        assert_eq!(from_file.limits.total, Duration::from_secs(8));
        assert_eq!(from_file.limits.connect, Duration::from_secs(8));
        let flags = Flags::try_parse_from(["docksd", "--idle-exit", "5m", "--log-level", "debug"]);
        let flagged = decide(&flags.unwrap(), home.path()).unwrap();
        assert_eq!(flagged.idle_exit, IdleExit::After(Duration::from_secs(300)));
        assert_eq!(flagged.log_level, "debug");
    }

    #[test]
    fn places_follow_the_flags() {
        let flags =
            Flags::try_parse_from(["docksd", "--home", "/h", "--socket", "/s/d.sock"]).unwrap();
        let config = Config::decide(&flags, &PathVariables::default(), Environment::default());
        let places = config.unwrap().places;
        assert_eq!(places.home, std::path::Path::new("/h"));
        assert_eq!(places.socket, std::path::Path::new("/s/d.sock"));
    }

    #[test]
    fn what_cannot_be_is_named() {
        let home = tempfile::tempdir().unwrap();
        let flags = Flags {
            log_level: Some("loud".into()),
            ..Flags::default()
        };
        let error = decide(&flags, home.path()).unwrap_err().to_string();
        assert!(error.contains("`loud` is no log level"), "{error}");
        assert!(Flags::try_parse_from(["docksd", "--idle-exit", "soon"]).is_err());
        assert!(Flags::try_parse_from(["docksd", "--idle-exit", "0s"]).is_err());
        assert!(Flags::try_parse_from(["docksd", "--report", "--foreground"]).is_err());
    }
}
