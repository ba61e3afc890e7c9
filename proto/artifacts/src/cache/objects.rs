//! Content under its own hash.

use std::fs::{File, FileTimes, OpenOptions};
use std::io::{self, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::{Cache, temporary_path};
use crate::digest::Sha256;

impl Cache {
    /// Tells whether content is there; whether it is still right shows when it is read.
    #[must_use]
    pub fn has(&self, sha256: &Sha256) -> bool {
        self.object_path(sha256).is_file()
    }

    /// Opens content for whoever hashes it while reading.
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

    /// Opens content once its hash was found right; what is not right is removed.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
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

    /// Takes a copy of a file whose hash is known; the copy shares its blocks where the file
    /// system can do that.
    pub(crate) fn insert_copy(
        &self,
        file: &File,
        sha256: &Sha256,
        size_bytes: u64,
    ) -> io::Result<()> {
        // One that would push out all others is better fetched again.
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
                return Err(io::Error::other("it changed while it was copied"));
            }
            self.mark_used(&to);
            std::fs::rename(&new, &path)
        })();
        if copied.is_err() {
            std::fs::remove_file(&new).ok();
        }
        copied
    }

    /// Takes over a whole file that lies in the cache's own `partial` directory.
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

    /// Removes content that turned out to be wrong.
    pub(crate) fn remove_object(&self, sha256: &Sha256) {
        std::fs::remove_file(self.object_path(sha256)).ok();
    }

    /// Returns where content lies, if it is there.
    #[must_use]
    pub fn object_path(&self, sha256: &Sha256) -> PathBuf {
        let hex = sha256.hex();
        self.root.join("objects").join(&hex[..2]).join(hex)
    }

    /// Notes that content was used, in the time of its file: the least recently used goes first.
    fn mark_used(&self, file: &File) {
        let ms = u64::try_from(self.now.0).unwrap_or(0);
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
        // A file system that cannot do that loses the order, not the content.
        file.set_times(FileTimes::new().set_modified(now)).ok();
    }
}
