//! Versions of files and folders, distinguished by their metadata.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use docks_proto::hash::Fnv1a64;
use docks_proto::time::UnixMs;

use crate::utc::Utc;

/// A file that changed this recently is read again at the next scan: two writes within one tick of the
/// file system's clock have the same modification time.
const RECENT_MS: i64 = 100;

/// Distinguishes a folder from all others, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FolderIdentity {
    device: u64,
    inode: u64,
    /// When it was created; file systems that do not record that have none.
    pub(crate) created_ns: Option<i128>,
}

/// Identifies one version of a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FileVersion {
    modified_ns: i128,
    /// When content or metadata changed last. Programs can set the other time, but not this one.
    changed_ns: i128,
    size: u64,
    device: u64,
    inode: u64,
    created_ns: Option<i128>,
}

impl FileVersion {
    pub(crate) fn from_metadata(meta: &fs::Metadata) -> Self {
        Self {
            modified_ns: i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()),
            changed_ns: i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec()),
            size: meta.size(),
            device: meta.dev(),
            inode: meta.ino(),
            created_ns: created_ns(meta),
        }
    }

    /// Returns the version of a file; `None` unless the path is a regular file. Does not follow symbolic links.
    pub(crate) fn for_file(path: &Path) -> Option<Self> {
        let meta = fs::symlink_metadata(path).ok()?;
        meta.is_file().then(|| Self::from_metadata(&meta))
    }

    /// Like [`FileVersion::for_file`], but distinguishes a missing file from one that cannot be read now.
    pub(crate) fn try_for_file(path: &Path) -> io::Result<Option<Self>> {
        match fs::symlink_metadata(path) {
            Ok(meta) => Ok(meta.is_file().then(|| Self::from_metadata(&meta))),
            Err(error) if says_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the version of a folder; `None` unless the path is a real directory.
    pub(crate) fn for_directory(path: &Path) -> Option<Self> {
        let meta = fs::symlink_metadata(path).ok()?;
        meta.is_dir().then(|| Self::from_metadata(&meta))
    }

    /// Like [`FileVersion::for_directory`], but distinguishes a missing folder from one that cannot be looked at now.
    pub(crate) fn try_for_directory(path: &Path) -> io::Result<Option<Self>> {
        match fs::symlink_metadata(path) {
            Ok(meta) => Ok(meta.is_dir().then(|| Self::from_metadata(&meta))),
            Err(error) if says_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the inode, which a later file or folder of the same name may have again.
    pub(crate) fn inode(&self) -> u64 {
        self.inode
    }

    /// Returns which folder it is.
    pub(crate) fn identity(&self) -> FolderIdentity {
        FolderIdentity {
            device: self.device,
            inode: self.inode,
            created_ns: self.created_ns,
        }
    }

    /// Returns when it last changed.
    pub(crate) fn modified(&self) -> Utc {
        Utc(i64::try_from(self.modified_ns.div_euclid(1_000)).unwrap_or(i64::MAX))
    }

    /// Returns its size in bytes.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size
    }

    /// Whether both are the same file or folder, whatever its content.
    pub(crate) fn is_same_inode(&self, other: &FileVersion) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    pub(crate) fn is_recent(&self, now: UnixMs) -> bool {
        let age = |at_ms: i64| now.0.saturating_sub(at_ms).abs();
        age(self.modified().millis()).min(age(self.changed_ms())) < RECENT_MS
    }

    /// Whether it may have changed since a scan that began at this time, or just before it.
    pub(crate) fn may_have_changed_since(&self, began: UnixMs) -> bool {
        self.changed_ms() >= began.0.saturating_sub(RECENT_MS)
    }

    /// Adds to a hash what distinguishes it from other versions, also after a restart: numbers of devices may change then.
    pub(crate) fn add_to(&self, hash: &mut Fnv1a64) {
        // Whole nanoseconds fit into 64 bits until the year 2554.
        hash.write(&(self.modified_ns as u64).to_le_bytes());
        hash.write(&(self.changed_ns as u64).to_le_bytes());
        hash.write(&self.size.to_le_bytes());
        hash.write(&self.inode.to_le_bytes());
    }

    fn changed_ms(&self) -> i64 {
        i64::try_from(self.changed_ns.div_euclid(1_000_000)).unwrap_or(i64::MAX)
    }
}

fn created_ns(meta: &fs::Metadata) -> Option<i128> {
    let since = meta.created().ok()?.duration_since(UNIX_EPOCH).ok()?;
    i128::try_from(since.as_nanos()).ok()
}

/// Whether a folder does not exist, as opposed to being unreadable.
pub(crate) fn is_missing(dir: &Path) -> bool {
    match fs::symlink_metadata(dir) {
        Ok(meta) => !meta.is_dir(),
        Err(error) => says_missing(&error),
    }
}

/// Whether an error says that there is nothing of that name.
pub(crate) fn says_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
