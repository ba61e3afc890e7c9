//! Files that are read once per version, although Harbor rewrites them in place.
//!
//! Harbor truncates a file before it writes, so a reader may find it empty or cut off. That means "try
//! again": the last valid content is kept until a new one parses.

use std::borrow::Cow;
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use docks_proto::beneath::RootDirectory;
use docks_proto::git_lfs::POINTER_BEGIN;
use docks_proto::repair;
use docks_proto::time::UnixMs;
use tracing::debug;

use crate::disk::file_version::FileVersion;

/// Largest JSON file that is read, in bytes; real ones take kilobytes to a few megabytes.
pub(crate) const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Attempts to read a file in one scan; Harbor rewrites it in well under a millisecond.
const MAX_TRIES: u32 = 6;
/// Pause between attempts.
const RETRY_PAUSE: Duration = Duration::from_millis(2);

/// The state of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum FileState {
    /// It does not exist.
    #[default]
    Absent,
    /// Its newest version was read.
    Valid,
    /// It exists but is empty, cut off, too large or unreadable; an older content may still be known.
    Torn,
    /// It is a pointer that Git LFS leaves in place of a file that was not fetched.
    LfsPointer,
}

/// Whether a text is a pointer of Git LFS.
pub(crate) fn is_lfs_pointer(text: &str) -> bool {
    text.starts_with(POINTER_BEGIN)
}

/// A file and its parsed content.
#[derive(Debug)]
pub(crate) struct CachedFile<T> {
    version: Option<FileVersion>,
    provisional: bool,
    state: FileState,
    digest: u64,
    content: Option<T>,
}

impl<T> Default for CachedFile<T> {
    fn default() -> Self {
        Self {
            version: None,
            provisional: false,
            state: FileState::Absent,
            digest: 0,
            content: None,
        }
    }
}

impl<T> CachedFile<T> {
    /// Returns the last valid content.
    pub(crate) fn content(&self) -> Option<&T> {
        self.content.as_ref()
    }

    /// Returns the hash of the text of the content, if there is any.
    pub(crate) fn digest(&self) -> Option<u64> {
        self.content.is_some().then_some(self.digest)
    }

    /// Returns the state of the file.
    pub(crate) fn state(&self) -> FileState {
        self.state
    }

    /// Creates the file of a content that was read from another one.
    pub(crate) fn from_content(content: T) -> Self {
        Self {
            state: FileState::Valid,
            content: Some(content),
            ..Self::default()
        }
    }

    /// Creates a file of which only the version is known.
    pub(crate) fn from_version(version: Option<FileVersion>) -> Self {
        Self {
            version,
            state: match version {
                Some(_) => FileState::Valid,
                None => FileState::Absent,
            },
            ..Self::default()
        }
    }

    /// Forgets the content.
    pub(crate) fn forget_content(&mut self) {
        self.content = None;
    }

    /// Whether the newest version was read, and not too soon after it was written.
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.state, FileState::Valid | FileState::LfsPointer) && !self.provisional
    }

    /// Returns the version that was read last.
    pub(crate) fn version(&self) -> Option<FileVersion> {
        self.version
    }

    /// Reads the file again if it changed. Returns whether its content or state changed.
    pub(crate) fn refresh(
        &mut self,
        path: &Path,
        reader: &mut FileReader,
        parse: impl Fn(&str) -> Option<T>,
    ) -> bool {
        // A disk error or a permission that is missing for a moment does not make a file disappear.
        let Ok(version) = FileVersion::try_for_file(path) else {
            reader.unreadable += 1;
            return false;
        };
        let Some(version) = version else {
            let existed = self.state != FileState::Absent;
            *self = Self::default();
            return existed;
        };
        if self.version == Some(version) && self.is_settled() {
            return false;
        }
        let before = (self.version, self.state);
        let mut content_changed = false;
        // A torn file that did not change gets one attempt per scan; retrying it would slow every scan down.
        let tries = if before == (Some(version), FileState::Torn) {
            1
        } else {
            MAX_TRIES
        };
        let known = self.digest();
        match reader.read(path, tries, known, &parse) {
            Reading::Same(version) => {
                self.provisional = version.is_recent(reader.now);
                self.version = Some(version);
                self.state = FileState::Valid;
            }
            Reading::Parsed(read) => {
                // A file that is read again because it is recent need not have changed.
                content_changed = read.digest != self.digest;
                self.provisional = read.version.is_recent(reader.now);
                self.version = Some(read.version);
                self.state = FileState::Valid;
                self.digest = read.digest;
                self.content = Some(read.content);
            }
            Reading::LfsPointer(version) => {
                self.provisional = version.is_recent(reader.now);
                self.version = Some(version);
                self.state = FileState::LfsPointer;
            }
            Reading::Unreadable => {
                reader.unreadable += 1;
                self.version = FileVersion::for_file(path).or(Some(version));
                self.state = FileState::Torn;
            }
        }
        content_changed || before != (self.version, self.state)
    }
}

/// Returns the hash of a text. It is only compared within this process.
fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// A file that was read and parsed.
struct ParsedFile<T> {
    version: FileVersion,
    digest: u64,
    content: T,
}

/// What an attempt to read a file found.
enum Reading<T> {
    /// The content that is known.
    Same(FileVersion),
    Parsed(ParsedFile<T>),
    LfsPointer(FileVersion),
    Unreadable,
}

/// Reads files and counts them.
#[derive(Debug)]
pub(crate) struct FileReader {
    /// Wall clock of this scan.
    pub(crate) now: UnixMs,
    /// Files read so far.
    pub(crate) files_read: u64,
    /// Files that could not be read, or are cut off.
    pub(crate) unreadable: u64,
    root: Option<(PathBuf, RootDirectory)>,
}

impl FileReader {
    /// Creates a reader that has read nothing.
    pub(crate) fn new(now: UnixMs) -> Self {
        Self {
            now,
            files_read: 0,
            unreadable: 0,
            root: None,
        }
    }

    /// Sets the directory that must not be left when files below it are read.
    pub(crate) fn set_root(&mut self, path: &Path) {
        if self.root.as_ref().is_none_or(|(root, _)| root != path) {
            let opened = RootDirectory::open(path);
            self.root = opened.ok().map(|root| (path.to_owned(), root));
        }
    }

    /// Opens a file. Symbolic links below the root, or in the last part of another path, are not followed.
    fn open(&self, path: &Path) -> io::Result<File> {
        if let Some((root_path, root)) = &self.root
            && let Ok(relative) = path.strip_prefix(root_path)
        {
            return root.open_file(relative);
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        RootDirectory::open(parent)?.open_file(Path::new(name))
    }

    fn read<T>(
        &mut self,
        path: &Path,
        tries: u32,
        known: Option<u64>,
        parse: &impl Fn(&str) -> Option<T>,
    ) -> Reading<T> {
        for attempt in 0..tries {
            if attempt > 0 {
                pause_before_retry();
            }
            self.files_read += 1;
            let Some((version, text)) = self.read_whole(path) else {
                continue;
            };
            if is_lfs_pointer(&text) {
                return Reading::LfsPointer(version);
            }
            let digest = digest(&text);
            if known == Some(digest) {
                return Reading::Same(version);
            }
            if let Some(content) = parse(&text) {
                return Reading::Parsed(ParsedFile {
                    version,
                    digest,
                    content,
                });
            }
        }
        Reading::Unreadable
    }

    /// Whether a file is a pointer of Git LFS.
    pub(crate) fn is_lfs_pointer(&mut self, path: &Path) -> bool {
        let mut begin = [0; POINTER_BEGIN.len()];
        let read = self
            .open(path)
            .and_then(|mut file| file.read_exact(&mut begin));
        self.files_read += 1;
        read.is_ok() && begin == *POINTER_BEGIN.as_bytes()
    }

    /// Reads a small file without caching it.
    pub(crate) fn read_uncached(&mut self, path: &Path) -> Option<String> {
        self.files_read += 1;
        self.read_whole(path).map(|(_, text)| text)
    }

    /// Reads a file; `None` unless it is the same version before and after.
    fn read_whole(&self, path: &Path) -> Option<(FileVersion, String)> {
        let mut file = self.open(path).ok()?;
        let meta = file.metadata().ok()?;
        if !meta.is_file() || meta.len() > MAX_BYTES || meta.len() == 0 {
            return None;
        }
        let before = FileVersion::from_metadata(&meta);
        // One read call in the usual case: there is room for the whole file and more.
        let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).ok()? + 64);
        file.by_ref().take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
        if FileVersion::from_metadata(&file.metadata().ok()?) != before {
            return None;
        }
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
        Some((before, mended(path, text)))
    }
}

/// Mends what strict parsers refuse, so that one bad value does not spoil the file.
///
/// A file that is cut off stays cut off.
fn mended(path: &Path, text: String) -> String {
    // Looking for what may have to be mended is much cheaper than reading every token.
    let suspicious = ["\\ud", "\\uD", "NaN", "Infinity"];
    if !suspicious.iter().any(|part| text.contains(part)) {
        return text;
    }
    match repair::repaired(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(mended) => {
            debug!(path = %path.display(), "mended odd values in {}", path.display());
            mended
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "files are read on a blocking thread, never on the async runtime"
)]
fn pause_before_retry() {
    std::thread::sleep(RETRY_PAUSE);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::format::json;

    fn reader() -> FileReader {
        FileReader::new(UnixMs(0))
    }

    fn parse(text: &str) -> Option<u64> {
        text.trim().parse().ok()
    }

    #[test]
    fn the_last_valid_content_outlives_a_torn_version_but_not_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n");
        let mut cached = CachedFile::default();
        let mut reader = reader();
        fs::write(&path, "12").unwrap();
        assert!(cached.refresh(&path, &mut reader, parse));
        assert!(!cached.refresh(&path, &mut reader, parse));
        assert_eq!(reader.files_read, 1);
        fs::write(&path, "").unwrap();
        cached.refresh(&path, &mut reader, parse);
        assert_eq!(
            (cached.content(), cached.state()),
            (Some(&12), FileState::Torn)
        );
        fs::write(&path, "345").unwrap();
        cached.refresh(&path, &mut reader, parse);
        assert_eq!(
            (cached.content(), cached.state()),
            (Some(&345), FileState::Valid)
        );
        fs::remove_file(&path).unwrap();
        cached.refresh(&path, &mut reader, parse);
        assert_eq!(
            (cached.content(), cached.state()),
            (None, FileState::Absent)
        );
    }

    #[test]
    fn a_file_with_odd_values_is_mended_and_a_torn_one_stays_torn() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n");
        let whole = r#"{"a":NaN,"b":"\ud83d"}"#;
        fs::write(&path, whole).unwrap();
        let (_, text) = reader().read_whole(&path).unwrap();
        assert_eq!(text, r#"{"a":"NaN","b":"\ufffd"}"#);
        for length in 1..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let (_, text) = reader().read_whole(&path).unwrap();
            assert!(json::parse(&text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_recent_file_is_read_again_and_counts_as_changed_only_if_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n");
        fs::write(&path, "12").unwrap();
        let written = fs::metadata(&path).unwrap().modified().unwrap();
        let version = FileVersion::for_file(&path).unwrap();
        let mut reader = FileReader::new(UnixMs(version.modified().millis()));
        let mut cached = CachedFile::default();
        assert!(cached.refresh(&path, &mut reader, parse));
        assert!(!cached.refresh(&path, &mut reader, parse));
        assert_eq!(reader.files_read, 2);
        // Written again: its size and time are the same, as after a copy that keeps times.
        let mut later = FileReader::new(UnixMs(version.modified().millis() + 3_600_000));
        assert!(!cached.refresh(&path, &mut later, parse));
        fs::write(&path, "34").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(written).unwrap();
        assert!(cached.refresh(&path, &mut later, parse));
        assert_eq!(cached.content(), Some(&34));
    }

    #[test]
    fn links_pipes_and_folders_are_not_files() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("real"), "1").unwrap();
        std::os::unix::fs::symlink(dir.path().join("real"), dir.path().join("link")).unwrap();
        let mut cached = CachedFile::default();
        cached.refresh(&dir.path().join("link"), &mut reader(), parse);
        assert_eq!(cached.state(), FileState::Absent);
        cached.refresh(dir.path(), &mut reader(), parse);
        assert_eq!(cached.state(), FileState::Absent);
        assert!(reader().read_whole(&dir.path().join("link")).is_none());
    }

    #[test]
    fn a_folder_that_became_a_link_is_not_read() {
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir(outside.path().join("job")).unwrap();
        fs::write(outside.path().join("job/n"), "1").unwrap();
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("job")).unwrap();
        fs::write(root.path().join("job/n"), "1").unwrap();
        let path = root.path().join("job/n");
        let mut reader = reader();
        reader.set_root(root.path());
        assert!(reader.read_whole(&path).is_some());
        fs::rename(root.path().join("job"), root.path().join("moved")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("job"), root.path().join("job")).unwrap();
        assert!(reader.read_whole(&path).is_none());
    }
}
