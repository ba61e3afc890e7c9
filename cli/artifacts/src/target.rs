//! The output directory: the only place where artifacts are created.
//!
//! Everything below it is reached through open directories, one segment at a
//! time and never through a symbolic link, so neither a name nor a link that
//! somebody planted can lead outside. A file gets its name only when it is whole.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use tokio::io::AsyncWriteExt;

/// Says why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The output directory cannot be made or opened.
    #[error("could not open the output directory `{}`", path.display())]
    Root {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A directory or file on the way is a symbolic link, or no directory.
    #[error("`{}` is a symbolic link or not a directory; it is left alone", path.display())]
    InTheWay {
        /// Which.
        path: PathBuf,
    },
    /// Anything else: rights, space.
    #[error("could not write `{}`", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// An open output directory.
#[derive(Debug)]
pub struct Target {
    root: OwnedFd,
    shown: PathBuf,
}

impl Target {
    /// Opens the directory, making it and its parents where they are missing.
    ///
    /// Links in the path itself are followed: it is the user's own.
    pub fn open(path: &Path) -> Result<Self, TargetError> {
        let failed = |source| TargetError::Root {
            path: path.to_owned(),
            source,
        };
        std::fs::create_dir_all(path).map_err(failed)?;
        let root =
            rustix::fs::open(path, DIRECTORY, Mode::empty()).map_err(|e| failed(e.into()))?;
        Ok(Self {
            root,
            shown: path.to_owned(),
        })
    }

    /// Begins a file below two directories, which are made where they are missing.
    ///
    /// The names must be single segments, see [`super::sanitise`].
    pub fn begin(
        &self,
        directories: &[String; 2],
        file_name: &str,
    ) -> Result<Partial, TargetError> {
        let mut shown = self.shown.join(&directories[0]);
        let run = enter(&self.root, &directories[0], &shown)?;
        shown.push(&directories[1]);
        let directory = enter(&run, &directories[1], &shown)?;
        shown.push(file_name);
        refuse_link(&directory, file_name, &shown)?;
        let temporary = format!(".{file_name}.{:016x}.part", fastrand::u64(..));
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&directory, &temporary, flags, Mode::from_raw_mode(0o666))
            .map_err(|source| TargetError::Write {
                path: shown.clone(),
                source: source.into(),
            })?;
        Ok(Partial {
            directory,
            temporary: Some(temporary),
            file_name: file_name.to_owned(),
            file: tokio::fs::File::from_std(File::from(file)),
            shown,
            size_bytes: 0,
        })
    }
}

/// A file that has no name yet; dropping it leaves nothing behind.
#[derive(Debug)]
pub struct Partial {
    directory: OwnedFd,
    temporary: Option<String>,
    file_name: String,
    file: tokio::fs::File,
    shown: PathBuf,
    size_bytes: u64,
}

impl Partial {
    /// Appends bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), TargetError> {
        let written = self.file.write_all(bytes).await;
        self.size_bytes += bytes.len() as u64;
        written.map_err(|source| self.failed(source))
    }

    /// Gives the file its name, once its content is on the disk.
    pub async fn finish(mut self) -> Result<super::Finished, TargetError> {
        let flushed = self.file.flush().await;
        flushed.map_err(|source| self.failed(source))?;
        let synced = self.file.sync_all().await;
        synced.map_err(|source| self.failed(source))?;
        let temporary = self
            .temporary
            .as_ref()
            .expect("only `finish` takes the name, and it ends here");
        rustix::fs::renameat(&self.directory, temporary, &self.directory, &self.file_name)
            .map_err(|source| self.failed(source.into()))?;
        self.temporary = None;
        // Some file systems cannot sync a directory; the content is safe without.
        rustix::fs::fsync(&self.directory).ok();
        Ok(super::Finished {
            path: std::mem::take(&mut self.shown),
            size_bytes: self.size_bytes,
        })
    }

    fn failed(&self, source: io::Error) -> TargetError {
        TargetError::Write {
            path: self.shown.clone(),
            source,
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // Nothing more can be done if even this fails; the name says that it is a part.
            rustix::fs::unlinkat(&self.directory, temporary, AtFlags::empty()).ok();
        }
    }
}

/// Makes a directory where it is missing and opens it, unless it is a link.
fn enter(parent: &OwnedFd, name: &str, shown: &Path) -> Result<OwnedFd, TargetError> {
    use rustix::io::Errno;
    let failed = |errno: Errno| match errno {
        Errno::LOOP | Errno::NOTDIR | Errno::MLINK => TargetError::InTheWay {
            path: shown.to_owned(),
        },
        other => TargetError::Write {
            path: shown.to_owned(),
            source: other.into(),
        },
    };
    match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o777)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(failed(errno)),
    }
    rustix::fs::openat(parent, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()).map_err(failed)
}

/// A rename would replace a link, not follow it; but the user put it there for a reason.
fn refuse_link(directory: &OwnedFd, name: &str, shown: &Path) -> Result<(), TargetError> {
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile => {
            Err(TargetError::InTheWay {
                path: shown.to_owned(),
            })
        }
        _ => Ok(()),
    }
}
