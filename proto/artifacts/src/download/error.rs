//! Why an artifact could not be downloaded.

use std::error::Error;
use std::io;

use crate::output_directory::OutputError;
use crate::source::SourceError;

/// Says why an artifact is not there.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// It could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Nobody may be asked, and it was not pulled before.
    #[error("it is not in the cache; `docks cache pull` puts it there")]
    NotCached,
    /// The cache, where the artifact itself is to go, cannot be written.
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
            // Some libraries repeat their cause in their own text.
            if !line.contains(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            cause = error.source();
        }
        line
    }

    /// Tells whether what is there already is worth keeping for a later try.
    pub(super) fn keeps_partial_file(&self) -> bool {
        matches!(self, Self::Source(error) if error.is_transient())
    }
}
