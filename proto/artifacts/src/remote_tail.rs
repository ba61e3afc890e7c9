//! Follows a remote file while it grows.
//!
//! The version changes with every line, so it cannot show whether the bytes already read are still
//! the beginning of the file. Instead, each request repeats the last bytes: if they are the same,
//! the file has grown; if not, it was replaced.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use futures_util::StreamExt;

use crate::cache::Cache;
use crate::source::{OpenResponse, Opened, SourceError, Sources};
use crate::version::Version;

/// Bytes that are requested again: too many for two logs to share by chance, and cheap to send.
const OVERLAP_BYTES: usize = 1_024;

/// Transient failures in a row that are tolerated; a server that restarts needs some.
const MAX_FAILURES: u32 = 10;

/// Why a file cannot be followed any longer.
#[derive(Debug, thiserror::Error)]
pub enum RemoteTailError {
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The new bytes cannot be written to a temporary file.
    #[error("could not write the new content to a temporary file")]
    Store(#[source] io::Error),
}

/// What a poll found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TailChange {
    /// The file still begins with the bytes already read; it may have grown.
    Appended,
    /// The file was replaced; the new bytes start at its beginning.
    Restarted,
}

/// A remote file, and the bytes that were added to it since it was first read.
#[derive(Debug)]
pub struct RemoteTail {
    uri: String,
    /// The new bytes, in a file without a name.
    new_bytes: File,
    /// Number of bytes read so far.
    read_bytes: u64,
    /// The last bytes read, at most [`OVERLAP_BYTES`].
    last: Vec<u8>,
    version: Option<Version>,
    failures: u32,
}

impl RemoteTail {
    /// Continues after a first download: `first` is its content, and the new bytes start at
    /// `from_bytes` of it.
    ///
    /// # Errors
    ///
    /// When `first` cannot be read, or the temporary file cannot be written.
    pub fn after(uri: &str, mut first: File, from_bytes: u64, cache: &Cache) -> io::Result<Self> {
        let read_bytes = first.seek(SeekFrom::End(0))?;
        let mut last = Vec::new();
        let overlap_bytes = read_bytes.min(OVERLAP_BYTES as u64);
        first.seek(SeekFrom::Start(read_bytes - overlap_bytes))?;
        first.read_to_end(&mut last)?;
        first.seek(SeekFrom::Start(from_bytes))?;
        let mut new_bytes = cache.unnamed_file()?;
        io::copy(&mut first, &mut new_bytes)?;
        Ok(Self {
            uri: uri.to_owned(),
            new_bytes,
            read_bytes,
            last,
            version: None,
            failures: 0,
        })
    }

    /// Returns the new bytes; after [`TailChange::Restarted`], the whole file.
    ///
    /// # Errors
    ///
    /// The error of the system.
    pub fn file(&self) -> io::Result<File> {
        self.new_bytes.try_clone()
    }

    /// Requests the bytes that were added since the last poll.
    ///
    /// # Errors
    ///
    /// After a failure that is not transient, or too many in a row.
    pub async fn poll(&mut self, sources: &Sources) -> Result<TailChange, RemoteTailError> {
        let mut change = TailChange::Appended;
        loop {
            let offset_bytes = self.read_bytes - self.last.len() as u64;
            let answer = sources
                .open_from(&self.uri, offset_bytes, self.version.as_ref())
                .await;
            let appended = match answer {
                Ok(OpenResponse::Unchanged) => Ok(true),
                Ok(OpenResponse::Opened(opened)) => self.append_new(opened, offset_bytes).await,
                Err(error) => Err(error.into()),
            };
            match appended {
                Ok(true) => {
                    self.failures = 0;
                    return Ok(change);
                }
                // Nothing is known of the file now, so any response is accepted.
                Ok(false) => {
                    change = TailChange::Restarted;
                    self.reset().map_err(RemoteTailError::Store)?;
                }
                Err(RemoteTailError::Source(error))
                    if error.is_transient() && self.failures < MAX_FAILURES =>
                {
                    self.failures += 1;
                    self.version = None;
                    return Ok(change);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Appends the bytes after the overlap; `false` if the overlap differs.
    async fn append_new(
        &mut self,
        mut opened: Opened,
        offset_bytes: u64,
    ) -> Result<bool, RemoteTailError> {
        let mut skip_bytes = offset_bytes.saturating_sub(opened.begins_at);
        let known = self.last.clone();
        let mut expected = known.as_slice();
        while let Some(chunk) = opened.body.next().await {
            let chunk = chunk?;
            let skipped = usize::try_from(skip_bytes).map_or(chunk.len(), |b| b.min(chunk.len()));
            skip_bytes -= skipped as u64;
            let (_, chunk) = chunk.split_at(skipped);
            let (again, new) = chunk.split_at(chunk.len().min(expected.len()));
            let (repeated, rest) = expected.split_at(again.len());
            if again != repeated {
                return Ok(false);
            }
            expected = rest;
            self.append(new).map_err(RemoteTailError::Store)?;
        }
        self.version = opened.version;
        Ok(expected.is_empty())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.new_bytes.seek(SeekFrom::End(0))?;
        self.new_bytes.write_all(bytes)?;
        self.read_bytes += bytes.len() as u64;
        let (_, end) = bytes.split_at(bytes.len().saturating_sub(OVERLAP_BYTES));
        self.last.extend_from_slice(end);
        let old = self.last.len().saturating_sub(OVERLAP_BYTES);
        self.last.drain(..old);
        Ok(())
    }

    fn reset(&mut self) -> io::Result<()> {
        self.last.clear();
        self.read_bytes = 0;
        self.version = None;
        self.new_bytes.set_len(0)
    }
}
