//! A file that is not whole yet: hidden, locked, and able to go on where it stopped.
//!
//! It lies beside the final name as `.NAME.part`; `.NAME.part.journal` says of
//! which version its bytes are and how many of them are safe. One process
//! works on it at a time. The final name appears by a rename, when every byte
//! is on the disk.

mod content;
mod journal;

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::digest::{Hasher, Sha256};
use crate::output_directory::{Place, TargetError};
use crate::version::{ResumePoint, Version};
use content::State;
use journal::Journal;

/// Bytes that are gathered before they are written: fewer trips to another thread.
const BLOCK_BYTES: usize = 256 * 1024;

/// Bytes that are copied from another file in one trip.
const COPY_BYTES: u64 = 16 << 20;

/// Bytes after which what is there is made safe, so that a killed process or a power cut costs
/// at most these.
const SAFE_EVERY_BYTES: u64 = 16 << 20;

/// Fewer bytes than these are not worth a file that lies around.
const WORTH_KEEPING_BYTES: u64 = 64 * 1024;

/// Between two looks at a lock that another process holds.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// A file that has no name yet.
#[derive(Debug)]
pub(crate) struct Partial {
    place: Place,
    temporary: String,
    state: Arc<Mutex<State>>,
    buffer: Vec<u8>,
    /// What its bytes are of; `None` when there is nothing that a later try could rely on.
    source: Option<Source>,
    key: Sha256,
    /// Whether there is something to remove under the journal's name.
    journal: bool,
    done: bool,
}

#[derive(Debug, Clone)]
struct Source {
    version: Version,
    size_bytes: Option<u64>,
}

impl Partial {
    /// Tells whether somebody left a part of a file, or works on it.
    pub(crate) fn is_begun(place: &Place) -> bool {
        let temporary = temporary(place);
        rustix::fs::statat(&place.directory, temporary, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Opens the part of a file, and waits while another process works on it.
    ///
    /// `key` stands for the address; a part that is of another one starts over.
    pub(crate) async fn lock(place: Place, key: &Sha256) -> Result<Self, TargetError> {
        let temporary = temporary(&place);
        let file = loop {
            let file = open(&place, &temporary)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                // Whoever held it may have given it its final name meanwhile.
                Ok(()) if is_still(&place, &temporary, &file)? => break file,
                Ok(()) => {}
                Err(Errno::WOULDBLOCK | Errno::INTR) => tokio::time::sleep(LOCK_PAUSE).await,
                Err(errno) => return Err(place.failed(errno.into())),
            }
        };
        let mut partial = Self {
            state: Arc::new(Mutex::new(State {
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
        partial.pick_up().await?;
        Ok(partial)
    }

    /// Where it goes.
    pub(crate) fn place(&self) -> &Place {
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
        self.state().written_bytes + self.buffer.len() as u64
    }

    /// Forgets what is there, for bytes that come from the beginning.
    pub(crate) fn start_over(
        &mut self,
        version: Option<Version>,
        size_bytes: Option<u64>,
    ) -> Result<(), TargetError> {
        self.buffer.clear();
        if self.journal {
            self.remove_journal();
        }
        self.source = version.map(|version| Source {
            version,
            size_bytes,
        });
        // One that is empty needs no call for that, which counts where files are small.
        let emptied = match self.state() {
            state if state.written_bytes == 0 => Ok(()),
            mut state => state.empty(),
        };
        emptied.map_err(|source| self.place.failed(source))
    }

    /// Appends bytes.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), TargetError> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BLOCK_BYTES {
            self.write_out().await?;
            self.make_safe_at_times().await?;
        }
        Ok(())
    }

    /// Puts every byte on the disk; returns what they are.
    pub(crate) async fn seal(&mut self) -> Result<(Sha256, u64), TargetError> {
        let block = std::mem::take(&mut self.buffer);
        self.on_a_thread(move |state| {
            state.append(&block)?;
            state.file.sync_all()?;
            Ok((state.hasher.clone().finish(), state.written_bytes))
        })
        .await
    }

    /// Appends what comes next of a file, a share of it; returns how much that was.
    pub(crate) async fn copy_from(&mut self, from: &File) -> Result<u64, TargetError> {
        self.write_out().await?;
        let mut from = from
            .try_clone()
            .map_err(|source| self.place.failed(source))?;
        self.on_a_thread(move |state| state.copy_from(&mut from, COPY_BYTES))
            .await
    }

    /// Returns the sealed file, for somebody who copies it.
    pub(crate) fn file(&self) -> Result<File, TargetError> {
        let opened = self.state().file.try_clone();
        opened.map_err(|source| self.place.failed(source))
    }

    /// Gives the sealed file its name.
    pub(crate) fn publish(mut self) -> Result<(), TargetError> {
        let place = &self.place;
        rustix::fs::renameat(
            &place.directory,
            &self.temporary,
            &place.directory,
            &place.file_name,
        )
        .map_err(|errno| place.failed(errno.into()))?;
        self.done = true;
        if self.journal {
            self.remove_journal();
        }
        Ok(())
    }

    /// Lets the caller move the sealed file, whose name it hears, to where it belongs.
    pub(crate) fn publish_by(
        mut self,
        rename: impl FnOnce(&File, &str) -> io::Result<()>,
    ) -> io::Result<()> {
        let renamed = rename(&self.state().file, &self.temporary);
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
    async fn pick_up(&mut self) -> Result<(), TargetError> {
        let (there, journal) = Journal::read(&self.place, &self.temporary, &self.key);
        self.journal = there;
        let Some(journal) = journal else {
            let length = self.state().file.metadata().map(|meta| meta.len());
            return match length {
                Ok(0) => Ok(()),
                _ => self.on_a_thread(State::empty).await,
            };
        };
        let safe_bytes = journal.safe_bytes;
        let whole = self
            .on_a_thread(move |state| state.read_again(safe_bytes))
            .await?;
        if whole {
            self.source = Some(Source {
                version: journal.version,
                size_bytes: journal.size_bytes,
            });
        }
        Ok(())
    }

    async fn write_out(&mut self) -> Result<(), TargetError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let block = std::mem::take(&mut self.buffer);
        self.buffer = self
            .on_a_thread(move |state| {
                state.append(&block)?;
                Ok(block)
            })
            .await?;
        self.buffer.clear();
        Ok(())
    }

    async fn make_safe_at_times(&mut self) -> Result<(), TargetError> {
        let due = {
            let state = self.state();
            state.written_bytes - state.safe_bytes >= SAFE_EVERY_BYTES
        };
        if due && self.source.is_some() {
            self.on_a_thread(State::make_safe).await?;
            self.journal = true;
            self.write_journal();
        }
        Ok(())
    }

    async fn on_a_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut State) -> io::Result<T> + Send + 'static,
    ) -> Result<T, TargetError> {
        let state = Arc::clone(&self.state);
        let done = tokio::task::spawn_blocking(move || {
            work(&mut state.lock().unwrap_or_else(PoisonError::into_inner))
        })
        .await;
        let result = done.unwrap_or_else(|_| Err(io::Error::other("writing was cut short")));
        result.map_err(|source| self.place.failed(source))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
            safe_bytes: self.state().safe_bytes,
        };
        journal.write(&self.place, &self.temporary).ok();
    }

    fn remove_journal(&self) {
        Journal::remove(&self.place, &self.temporary);
    }
}

impl Drop for Partial {
    /// Keeps what a later try can go on with; removes everything else.
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let block = std::mem::take(&mut self.buffer);
        let kept = self.source.is_some() && {
            let mut state = self.state();
            state.written_bytes + block.len() as u64 >= WORTH_KEEPING_BYTES
                && state.append(&block).is_ok()
                && state.make_safe().is_ok()
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

fn temporary(place: &Place) -> String {
    format!(".{}.part", place.file_name)
}

/// Opens or makes the part; one that somebody else could reach under another name is refused.
fn open(place: &Place, temporary: &str) -> Result<File, TargetError> {
    let flags =
        OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o666);
    let file = match rustix::fs::openat(&place.directory, temporary, flags, mode) {
        Ok(file) => file,
        Err(Errno::LOOP | Errno::MLINK | Errno::ISDIR | Errno::NXIO) => {
            return Err(in_the_way(place, temporary));
        }
        Err(errno) => return Err(place.failed(errno.into())),
    };
    let stat = rustix::fs::fstat(&file).map_err(|errno| place.failed(errno.into()))?;
    let plain = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    // No link at all: it was just taken away, and is opened anew once that is noticed.
    if !plain || stat.st_nlink > 1 || stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(in_the_way(place, temporary));
    }
    Ok(File::from(file))
}

fn in_the_way(place: &Place, temporary: &str) -> TargetError {
    TargetError::InTheWay {
        path: place.shown.with_file_name(temporary),
    }
}

fn is_still(place: &Place, temporary: &str, file: &File) -> Result<bool, TargetError> {
    let failed = |errno: Errno| place.failed(errno.into());
    let open = rustix::fs::fstat(file).map_err(failed)?;
    match rustix::fs::statat(&place.directory, temporary, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(named) => Ok((named.st_dev, named.st_ino) == (open.st_dev, open.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(failed(errno)),
    }
}
