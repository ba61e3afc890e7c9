//! Reading files and folders that others write at the same time.

pub(crate) mod cached_file;
