//! Reading files and folders that other programs change at the same time.

pub(crate) mod cached_file;
pub(crate) mod file_uri;
pub(crate) mod file_version;
pub(crate) mod folders;
pub(crate) mod shared_file_system;
