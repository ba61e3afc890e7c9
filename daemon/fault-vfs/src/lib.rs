//! SQLite on a disk that fails: tests choose the database, the call and what goes wrong.
//!
//! [`FaultyDisk::of`] makes the calls of one database file countable, those of its WAL, its shared
//! memory and its journal included; [`FaultyDisk::fail`] fails one of them, or all from one on.
//! Other databases of the process are untouched, so tests can run side by side.
//!
//! The code under test knows nothing of this: the VFS becomes the default one of the process. What
//! must not fail, such as a check of the file, opens it with the VFS [`SOUND_VFS`].
//!
//! File locks are never failed. On a local file system they do not touch the disk, and SQLite
//! takes any failure of one as "busy".

mod calls;
mod faulty_disk;
mod vfs;

pub use calls::{Call, Failure, Plan};
pub use faulty_disk::FaultyDisk;
pub use vfs::SOUND_VFS;
