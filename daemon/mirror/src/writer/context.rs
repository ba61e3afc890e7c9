//! What a write works with, and how it is committed.

use rusqlite::Connection;

use crate::provisional_id::RenameWriter;
use crate::sweeps::Sweeps;

/// What a write works with; lives on the writer thread.
pub(crate) struct WriterContext {
    pub(crate) connection: Connection,
    pub(crate) sweeps: Sweeps,
    pub(crate) renames: RenameWriter,
}

impl WriterContext {
    /// Replaces the id of a run by its real one, if it has got that while the answer was under way.
    pub(crate) fn use_current_id(&self, id: &mut String) -> rusqlite::Result<()> {
        if let Some(current) = self.renames.current_id(&self.connection, id)? {
            *id = current;
        }
        Ok(())
    }
}

/// How a write is committed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransactionMode {
    /// In one transaction with other waiting writes.
    Shared,
    /// In its own transaction: for so many rows that this costs no more.
    Own,
    /// In none: for checkpoints and the like, which SQLite refuses inside one.
    None,
}
