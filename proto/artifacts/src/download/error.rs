//! Why an artifact could not be downloaded.

use std::error::Error;
use std::io;

use crate::output_directory::OutputError;
use crate::source::{FileError, SourceError};

/// Why an artifact could not be downloaded.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The source could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The file could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The source must not be asked, and the artifact is not cached.
    #[error("it is not in the cache; `docks cache pull` downloads it")]
    NotCached,
    /// The artifact cannot be written to the cache.
    #[error("could not write the cache")]
    Cache(#[source] io::Error),
}

impl ArtifactError {
    /// Returns the whole chain of causes as one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut line = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some libraries repeat the cause in their message.
            if !line.contains(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            cause = error.source();
        }
        line
    }

    /// Returns whether the address is at fault, so that a later attempt would fail in the same way.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::Source(error) if error.is_lasting())
    }

    /// Returns whether the source could not be reached, so that nothing is known about the artifact.
    #[must_use]
    pub fn is_out_of_reach(&self) -> bool {
        matches!(
            self,
            Self::Source(SourceError::Http(_) | SourceError::Bucket(_))
        ) && matches!(self, Self::Source(error) if error.is_transient())
    }

    /// Returns whether there is nothing at the address.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        match self {
            Self::Source(SourceError::File(FileError::Read { source, .. })) => {
                source.kind() == io::ErrorKind::NotFound
            }
            Self::Source(error) => error.is_lasting(),
            _ => false,
        }
    }

    /// Returns whether the partial file is worth keeping for a later attempt.
    ///
    /// A store that breaks off and then refuses connections has failed for good as far as this
    /// download goes, but what it has sent is right.
    pub(super) fn keeps_partial_file(&self) -> bool {
        matches!(self, Self::Source(error) if !error.is_lasting())
    }
}
