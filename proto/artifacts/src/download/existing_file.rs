//! The file that already has the name of a download.

use std::fs::File;
use std::io;

use crate::digest::Sha256;
use crate::output_directory::{OutputError, OutputFile};

/// A file that already has the final name.
pub(super) struct ExistingFile {
    file: File,
    pub(super) size_bytes: u64,
    sha256: Option<Sha256>,
}

impl ExistingFile {
    /// Opens the file of a name, if there is one.
    pub(super) fn open(output_file: &OutputFile) -> Result<Option<Self>, OutputError> {
        Ok(output_file.open_existing()?.map(|(file, size_bytes)| Self {
            file,
            size_bytes,
            sha256: None,
        }))
    }

    /// Returns whether the file has this content; hashes it at most once.
    pub(super) async fn has_content(
        &mut self,
        sha256: &Sha256,
        size_bytes: u64,
    ) -> io::Result<bool> {
        if self.size_bytes != size_bytes {
            return Ok(false);
        }
        if self.sha256.is_none() {
            let mut file = self.file.try_clone()?;
            let hashed = tokio::task::spawn_blocking(move || Sha256::of_reader(&mut file)).await;
            let (found, _) =
                hashed.unwrap_or_else(|_| Err(io::Error::other("hashing was cancelled")))?;
            self.sha256 = Some(found);
        }
        Ok(self.sha256.as_ref() == Some(sha256))
    }
}
