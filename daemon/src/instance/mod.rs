//! One daemon per socket: its directory, its lifetime lock, and the socket itself.
//!
//! Whoever holds the lock owns the address: only the holder removes a stale
//! socket, so nobody takes a live one away. The lock is the kernel's and ends
//! with the process, however that ends.

mod run_dir;

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use docks_proto::paths::Paths;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::Instant;

/// Longest path that fits the system's socket address.
pub const MOST_PATH_BYTES: usize = 107;

/// How long a daemon that holds the lock but no longer listens may take to end.
const ENDING_TAKES: Duration = Duration::from_secs(6);

/// Says why this process cannot be the daemon of that socket.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// No socket address can hold the path.
    #[error("the path of the socket has {bytes} bytes, at most {MOST_PATH_BYTES} fit; name a shorter one in DOCKS_SOCKET: {}", path.display())]
    PathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length.
        bytes: usize,
    },
    /// The socket's directory is not safe.
    #[error("{} cannot hold the socket: {why}", path.display())]
    HostileDir {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The socket's directory could not be made or looked at.
    #[error("could not prepare the directory {}", path.display())]
    RunDir {
        /// The directory.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The lock could not be taken for another reason than a holder.
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
        /// Its process, when it says so.
        pid: Option<u32>,
    },
    /// Something that is not ours lies where a file of ours belongs.
    #[error("{} is {what} that docksd did not make; it is left as it is", path.display())]
    ForeignFile {
        /// Where.
        path: PathBuf,
        /// What it is.
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
    /// Returns the code of the start-up report.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            ClaimError::AlreadyRunning { .. } => "already_running",
            ClaimError::PathTooLong { .. } => "path_too_long",
            ClaimError::HostileDir { .. } => "hostile_directory",
            ClaimError::ForeignFile { .. } => "foreign_file",
            ClaimError::RunDir { .. } | ClaimError::Lock { .. } | ClaimError::Bind { .. } => {
                "no_socket"
            }
        }
    }
}

/// Tells one file from another that took its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(found: &fs::Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
        }
    }

    fn at(path: &Path) -> Option<Self> {
        fs::symlink_metadata(path).ok().map(|m| Self::of(&m))
    }
}

/// What became of our files since they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// All is as it was.
    Sound,
    /// The socket is gone, the lock is still ours: listening again makes it sound.
    SocketGone,
    /// Another daemon could start now; the reason says what happened.
    Lost(&'static str),
}

/// The right to be the daemon of one socket, held until it is dropped.
#[derive(Debug)]
pub struct Instance {
    socket: PathBuf,
    socket_id: FileId,
    lock_path: PathBuf,
    lock: File,
}

impl Instance {
    /// Takes the lock and listens.
    ///
    /// Waits some seconds for a daemon that is ending, so that a restart needs no patience of its
    /// caller.
    ///
    /// # Errors
    ///
    /// [`ClaimError`] with the reason; nothing that was there is changed then.
    pub async fn claim(places: &Paths) -> Result<(Self, UnixListener), ClaimError> {
        let socket = places.socket.clone();
        let bytes = socket.as_os_str().as_bytes().len();
        if bytes > MOST_PATH_BYTES {
            return Err(ClaimError::PathTooLong {
                path: socket,
                bytes,
            });
        }
        run_dir::prepare(places.run_dir())?;
        let lock_path = places.lifetime_lock();
        let mut lock = take_lock(&lock_path, &socket).await?;
        // Somebody may listen though the lock was free: a daemon whose lock file was deleted.
        // It notices within seconds and ends; until then the address is its own.
        if fs::symlink_metadata(&socket).is_ok_and(|m| m.file_type().is_socket())
            && answers(&socket).await
        {
            return Err(ClaimError::AlreadyRunning { socket, pid: None });
        }
        let (listener, socket_id) = listen(&socket)?;
        write_pid(&mut lock).map_err(|source| ClaimError::Lock {
            path: lock_path.clone(),
            source,
        })?;
        let instance = Self {
            socket,
            socket_id,
            lock_path,
            lock,
        };
        Ok((instance, listener))
    }

    /// Looks whether socket and lock are still the ones we made.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let held = self.lock.metadata().ok().map(|m| FileId::of(&m));
        if held.is_none() || held != FileId::at(&self.lock_path) {
            return Standing::Lost("the lock file was removed or replaced");
        }
        match FileId::at(&self.socket) {
            Some(found) if found == self.socket_id => Standing::Sound,
            Some(_) => Standing::Lost("another file took the socket's name"),
            None => Standing::SocketGone,
        }
    }

    /// Listens again after the socket's file was removed.
    ///
    /// # Errors
    ///
    /// [`ClaimError`] when that is no longer possible.
    pub fn listen_again(&mut self) -> Result<UnixListener, ClaimError> {
        if let Some(dir) = self.socket.parent() {
            run_dir::prepare(dir)?;
        }
        let (listener, socket_id) = listen(&self.socket)?;
        self.socket_id = socket_id;
        Ok(listener)
    }

    /// Removes the socket, if it is still ours; the lock is held on.
    ///
    /// From now on nobody finds us, and nobody else can start before we are done.
    pub fn withdraw(&self) {
        if FileId::at(&self.socket) == Some(self.socket_id) {
            fs::remove_file(&self.socket).ok();
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.withdraw();
    }
}

async fn take_lock(path: &Path, socket: &Path) -> Result<File, ClaimError> {
    let failed = |source| ClaimError::Lock {
        path: path.to_owned(),
        source,
    };
    let deadline = Instant::now() + ENDING_TAKES;
    loop {
        let mut file = open_lock(path)?;
        match file.try_lock() {
            // The file may have been replaced between opening and locking.
            Ok(()) if FileId::at(path) == file.metadata().ok().map(|m| FileId::of(&m)) => {
                return Ok(file);
            }
            Ok(()) => {}
            Err(TryLockError::WouldBlock)
                if Instant::now() >= deadline || answers(socket).await =>
            {
                return Err(ClaimError::AlreadyRunning {
                    socket: socket.to_owned(),
                    pid: read_pid(&mut file),
                });
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
}

fn open_lock(path: &Path) -> Result<File, ClaimError> {
    let failed = |source| ClaimError::Lock {
        path: path.to_owned(),
        source,
    };
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() || found.uid() != run_dir::own_uid() => {
            return Err(ClaimError::ForeignFile {
                path: path.to_owned(),
                what: run_dir::describe(&found),
            });
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
        .map_err(failed)
}

fn write_pid(lock: &mut File) -> io::Result<()> {
    lock.set_permissions(Permissions::from_mode(0o600))?;
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

fn read_pid(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Tells whether somebody listens there; a full queue counts, since only a listener has one.
async fn answers(socket: &Path) -> bool {
    match tokio::time::timeout(Duration::from_millis(500), UnixStream::connect(socket)).await {
        Ok(Ok(_)) | Err(_) => true,
        Ok(Err(error)) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

/// Listens under another name first, so that the socket has its mode when it gets its own.
fn listen(socket: &Path) -> Result<(UnixListener, FileId), ClaimError> {
    let failed = |source| ClaimError::Bind {
        path: socket.to_owned(),
        source,
    };
    match fs::symlink_metadata(socket) {
        Ok(found) if !found.file_type().is_socket() || found.uid() != run_dir::own_uid() => {
            return Err(ClaimError::ForeignFile {
                path: socket.to_owned(),
                what: run_dir::describe(&found),
            });
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    // Short, so that it fits wherever the socket's own name does.
    let draft = socket.with_file_name(".new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&draft).map_err(failed)?;
    let id = fs::set_permissions(&draft, Permissions::from_mode(0o600))
        .and_then(|()| fs::rename(&draft, socket))
        .and_then(|()| fs::symlink_metadata(socket))
        .map(|found| FileId::of(&found))
        .map_err(failed)?;
    Ok((listener, id))
}
