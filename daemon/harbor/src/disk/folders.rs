//! Listing folders that may contain anything.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirEntryExt;
use std::path::Path;

use crate::disk::file_version::FileVersion;
use crate::hash::hash_texts;

/// Entries of one folder that are read; an agent can leave any number of files.
const MAX_ENTRIES: usize = 4_096;

/// The names in a folder, sorted, without symbolic links and names that are not UTF-8.
#[derive(Debug, Default)]
pub(crate) struct FolderListing {
    /// Regular files.
    pub(crate) files: Vec<String>,
    /// Folders.
    pub(crate) folders: Vec<String>,
}

impl FolderListing {
    /// Lists a folder; empty if it is not a real directory.
    pub(crate) fn read(dir: &Path) -> Self {
        let mut names = Self::default();
        // Every folder above it was listed as a real one, or is checked here.
        if FileVersion::for_directory(dir).is_none() {
            return names;
        }
        let Ok(entries) = fs::read_dir(dir) else {
            return names;
        };
        for entry in entries.take(MAX_ENTRIES).flatten() {
            let (Ok(kind), Ok(name)) = (entry.file_type(), entry.file_name().into_string()) else {
                continue;
            };
            if kind.is_file() {
                names.files.push(name);
            } else if kind.is_dir() {
                names.folders.push(name);
            }
        }
        names.files.sort_unstable();
        names.folders.sort_unstable();
        names
    }

    /// Whether there is a regular file of this name.
    pub(crate) fn has_file(&self, file: &str) -> bool {
        self.files
            .binary_search_by(|name| name.as_str().cmp(file))
            .is_ok()
    }
}

/// Returns a name for people and JSON; one that is not UTF-8 or not a valid id is replaced by `~` and a hash.
pub(crate) fn display_name(name: &OsStr) -> String {
    match name.to_str() {
        Some(text) if docks_proto::id::validate(text).is_ok() => text.to_owned(),
        _ => format!("~{:016x}", hash_texts(std::iter::once(name.as_bytes()))),
    }
}

/// Whether Harbor or the system uses such a name for other things than jobs and trials.
pub(crate) fn is_hidden(name: &OsStr) -> bool {
    matches!(name.as_bytes().first(), None | Some(b'.' | b'_'))
}

/// Lists the real folders in `dir` that are not hidden, with their inodes.
pub(crate) fn list_folders(dir: &Path) -> std::io::Result<Vec<(OsString, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        // The type of a link is "link", so links are left out.
        if !is_hidden(&name) && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push((name, entry.ino()));
        }
    }
    found.sort_unstable();
    Ok(found)
}
