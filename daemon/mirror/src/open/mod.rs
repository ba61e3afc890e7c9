//! Opens a mirror file: file modes, pragmas, migrations, and replacing a file that is damaged.

mod checks;
mod connect;
mod file;
mod identity;
mod migrations;
mod pragmas;
mod rebuild;
mod salvage;
mod salvage_source;
mod stored_identity;
mod wal;
mod writer_connection;

pub(crate) use connect::open_reader;
pub(crate) use file::with_suffix;
pub use identity::Identity;
#[cfg(test)]
pub(crate) use migrations::MIGRATIONS;
pub(crate) use rebuild::{NOTE as REBUILT_NOTE, rebuild};
pub(crate) use stored_identity::add_digest as add_digest_to_identity;
pub use writer_connection::OpenReport;
pub(crate) use writer_connection::open_writer;
