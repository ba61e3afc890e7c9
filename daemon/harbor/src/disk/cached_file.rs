//! Files of a job, read once per version although Harbor rewrites them in place.
//!
//! Harbor truncates and writes; a reader can meet an empty or cut file. That
//! means "try again", so the last good content stays until a new one parses.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use docks_proto::time::UnixMs;

use crate::format::times::Utc;

/// Largest JSON file that is read, in bytes; real ones have kilobytes to a few megabytes.
pub(crate) const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Tries in one look; Harbor's rewriting takes well below a millisecond.
const TRIES: u32 = 6;
/// Pause between tries.
const PAUSE: Duration = Duration::from_millis(2);
/// A file changed this recently is read again at the next look: two writes within one tick of the
/// file system's clock look the same from outside.
const YOUNG_MS: i64 = 100;

/// Tells one version of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Stamp {
    modified_ns: i128,
    size: u64,
    device: u64,
    inode: u64,
}

impl Stamp {
    fn of(meta: &fs::Metadata) -> Self {
        Self {
            modified_ns: i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()),
            size: meta.size(),
            device: meta.dev(),
            inode: meta.ino(),
        }
    }

    /// Looks at a path without following a symbolic link; `None` unless it is a plain file.
    pub(crate) fn of_file(path: &Path) -> Option<Self> {
        let meta = fs::symlink_metadata(path).ok()?;
        meta.is_file().then(|| Self::of(&meta))
    }

    /// The same, telling "not there" from "cannot be looked at now".
    fn look(path: &Path) -> io::Result<Option<Self>> {
        match fs::symlink_metadata(path) {
            Ok(meta) => Ok(meta.is_file().then(|| Self::of(&meta))),
            Err(error) if means_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Looks at a path; `None` unless it is a real directory.
    pub(crate) fn of_directory(path: &Path) -> Option<Self> {
        let meta = fs::symlink_metadata(path).ok()?;
        meta.is_dir().then(|| Self::of(&meta))
    }

    /// Returns the number of the file or directory, which a later one of the same name may have again.
    pub(crate) fn inode(&self) -> u64 {
        self.inode
    }

    /// Returns when it was last changed.
    pub(crate) fn modified(&self) -> Utc {
        Utc(i64::try_from(self.modified_ns.div_euclid(1_000)).unwrap_or(i64::MAX))
    }

    /// Returns its size.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size
    }

    /// Tells whether both are the same file or directory, whatever its content.
    pub(crate) fn same_place(&self, other: &Stamp) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    fn is_young(&self, now: UnixMs) -> bool {
        now.0.saturating_sub(self.modified().millis()).abs() < YOUNG_MS
    }
}

/// Tells whether looking at a directory failed because there is none.
pub(crate) fn is_gone(dir: &Path) -> bool {
    match fs::symlink_metadata(dir) {
        Ok(meta) => !meta.is_dir(),
        Err(error) => means_absent(&error),
    }
}

fn means_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// How a file stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Standing {
    /// Not there.
    #[default]
    Absent,
    /// Its newest version was read.
    Good,
    /// There, but empty, cut, too large or unreadable; an older content may still be known.
    Torn,
}

/// A file and what was read from it.
#[derive(Debug)]
pub(crate) struct Cached<T> {
    stamp: Option<Stamp>,
    provisional: bool,
    standing: Standing,
    digest: u64,
    content: Option<T>,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self {
            stamp: None,
            provisional: false,
            standing: Standing::Absent,
            digest: 0,
            content: None,
        }
    }
}

impl<T> Cached<T> {
    /// Returns the last good content.
    pub(crate) fn get(&self) -> Option<&T> {
        self.content.as_ref()
    }

    /// Returns how the file stands.
    pub(crate) fn standing(&self) -> Standing {
        self.standing
    }

    /// Tells whether the newest version was read, long enough after it was written.
    pub(crate) fn settled(&self) -> bool {
        self.standing == Standing::Good && !self.provisional
    }

    /// Returns the version that was looked at last.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }

    /// Looks again; reads only what changed. Tells whether anything did.
    pub(crate) fn look(
        &mut self,
        path: &Path,
        reader: &mut Reader,
        parse: impl Fn(&str) -> Option<T>,
    ) -> bool {
        // A disk that fails or a right that is missing for a moment makes no file vanish.
        let Ok(stamp) = Stamp::look(path) else {
            return false;
        };
        let Some(stamp) = stamp else {
            let was = self.standing != Standing::Absent;
            *self = Self::default();
            return was;
        };
        if self.stamp == Some(stamp) && self.settled() {
            return false;
        }
        let before = (self.stamp, self.standing);
        let mut rewritten = false;
        // A torn file that stays as it is gets one try per look; waiting for it would cost every look.
        let tries = if before == (Some(stamp), Standing::Torn) {
            1
        } else {
            TRIES
        };
        match reader.read(path, tries, &parse) {
            Some(read) => {
                // Not everything that is read once more was written once more: a job whose files
                // are merely young would never hold still.
                rewritten = read.digest != self.digest;
                self.provisional = read.stamp.is_young(reader.now);
                self.stamp = Some(read.stamp);
                self.standing = Standing::Good;
                self.digest = read.digest;
                self.content = Some(read.content);
            }
            None => {
                self.stamp = Stamp::of_file(path).or(Some(stamp));
                self.standing = Standing::Torn;
            }
        }
        rewritten || before != (self.stamp, self.standing)
    }
}

/// A file that was read whole.
struct WasRead<T> {
    stamp: Stamp,
    digest: u64,
    content: T,
}

/// Reads files and counts them.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Wall clock of this look.
    pub(crate) now: UnixMs,
    /// Files opened so far.
    pub(crate) opened: u64,
}

impl Reader {
    fn read<T>(
        &mut self,
        path: &Path,
        tries: u32,
        parse: &impl Fn(&str) -> Option<T>,
    ) -> Option<WasRead<T>> {
        for attempt in 0..tries {
            if attempt > 0 {
                pause();
            }
            self.opened += 1;
            if let Some((stamp, text)) = read_whole(path)
                && let Some(content) = parse(&text)
            {
                return Some(WasRead {
                    stamp,
                    digest: crate::hash(std::iter::once(text.as_bytes())),
                    content,
                });
            }
        }
        None
    }

    /// Reads a small file once, without keeping it.
    pub(crate) fn read_once(&mut self, path: &Path) -> Option<String> {
        self.opened += 1;
        read_whole(path).map(|(_, text)| text)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "files are read on a blocking thread, never on the runtime"
)]
fn pause() {
    std::thread::sleep(PAUSE);
}

/// Reads a file; `None` unless the same version was there before and after.
fn read_whole(path: &Path) -> Option<(Stamp, String)> {
    // A pipe or device in the folder must not block us, nor a link lead elsewhere.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let mut file = File::options()
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).ok()?)
        .open(path)
        .ok()?;
    let meta = file.metadata().ok()?;
    if !meta.is_file() || meta.len() > MOST_BYTES || meta.len() == 0 {
        return None;
    }
    let before = Stamp::of(&meta);
    // One read call for the usual case: room for the whole file and a byte more.
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).ok()? + 64);
    file.by_ref()
        .take(MOST_BYTES)
        .read_to_end(&mut bytes)
        .ok()?;
    if Stamp::of(&file.metadata().ok()?) != before {
        return None;
    }
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
    Some((before, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader() -> Reader {
        Reader {
            now: UnixMs(0),
            opened: 0,
        }
    }

    fn parse(text: &str) -> Option<u64> {
        text.trim().parse().ok()
    }

    #[test]
    fn the_last_good_content_outlives_a_torn_version_but_not_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n");
        let mut cached = Cached::default();
        let mut reader = reader();
        fs::write(&path, "12").unwrap();
        assert!(cached.look(&path, &mut reader, parse));
        assert!(!cached.look(&path, &mut reader, parse));
        assert_eq!(reader.opened, 1);
        fs::write(&path, "").unwrap();
        cached.look(&path, &mut reader, parse);
        assert_eq!(
            (cached.get(), cached.standing()),
            (Some(&12), Standing::Torn)
        );
        fs::write(&path, "345").unwrap();
        cached.look(&path, &mut reader, parse);
        assert_eq!(
            (cached.get(), cached.standing()),
            (Some(&345), Standing::Good)
        );
        fs::remove_file(&path).unwrap();
        cached.look(&path, &mut reader, parse);
        assert_eq!((cached.get(), cached.standing()), (None, Standing::Absent));
    }

    #[test]
    fn a_young_file_is_read_again_and_counts_as_changed_only_when_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n");
        fs::write(&path, "12").unwrap();
        let written = fs::metadata(&path).unwrap().modified().unwrap();
        let stamp = Stamp::of_file(&path).unwrap();
        let mut reader = Reader {
            now: UnixMs(stamp.modified().millis()),
            opened: 0,
        };
        let mut cached = Cached::default();
        assert!(cached.look(&path, &mut reader, parse));
        assert!(!cached.look(&path, &mut reader, parse));
        assert_eq!(reader.opened, 2);
        // Written again within one tick of the clock: nothing shows from outside.
        fs::write(&path, "34").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(written).unwrap();
        assert_eq!(Stamp::of_file(&path), Some(stamp));
        assert!(cached.look(&path, &mut reader, parse));
        assert_eq!(cached.get(), Some(&34));
    }

    #[test]
    fn links_pipes_and_folders_are_no_files() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("real"), "1").unwrap();
        std::os::unix::fs::symlink(dir.path().join("real"), dir.path().join("link")).unwrap();
        let mut cached = Cached::default();
        cached.look(&dir.path().join("link"), &mut reader(), parse);
        assert_eq!(cached.standing(), Standing::Absent);
        cached.look(dir.path(), &mut reader(), parse);
        assert_eq!(cached.standing(), Standing::Absent);
        assert!(read_whole(&dir.path().join("link")).is_none());
    }
}
