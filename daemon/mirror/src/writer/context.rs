//! What a write works with, and how it is committed.

use rusqlite::Connection;

use crate::sweeps::Sweeps;

/// What a write works with; lives on the writer thread.
pub(crate) struct WriterContext {
    pub(crate) connection: Connection,
    pub(crate) sweeps: Sweeps,
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
