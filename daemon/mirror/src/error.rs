//! What can go wrong with the mirror.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::ErrorCode;

/// A failure of the mirror; each variant says what the mirror was doing.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The linked SQLite has the WAL-reset defect.
    #[error("SQLite {found} is linked; 3.51.3 or newer is needed")]
    OldSqlite {
        /// Its release.
        found: &'static str,
    },
    /// Creating or moving the file or its directory failed.
    #[error("could not prepare the mirror file {}", path.display())]
    Prepare {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// Opening the file failed.
    #[error("could not open the mirror {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: rusqlite::Error,
    },
    /// A migration failed.
    #[error("could not migrate the mirror {}", path.display())]
    Migrate {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: Box<rusqlite_migration::Error>,
    },
    /// A newer release wrote the file.
    #[error("the mirror {} was written by a newer docksd (schema {found}; this one supports up to {supported})", path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema of this release.
        supported: i64,
    },
    /// The file belongs to another remote.
    #[error("the mirror {} belongs to {found}, not to {expected}", path.display())]
    OtherRemote {
        /// The file.
        path: PathBuf,
        /// The remote it was created for.
        found: String,
        /// The remote it was opened for.
        expected: String,
    },
    /// The file is damaged; the next open sets it aside and starts a new one.
    #[error("the mirror is damaged; found while trying to {doing}")]
    Corrupt {
        /// What was being done.
        doing: &'static str,
        /// Cause.
        #[source]
        source: rusqlite::Error,
    },
    /// A query failed.
    #[error("the mirror could not {doing}")]
    Query {
        /// What was being done.
        doing: &'static str,
        /// Cause.
        #[source]
        source: rusqlite::Error,
    },
    /// The transaction that held this write, and possibly others, failed.
    #[error("the mirror could not commit")]
    Commit(#[source] Arc<rusqlite::Error>),
    /// A bug: the operation panicked, and none of its writes were kept.
    #[error("internal error: the mirror panicked while trying to {doing}")]
    Panicked {
        /// What was being done.
        doing: &'static str,
    },
    /// The sweep was replaced by a newer one, or began before a restart.
    #[error("sweep {0} is not in progress")]
    NoSuchSweep(u64),
    /// The mirror has been closed.
    #[error("the mirror is closed")]
    Closed,
}

impl MirrorError {
    /// Whether the file is damaged.
    #[must_use]
    pub fn is_corrupt(&self) -> bool {
        match self {
            MirrorError::Corrupt { .. } => true,
            MirrorError::Commit(source) => is_corruption(source),
            _ => false,
        }
    }

    /// Whether the place of the file is at fault: it cannot be written, or has no room.
    #[must_use]
    pub fn is_of_place(&self) -> bool {
        use std::io::ErrorKind as Io;
        match self {
            MirrorError::Prepare { source, .. } => matches!(
                source.kind(),
                Io::ReadOnlyFilesystem
                    | Io::PermissionDenied
                    | Io::StorageFull
                    | Io::QuotaExceeded
                    | Io::NotADirectory
                    | Io::AlreadyExists
                    | Io::NotFound
            ),
            MirrorError::Open { source, .. } | MirrorError::Query { source, .. } => {
                is_of_place(source)
            }
            MirrorError::Migrate { source, .. } => matches!(
                &**source,
                rusqlite_migration::Error::RusqliteError { err, .. } if is_of_place(err)
            ),
            MirrorError::Commit(source) => is_of_place(source),
            _ => false,
        }
    }

    /// Whether there is no room to write: the disk is full, or the file has its largest size.
    #[must_use]
    pub fn is_out_of_room(&self) -> bool {
        use std::io::ErrorKind as Io;
        let is_full =
            |error: &rusqlite::Error| error.sqlite_error_code() == Some(ErrorCode::DiskFull);
        match self {
            MirrorError::Prepare { source, .. } => {
                matches!(source.kind(), Io::StorageFull | Io::QuotaExceeded)
            }
            MirrorError::Open { source, .. } | MirrorError::Query { source, .. } => is_full(source),
            MirrorError::Migrate { source, .. } => matches!(
                &**source,
                rusqlite_migration::Error::RusqliteError { err, .. } if is_full(err)
            ),
            MirrorError::Commit(source) => is_full(source),
            _ => false,
        }
    }

    /// Adds what was being done, and separates damage from other failures.
    pub(crate) fn during(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| {
            if is_corruption(&source) {
                MirrorError::Corrupt { doing, source }
            } else {
                MirrorError::Query { doing, source }
            }
        }
    }
}

fn is_of_place(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::ReadOnly
                | ErrorCode::DiskFull
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::SystemIoFailure
        )
    )
}

/// Whether the error means that the file is not a valid database, or holds values that docksd never writes.
pub(crate) fn is_corruption(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
    ) || matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}
