//! Opening files and listing folders below a directory without ever leaving it.
//!
//! What lies below the directory is written by others, who may put a symbolic link in the place of
//! any file or folder at any moment. Checking a path first and opening it then leaves a gap; here the
//! kernel checks while it opens (`openat2`, Linux 5.6), or else each folder is opened in turn.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::time::UnixMs;

/// Opens a file, and does not wait for the writer of a pipe.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);
const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// A directory that is held open, and below which files are opened.
#[derive(Debug)]
pub struct RootDirectory(OwnedFd);

/// What an entry of a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link, wherever it leads.
    Link,
    /// A pipe, a socket or a device.
    Other,
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderEntry {
    /// Its name.
    pub name: OsString,
    /// What it is.
    pub kind: EntryKind,
    /// Size of a file in bytes.
    pub size_bytes: u64,
    /// When it was last modified.
    pub modified: UnixMs,
}

impl FolderEntry {
    fn new(name: OsString, stat: &Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => EntryKind::File,
            FileType::Directory => EntryKind::Folder,
            FileType::Symlink => EntryKind::Link,
            _ => EntryKind::Other,
        };
        let milliseconds = i64::try_from(stat.st_mtime_nsec / 1_000_000).unwrap_or(0);
        Self {
            name,
            kind,
            size_bytes: u64::try_from(stat.st_size).unwrap_or(0),
            modified: UnixMs(
                stat.st_mtime
                    .saturating_mul(1_000)
                    .saturating_add(milliseconds),
            ),
        }
    }
}

impl RootDirectory {
    /// Opens a directory; links in this path are followed.
    ///
    /// # Errors
    ///
    /// The system's error, for instance when it does not exist or is not a directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(path, DIRECTORY, Mode::empty())?))
    }

    /// Opens a file below the directory for reading, or a folder or pipe without blocking.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] when `relative` is absolute or contains `..`; the system's error
    /// when it does not exist or there is a symbolic link anywhere in it.
    pub fn open_file(&self, relative: &Path) -> io::Result<File> {
        let mut names = relative.components();
        if !names.all(|name| matches!(name, Component::Normal(_) | Component::CurDir)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let opened = match self.open_by_kernel(relative) {
            // An older kernel, or a container that forbids a system call that it does not know.
            Err(Errno::NOSYS | Errno::PERM) => self.open_by_name(relative),
            opened => opened,
        };
        Ok(File::from(opened?))
    }

    /// Lists a folder below the directory, or with an empty path the directory itself; at most `most`
    /// entries, in no order. What disappears meanwhile is left out.
    ///
    /// # Errors
    ///
    /// As [`RootDirectory::open_file`], and when it is not a folder.
    pub fn list_folder(&self, relative: &Path, most: usize) -> io::Result<Vec<FolderEntry>> {
        let relative = match relative.as_os_str().is_empty() {
            true => Path::new("."),
            false => relative,
        };
        let folder = self.open_file(relative)?;
        let mut entries = Vec::new();
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            if entries.len() == most {
                break;
            }
            let stat = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW);
            if let Ok(stat) = stat {
                entries.push(FolderEntry::new(name.to_owned(), &stat));
            }
        }
        Ok(entries)
    }

    #[cfg(target_os = "linux")]
    fn open_by_kernel(&self, relative: &Path) -> Result<OwnedFd, Errno> {
        use rustix::fs::ResolveFlags;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        rustix::fs::openat2(&self.0, relative, FILE, Mode::empty(), resolve)
    }

    #[cfg(not(target_os = "linux"))]
    fn open_by_kernel(&self, _relative: &Path) -> Result<OwnedFd, Errno> {
        Err(Errno::NOSYS)
    }

    /// Opens each folder of the path in turn, following no link.
    fn open_by_name(&self, relative: &Path) -> Result<OwnedFd, Errno> {
        let mut names = relative
            .components()
            .filter(|name| matches!(name, Component::Normal(_)))
            .peekable();
        let mut directory: Option<OwnedFd> = None;
        while let Some(name) = names.next() {
            let flags = match names.peek() {
                Some(_) => DIRECTORY | OFlags::NOFOLLOW,
                None => FILE,
            };
            let parent = directory.as_ref().unwrap_or(&self.0);
            let opened = rustix::fs::openat(parent, name.as_os_str(), flags, Mode::empty())?;
            directory = Some(opened);
        }
        match directory {
            Some(directory) => Ok(directory),
            None => rustix::fs::openat(&self.0, ".", FILE, Mode::empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    type Open = fn(&RootDirectory, &Path) -> io::Result<File>;

    /// What callers use, and what it falls back to.
    const WAYS: [Open; 2] = [RootDirectory::open_file, |root, path| {
        Ok(File::from(root.open_by_name(path)?))
    }];

    #[test]
    fn a_file_below_the_directory_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/file"), "content").unwrap();
        let root = RootDirectory::open(dir.path()).unwrap();
        for open in WAYS {
            let mut text = String::new();
            let mut file = open(&root, Path::new("a/./b/file")).unwrap();
            file.read_to_string(&mut text).unwrap();
            assert_eq!(text, "content");
            let missing = open(&root, Path::new("a/none")).unwrap_err();
            assert_eq!(missing.kind(), io::ErrorKind::NotFound);
            assert!(open(&root, Path::new("a/b/file/more")).is_err());
        }
    }

    #[test]
    fn no_link_is_followed_wherever_it_is_and_wherever_it_leads() {
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir(outside.path().join("folder")).unwrap();
        fs::write(outside.path().join("folder/secret"), "x").unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("inside/folder")).unwrap();
        fs::write(dir.path().join("inside/folder/secret"), "x").unwrap();
        symlink(outside.path(), dir.path().join("absolute")).unwrap();
        symlink("inside", dir.path().join("relative")).unwrap();
        symlink("secret", dir.path().join("inside/folder/last")).unwrap();
        symlink(
            outside.path().join("folder/secret"),
            dir.path().join("inside/last"),
        )
        .unwrap();
        let root = RootDirectory::open(dir.path()).unwrap();
        for open in WAYS {
            for path in [
                "absolute/folder/secret",
                "relative/folder/secret",
                "inside/folder/last",
                "inside/last",
            ] {
                assert!(open(&root, Path::new(path)).is_err(), "{path}");
            }
            assert!(open(&root, Path::new("inside/folder/secret")).is_ok());
        }
    }

    #[test]
    fn a_folder_is_listed_without_following_anything() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/folder")).unwrap();
        fs::write(dir.path().join("a/file"), "four").unwrap();
        symlink("file", dir.path().join("a/link")).unwrap();
        symlink("a", dir.path().join("to-a")).unwrap();
        let root = RootDirectory::open(dir.path()).unwrap();
        let mut found = root.list_folder(Path::new("a"), 10).unwrap();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        let kinds: Vec<_> = found
            .iter()
            .map(|entry| (entry.name.to_str(), entry.kind))
            .collect();
        assert_eq!(
            kinds,
            [
                (Some("file"), EntryKind::File),
                (Some("folder"), EntryKind::Folder),
                (Some("link"), EntryKind::Link),
            ]
        );
        assert_eq!(found[0].size_bytes, 4);
        assert_eq!(root.list_folder(Path::new(""), 10).unwrap().len(), 2);
        assert_eq!(root.list_folder(Path::new("a"), 2).unwrap().len(), 2);
        for refused in ["to-a", "a/link", "a/file", "a/none", "..", "/"] {
            assert!(
                root.list_folder(Path::new(refused), 10).is_err(),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_path_that_climbs_or_is_absolute_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        fs::write(dir.path().join("secret"), "x").unwrap();
        let root = RootDirectory::open(&dir.path().join("root")).unwrap();
        let absolute = dir.path().join("secret");
        for path in [
            Path::new("../secret"),
            Path::new("a/../../secret"),
            &absolute,
        ] {
            let error = root.open_file(path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_does_not_block() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            Mode::RUSR,
            0,
        )
        .unwrap();
        let root = RootDirectory::open(dir.path()).unwrap();
        for open in WAYS {
            let opened = open(&root, Path::new("pipe")).unwrap();
            assert!(!opened.metadata().unwrap().is_file());
        }
    }

    #[test]
    fn a_directory_that_is_moved_is_still_the_one_that_was_opened() {
        let dir = tempfile::tempdir().unwrap();
        let (first, moved) = (dir.path().join("first"), dir.path().join("moved"));
        fs::create_dir(&first).unwrap();
        fs::write(first.join("file"), "x").unwrap();
        let root = RootDirectory::open(&first).unwrap();
        fs::rename(&first, &moved).unwrap();
        for open in WAYS {
            assert!(open(&root, Path::new("file")).is_ok());
        }
    }
}
