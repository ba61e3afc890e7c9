//! A partially downloaded file: hidden, locked, and resumable.
//!
//! It is in the directory of the final file as `.NAME.part`; `.NAME.part.journal` records the version
//! of its bytes and how many of them are on disk. Only one process writes it at a time. It is
//! renamed to its final name when every byte is on disk.

mod content;
mod hidden_file;
mod journal;

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{AtFlags, FlockOperation};
use rustix::io::Errno;

use crate::digest::{Hasher, Sha256};
use crate::output_directory::{OutputError, OutputFile};
use crate::version::{ResumePoint, Version};
use content::{BLOCK_BYTES, PartContent};
use hidden_file::{is_still_named, open, temporary};
use journal::Journal;

/// Bytes that are copied from another file at once.
const COPY_BYTES: u64 = 16 << 20;

/// Bytes after which the file is synced to disk, so that a killed process or a power cut loses at
/// most these.
const SAFE_EVERY_BYTES: u64 = 16 << 20;

/// A partial file with fewer bytes is not kept.
const WORTH_KEEPING_BYTES: u64 = 64 * 1024;

/// Interval between attempts to take a lock that another process holds.
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A file that does not have its final name yet.
#[derive(Debug)]
pub(crate) struct PartialFile {
    output_file: OutputFile,
    temporary: String,
    content: Arc<Mutex<PartContent>>,
    buffer: Vec<u8>,
    /// Version of its bytes; `None` if a later attempt cannot resume from them.
    source: Option<SourceVersion>,
    key: Sha256,
    /// Whether a file with the journal's name exists.
    journal: bool,
    done: bool,
}

#[derive(Debug, Clone)]
struct SourceVersion {
    version: Version,
    size_bytes: Option<u64>,
}

impl PartialFile {
    /// Returns whether there is a partial file, left over or in use.
    pub(crate) fn exists(output_file: &OutputFile) -> bool {
        let temporary = temporary(output_file);
        rustix::fs::statat(&output_file.directory, temporary, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Opens the partial file, and waits while another process has it locked.
    ///
    /// `key` identifies the address; a partial file of another address starts over.
    pub(crate) async fn lock(output_file: OutputFile, key: &Sha256) -> Result<Self, OutputError> {
        let temporary = temporary(&output_file);
        let file = loop {
            let file = open(&output_file, &temporary)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                // The previous holder may have renamed it to its final name in the meantime.
                Ok(()) if is_still_named(&output_file, &temporary, &file)? => break file,
                Ok(()) => {}
                Err(Errno::WOULDBLOCK | Errno::INTR) => {
                    tokio::time::sleep(LOCK_POLL_INTERVAL).await
                }
                Err(errno) => return Err(output_file.write_error(errno.into())),
            }
        };
        let mut partial = Self {
            content: Arc::new(Mutex::new(PartContent {
                file,
                hasher: Hasher::new(),
                written_bytes: 0,
                safe_bytes: 0,
            })),
            output_file,
            temporary,
            buffer: Vec::new(),
            source: None,
            key: key.clone(),
            journal: false,
            done: false,
        };
        partial.restore().await?;
        Ok(partial)
    }

    /// Returns the final file.
    pub(crate) fn output_file(&self) -> &OutputFile {
        &self.output_file
    }

    /// Returns where to resume, if the source can be asked for the rest.
    pub(crate) fn resume_point(&self) -> Option<ResumePoint> {
        let source = self.source.as_ref()?;
        let offset_bytes = self.written_bytes();
        (offset_bytes > 0).then(|| ResumePoint {
            version: source.version.clone(),
            offset_bytes,
            size_bytes: source.size_bytes,
        })
    }

    /// Returns the number of bytes received so far.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.content().written_bytes + self.buffer.len() as u64
    }

    /// Empties the file, before content is written from its beginning.
    pub(crate) fn start_over(
        &mut self,
        version: Option<Version>,
        size_bytes: Option<u64>,
    ) -> Result<(), OutputError> {
        self.buffer.clear();
        if self.journal {
            self.remove_journal();
        }
        self.source = version.map(|version| SourceVersion {
            version,
            size_bytes,
        });
        // Truncating an empty file would be a wasted call, which matters for many small files.
        let emptied = match self.content() {
            content if content.written_bytes == 0 => Ok(()),
            mut content => content.truncate(),
        };
        emptied.map_err(|source| self.output_file.write_error(source))
    }

    /// Appends bytes.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BLOCK_BYTES {
            self.flush().await?;
            self.sync_if_due().await?;
        }
        Ok(())
    }

    /// Syncs every byte to disk; returns their hash and number.
    pub(crate) async fn sync_and_hash(&mut self) -> Result<(Sha256, u64), OutputError> {
        let block = std::mem::take(&mut self.buffer);
        self.run_blocking(move |content| {
            content.append(&block)?;
            content.file.sync_all()?;
            Ok((content.hasher.clone().finish(), content.written_bytes))
        })
        .await
    }

    /// Appends the next piece of another file; returns the number of bytes.
    pub(crate) async fn copy_from(&mut self, from: &File) -> Result<u64, OutputError> {
        self.flush().await?;
        let mut from = from
            .try_clone()
            .map_err(|source| self.output_file.write_error(source))?;
        self.run_blocking(move |content| content.copy_from(&mut from, COPY_BYTES))
            .await
    }

    /// Returns another handle of the file.
    pub(crate) fn file(&self) -> Result<File, OutputError> {
        let opened = self.content().file.try_clone();
        opened.map_err(|source| self.output_file.write_error(source))
    }

    /// Renames the synced file to its final name.
    pub(crate) fn publish(mut self) -> Result<(), OutputError> {
        let output_file = &self.output_file;
        rustix::fs::renameat(
            &output_file.directory,
            &self.temporary,
            &output_file.directory,
            &output_file.file_name,
        )
        .map_err(|errno| output_file.write_error(errno.into()))?;
        self.done = true;
        if self.journal {
            self.remove_journal();
        }
        Ok(())
    }

    /// Lets the caller move the synced file; `rename` gets the file and its hidden name.
    pub(crate) fn publish_with(
        mut self,
        rename: impl FnOnce(&File, &str) -> io::Result<()>,
    ) -> io::Result<()> {
        let renamed = rename(&self.content().file, &self.temporary);
        if renamed.is_ok() {
            self.done = true;
            if self.journal {
                self.remove_journal();
            }
        }
        renamed
    }

    /// Removes the partial file and its journal.
    pub(crate) fn discard(mut self) {
        self.source = None;
    }

    /// Restores the bytes that an earlier process left, as far as the journal confirms them.
    async fn restore(&mut self) -> Result<(), OutputError> {
        let (there, journal) = Journal::read(&self.output_file, &self.temporary, &self.key);
        self.journal = there;
        let Some(journal) = journal else {
            let length = self.content().file.metadata().map(|meta| meta.len());
            return match length {
                Ok(0) => Ok(()),
                _ => self.run_blocking(PartContent::truncate).await,
            };
        };
        let safe_bytes = journal.safe_bytes;
        let whole = self
            .run_blocking(move |content| content.rehash(safe_bytes))
            .await?;
        if whole {
            self.source = Some(SourceVersion {
                version: journal.version,
                size_bytes: journal.size_bytes,
            });
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), OutputError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let block = std::mem::take(&mut self.buffer);
        self.buffer = self
            .run_blocking(move |content| {
                content.append(&block)?;
                Ok(block)
            })
            .await?;
        self.buffer.clear();
        Ok(())
    }

    async fn sync_if_due(&mut self) -> Result<(), OutputError> {
        let due = {
            let content = self.content();
            content.written_bytes - content.safe_bytes >= SAFE_EVERY_BYTES
        };
        if due && self.source.is_some() {
            self.run_blocking(PartContent::sync).await?;
            self.journal = true;
            self.write_journal();
        }
        Ok(())
    }

    async fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut PartContent) -> io::Result<T> + Send + 'static,
    ) -> Result<T, OutputError> {
        let content = Arc::clone(&self.content);
        let done = tokio::task::spawn_blocking(move || {
            work(&mut content.lock().unwrap_or_else(PoisonError::into_inner))
        })
        .await;
        let result = done.unwrap_or_else(|_| Err(io::Error::other("writing was cancelled")));
        result.map_err(|source| self.output_file.write_error(source))
    }

    fn content(&self) -> MutexGuard<'_, PartContent> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the journal; without it, a later attempt only has to download more.
    fn write_journal(&self) {
        let Some(source) = &self.source else {
            return;
        };
        let journal = Journal {
            key: self.key.clone(),
            version: source.version.clone(),
            size_bytes: source.size_bytes,
            safe_bytes: self.content().safe_bytes,
        };
        journal.write(&self.output_file, &self.temporary).ok();
    }

    fn remove_journal(&self) {
        Journal::remove(&self.output_file, &self.temporary);
    }
}

impl Drop for PartialFile {
    /// Keeps the file if a later attempt can resume from it; removes it otherwise.
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let block = std::mem::take(&mut self.buffer);
        let kept = self.source.is_some() && {
            let mut content = self.content();
            content.written_bytes + block.len() as u64 >= WORTH_KEEPING_BYTES
                && content.append(&block).is_ok()
                && content.sync().is_ok()
        };
        if kept {
            self.write_journal();
        } else {
            self.remove_journal();
            // If this fails, the name still shows that the file is partial.
            rustix::fs::unlinkat(
                &self.output_file.directory,
                &self.temporary,
                AtFlags::empty(),
            )
            .ok();
        }
    }
}
