//! Joins flags, environment and `daemon.toml` into one [`Config`].

use std::env;
use std::path::PathBuf;

use docks_proto::build::BUILD_VARIABLE;
use docks_proto::credentials::files;
use docks_proto::credentials::foreign_files::ForeignFile;
use docks_proto::credentials::trust::{ForeignHome, drop_foreign_runtime_dir};
use docks_proto::paths::{PathVariables, Paths, PathsError};
use docks_proto::proxies::Proxies;
use docks_proto::settings::{Environment, SettingsError};
use docksd_stores::StoreVariables;

use super::file::{DaemonFile, DaemonFileError};
use super::flags::Flags;
use super::hub::{HubConfigError, TokenFiles};
use super::idle_exit::IdleExit;
use super::log_filter;
use super::settings::Config;

/// Why the configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The home directory can't be determined.
    #[error(transparent)]
    Paths(#[from] PathsError),
    /// The home directory is another user's.
    #[error(transparent)]
    ForeignHome(#[from] ForeignHome),
    /// `daemon.toml` could not be read.
    #[error(transparent)]
    Read(#[from] SettingsError),
    /// `daemon.toml` has an invalid value.
    #[error(transparent)]
    File(#[from] DaemonFileError),
    /// The settings of the hub can't be used.
    #[error(transparent)]
    Hub(#[from] HubConfigError),
    /// The filter of the log is invalid.
    #[error("`{given}` is not a log level; write error, warn, info, debug or trace")]
    LogLevel {
        /// The given filter.
        given: String,
    },
}

impl Config {
    /// Joins flags, this process's environment, and `daemon.toml`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming what can't be used.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        let mut variables = path_variables();
        let foreign_runtime_dir = drop_foreign_runtime_dir(&mut variables);
        let mut config = Self::resolve(flags, &variables, desktop_variables())?;
        config.warnings.extend(foreign_runtime_dir);
        config.prefetch.variables = StoreVariables::read(|name| env::var_os(name));
        config.proxies = Proxies::read(|name| env::var_os(name));
        config.build = env::var(BUILD_VARIABLE).ok().and_then(|id| id.parse().ok());
        Ok(config)
    }

    /// Like [`Config::load`], with the environment as values.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn resolve(
        flags: &Flags,
        variables: &PathVariables,
        keyring: Environment,
    ) -> Result<Self, ConfigError> {
        let paths = resolve_paths(flags, variables)?;
        ForeignHome::check(&paths.home, variables)?;
        let path = paths.daemon_file();
        let file = match files::read_text(&path)? {
            Some(text) => DaemonFile::parse(&path, &text)?,
            None => DaemonFile::default(),
        };
        let mut config = Self::new(paths);
        config.keyring = keyring;
        let hub = flags.hub.options().or(file.hub_options());
        file.apply(&mut config);
        if let Some(idle_exit) = flags.idle_exit {
            config.idle_exit = idle_exit;
        }
        if let Some(level) = &flags.log_level {
            config.log_level.clone_from(level);
        }
        config.hub = hub.check(TokenFiles::in_home(&config.paths))?;
        if config.hub.is_some() {
            // Machines that mirror the hub may connect again at any time.
            config.idle_exit = IdleExit::Never;
        }
        if !log_filter::is_valid(&config.log_level) {
            return Err(ConfigError::LogLevel {
                given: config.log_level,
            });
        }
        Ok(config)
    }
}

fn resolve_paths(flags: &Flags, variables: &PathVariables) -> Result<Paths, PathsError> {
    let mut variables = variables.clone();
    variables.docks_home = flags.home.clone().or(variables.docks_home);
    variables.docks_socket = flags.socket.clone().or(variables.docks_socket);
    Paths::resolve(&variables)
}

/// Finds a file of docks that belongs to another user, to explain why docksd could not start.
#[must_use]
pub fn find_foreign_file(flags: &Flags) -> Option<ForeignFile> {
    let mut variables = path_variables();
    drop_foreign_runtime_dir(&mut variables);
    let paths = resolve_paths(flags, &variables).ok()?;
    ForeignFile::find(&paths)
}

fn path_variables() -> PathVariables {
    let path = |name: &str| env::var_os(name).map(PathBuf::from);
    PathVariables {
        home: path("HOME"),
        docks_home: path("DOCKS_HOME"),
        docks_socket: path("DOCKS_SOCKET"),
        xdg_runtime_dir: path("XDG_RUNTIME_DIR"),
        through_sudo: env::var_os("SUDO_UID").is_some_and(|user| !user.is_empty() && user != "0"),
    }
}

/// Reads the variables that affect the keyring and notifications, and none that would select a remote.
#[must_use]
pub fn desktop_variables() -> Environment {
    let mut variables = path_variables();
    drop_foreign_runtime_dir(&mut variables);
    Environment {
        use_keyring: env::var("DOCKS_USE_KEYRING").ok(),
        session_bus: env::var("DBUS_SESSION_BUS_ADDRESS").ok(),
        runtime_dir: variables.xdg_runtime_dir,
        ..Environment::default()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use clap::Parser;

    use super::super::job_schedule::JobSchedule;
    use super::*;

    fn resolve(flags: &Flags, home: &Path) -> Result<Config, ConfigError> {
        let variables = PathVariables {
            docks_home: Some(home.to_owned()),
            ..PathVariables::default()
        };
        Config::resolve(flags, &variables, Environment::default())
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let home = tempfile::tempdir().unwrap();
        let plain = resolve(&Flags::default(), home.path()).unwrap();
        let twelve_hours = Duration::from_secs(12 * 3_600);
        assert_eq!(plain.idle_exit, IdleExit::After(twelve_hours));
        let text = "idle_exit = \"never\"\nbudget_per_minute = 12\nlog_level = \"warn\"\n\
                    remote_timeout = \"8s\"\nsweep = \"*/5 * * * *\"\n";
        std::fs::write(home.path().join("daemon.toml"), text).unwrap();
        let from_file = resolve(&Flags::default(), home.path()).unwrap();
        assert_eq!(from_file.idle_exit, IdleExit::Never);
        assert_eq!(from_file.sync.budget_per_minute, 12);
        assert_eq!(from_file.limits.total, Duration::from_secs(8));
        assert_eq!(from_file.limits.connect, Duration::from_secs(8));
        let sweep = JobSchedule::Cron("0 */5 * * * *".to_owned());
        assert_eq!(from_file.schedules.sweep, sweep);
        assert_eq!(from_file.schedules.upkeep, JobSchedule::Nightly);
        let flags = Flags::try_parse_from(["docksd", "--idle-exit", "5m", "--log-level", "debug"]);
        let flagged = resolve(&flags.unwrap(), home.path()).unwrap();
        assert_eq!(flagged.idle_exit, IdleExit::After(Duration::from_secs(300)));
        assert_eq!(flagged.log_level, "debug");
    }

    #[test]
    fn paths_follow_the_flags() {
        let flags =
            Flags::try_parse_from(["docksd", "--home", "/h", "--socket", "/s/d.sock"]).unwrap();
        let config = Config::resolve(&flags, &PathVariables::default(), Environment::default());
        let paths = config.unwrap().paths;
        assert_eq!(paths.home, Path::new("/h"));
        assert_eq!(paths.socket, Path::new("/s/d.sock"));
    }

    #[test]
    fn an_invalid_value_is_named() {
        let home = tempfile::tempdir().unwrap();
        let flags = Flags {
            log_level: Some("loud".into()),
            ..Flags::default()
        };
        let error = resolve(&flags, home.path()).unwrap_err().to_string();
        assert!(error.contains("`loud` is not a log level"), "{error}");
        assert!(Flags::try_parse_from(["docksd", "--idle-exit", "soon"]).is_err());
        assert!(Flags::try_parse_from(["docksd", "--idle-exit", "0s"]).is_err());
        assert!(Flags::try_parse_from(["docksd", "--report", "--foreground"]).is_err());
    }
}
