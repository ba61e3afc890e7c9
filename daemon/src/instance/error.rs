//! Why this process can't be the daemon of a socket.

use std::io;
use std::path::PathBuf;

/// Longest path that fits into the system's socket address; [`Paths`](docks_proto::paths::Paths)
/// have no longer one.
pub const MAX_PATH_BYTES: usize = docks_proto::paths::MAX_SOCKET_BYTES;

/// Why this process can't be the daemon of a socket.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The path does not fit into a socket address.
    #[error("the path of the socket has {bytes} bytes, at most {MAX_PATH_BYTES} fit; set DOCKS_SOCKET to a shorter one: {}", path.display())]
    PathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length.
        bytes: usize,
    },
    /// The socket's directory is not safe.
    #[error("{} cannot hold the socket: {why}", path.display())]
    UnsafeDir {
        /// The directory.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// The socket's directory could not be created or inspected.
    #[error("could not prepare the directory {}", path.display())]
    RunDir {
        /// The directory.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Locking failed for another reason than a lock that is held.
    #[error("could not lock {}", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Another daemon owns the socket.
    #[error("docksd is already running{} on {}", pid.map(|p| format!(" as process {p}")).unwrap_or_default(), socket.display())]
    AlreadyRunning {
        /// The socket.
        socket: PathBuf,
        /// The process id in the lock file.
        pid: Option<u32>,
    },
    /// A file that docksd did not create has the name of one of its files.
    #[error("{} is {what} that docksd did not create; it was not changed", path.display())]
    ForeignFile {
        /// The path.
        path: PathBuf,
        /// Its kind.
        what: &'static str,
    },
    /// Listening failed.
    #[error("could not listen on {}", path.display())]
    Bind {
        /// The socket.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

impl ClaimError {
    /// Returns the code of the start-up report; programs rely on it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            ClaimError::AlreadyRunning { .. } => "already_running",
            ClaimError::PathTooLong { .. } => "path_too_long",
            ClaimError::UnsafeDir { .. } => "hostile_directory",
            ClaimError::ForeignFile { .. } => "foreign_file",
            ClaimError::RunDir { .. } | ClaimError::Lock { .. } | ClaimError::Bind { .. } => {
                "no_socket"
            }
        }
    }
}
