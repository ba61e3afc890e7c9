//! Every file of a trial, and the own files of a job, read from disk when somebody asks.
//!
//! Trials have many files that nobody looks at (sessions of agents, recordings, collected outputs), so their
//! names are neither mirrored nor kept in memory.

mod file_type;
mod natural_order;
mod root;

use std::io;
use std::path::{Path, PathBuf};

use docks_proto::beneath::{EntryKind, FolderEntry};
use docks_proto::file_list::ListedFile;

pub use file_type::file_type;
pub use root::read_end;

use crate::disk::file_uri::file_uri;
use crate::snapshot::job_snapshot::JOB_FILES;
use natural_order::natural_order;
use root::open_root;

/// Files of one trial that are listed; an agent can leave any number.
const MAX_FILES: usize = 20_000;
/// Folders of one trial that are listed.
const MAX_FOLDERS: usize = 20_000;
/// Entries of one folder that are read.
const MAX_ENTRIES: usize = 50_000;
/// Folders in each other.
const MAX_DEPTH: usize = 48;

/// Said of a trial whose folder was removed, or is on another machine.
const NO_FOLDER: &str = "its folder is not here";

/// Which files of a folder belong to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileOwner {
    /// A trial: everything in its folder.
    Trial,
    /// A job: the files directly in its folder. Its folders are trials, or hidden.
    Job,
}

impl FileOwner {
    /// Whether a path relative to the folder can be in the list of its files.
    fn may_list(self, path: &Path) -> bool {
        let names = path.components().count();
        let is_hidden = path.as_os_str().as_encoded_bytes().starts_with(b".");
        let is_own = match self {
            Self::Trial => (1..=MAX_DEPTH + 1).contains(&names),
            Self::Job => names == 1 && !is_hidden,
        };
        is_own && path.to_str().is_some()
    }
}

/// Whether a regular file at this path, which has no links in it, is among the files of a folder. Blocks.
///
/// Looks at few files: those of a trial are too many to list them for each one that is requested.
#[must_use]
pub fn is_listed(jobs_dirs: &[PathBuf], folder: &Path, owner: FileOwner, path: &Path) -> bool {
    let Ok(below) = path.strip_prefix(folder) else {
        return false;
    };
    let is_own = owner.may_list(below);
    match owner {
        FileOwner::Trial => is_own,
        FileOwner::Job => {
            is_own
                && list_files(jobs_dirs, folder, owner).is_ok_and(|found| {
                    let mut files = found.files.iter();
                    files.any(|file| Path::new(&file.path) == below)
                })
        }
    }
}

/// The files of a folder, and sentences about what was left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FoundFiles {
    /// The files, in the order of their paths.
    pub files: Vec<ListedFile>,
    /// What was left out.
    pub left_out: Vec<String>,
}

#[derive(Debug, Default)]
struct LeftOut {
    links: usize,
    special: usize,
    unreadable: usize,
    odd_names: usize,
    too_deep: usize,
    is_cut: bool,
}

/// Lists the files of a trial or a job below a jobs directory. Follows no links. Blocks.
///
/// # Errors
///
/// [`io::ErrorKind::NotFound`] when the folder is in none of the directories, or its directory is not there;
/// else why it cannot be read. A missing folder is empty, and said to be missing.
pub fn list_files(
    jobs_dirs: &[PathBuf],
    folder: &Path,
    owner: FileOwner,
) -> io::Result<FoundFiles> {
    let (root, below) = open_root(jobs_dirs, folder)?;
    let mut found = FoundFiles::default();
    let mut left_out = LeftOut::default();
    // Unlike those below it, the folder itself has to be readable.
    let entries = match root.list_folder(&below, MAX_ENTRIES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            found.left_out.push(NO_FOLDER.to_owned());
            return Ok(found);
        }
        entries => entries?,
    };
    if owner == FileOwner::Job && !is_job(&entries) {
        return Ok(found);
    }
    // Folders are on the stack in reverse order, each before what is in it.
    let mut stack = vec![Pending::Folder(PathBuf::new(), entries)];
    let mut folders = 0;
    while let Some(pending) = stack.pop() {
        if found.files.len() >= MAX_FILES || folders > MAX_FOLDERS {
            left_out.is_cut = true;
            break;
        }
        let (path, entries) = match pending {
            Pending::File(path, entry) => {
                found.files.extend(listed(folder, &path, &entry));
                continue;
            }
            Pending::Folder(path, entries) => (path, entries),
            Pending::Unread(path) => match root.list_folder(&below.join(&path), MAX_ENTRIES) {
                Ok(entries) => (path, entries),
                // It was there a moment ago; a retry, for instance, removes folders.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(_) => {
                    left_out.unreadable += 1;
                    continue;
                }
            },
        };
        folders += 1;
        left_out.is_cut |= entries.len() == MAX_ENTRIES;
        push_entries(&mut stack, &path, entries, owner, &mut left_out);
    }
    found.left_out = left_out.sentences();
    Ok(found)
}

/// What is still to be looked at, with its path below the listed folder.
enum Pending {
    File(PathBuf, FolderEntry),
    Folder(PathBuf, Vec<FolderEntry>),
    Unread(PathBuf),
}

fn push_entries(
    stack: &mut Vec<Pending>,
    folder: &Path,
    mut entries: Vec<FolderEntry>,
    owner: FileOwner,
    left_out: &mut LeftOut,
) {
    entries.sort_unstable_by(|a, b| natural_order(&b.name, &a.name));
    for entry in entries {
        let path = folder.join(&entry.name);
        match entry.kind {
            EntryKind::File if path.to_str().is_none() => left_out.odd_names += 1,
            EntryKind::File if owner.may_list(&path) => stack.push(Pending::File(path, entry)),
            EntryKind::Folder if owner == FileOwner::Job => {}
            EntryKind::Folder if path.components().count() <= MAX_DEPTH => {
                stack.push(Pending::Unread(path));
            }
            EntryKind::Folder => left_out.too_deep += 1,
            EntryKind::Link => left_out.links += 1,
            EntryKind::File => {}
            EntryKind::Other => left_out.special += 1,
        }
    }
}

fn listed(folder: &Path, path: &Path, entry: &FolderEntry) -> Option<ListedFile> {
    let text = path.to_str()?;
    Some(ListedFile {
        path: text.to_owned(),
        r#type: file_type(text).to_owned(),
        size_bytes: Some(entry.size_bytes),
        modified_at: Some(entry.modified.rfc3339()),
        uri: file_uri(&folder.join(path)),
    })
}

/// A folder that only contains trials may be anybody's, and may contain any other files.
fn is_job(entries: &[FolderEntry]) -> bool {
    let is_job_file = |entry: &FolderEntry| {
        entry.kind == EntryKind::File && JOB_FILES.iter().any(|name| entry.name == *name)
    };
    entries.iter().any(is_job_file)
}

impl LeftOut {
    fn sentences(&self) -> Vec<String> {
        let count = |number: usize, one: &str, many: &str| match number {
            0 => None,
            1 => Some(format!("1 {one}")),
            _ => Some(format!("{number} {many}")),
        };
        let cut = format!("the list ends after {MAX_FILES} files or {MAX_FOLDERS} folders");
        [
            count(
                self.links,
                "symbolic link is not followed",
                "symbolic links are not followed",
            ),
            count(
                self.unreadable,
                "folder cannot be read",
                "folders cannot be read",
            ),
            count(
                self.odd_names,
                "file has a name that is not UTF-8",
                "files have names that are not UTF-8",
            ),
            count(
                self.special,
                "pipe, socket or device is left out",
                "pipes, sockets and devices are left out",
            ),
            count(self.too_deep, "folder is too deep", "folders are too deep"),
            self.is_cut.then_some(cut),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn write(dir: &Path, names: &[&str]) {
        for name in names {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
    }

    fn paths(found: &FoundFiles) -> Vec<&str> {
        found.files.iter().map(|file| file.path.as_str()).collect()
    }

    #[test]
    fn every_file_is_listed_in_the_order_of_people() {
        let dir = tempfile::tempdir().unwrap();
        let trial = dir.path().join("job/t 1");
        write(
            &trial,
            &[
                "agent/episode-10/prompt.txt",
                "agent/episode-9/prompt.txt",
                "agent/.hidden/x",
                "config.json",
                "steps/b/verifier/reward.txt",
            ],
        );
        let dirs = [dir.path().to_owned()];
        let found = list_files(&dirs, &trial, FileOwner::Trial).unwrap();
        assert_eq!(
            paths(&found),
            [
                "agent/.hidden/x",
                "agent/episode-9/prompt.txt",
                "agent/episode-10/prompt.txt",
                "config.json",
                "steps/b/verifier/reward.txt",
            ]
        );
        assert!(found.files[3].uri.ends_with("/job/t%201/config.json"));
        assert_eq!(found.files[3].size_bytes, Some(1));
        assert!(found.left_out.is_empty());
    }

    #[test]
    fn links_pipes_and_unreadable_folders_are_counted_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let trial = dir.path().join("job/t");
        write(dir.path(), &["secret"]);
        write(&trial, &["agent/a.txt"]);
        symlink(dir.path(), trial.join("out")).unwrap();
        symlink(dir.path().join("secret"), trial.join("agent/secret.txt")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            trial.join("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        let dirs = [dir.path().to_owned()];
        let found = list_files(&dirs, &trial, FileOwner::Trial).unwrap();
        assert_eq!(paths(&found), ["agent/a.txt"]);
        assert_eq!(
            found.left_out,
            [
                "2 symbolic links are not followed",
                "1 pipe, socket or device is left out"
            ]
        );
        // The folder of the trial may be a link, too.
        symlink(&trial, dir.path().join("job/again")).unwrap();
        assert!(list_files(&dirs, &dir.path().join("job/again"), FileOwner::Trial).is_err());
        if !rustix::process::geteuid().is_root() {
            let agent = trial.join("agent");
            fs::set_permissions(&agent, fs::Permissions::from_mode(0o0)).unwrap();
            let found = list_files(&dirs, &trial, FileOwner::Trial).unwrap();
            assert!(
                found
                    .left_out
                    .contains(&"1 folder cannot be read".to_owned())
            );
            fs::set_permissions(&agent, fs::Permissions::from_mode(0o700)).unwrap();
        }
    }

    #[test]
    fn a_job_has_its_own_files_and_a_folder_of_trials_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let job = dir.path().join("job");
        write(&job, &["job.log", "config.json", ".x", "t/config.json"]);
        write(dir.path(), &["alone/notes.txt", "alone/t/config.json"]);
        let dirs = [dir.path().to_owned()];
        let found = list_files(&dirs, &job, FileOwner::Job).unwrap();
        assert_eq!(paths(&found), ["config.json", "job.log"]);
        let alone = dir.path().join("alone");
        let found = list_files(&dirs, &alone, FileOwner::Job).unwrap();
        assert!(found.files.is_empty());
        let is_listed =
            |folder: &Path, owner, name: &str| is_listed(&dirs, folder, owner, &folder.join(name));
        assert!(is_listed(&job, FileOwner::Job, "job.log"));
        for other in [".x", "t/config.json", "none", "../alone/notes.txt", ""] {
            assert!(!is_listed(&job, FileOwner::Job, other), "{other}");
        }
        assert!(!is_listed(&alone, FileOwner::Job, "notes.txt"));
        assert!(is_listed(&alone.join("t"), FileOwner::Trial, "agent/.x/y"));
        assert!(!is_listed(&alone.join("t"), FileOwner::Trial, ""));
    }

    #[test]
    fn a_folder_outside_of_the_directories_is_not_found() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &["in/job/x", "out/x"]);
        let dirs = [dir.path().join("in"), dir.path().join("none")];
        let missing = list_files(&dirs, &dir.path().join("in/job/t"), FileOwner::Trial).unwrap();
        assert_eq!(
            (missing.files.len(), missing.left_out),
            (0, vec![NO_FOLDER.to_owned()])
        );
        for outside in ["out", "in/../out", "none/t"] {
            let listed = list_files(&dirs, &dir.path().join(outside), FileOwner::Trial);
            assert!(listed.is_err(), "{outside}");
        }
    }
}
