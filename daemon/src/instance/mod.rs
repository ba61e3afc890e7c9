//! One daemon per socket: its directory, its lifetime lock, and the socket itself.
//!
//! The holder of the lock owns the address: only it removes a stale socket, so
//! a live socket is never taken away. The kernel releases the lock when the
//! process exits, however it exits.

mod error;
mod run_dir;

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use docks_proto::client::check_peer;
use docks_proto::paths::Paths;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::Instant;

pub use error::{ClaimError, MAX_PATH_BYTES};

/// How long a daemon that holds the lock but no longer listens may take to exit.
const EXIT_TIMEOUT: Duration = Duration::from_secs(6);

/// Identifies a file, so that another one under the same name is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn from_metadata(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }

    fn from_path(path: &Path) -> Option<Self> {
        fs::symlink_metadata(path)
            .ok()
            .map(|m| Self::from_metadata(&m))
    }
}

/// Whether this process still owns the socket and the lock.
#[derive(Debug)]
pub enum Ownership {
    /// Socket and lock file are unchanged.
    Intact,
    /// The socket was removed, but the lock is still held: it is bound again.
    Rebound(BoundSocket),
    /// The socket was removed and cannot be bound again.
    NotRebound(ClaimError),
    /// Another daemon could start now, for this reason.
    Lost(&'static str),
}

/// A socket that was bound again, for [`Instance::adopt`].
#[derive(Debug)]
pub struct BoundSocket {
    listener: UnixListener,
    id: FileId,
}

/// The right to be the daemon of one socket; dropping it removes the socket and releases the lock.
#[derive(Debug)]
pub struct Instance {
    socket: PathBuf,
    socket_id: FileId,
    lock_path: PathBuf,
    lock_id: FileId,
    /// Keeps the lock.
    _lock: File,
}

impl Instance {
    /// Takes the lock and listens on the socket.
    ///
    /// Waits some seconds for a daemon that is shutting down, so that a restart just works.
    ///
    /// # Errors
    ///
    /// [`ClaimError`] with the reason; existing files are unchanged then.
    pub async fn claim(places: &Paths) -> Result<(Self, UnixListener), ClaimError> {
        let socket = places.socket.clone();
        let bytes = socket.as_os_str().as_bytes().len();
        if bytes > MAX_PATH_BYTES {
            return Err(ClaimError::PathTooLong {
                path: socket,
                bytes,
            });
        }
        run_dir::prepare(places.run_dir())?;
        let lock_path = places.lifetime_lock();
        let mut lock = take_lock(&lock_path, &socket).await?;
        // A daemon whose lock file was deleted may still listen although the lock was free.
        // It notices within seconds and exits; until then it owns the address.
        if fs::symlink_metadata(&socket).is_ok_and(|m| m.file_type().is_socket())
            && is_listening(&socket).await
        {
            return Err(ClaimError::AlreadyRunning { socket, pid: None });
        }
        let (listener, socket_id) = listen(&socket)?;
        write_pid(&mut lock).map_err(|source| ClaimError::Lock {
            path: lock_path.clone(),
            source,
        })?;
        let lock_id = lock
            .metadata()
            .map(|found| FileId::from_metadata(&found))
            .map_err(|source| ClaimError::Lock {
                path: lock_path.clone(),
                source,
            })?;
        let instance = Self {
            socket,
            socket_id,
            lock_path,
            lock_id,
            _lock: lock,
        };
        Ok((instance, listener))
    }

    /// Returns a check whether socket and lock file are still the ones that this process created; it
    /// binds a removed socket again. The check blocks, and must run in the context of a runtime.
    pub fn ownership_check(&self) -> impl FnOnce() -> Ownership + Send + 'static {
        let (socket, socket_id) = (self.socket.clone(), self.socket_id);
        let (lock_path, lock_id) = (self.lock_path.clone(), self.lock_id);
        move || {
            if FileId::from_path(&lock_path) != Some(lock_id) {
                return Ownership::Lost("the lock file was removed or replaced");
            }
            match FileId::from_path(&socket) {
                Some(found) if found == socket_id => Ownership::Intact,
                Some(_) => Ownership::Lost("another file took the socket's name"),
                None => bind_again(&socket).map_or_else(Ownership::NotRebound, Ownership::Rebound),
            }
        }
    }

    /// Takes over a socket that was bound again; returns its listener.
    pub fn adopt(&mut self, bound: BoundSocket) -> UnixListener {
        self.socket_id = bound.id;
        bound.listener
    }

    /// Removes the socket, if it is still ours, and keeps the lock.
    ///
    /// From now on no client can connect, and no other daemon can start before this one has exited.
    pub fn remove_socket(&self) {
        if FileId::from_path(&self.socket) == Some(self.socket_id) {
            fs::remove_file(&self.socket).ok();
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.remove_socket();
    }
}

fn bind_again(socket: &Path) -> Result<BoundSocket, ClaimError> {
    if let Some(dir) = socket.parent() {
        run_dir::prepare(dir)?;
    }
    let (listener, id) = listen(socket)?;
    Ok(BoundSocket { listener, id })
}

async fn take_lock(path: &Path, socket: &Path) -> Result<File, ClaimError> {
    let failed = |source| ClaimError::Lock {
        path: path.to_owned(),
        source,
    };
    let deadline = Instant::now() + EXIT_TIMEOUT;
    loop {
        let mut file = open_lock(path)?;
        match file.try_lock() {
            // The file may have been replaced between opening and locking.
            Ok(())
                if FileId::from_path(path)
                    == file.metadata().ok().map(|m| FileId::from_metadata(&m)) =>
            {
                return Ok(file);
            }
            Ok(()) => {}
            Err(TryLockError::WouldBlock)
                if Instant::now() >= deadline || is_listening(socket).await =>
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

/// Whether a process listens on the socket; a full queue counts, since only a listener has one.
async fn is_listening(socket: &Path) -> bool {
    match tokio::time::timeout(Duration::from_millis(500), UnixStream::connect(socket)).await {
        // One of another user is nobody's daemon here.
        Ok(Ok(stream)) => check_peer(stream).is_ok(),
        Err(_) => true,
        Ok(Err(error)) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

/// Binds under a temporary name first, so that the socket has its mode before it gets its name.
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
    // Short, so that it fits wherever the socket's own name fits.
    let draft = socket.with_file_name(".new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&draft).map_err(failed)?;
    let id = fs::set_permissions(&draft, Permissions::from_mode(0o600))
        .and_then(|()| fs::rename(&draft, socket))
        .and_then(|()| fs::symlink_metadata(socket))
        .map(|found| FileId::from_metadata(&found))
        .map_err(failed)?;
    Ok((listener, id))
}
