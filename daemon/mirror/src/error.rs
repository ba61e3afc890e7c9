//! What can go wrong with the mirror.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::ErrorCode;

/// Says what the mirror was doing when it failed.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The linked SQLite has the WAL-reset defect.
    #[error("SQLite {found} is linked; 3.51.3 or newer is needed")]
    OldSqlite {
        /// Its release.
        found: &'static str,
    },
    /// Creating the file or its directory, or moving it, failed.
    #[error("could not prepare the mirror file {}", path.display())]
    Prepare {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// Opening it failed.
    #[error("could not open the mirror {}", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: rusqlite::Error,
    },
    /// A migration failed.
    #[error("could not migrate the mirror {}", path.display())]
    Migrate {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: Box<rusqlite_migration::Error>,
    },
    /// A newer release wrote the file.
    #[error("the mirror {} is from a newer docksd (schema {found}, this one knows {known})", path.display())]
    TooNew {
        /// Which.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema of this release.
        known: i64,
    },
    /// The file belongs to another remote.
    #[error("the mirror {} belongs to {found}, not to {expected}", path.display())]
    OtherRemote {
        /// Which.
        path: PathBuf,
        /// The remote it was made for.
        found: String,
        /// The remote it was opened for.
        expected: String,
    },
    /// The file is damaged; opening it again sets it aside and starts a new one.
    #[error("the mirror is damaged: found when it should {doing}")]
    Corrupt {
        /// What was being done.
        doing: &'static str,
        /// Cause.
        #[source]
        source: rusqlite::Error,
    },
    /// A question failed.
    #[error("the mirror could not {doing}")]
    Query {
        /// What was being done.
        doing: &'static str,
        /// Cause.
        #[source]
        source: rusqlite::Error,
    },
    /// The transaction that held this write and others failed.
    #[error("the mirror could not commit")]
    Commit(#[source] Arc<rusqlite::Error>),
    /// A defect: the work ended in a panic, and nothing of it was kept.
    #[error("the mirror failed inside when it should {doing}")]
    Panicked {
        /// What was being done.
        doing: &'static str,
    },
    /// The sweep was replaced by a newer one, or began before a restart.
    #[error("sweep {0} is not under way")]
    NoSuchSweep(u64),
    /// It was closed.
    #[error("the mirror is closed")]
    Closed,
}

impl MirrorError {
    /// Tells whether the file is damaged.
    #[must_use]
    pub fn is_corrupt(&self) -> bool {
        match self {
            MirrorError::Corrupt { .. } => true,
            MirrorError::Commit(source) => damages(source),
            _ => false,
        }
    }

    /// Says what was being done; a damaged file is told apart.
    pub(crate) fn during(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| {
            if damages(&source) {
                MirrorError::Corrupt { doing, source }
            } else {
                MirrorError::Query { doing, source }
            }
        }
    }
}

/// Tells whether the error says that the file is no sound database.
pub(crate) fn damages(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}
