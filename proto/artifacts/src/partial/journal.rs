//! The journal of a partial file.

use std::fs::File;
use std::io::{self, Read, Write};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::output_directory::OutputFile;
use crate::version::Version;

/// Longest journal in bytes; docks writes a few hundred.
const MAX_BYTES: u64 = 8 * 1024;

/// Describes the bytes of a partial file that are on disk; stored as JSON.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Journal {
    /// Cache key of their address; the address itself may contain a signature.
    pub(super) key: Sha256,
    /// Their version.
    pub(super) version: Version,
    /// Size of the whole object, if it is known.
    pub(super) size_bytes: Option<u64>,
    /// How many of them are on disk.
    pub(super) safe_bytes: u64,
}

impl Journal {
    /// Reads the journal of a partial file; `None` if it is missing, invalid or of another address.
    ///
    /// The first value is whether a file of that name exists.
    pub(super) fn read(
        output_file: &OutputFile,
        temporary: &str,
        key: &Sha256,
    ) -> (bool, Option<Self>) {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::openat(
            &output_file.directory,
            name(temporary),
            flags,
            Mode::empty(),
        ) {
            Ok(file) => (true, Self::parse(File::from(file), key)),
            Err(errno) => (errno != Errno::NOENT, None),
        }
    }

    fn parse(file: File, key: &Sha256) -> Option<Self> {
        let mut text = String::new();
        let mut limited = file.take(MAX_BYTES);
        limited.read_to_string(&mut text).ok()?;
        let journal: Self = serde_json::from_str(&text).ok()?;
        let is_consistent = journal
            .size_bytes
            .is_none_or(|all| journal.safe_bytes <= all);
        (journal.key == *key && is_consistent && journal.safe_bytes > 0).then_some(journal)
    }

    /// Replaces the journal atomically.
    pub(super) fn write(&self, output_file: &OutputFile, temporary: &str) -> io::Result<()> {
        let name = name(temporary);
        let new = format!("{name}.new");
        rustix::fs::unlinkat(&output_file.directory, &new, AtFlags::empty()).ok();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mode = Mode::from_raw_mode(0o600);
        let file = rustix::fs::openat(&output_file.directory, &new, flags | OFlags::CLOEXEC, mode)?;
        let mut file = File::from(file);
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_data()?;
        rustix::fs::renameat(&output_file.directory, &new, &output_file.directory, &name)?;
        Ok(())
    }

    /// Removes the journal of a partial file, if there is one.
    pub(super) fn remove(output_file: &OutputFile, temporary: &str) {
        rustix::fs::unlinkat(&output_file.directory, name(temporary), AtFlags::empty()).ok();
    }
}

fn name(temporary: &str) -> String {
    format!("{temporary}.journal")
}
