//! The output directory, below which artifacts are created.
//!
//! Everything below it is opened relative to open directories, one segment at a time and never
//! through a symbolic link, so neither a name nor a planted link can lead outside. `partial` writes
//! the files.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The output directory cannot be created or opened.
    #[error("could not open the output directory `{}`{}", path.display(), why(source))]
    OpenRoot {
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A path is a symbolic link, or not a directory or regular file as expected.
    #[error("`{}` is a symbolic link or not a directory; it is left alone", path.display())]
    Obstructed {
        /// The path.
        path: PathBuf,
    },
    /// A different file has the name, and replacing it is not allowed.
    #[error("`{}` already exists and differs; --overwrite replaces it", path.display())]
    Differs {
        /// The path.
        path: PathBuf,
    },
    /// Any other error, such as missing permissions or space.
    #[error("could not write `{}`{}", path.display(), why(source))]
    Write {
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// Describes causes that the user can fix.
fn why(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull => ", the disk is full",
        io::ErrorKind::FileTooLarge => ", the file is larger than the limit",
        io::ErrorKind::QuotaExceeded => ", the quota is used up",
        io::ErrorKind::ReadOnlyFilesystem => ", the file system is read-only",
        io::ErrorKind::PermissionDenied => ", the permission is missing",
        _ => "",
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// An open output directory.
#[derive(Debug)]
pub struct OutputDirectory {
    root: OwnedFd,
    display_path: PathBuf,
}

impl OutputDirectory {
    /// Opens the directory; creates it and its parents if they are missing.
    ///
    /// Links in the path itself are followed, because the user chose it.
    ///
    /// # Errors
    ///
    /// [`OutputError::OpenRoot`].
    pub fn open(path: &Path) -> Result<Self, OutputError> {
        let failed = |source| OutputError::OpenRoot {
            path: path.to_owned(),
            source,
        };
        std::fs::create_dir_all(path).map_err(failed)?;
        let root =
            rustix::fs::open(path, DIRECTORY, Mode::empty()).map_err(|e| failed(e.into()))?;
        Ok(Self {
            root,
            display_path: path.to_owned(),
        })
    }

    /// Returns a file in nested directories, which are created if they are missing.
    ///
    /// The names must be single segments, see [`crate::sanitise`].
    ///
    /// # Errors
    ///
    /// When a link or a file has the name of a directory, or a directory cannot be created.
    pub fn file(&self, directories: &[String], file_name: &str) -> Result<OutputFile, OutputError> {
        let mut display_path = self.display_path.clone();
        let mut inner: Option<OwnedFd> = None;
        for name in directories {
            display_path.push(name);
            let opened = open_or_create(inner.as_ref().unwrap_or(&self.root), name, &display_path)?;
            inner = Some(opened);
        }
        let directory = match inner {
            Some(directory) => directory,
            None => open_or_create(&self.root, ".", &display_path)?,
        };
        display_path.push(file_name);
        Ok(OutputFile {
            directory,
            file_name: file_name.to_owned(),
            display_path,
        })
    }
}

/// The place of a file: an open directory and a name in it.
#[derive(Debug)]
pub struct OutputFile {
    pub(crate) directory: OwnedFd,
    pub(crate) file_name: String,
    /// Path for messages, starting with the output directory as the user wrote it.
    pub(crate) display_path: PathBuf,
}

impl OutputFile {
    /// Describes a file in an open directory.
    pub(crate) fn new(directory: OwnedFd, file_name: String, display_path: PathBuf) -> Self {
        Self {
            directory,
            file_name,
            display_path,
        }
    }

    /// Opens the existing file of that name, if there is one.
    ///
    /// # Errors
    ///
    /// When a link or a directory has the name. A rename would replace a link, but the user may
    /// have put it there for a reason.
    pub(crate) fn open_existing(&self) -> Result<Option<(File, u64)>, OutputError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.directory, &self.file_name, flags, Mode::empty());
        let file = match opened {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::MLINK | Errno::NXIO) => return Err(self.obstructed()),
            Err(errno) => return Err(self.write_error(errno.into())),
        };
        let stat = rustix::fs::fstat(&file).map_err(|errno| self.write_error(errno.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(self.obstructed());
        }
        let size_bytes = u64::try_from(stat.st_size).unwrap_or(0);
        Ok(Some((File::from(file), size_bytes)))
    }

    pub(crate) fn obstructed(&self) -> OutputError {
        OutputError::Obstructed {
            path: self.display_path.clone(),
        }
    }

    pub(crate) fn differs(&self) -> OutputError {
        OutputError::Differs {
            path: self.display_path.clone(),
        }
    }

    pub(crate) fn write_error(&self, source: io::Error) -> OutputError {
        OutputError::Write {
            path: self.display_path.clone(),
            source,
        }
    }
}

/// Opens a directory, and creates it if it is missing; refuses a link.
fn open_or_create(
    parent: &OwnedFd,
    name: &str,
    display_path: &Path,
) -> Result<OwnedFd, OutputError> {
    let failed = |errno: Errno| match errno {
        Errno::LOOP | Errno::NOTDIR | Errno::MLINK => OutputError::Obstructed {
            path: display_path.to_owned(),
        },
        other => OutputError::Write {
            path: display_path.to_owned(),
            source: other.into(),
        },
    };
    // An existing directory needs no permission to create one.
    let there = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
    if matches!(there, Err(Errno::NOENT)) {
        match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
    rustix::fs::openat(parent, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()).map_err(failed)
}
