//! Opening files below a directory without ever leaving it.
//!
//! What lies below the directory is written by others, who may put a symbolic link in the place of
//! any file or folder at any moment. Checking a path first and opening it then leaves a gap; here the
//! kernel checks while it opens (`openat2`, Linux 5.6), or else each folder is opened in turn.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

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
        directory.ok_or(Errno::INVAL)
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
