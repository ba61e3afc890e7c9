//! A file of another machine that is read while it grows.
//!
//! Its version changes with every line, so a version cannot tell whether what
//! was read is still its beginning. The last bytes that were read are asked
//! for again instead, with all that comes behind them: where they are still
//! the same, it grew; where they are not, it was begun anew.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use futures_util::StreamExt;

use crate::cache::Cache;
use crate::source::{OpenResponse, Opened, SourceError, Sources};
use crate::version::Version;

/// Bytes that have to be there again: more than two logs end with by chance, and cheap to move.
const OVERLAP_BYTES: usize = 1_024;

/// Looks in a row that may fail in a way that passes; a server that starts again needs some.
const MAX_FAILURES: u32 = 10;

/// Says why a file is not read any further.
#[derive(Debug, thiserror::Error)]
pub enum RemoteTailError {
    /// It could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// What came of it could not be put new_bytes.
    #[error("could not put aside what came")]
    Store(#[source] io::Error),
}

/// What was found at a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TailChange {
    /// What was there is still its beginning; something may have come.
    Appended,
    /// It was begun anew, and is there from its beginning.
    Restarted,
}

/// A file of another machine, and what came of it since it was first read.
#[derive(Debug)]
pub struct RemoteTail {
    uri: String,
    /// What came; it has no name, so it goes with its reader.
    new_bytes: File,
    /// Bytes that were read of it in all.
    read_bytes: u64,
    /// The last of them.
    last: Vec<u8>,
    version: Option<Version>,
    failures: u32,
}

impl RemoteTail {
    /// Goes on behind a first reading: `first` is what was there, of which `from_bytes` need not
    /// be put new_bytes.
    ///
    /// # Errors
    ///
    /// When that cannot be read, or nothing can be put new_bytes.
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

    /// Returns what came, from where the first reading ended or from the beginning.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn file(&self) -> io::Result<File> {
        self.new_bytes.try_clone()
    }

    /// Asks for what came since the last look.
    ///
    /// # Errors
    ///
    /// When that failed in a way that does not pass, or many times in a row.
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
                // Nothing is known of it now, so the next answer is taken whatever it is.
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

    /// Puts aside what is behind the last bytes; false when those are not there.
    async fn append_new(
        &mut self,
        mut opened: Opened,
        offset_bytes: u64,
    ) -> Result<bool, RemoteTailError> {
        let mut skip_bytes = offset_bytes.saturating_sub(opened.begins_at);
        let mut known_bytes = 0;
        let known = std::mem::take(&mut self.last);
        self.last.clone_from(&known);
        while let Some(chunk) = opened.body.next().await {
            let chunk = chunk?;
            let skipped = usize::try_from(skip_bytes).map_or(chunk.len(), |b| b.min(chunk.len()));
            skip_bytes -= skipped as u64;
            let chunk = &chunk[skipped..];
            let again = chunk.len().min(known.len() - known_bytes);
            if chunk[..again] != known[known_bytes..known_bytes + again] {
                return Ok(false);
            }
            known_bytes += again;
            self.append(&chunk[again..])
                .map_err(RemoteTailError::Store)?;
        }
        self.version = opened.version;
        Ok(known_bytes == known.len())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.new_bytes.seek(SeekFrom::End(0))?;
        self.new_bytes.write_all(bytes)?;
        self.read_bytes += bytes.len() as u64;
        self.last
            .extend_from_slice(&bytes[bytes.len().saturating_sub(OVERLAP_BYTES)..]);
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
