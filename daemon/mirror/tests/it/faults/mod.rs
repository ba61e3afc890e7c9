//! Faults of the disk below a mirror: calls that fail, a log that is cut or torn, kills in the
//! middle of a migration. The file is afterwards in the state before or after what was being
//! done, and sound.

mod database_files;
mod kills;
mod one_fault;
mod operations;
mod points;
mod previous_schemas;
mod reference;
mod steps;
mod sweep;
mod torn_wal;
mod wal;
