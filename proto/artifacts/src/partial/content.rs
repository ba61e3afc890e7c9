//! The bytes of a partial file: written, hashed and synced to disk.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use crate::digest::Hasher;

/// Bytes that are buffered before they are written: fewer trips to another thread.
pub(super) const BLOCK_BYTES: usize = 256 * 1024;

/// A partial file, the hash of its bytes and how many of them are on disk.
pub(super) struct PartContent {
    pub(super) file: File,
    pub(super) hasher: Hasher,
    pub(super) written_bytes: u64,
    pub(super) safe_bytes: u64,
}

impl std::fmt::Debug for PartContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartContent")
            .field("written_bytes", &self.written_bytes)
            .finish_non_exhaustive()
    }
}

impl PartContent {
    pub(super) fn truncate(&mut self) -> io::Result<()> {
        self.hasher = Hasher::new();
        (self.written_bytes, self.safe_bytes) = (0, 0);
        self.file.set_len(0)?;
        self.file.rewind()
    }

    pub(super) fn append(&mut self, block: &[u8]) -> io::Result<()> {
        self.file.write_all(block)?;
        self.hasher.update(block);
        self.written_bytes += block.len() as u64;
        Ok(())
    }

    /// Appends the next bytes of another file; returns their number.
    pub(super) fn copy_from(&mut self, from: &mut File, max_bytes: u64) -> io::Result<u64> {
        let before_bytes = self.written_bytes;
        let mut block = Vec::new();
        while self.written_bytes - before_bytes < max_bytes {
            block.clear();
            // The buffer grows only as far as a small file needs.
            let read = from.take(BLOCK_BYTES as u64).read_to_end(&mut block);
            // Bytes that cannot be read are noticed when the hash is compared.
            if read.is_err() || block.is_empty() {
                break;
            }
            self.append(&block)?;
        }
        Ok(self.written_bytes - before_bytes)
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.safe_bytes = self.written_bytes;
        Ok(())
    }

    /// Hashes the bytes on disk and drops those after them; `false` if there are too few.
    pub(super) fn rehash(&mut self, safe_bytes: u64) -> io::Result<bool> {
        self.reset_counts();
        if self.file.metadata()?.len() < safe_bytes {
            self.truncate()?;
            return Ok(false);
        }
        self.file.set_len(safe_bytes)?;
        self.file.rewind()?;
        let mut block = vec![0; BLOCK_BYTES];
        while self.written_bytes < safe_bytes {
            let got = self.file.read(&mut block)?;
            if got == 0 {
                self.truncate()?;
                return Ok(false);
            }
            self.hasher.update(block.get(..got).unwrap_or(&block));
            self.written_bytes += got as u64;
        }
        self.safe_bytes = safe_bytes;
        self.file.seek(SeekFrom::Start(safe_bytes))?;
        Ok(true)
    }

    fn reset_counts(&mut self) {
        self.hasher = Hasher::new();
        (self.written_bytes, self.safe_bytes) = (0, 0);
    }
}
