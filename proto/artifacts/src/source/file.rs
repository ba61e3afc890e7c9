//! `file://` addresses: files of a Harbor jobs directory, or of the trials of a `harbor serve` on this machine.
//!
//! Allowed only if the profile is one of these, and only below its directory. After the check, the real
//! path is opened without following links, so a file that is swapped in between cannot lead
//! elsewhere.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use docks_proto::beneath::RootDirectory;
use docks_proto::server_files::ServerFiles;
use futures_util::{Stream, StreamExt, stream};

use super::error::{FileError, SourceError};
use super::open::{OpenRequest, OpenResponse, Opened};
use crate::version::Version;

/// Bytes per read.
const CHUNK_BYTES: u64 = 256 * 1024;

/// Reads files below some directories; without any, reads nothing.
#[derive(Debug, Clone, Default)]
pub struct FileSource {
    jobs_dirs: Vec<PathBuf>,
    of_server: bool,
}

impl FileSource {
    /// Allows files below these jobs directories.
    #[must_use]
    pub fn new(jobs_dirs: Vec<PathBuf>) -> Self {
        Self {
            jobs_dirs,
            of_server: false,
        }
    }

    /// Allows files of trials in the data directory of a `harbor serve`, if it is this user's.
    #[must_use]
    pub fn of_server() -> Self {
        Self {
            jobs_dirs: Vec::new(),
            of_server: true,
        }
    }

    /// Opens the file of an address, to read it while it grows.
    ///
    /// # Errors
    ///
    /// When the file is refused or cannot be opened.
    pub async fn open_file(&self, uri: &str) -> Result<File, FileError> {
        let (file, _) = self.open_allowed(uri).await?;
        Ok(file)
    }

    async fn open_allowed(&self, uri: &str) -> Result<(File, PathBuf), FileError> {
        if self.jobs_dirs.is_empty() && !self.of_server {
            return Err(FileError::NotAllowed);
        }
        let (mut dirs, of_server) = (self.jobs_dirs.clone(), self.of_server);
        let path = parse_path(uri)?;
        let shown = path.clone();
        let open = move || {
            if of_server {
                let files = ServerFiles::of_file(&path).map_err(|source| FileError::NoServer {
                    path: path.clone(),
                    source,
                })?;
                dirs.push(files.rollouts().to_owned());
            }
            open_below_any(&dirs, &path)
        };
        let file = run_blocking(&shown, open).await?;
        Ok((file, shown))
    }

    pub(super) async fn open(&self, request: OpenRequest<'_>) -> Result<OpenResponse, SourceError> {
        let (mut file, path) = self.open_allowed(request.uri).await?;
        let failed = |source| FileError::Read {
            path: path.clone(),
            source,
        };
        let stamp = FileStamp::read(&file).map_err(failed)?;
        let version = stamp.version();
        if request.unless.is_some() && request.unless == version.as_ref() {
            return Ok(OpenResponse::Unchanged);
        }
        let resumed = request.resume.filter(|at| {
            Some(&at.version) == version.as_ref() && at.offset_bytes <= stamp.size_bytes
        });
        let begins_at = resumed.map_or(0, |at| at.offset_bytes);
        file.seek(SeekFrom::Start(begins_at)).map_err(failed)?;
        let left_bytes = stamp.size_bytes - begins_at;
        Ok(OpenResponse::Opened(Opened {
            size_bytes: Some(stamp.size_bytes),
            begins_at,
            version,
            body: read(file, path, stamp, left_bytes)
                .map(|chunk| chunk.map_err(SourceError::from))
                .boxed(),
        }))
    }
}

/// The metadata of a file that changes with its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    inode: u64,
    size_bytes: u64,
    changed_ns: i128,
}

impl FileStamp {
    fn read(file: &File) -> io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Self {
            inode: meta.ino(),
            size_bytes: meta.len(),
            changed_ns: i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()),
        })
    }

    fn version(self) -> Option<Version> {
        Version::from_strong_tag(&format!(
            "file-{:x}-{:x}-{:x}",
            self.inode, self.size_bytes, self.changed_ns
        ))
    }
}

fn parse_path(uri: &str) -> Result<PathBuf, FileError> {
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

/// Opens a file below one of the directories; some of them may be unavailable.
fn open_below_any(jobs_dirs: &[PathBuf], path: &Path) -> Result<File, FileError> {
    let mut outside = FileError::Outside {
        path: path.to_owned(),
    };
    for jobs_dir in jobs_dirs {
        match open_below(jobs_dir, path) {
            Err(FileError::Outside { .. }) => {}
            Err(error) if !path.starts_with(jobs_dir) => outside = error,
            found => return found,
        }
    }
    Err(outside)
}

fn open_below(jobs_dir: &Path, path: &Path) -> Result<File, FileError> {
    let failed = |source: io::Error| FileError::Read {
        path: path.to_owned(),
        source,
    };
    let root = jobs_dir.canonicalize().map_err(failed)?;
    // This check comes first, so that errors do not reveal what exists elsewhere.
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
    let not_regular = || FileError::NotRegular {
        path: path.to_owned(),
    };
    // The jobs directory itself.
    if below.as_os_str().is_empty() {
        return Err(not_regular());
    }
    let directory = RootDirectory::open(&root).map_err(failed)?;
    let file = directory.open_file(below).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(not_regular());
    }
    Ok(file)
}

/// Reads as many bytes as the file had when it was opened.
///
/// If the file has only grown since, these bytes are complete; if it was rewritten, they are not.
fn read(
    file: File,
    path: PathBuf,
    stamp: FileStamp,
    left_bytes: u64,
) -> impl Stream<Item = Result<Bytes, FileError>> + Send + 'static {
    stream::try_unfold(
        (file, path, left_bytes),
        move |(mut file, path, left_bytes)| async move {
            let (chunk, file) = run_blocking(&path, {
                let path = path.clone();
                move || {
                    let chunk = read_some(&mut file, left_bytes.min(CHUNK_BYTES));
                    let chunk = chunk.map_err(|source| FileError::Read {
                        path: path.clone(),
                        source,
                    })?;
                    if chunk.is_empty() && !is_complete(&file, stamp) {
                        return Err(FileError::Changed { path });
                    }
                    Ok((chunk, file))
                }
            })
            .await?;
            let left_bytes = left_bytes - chunk.len() as u64;
            Ok((!chunk.is_empty()).then(|| (Bytes::from(chunk), (file, path, left_bytes))))
        },
    )
}

fn is_complete(file: &File, stamp: FileStamp) -> bool {
    FileStamp::read(file).is_ok_and(|now| now == stamp || now.size_bytes > stamp.size_bytes)
}

fn read_some(file: &mut File, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut chunk = Vec::new();
    file.take(max_bytes).read_to_end(&mut chunk)?;
    Ok(chunk)
}

async fn run_blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, FileError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(FileError::Read {
            path: path.to_owned(),
            source: io::Error::other("reading was cancelled"),
        }),
    }
}
