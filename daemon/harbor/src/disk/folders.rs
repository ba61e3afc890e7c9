//! Listing folders that may contain anything.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirEntryExt;
use std::path::Path;

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
    /// Lists a folder that was found to be a real directory; empty if it cannot be listed.
    pub(crate) fn read(dir: &Path) -> Self {
        let mut names = Self::default();
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

/// The content of a folder that is searched for jobs.
#[derive(Debug, Default)]
pub(crate) struct SearchedFolder {
    /// Names of regular files that say what the folder is.
    pub(crate) files: BTreeSet<OsString>,
    /// Folders, unless hidden, sorted.
    pub(crate) folders: Vec<OsString>,
    /// Number of symbolic links to folders.
    pub(crate) links: usize,
}

impl SearchedFolder {
    /// Lists a folder.
    ///
    /// # Errors
    ///
    /// Why it cannot be listed.
    pub(crate) fn read(dir: &Path) -> std::io::Result<Self> {
        let mut content = Self::default();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let (Ok(kind), name) = (entry.file_type(), entry.file_name()) else {
                continue;
            };
            if kind.is_dir() && !is_hidden(&name) {
                content.folders.push(name);
            } else if kind.is_symlink() && !is_hidden(&name) {
                let leads_to_folder = fs::metadata(entry.path()).is_ok_and(|meta| meta.is_dir());
                content.links += usize::from(leads_to_folder);
            } else if kind.is_file() && MARKERS.iter().any(|marker| name == *marker) {
                content.files.insert(name);
            }
        }
        content.folders.sort_unstable();
        Ok(content)
    }
}

/// Files that say what a folder is.
const MARKERS: [&str; 9] = [
    "pyvenv.cfg",
    "CACHEDIR.TAG",
    "job.log",
    "config.json",
    "lock.json",
    "result.json",
    "trial.log",
    "run_metadata.json",
    "tb.lock",
];

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
