//! The cache of downloaded content, shared by all processes of one home.
//!
//! - `objects/ab/abcd…`: content under its SHA-256, which is verified on every use;
//! - `known/ab/abcd…`: the latest content of an address, under the hash of the address;
//! - `runs/abcd…`: the addresses of a run, and whether the run is pinned;
//! - `forgotten/abcd…`: mirrors that inherit nothing from earlier releases any more;
//! - `partial/`: downloads in progress.
//!
//! Every file is renamed into place, so readers need no lock. A process that removes files or changes
//! a run holds `lock`. A download does not fail because the cache cannot be written.

mod address_records;
mod forget;
mod objects;
mod pruning;
mod runs;
mod take_over;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use docks_proto::time::UnixMs;
use rustix::fs::FlockOperation;
use rustix::io::Errno;

pub use address_records::AddressRecord;
pub use forget::{ArtifactsOf, Forgotten};
pub use pruning::{Removal, Usage, Verification};
pub use runs::RunRecord;

use crate::output_directory::OutputFile;
use crate::owner::AddressKey;

/// Default limit for the total size of objects, in bytes.
pub const DEFAULT_LIMIT_BYTES: u64 = 10_000_000_000;

/// The cache of artifact content on disk.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
    limit_bytes: u64,
    now: UnixMs,
}

impl Cache {
    /// Describes a cache at `root` with a size limit; `now` is the current time. Creates no files.
    #[must_use]
    pub fn new(root: PathBuf, limit_bytes: u64, now: UnixMs) -> Self {
        Self {
            root,
            limit_bytes,
            now,
        }
    }

    /// Returns the root directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the size limit in bytes.
    #[must_use]
    pub fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// Returns the file into which an object is downloaded before its hash is known.
    pub(crate) fn partial(&self, key: &AddressKey) -> io::Result<OutputFile> {
        let directory = self.directory("partial")?;
        // The owner is in the name, so that what it has not finished can be found.
        let name = match key.owner {
            Some(owner) => format!("{owner}-{}", key.hash),
            None => key.hash.to_string(),
        };
        let display_path = directory.join(&name);
        let flags = rustix::fs::OFlags::RDONLY
            | rustix::fs::OFlags::DIRECTORY
            | rustix::fs::OFlags::NOFOLLOW
            | rustix::fs::OFlags::CLOEXEC;
        let opened = rustix::fs::open(&directory, flags, rustix::fs::Mode::empty())?;
        Ok(OutputFile::new(opened, name, display_path))
    }

    /// Creates a file without a name; it is deleted when it is closed.
    pub(crate) fn unnamed_file(&self) -> io::Result<File> {
        let path = temporary_path(&self.directory("partial")?.join("aside"));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(file)
    }

    fn directory(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.root.join(name);
        self.directory_at(&path)?;
        Ok(path)
    }

    fn directory_at(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    /// Creates a file, and its directory if necessary, which is rare.
    fn create(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        match (options.open(path), path.parent()) {
            (Err(error), Some(directory)) if error.kind() == io::ErrorKind::NotFound => {
                self.directory_at(directory)?;
                options.open(path)
            }
            (opened, _) => opened,
        }
    }

    /// Writes a small file atomically.
    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let new = temporary_path(path);
        let written = self
            .create(&new)
            .and_then(|mut file| io::Write::write_all(&mut file, content))
            .and_then(|()| std::fs::rename(&new, path));
        if written.is_err() {
            std::fs::remove_file(&new).ok();
        }
        written
    }

    /// Waits for the lock; it is released when the file is dropped.
    fn lock(&self) -> io::Result<File> {
        let file = self.lock_file()?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    }

    fn lock_file(&self) -> io::Result<File> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.root)?;
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.root.join("lock"))
    }
}

/// Returns a unique temporary path in the directory of `path`.
fn temporary_path(path: &Path) -> PathBuf {
    path.with_extension(format!("{:016x}.new", fastrand::u64(..)))
}

/// Lists the files in the subdirectories of `known` or `objects`.
fn files_in_shards(root: &Path) -> io::Result<Vec<(PathBuf, std::fs::Metadata)>> {
    let mut found = Vec::new();
    for shard in entries(root)? {
        for path in entries(&shard)? {
            match path.symlink_metadata() {
                Ok(meta) if meta.is_file() => found.push((path, meta)),
                _ => {}
            }
        }
    }
    Ok(found)
}

/// Lists a directory; a missing one counts as empty.
fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match std::fs::read_dir(directory) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// Whether another process holds a lock on a file.
fn is_locked(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    let lock = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
    matches!(lock, Err(Errno::WOULDBLOCK))
}

/// Removes a file that may be gone already.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
