//! The paths of docks' files: home, socket, locks, cache and logs.
//!
//! Pure: the environment is passed in, and nothing is created.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::hash::fnv1a_64;

/// Longest path that fits into the system's socket address.
pub const MAX_SOCKET_BYTES: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// Where the directories of sockets are whose own path is too long.
///
/// The same for every session of a user, unlike `TMPDIR` and `XDG_RUNTIME_DIR`: commands from a
/// terminal and from cron must find one daemon.
const SHORT_DIR: &str = "/tmp";

/// The variables that determine the paths.
#[derive(Debug, Clone, Default)]
pub struct PathVariables {
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `DOCKS_HOME`.
    pub docks_home: Option<PathBuf>,
    /// `DOCKS_SOCKET`.
    pub docks_socket: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// Whether `SUDO_UID` names another user than root, who has run this through `sudo`.
    pub through_sudo: bool,
}

/// Why the paths cannot be determined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathsError {
    /// Neither `DOCKS_HOME` nor `HOME` is set.
    #[error("neither DOCKS_HOME nor HOME is set")]
    NoHome,
    /// A variable has a relative path, which would mean something else in every directory.
    #[error("{variable} must be an absolute path, not `{}`", path.display())]
    Relative {
        /// Which variable.
        variable: &'static str,
        /// Its value.
        path: PathBuf,
    },
}

/// The paths of docks' files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// `DOCKS_HOME`, or `~/.docks`.
    pub home: PathBuf,
    /// The daemon's socket: where the variables say, or below `/tmp` if that is too long or cannot be
    /// written.
    pub socket: PathBuf,
}

impl Paths {
    /// Determines the paths; an empty variable counts as unset.
    ///
    /// A relative `XDG_RUNTIME_DIR` is ignored, as its specification requires.
    ///
    /// # Errors
    ///
    /// [`PathsError`] without a home, or with a relative `HOME`, `DOCKS_HOME` or `DOCKS_SOCKET`.
    pub fn resolve(input: &PathVariables) -> Result<Self, PathsError> {
        let set = |path: &Option<PathBuf>| path.clone().filter(|p| !p.as_os_str().is_empty());
        let absolute = |variable, path: PathBuf| {
            if path.is_absolute() {
                Ok(path)
            } else {
                Err(PathsError::Relative { variable, path })
            }
        };
        let docks_home = set(&input.docks_home)
            .map(|p| absolute("DOCKS_HOME", p))
            .transpose()?;
        let home = match &docks_home {
            Some(path) => path.clone(),
            None => absolute("HOME", set(&input.home).ok_or(PathsError::NoHome)?)?.join(".docks"),
        };
        let socket = if let Some(path) = set(&input.docks_socket) {
            absolute("DOCKS_SOCKET", path)?
        } else if docks_home.is_some() {
            home.join("run/docksd.sock")
        } else if let Some(runtime) = set(&input.xdg_runtime_dir).filter(|p| p.is_absolute()) {
            runtime.join("docks/docksd.sock")
        } else {
            home.join("run/docksd.sock")
        };
        let socket = shortened(socket);
        Ok(Self { home, socket })
    }

    /// Returns the same paths with a socket outside the home, for a home that cannot be written.
    #[must_use]
    pub fn with_socket_outside(self) -> Self {
        Self {
            socket: short_path(&self.socket),
            home: self.home,
        }
    }

    /// The settings, which the Python client shares.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.home.join("config.toml")
    }

    /// The token file of the Python client, one for all profiles.
    #[must_use]
    pub fn token_file(&self) -> PathBuf {
        self.home.join("token")
    }

    /// The daemon's own settings.
    #[must_use]
    pub fn daemon_file(&self) -> PathBuf {
        self.home.join("daemon.toml")
    }

    /// The token of the hub.
    #[must_use]
    pub fn hub_token_file(&self) -> PathBuf {
        self.home.join("hub-token")
    }

    /// The hub's tokens of persons.
    #[must_use]
    pub fn hub_tokens_file(&self) -> PathBuf {
        self.home.join("hub-tokens.json")
    }

    /// The certificate that `docks hub cert` makes.
    #[must_use]
    pub fn hub_certificate_file(&self) -> PathBuf {
        self.home.join("hub-cert.pem")
    }

    /// The private key of [`Paths::hub_certificate_file`].
    #[must_use]
    pub fn hub_key_file(&self) -> PathBuf {
        self.home.join("hub-key.pem")
    }

    /// Home of the daemon that `docks hub serve` runs in addition to the user's.
    #[must_use]
    pub fn hub_home(&self) -> PathBuf {
        self.home.join("hub")
    }

    /// Directory of the mirrors, one file per remote.
    #[must_use]
    pub fn cache_dir(&self) -> PathBuf {
        self.home.join("cache")
    }

    /// Directory of the daemon's logs.
    #[must_use]
    pub fn log_dir(&self) -> PathBuf {
        self.home.join("log")
    }

    /// Directory of the socket and the locks, mode 0700.
    #[must_use]
    pub fn run_dir(&self) -> &Path {
        self.socket.parent().unwrap_or(Path::new("/"))
    }

    /// Lock that the daemon holds as long as it runs.
    #[must_use]
    pub fn lifetime_lock(&self) -> PathBuf {
        self.socket.with_extension("lock")
    }

    /// Lock that a client holds while it starts a daemon.
    #[must_use]
    pub fn startup_lock(&self) -> PathBuf {
        self.socket.with_extension("start")
    }
}

/// Replaces a path that does not fit into a socket address by one in a directory of its own.
///
/// Like every directory of a socket, that one is used only while it is private to our user.
fn shortened(socket: PathBuf) -> PathBuf {
    if socket.as_os_str().as_bytes().len() <= MAX_SOCKET_BYTES {
        return socket;
    }
    short_path(&socket)
}

/// Returns the path below `/tmp` that stands for a socket's own path.
fn short_path(socket: &Path) -> PathBuf {
    let path = socket.as_os_str().as_bytes();
    let user = rustix::process::geteuid().as_raw();
    let dir = format!("docks-{user}-{:016x}", fnv1a_64(path));
    Path::new(SHORT_DIR).join(dir).join("docksd.sock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_whose_path_is_too_long_has_a_short_one_per_path() {
        let socket = |name: &str, count: usize| {
            let mut input = PathVariables {
                docks_home: Some("/d".into()),
                ..PathVariables::default()
            };
            let directory = "x".repeat(count);
            input.docks_socket = Some(format!("/{directory}/{name}").into());
            input.xdg_runtime_dir = Some(format!("/{name}").into());
            Paths::resolve(&input).unwrap().socket
        };
        let longest = socket("s", MAX_SOCKET_BYTES - 3);
        assert_eq!(longest.as_os_str().len(), MAX_SOCKET_BYTES);
        let (one, other) = (socket("s", MAX_SOCKET_BYTES), socket("t", MAX_SOCKET_BYTES));
        assert_ne!(one, other);
        assert_ne!(one.parent(), other.parent());
        for short in [one, other] {
            assert!(short.starts_with("/tmp"), "{}", short.display());
            assert!(short.as_os_str().len() < 60);
        }
    }

    #[test]
    fn the_socket_follows_the_documented_order() {
        let mut input = PathVariables {
            home: Some("/h".into()),
            ..PathVariables::default()
        };
        let socket = |input: &PathVariables| Paths::resolve(input).unwrap().socket;
        assert_eq!(socket(&input), Path::new("/h/.docks/run/docksd.sock"));
        input.xdg_runtime_dir = Some("/run/user/1".into());
        assert_eq!(socket(&input), Path::new("/run/user/1/docks/docksd.sock"));
        input.docks_home = Some("/d".into());
        assert_eq!(socket(&input), Path::new("/d/run/docksd.sock"));
        input.docks_socket = Some("/s/x.sock".into());
        assert_eq!(socket(&input), Path::new("/s/x.sock"));
        input.docks_home = Some("d".into());
        assert!(matches!(
            Paths::resolve(&input),
            Err(PathsError::Relative {
                variable: "DOCKS_HOME",
                ..
            })
        ));
    }
}
