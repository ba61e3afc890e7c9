//! `file://` addresses: files of a Harbor jobs directory.
//!
//! Allowed only when the profile is a jobs directory, and only below it. The
//! real path is opened one segment at a time without following links, so a
//! file that was swapped after the check cannot lead elsewhere.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use futures_util::{Stream, stream};
use rustix::fs::{FileType, Mode, OFlags};

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// Says why a file of a jobs directory was not read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The profile is a Docks API, which has no say over files of this machine.
    #[error("the remote named a file of this machine; only a jobs directory may do that")]
    NotAllowed,
    /// Not an absolute local path.
    #[error("the remote gave a `file://` address without an absolute path of this machine")]
    NotAPath,
    /// Below the jobs directory neither by name nor after following links.
    #[error("`{}` is outside the jobs directory", path.display())]
    Outside {
        /// Which.
        path: PathBuf,
    },
    /// A directory, a device or a pipe.
    #[error("`{}` is not a regular file", path.display())]
    NotRegular {
        /// Which.
        path: PathBuf,
    },
    /// Reading failed.
    #[error("could not read `{}`", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

/// Reads files below one directory, or none.
#[derive(Debug, Clone, Default)]
pub struct FileSource {
    jobs_dir: Option<PathBuf>,
}

impl FileSource {
    /// Allows files below a jobs directory; `None` allows none.
    pub fn new(jobs_dir: Option<PathBuf>) -> Self {
        Self { jobs_dir }
    }

    /// Opens an address; returns the size that the file has now.
    pub async fn open(
        &self,
        uri: &str,
    ) -> Result<
        (
            u64,
            impl Stream<Item = Result<Bytes, FileError>> + Send + 'static + use<>,
        ),
        FileError,
    > {
        let jobs_dir = self.jobs_dir.clone().ok_or(FileError::NotAllowed)?;
        let path = path_of(uri)?;
        let shown = path.clone();
        let (file, size_bytes) = on_a_thread(&shown, move || open_below(&jobs_dir, &path)).await?;
        Ok((size_bytes, read(file, shown)))
    }
}

fn path_of(uri: &str) -> Result<PathBuf, FileError> {
    let rest = uri.get("file://".len()..).ok_or(FileError::NotAPath)?;
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return Err(FileError::NotAPath);
    }
    let bytes: Vec<u8> = percent_encoding::percent_decode_str(path).collect();
    if bytes.contains(&0) {
        return Err(FileError::NotAPath);
    }
    Ok(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

fn open_below(jobs_dir: &Path, path: &Path) -> Result<(File, u64), FileError> {
    let failed = |source: io::Error| FileError::Read {
        path: path.to_owned(),
        source,
    };
    let root = jobs_dir.canonicalize().map_err(failed)?;
    // The cheap check comes first, so that nobody learns what exists elsewhere.
    let inside = path.starts_with(&root) || path.starts_with(jobs_dir);
    let climbs = path.components().any(|c| c == Component::ParentDir);
    let outside = || FileError::Outside {
        path: path.to_owned(),
    };
    if !inside || climbs {
        return Err(outside());
    }
    let real = path.canonicalize().map_err(failed)?;
    let below = real.strip_prefix(&root).map_err(|_| outside())?;
    let file = walk(&root, below).map_err(|errno| failed(errno.into()))?;
    let stat = rustix::fs::fstat(&file).map_err(|errno| failed(errno.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(FileError::NotRegular {
            path: path.to_owned(),
        });
    }
    Ok((File::from(file), u64::try_from(stat.st_size).unwrap_or(0)))
}

fn walk(root: &Path, below: &Path) -> Result<OwnedFd, rustix::io::Errno> {
    let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = rustix::fs::open(root, directory, Mode::empty())?;
    let mut segments = below.components().peekable();
    while let Some(segment) = segments.next() {
        // Not blocking: opening a pipe would wait for its writer.
        let flags = if segments.peek().is_some() {
            directory
        } else {
            OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC
        };
        let name = segment.as_os_str();
        at = rustix::fs::openat(&at, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(at)
}

fn read(
    file: File,
    path: PathBuf,
) -> impl Stream<Item = Result<Bytes, FileError>> + Send + 'static {
    stream::try_unfold((file, path), |(mut file, path)| async move {
        let (chunk, file) = on_a_thread(&path, {
            let path = path.clone();
            move || {
                let mut chunk = vec![0; CHUNK_BYTES];
                let got = read_some(&mut file, &mut chunk)
                    .map_err(|source| FileError::Read { path, source })?;
                chunk.truncate(got);
                Ok((chunk, file))
            }
        })
        .await?;
        Ok((!chunk.is_empty()).then(|| (Bytes::from(chunk), (file, path))))
    })
}

fn read_some(file: &mut File, chunk: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

async fn on_a_thread<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, FileError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(FileError::Read {
            path: path.to_owned(),
            source: io::Error::other("reading was cut short"),
        }),
    }
}
