//! A file that is not whole yet: hidden, locked, and able to go on where it stopped.
//!
//! It lies beside the final name as `.NAME.part`; `.NAME.part.journal` says of
//! which version its bytes are and how many of them are safe. One process
//! works on it at a time. The final name appears by a rename, when every byte
//! is on the disk.

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

/// Bytes that are copied from another file in one trip.
const COPY_BYTES: u64 = 16 << 20;

/// Bytes after which what is there is made safe, so that a killed process or a power cut costs
/// at most these.
const SAFE_EVERY_BYTES: u64 = 16 << 20;

/// Fewer bytes than these are not worth a file that lies around.
const WORTH_KEEPING_BYTES: u64 = 64 * 1024;

/// Between two looks at a lock that another process holds.
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A file that has no name yet.
#[derive(Debug)]
pub(crate) struct PartialFile {
    place: OutputFile,
    temporary: String,
    content: Arc<Mutex<PartContent>>,
    buffer: Vec<u8>,
    /// What its bytes are of; `None` when there is nothing that a later try could rely on.
    source: Option<SourceVersion>,
    key: Sha256,
    /// Whether there is something to remove under the journal's name.
    journal: bool,
    done: bool,
}

#[derive(Debug, Clone)]
struct SourceVersion {
    version: Version,
    size_bytes: Option<u64>,
}

impl PartialFile {
    /// Tells whether somebody left a part of a file, or works on it.
    pub(crate) fn exists(place: &OutputFile) -> bool {
        let temporary = temporary(place);
        rustix::fs::statat(&place.directory, temporary, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Opens the part of a file, and waits while another process works on it.
    ///
    /// `key` stands for the address; a part that is of another one starts over.
    pub(crate) async fn lock(place: OutputFile, key: &Sha256) -> Result<Self, OutputError> {
        let temporary = temporary(&place);
        let file = loop {
            let file = open(&place, &temporary)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                // Whoever held it may have given it its final name meanwhile.
                Ok(()) if is_still_named(&place, &temporary, &file)? => break file,
                Ok(()) => {}
                Err(Errno::WOULDBLOCK | Errno::INTR) => {
                    tokio::time::sleep(LOCK_POLL_INTERVAL).await
                }
                Err(errno) => return Err(place.write_error(errno.into())),
            }
        };
        let mut partial = Self {
            content: Arc::new(Mutex::new(PartContent {
                file,
                hasher: Hasher::new(),
                written_bytes: 0,
                safe_bytes: 0,
            })),
            place,
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

    /// Where it goes.
    pub(crate) fn place(&self) -> &OutputFile {
        &self.place
    }

    /// Returns how far it is, if a source can be asked for the rest.
    pub(crate) fn resume_point(&self) -> Option<ResumePoint> {
        let source = self.source.as_ref()?;
        let offset_bytes = self.written_bytes();
        (offset_bytes > 0).then(|| ResumePoint {
            version: source.version.clone(),
            offset_bytes,
            size_bytes: source.size_bytes,
        })
    }

    /// Counts the bytes that are there.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.content().written_bytes + self.buffer.len() as u64
    }

    /// Forgets what is there, for bytes that come from the beginning.
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
        // One that is empty needs no call for that, which counts where files are small.
        let emptied = match self.content() {
            content if content.written_bytes == 0 => Ok(()),
            mut content => content.truncate(),
        };
        emptied.map_err(|source| self.place.write_error(source))
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

    /// Puts every byte on the disk; returns what they are.
    pub(crate) async fn sync_and_hash(&mut self) -> Result<(Sha256, u64), OutputError> {
        let block = std::mem::take(&mut self.buffer);
        self.run_blocking(move |content| {
            content.append(&block)?;
            content.file.sync_all()?;
            Ok((content.hasher.clone().finish(), content.written_bytes))
        })
        .await
    }

    /// Appends what comes next of a file, a share of it; returns how much that was.
    pub(crate) async fn copy_from(&mut self, from: &File) -> Result<u64, OutputError> {
        self.flush().await?;
        let mut from = from
            .try_clone()
            .map_err(|source| self.place.write_error(source))?;
        self.run_blocking(move |content| content.copy_from(&mut from, COPY_BYTES))
            .await
    }

    /// Returns the sealed file, for somebody who copies it.
    pub(crate) fn file(&self) -> Result<File, OutputError> {
        let opened = self.content().file.try_clone();
        opened.map_err(|source| self.place.write_error(source))
    }

    /// Gives the sealed file its name.
    pub(crate) fn publish(mut self) -> Result<(), OutputError> {
        let place = &self.place;
        rustix::fs::renameat(
            &place.directory,
            &self.temporary,
            &place.directory,
            &place.file_name,
        )
        .map_err(|errno| place.write_error(errno.into()))?;
        self.done = true;
        if self.journal {
            self.remove_journal();
        }
        Ok(())
    }

    /// Lets the caller move the sealed file, whose name it hears, to where it belongs.
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

    /// Removes it and what it was to go on with.
    pub(crate) fn discard(mut self) {
        self.source = None;
    }

    /// Goes on with what an earlier process left, where its journal vouches for it.
    async fn restore(&mut self) -> Result<(), OutputError> {
        let (there, journal) = Journal::read(&self.place, &self.temporary, &self.key);
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
        let result = done.unwrap_or_else(|_| Err(io::Error::other("writing was cut short")));
        result.map_err(|source| self.place.write_error(source))
    }

    fn content(&self) -> MutexGuard<'_, PartContent> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A journal that cannot be written costs a later try some bytes, and nothing else.
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
        journal.write(&self.place, &self.temporary).ok();
    }

    fn remove_journal(&self) {
        Journal::remove(&self.place, &self.temporary);
    }
}

impl Drop for PartialFile {
    /// Keeps what a later try can go on with; removes everything else.
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
            // Nothing more can be done if even this fails; the name says that it is a part.
            rustix::fs::unlinkat(&self.place.directory, &self.temporary, AtFlags::empty()).ok();
        }
    }
}
