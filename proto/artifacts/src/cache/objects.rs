//! Content, stored under its hash.

use std::fs::{File, FileTimes, OpenOptions};
use std::io::{self, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::{Cache, temporary_path};
use crate::digest::Sha256;

impl Cache {
    /// Returns whether content is cached; its hash is verified only when it is read.
    #[must_use]
    pub fn has(&self, sha256: &Sha256) -> bool {
        self.object_path(sha256).is_file()
    }

    /// Opens content without verifying it; the caller hashes it while reading.
    pub(crate) fn open(&self, sha256: &Sha256) -> Option<File> {
        let path = self.object_path(sha256);
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)
            .ok()?;
        self.mark_used(&file);
        Some(file)
    }

    /// Opens content after verifying its hash; damaged content is removed.
    ///
    /// # Errors
    ///
    /// When the content cannot be read.
    pub fn open_verified(&self, sha256: &Sha256) -> io::Result<Option<File>> {
        let Some(mut file) = self.open(sha256) else {
            return Ok(None);
        };
        let (found, _) = Sha256::of_reader(&mut file)?;
        if found != *sha256 {
            self.remove_object(sha256);
            return Ok(None);
        }
        file.rewind()?;
        Ok(Some(file))
    }

    /// Copies a file whose hash is known into the cache; the copy shares its blocks if the file
    /// system supports that.
    pub(crate) fn insert_copy(
        &self,
        file: &File,
        sha256: &Sha256,
        size_bytes: u64,
    ) -> io::Result<()> {
        // An object that would displace most others is better downloaded again.
        if size_bytes > self.limit_bytes / 2 || self.has(sha256) {
            return Ok(());
        }
        let path = self.object_path(sha256);
        let new = temporary_path(&path);
        let copied = (|| {
            let mut from = file.try_clone()?;
            from.rewind()?;
            let mut to = self.create(&new)?;
            if io::copy(&mut from, &mut to)? != size_bytes {
                return Err(io::Error::other("the file changed while it was copied"));
            }
            self.mark_used(&to);
            std::fs::rename(&new, &path)
        })();
        if copied.is_err() {
            std::fs::remove_file(&new).ok();
        }
        copied
    }

    /// Moves a complete file from the cache's `partial` directory to the objects.
    pub(crate) fn insert_file(&self, pulled: &File, name: &str, sha256: &Sha256) -> io::Result<()> {
        let path = self.object_path(sha256);
        if let Some(shard) = path.parent() {
            self.directory_at(shard)?;
        }
        let from = self.root.join("partial").join(name);
        rustix::fs::fchmod(pulled, rustix::fs::Mode::from_raw_mode(0o600))?;
        self.mark_used(pulled);
        std::fs::rename(from, path)
    }

    /// Removes damaged content.
    pub(crate) fn remove_object(&self, sha256: &Sha256) {
        std::fs::remove_file(self.object_path(sha256)).ok();
    }

    /// Returns the path of content, whether it exists or not.
    #[must_use]
    pub fn object_path(&self, sha256: &Sha256) -> PathBuf {
        let hex = sha256.hex();
        self.root
            .join("objects")
            .join(hex.get(..2).unwrap_or_default())
            .join(hex)
    }

    /// Sets the file time to now: the least recently used content is removed first.
    fn mark_used(&self, file: &File) {
        let ms = u64::try_from(self.now.0).unwrap_or(0);
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
        // A file system that cannot set times loses the order, not the content.
        file.set_times(FileTimes::new().set_modified(now)).ok();
    }
}
