//! The environment of this process as values; only this file and `main` read it.

use std::ffi::OsString;
use std::path::PathBuf;

use docks_proto::paths::PathVariables;
use docks_proto::proxies::Proxies;
use docks_proto::secret::DEBUGGABLE_VARIABLE;
use docks_proto::settings;

use crate::output::PagerSettings;

/// Variables that select a remote for one command. The daemon must not inherit them: it serves
/// every profile, and would send one profile's token to another.
pub(crate) const NOT_INHERITED: [&str; 7] = [
    "DOCKS_API_URL",
    "DOCKS_TENANT_ID",
    "DOCKS_TOKEN",
    "DOCKS_PROFILE",
    "DOCKS_HARBOR_JOBS",
    "DOCKS_HARBOR_SERVER",
    "HARBOR_API_KEY",
];

/// Variables that a daemon in the background has from the command that starts it; docs/daemon.md
/// lists them for people.
const DAEMON_VARIABLES: &[&str] = &[
    "ALL_PROXY",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "DOCKSD",
    "GCE_METADATA_HOST",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "IDENTITY_ENDPOINT",
    "LANG",
    "LANGUAGE",
    "LOGNAME",
    "NO_PROXY",
    "PATH",
    // Where it is set, HTTP_PROXY must not be believed.
    "REQUEST_METHOD",
    "RUST_BACKTRACE",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "STORAGE_EMULATOR_HOST",
    "TMPDIR",
    "TZ",
    "TZDIR",
    "USER",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Beginnings of further such variables.
const DAEMON_PREFIXES: [&str; 7] = [
    "AWS_",
    "AZURE_",
    "CLOUDSDK_",
    "DOCKS_",
    "GOOGLE_",
    "LC_",
    "XDG_",
];

/// Returns the variables of this process that a daemon in the background has, too.
pub(crate) fn daemon_variables() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_for_daemon))
}

fn is_for_daemon(name: &str) -> bool {
    let of_one_command = NOT_INHERITED.contains(&name) || name == "DOCKS_NO_DAEMON";
    !of_one_command
        && (DAEMON_VARIABLES.contains(&name) || DAEMON_PREFIXES.iter().any(|p| name.starts_with(p)))
}

/// The environment, read once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    /// Variables that are settings.
    pub(crate) settings: settings::Environment,
    /// Variables that decide paths.
    pub(crate) places: PathVariables,
    /// `DOCKS_NO_DAEMON` is set, and not to `0`, `false` or `no`.
    pub(crate) no_daemon: bool,
    /// `DOCKSD`: the daemon's program.
    pub(crate) docksd: Option<PathBuf>,
    /// The proxies.
    pub(crate) proxies: Proxies,
    /// `PAGER` and `LESS`.
    pub(crate) pager: PagerSettings,
    /// `PATH`.
    pub(crate) search_path: Option<OsString>,
    /// The path of this program.
    pub(crate) program: Option<PathBuf>,
    /// The current directory, for options that name a path.
    pub(crate) directory: Option<PathBuf>,
}

/// Keeps other programs from reading the memory of this one, unless the user wants to debug it.
pub(crate) fn keep_memory_private() {
    if std::env::var_os(DEBUGGABLE_VARIABLE).is_none() {
        docks_proto::secret::keep_memory_private();
    }
}

/// Lets the umask take no permission from the owner: with one such as 0777 we could neither enter the directories nor read
/// the files that we create.
pub(crate) fn keep_own_permissions() {
    use rustix::fs::Mode;
    use rustix::process::umask;
    // The mask can only be read by setting it; no other thread runs yet.
    let given = umask(Mode::RWXG | Mode::RWXO);
    umask(given - Mode::RWXU);
}

/// Returns the variable that stands for `--profile`.
pub(crate) fn profile_variable() -> Option<String> {
    std::env::var("DOCKS_PROFILE")
        .ok()
        .filter(|names| !names.is_empty())
}

impl Environment {
    /// Reads the environment of this process.
    pub(crate) fn of_process() -> Self {
        Self {
            program: std::env::current_exe().ok(),
            directory: std::env::current_dir().ok(),
            ..Self::read(|name| std::env::var_os(name))
        }
    }

    /// Reads variables; an empty variable counts as unset, and so does a setting that is not UTF-8.
    fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| set(name).and_then(|value| value.into_string().ok());
        let path = |name: &str| set(name).map(PathBuf::from);
        Self {
            settings: settings::Environment {
                api_url: text("DOCKS_API_URL"),
                tenant_id: text("DOCKS_TENANT_ID"),
                token: text("DOCKS_TOKEN"),
                profile: text("DOCKS_PROFILE"),
                harbor_jobs: set("DOCKS_HARBOR_JOBS"),
                harbor_server: text("DOCKS_HARBOR_SERVER"),
                harbor_api_key: text("HARBOR_API_KEY"),
                use_keyring: text("DOCKS_USE_KEYRING"),
                session_bus: text("DBUS_SESSION_BUS_ADDRESS"),
                runtime_dir: path("XDG_RUNTIME_DIR"),
            },
            places: PathVariables {
                home: path("HOME"),
                docks_home: path("DOCKS_HOME"),
                docks_socket: path("DOCKS_SOCKET"),
                xdg_runtime_dir: path("XDG_RUNTIME_DIR"),
                through_sudo: text("SUDO_UID").is_some_and(|user| user != "0"),
            },
            no_daemon: text("DOCKS_NO_DAEMON")
                .is_some_and(|value| !matches!(value.as_str(), "0" | "false" | "no")),
            docksd: path("DOCKSD"),
            proxies: Proxies::read(&variable),
            pager: PagerSettings {
                // An empty PAGER switches paging off.
                pager: variable("PAGER").and_then(|value| value.into_string().ok()),
                less: set("LESS").is_some(),
            },
            search_path: set("PATH"),
            program: None,
            directory: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_variables_count_as_unset() {
        let environment = Environment::read(|name| match name {
            "DOCKS_PROFILE" | "DOCKSD" => Some(OsString::new()),
            "DOCKS_NO_DAEMON" => Some("0".into()),
            "DOCKS_TENANT_ID" => Some("t".into()),
            _ => None,
        });
        assert_eq!(environment.settings.profile, None);
        assert_eq!(environment.settings.tenant_id.as_deref(), Some("t"));
        assert_eq!(environment.docksd, None);
        assert!(!environment.no_daemon);
        assert!(Environment::read(|_| Some("1".into())).no_daemon);
    }

    #[test]
    fn the_daemon_gets_what_may_count_for_all_commands() {
        for name in ["PATH", "https_proxy", "LC_ALL", "AWS_PROFILE", "DOCKS_HOME"] {
            assert!(is_for_daemon(name), "{name}");
        }
        for name in NOT_INHERITED {
            assert!(!is_for_daemon(name), "{name}");
        }
        for name in [
            "DOCKS_NO_DAEMON",
            "LD_PRELOAD",
            "PWD",
            "SSH_AUTH_SOCK",
            "aws_x",
        ] {
            assert!(!is_for_daemon(name), "{name}");
        }
    }
}
