//! The migrations of this release.

use std::sync::LazyLock;

use include_dir::{Dir, include_dir};
use rusqlite::Transaction;
use rusqlite_migration::{HookError, Migrations, MigrationsBuilder};

use crate::derived_columns::derive_all;

static FOLDER: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../migrations");

/// Number of the migration that adds digests. They are computed in its transaction, together with all
/// columns that are read from texts and that there were by then, whichever release wrote or left them empty.
const DIGESTS: usize = 7;

/// Every migration of this release, oldest first.
pub(crate) static MIGRATIONS: LazyLock<Migrations<'static>> = LazyLock::new(|| {
    MigrationsBuilder::from_directory(&FOLDER)
        .expect("the embedded folder is well formed")
        .edit(DIGESTS, |migration| {
            migration.set_up_hook(|transaction: &Transaction<'_>| {
                derive_all(transaction).map_err(HookError::from)
            })
        })
        .finalize()
});

/// Returns the schema version of this release: the number of its last migration.
pub(super) fn schema_version() -> i64 {
    i64::try_from(FOLDER.dirs().count()).expect("migrations are few")
}
