//! Finds the folders of jobs below a directory, and what is left out.
//!
//! Every folder in the directory itself is looked at as a job, as in a directory that one `harbor run` writes to.
//! Those that are none are searched, so that the jobs of a whole repository are found. What was listed is kept: a
//! folder is listed again only when it changed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::disk::cached_file::{FileReader, is_lfs_pointer};
use crate::disk::file_version::{FileVersion, FolderIdentity, is_missing};
use crate::disk::folders::{SearchedFolder, is_hidden};
use crate::format::job::{JobConfig, JobLock, JobResult};
use crate::format::json;
use crate::snapshot::left_out::LeftOut;
use crate::snapshot::search_limits::{MAX_DEPTH, MAX_FOLDERS};

/// Folders that programs fill with what others wrote.
const DEPENDENCIES: [&str; 2] = ["node_modules", "site-packages"];
/// Files that mark such folders: virtual environments of Python, and whatever can be made again (<https://bford.info/cachedir/>).
const DEPENDENCY_MARKERS: [&str; 2] = ["pyvenv.cfg", "CACHEDIR.TAG"];

/// What a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Job,
    Trial,
    /// A run of Terminal-Bench, the predecessor of Harbor.
    TerminalBench,
    /// Filled by a program with what others wrote.
    Dependency,
    Other,
}

/// A folder as it was last listed.
#[derive(Debug)]
struct Listed {
    version: FileVersion,
    kind: Kind,
    /// Whether the kind may change although the folder does not: a file was being written.
    is_provisional: bool,
    subfolders: Vec<OsString>,
    links: usize,
}

/// The folders that were found.
#[derive(Debug, Default, Clone)]
pub(crate) struct FoundFolders {
    /// Folders that may be jobs.
    pub(crate) jobs: BTreeSet<PathBuf>,
    /// Folders of trials without a job, each of which is shown as one.
    pub(crate) lone_trials: BTreeSet<PathBuf>,
    /// What was left out.
    pub(crate) left_out: LeftOut,
    /// Changes with the folders.
    pub(crate) version: Option<u64>,
}

/// What is known of the folders below a directory.
#[derive(Debug, Default)]
pub(crate) struct Discovery {
    listed: BTreeMap<PathBuf, Listed>,
}

impl Discovery {
    /// Searches a directory.
    ///
    /// # Errors
    ///
    /// Why the directory itself cannot be listed.
    pub(crate) fn search(
        &mut self,
        root: &Path,
        reader: &mut FileReader,
    ) -> std::io::Result<FoundFolders> {
        let mut search = Search {
            earlier: std::mem::take(&mut self.listed),
            listed: BTreeMap::new(),
            identities: BTreeSet::new(),
            found: FoundFolders::default(),
            reader,
        };
        let result = search.run(root);
        // What could not be listed this time may be listed the next.
        let Search {
            earlier,
            listed,
            found,
            ..
        } = search;
        self.listed = if result.is_ok() { listed } else { earlier };
        result.map(|()| found)
    }
}

struct Search<'a> {
    earlier: BTreeMap<PathBuf, Listed>,
    listed: BTreeMap<PathBuf, Listed>,
    identities: BTreeSet<FolderIdentity>,
    found: FoundFolders,
    reader: &'a mut FileReader,
}

impl Search<'_> {
    fn run(&mut self, root: &Path) -> std::io::Result<()> {
        let kind = self.list(root)?;
        if kind == Kind::Job {
            self.found.jobs.insert(root.to_owned());
            return Ok(());
        }
        match kind {
            Kind::TerminalBench => self.found.left_out.add_terminal_bench(root),
            Kind::Trial => self.found.left_out.is_trial = true,
            Kind::Job | Kind::Dependency | Kind::Other => {}
        }
        let mut queue = VecDeque::from([(root.to_owned(), 0)]);
        while let Some((folder, depth)) = queue.pop_front() {
            let Some(listed) = self.listed.get(&folder) else {
                continue;
            };
            self.found.left_out.searched += 1;
            self.found.left_out.links += listed.links;
            let subfolders: Vec<PathBuf> = listed
                .subfolders
                .iter()
                .filter(|name| depth == 0 || !is_dependency(name))
                .map(|name| folder.join(name))
                .collect();
            if depth == MAX_DEPTH && !subfolders.is_empty() {
                self.found.left_out.add_too_deep(&folder);
                continue;
            }
            for subfolder in subfolders {
                if self.visit(&subfolder, depth) {
                    queue.push_back((subfolder, depth + 1));
                }
            }
        }
        Ok(())
    }

    /// Looks at a folder in another one; returns whether it has to be searched, too.
    fn visit(&mut self, folder: &Path, depth: usize) -> bool {
        if depth == 0 {
            self.found.jobs.insert(folder.to_owned());
        }
        if self.listed.len() > MAX_FOLDERS {
            // A job is shown all the same if it is in the directory itself.
            let may_be_job = || {
                let mut names = ["result.json", "config.json"].into_iter();
                names.any(|name| FileVersion::for_file(&folder.join(name)).is_some())
            };
            self.found.left_out.too_many += usize::from(depth > 0 || !may_be_job());
            return false;
        }
        // A job that runs changes all the time, and it has a log.
        if FileVersion::for_file(&folder.join("job.log")).is_some() {
            self.found.jobs.insert(folder.to_owned());
            return false;
        }
        let kind = match self.list(folder) {
            Ok(kind) => kind,
            Err(error) => {
                if !is_missing(folder) {
                    self.found.left_out.add_unreadable(folder, &error);
                }
                return false;
            }
        };
        match kind {
            Kind::Job => {
                self.found.jobs.insert(folder.to_owned());
            }
            Kind::Trial => {
                let parent = folder.parent().unwrap_or(folder);
                self.found.lone_trials.insert(parent.to_owned());
            }
            Kind::TerminalBench => self.found.left_out.add_terminal_bench(folder),
            Kind::Other => {
                let name = folder.file_name().unwrap_or_default();
                return !is_dependency(name) && self.is_first_visit(folder);
            }
            Kind::Dependency => {}
        }
        false
    }

    /// Whether this folder was not searched under another path, as where a file system is mounted twice.
    fn is_first_visit(&mut self, folder: &Path) -> bool {
        let Some(listed) = self.listed.get(folder) else {
            return false;
        };
        self.identities.insert(listed.version.identity())
    }

    /// Lists a folder, unless it did not change since it was listed.
    fn list(&mut self, folder: &Path) -> std::io::Result<Kind> {
        let earlier = self.earlier.remove(folder);
        let version = FileVersion::for_directory(folder);
        let is_same = |listed: &Listed| {
            !listed.is_provisional
                && Some(listed.version) == version
                && !listed.version.is_recent(self.reader.now)
        };
        let (listed, error) = match earlier {
            Some(listed) if is_same(&listed) => (Some(listed), None),
            earlier => match self.read(folder) {
                Ok(listed) => (Some(listed), None),
                // A folder that cannot be read for a moment keeps what is in it.
                Err(error) => (earlier.filter(|_| !is_missing(folder)), Some(error)),
            },
        };
        match (listed, error) {
            (Some(listed), _) => {
                let kind = listed.kind;
                self.listed.insert(folder.to_owned(), listed);
                Ok(kind)
            }
            (None, Some(error)) => Err(error),
            (None, None) => Err(std::io::ErrorKind::NotFound.into()),
        }
    }

    fn read(&mut self, folder: &Path) -> std::io::Result<Listed> {
        let version = FileVersion::for_directory(folder)
            .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))?;
        let content = SearchedFolder::read(folder)?;
        let (kind, is_provisional) = self.classify(folder, &content);
        Ok(Listed {
            version,
            kind,
            is_provisional,
            links: content.links,
            subfolders: match kind {
                Kind::Other => content.folders,
                _ => Vec::new(),
            },
        })
    }

    /// Says what a folder is, and whether that may change although its list of files does not.
    fn classify(&mut self, folder: &Path, content: &SearchedFolder) -> (Kind, bool) {
        let has = |name: &str| content.files.contains(OsStr::new(name));
        if has("job.log") {
            return (Kind::Job, false);
        }
        if DEPENDENCY_MARKERS.into_iter().any(has) {
            return (Kind::Dependency, false);
        }
        if has("run_metadata.json") || has("tb.lock") {
            return (Kind::TerminalBench, false);
        }
        let mut unreadable = false;
        for name in ["config.json", "result.json", "lock.json"] {
            if !has(name) {
                continue;
            }
            let text = self.reader.read_uncached(&folder.join(name));
            if text.as_deref().is_some_and(is_lfs_pointer) {
                // Trials of a job are named `TASK__xxxxxxx`.
                let mut folders = content.folders.iter();
                let is_trial_name =
                    |name: &OsString| name.as_bytes().windows(2).any(|w| w == b"__");
                if !has("trial.log") && folders.any(is_trial_name) {
                    return (Kind::Job, false);
                }
                continue;
            }
            match text.as_deref().and_then(|text| kind_of_file(name, text)) {
                Some(Kind::Other) => {}
                Some(kind) => return (kind, false),
                None => unreadable = true,
            }
        }
        if unreadable && has("trial.log") {
            return (Kind::Trial, true);
        }
        (Kind::Other, unreadable)
    }
}

/// Says what a folder with this file is; `None` if the file is not complete.
fn kind_of_file(name: &str, text: &str) -> Option<Kind> {
    let value = json::parse(text)?;
    if value.object().get("trial_name").is_some() {
        return Some(Kind::Trial);
    }
    let is_of_job = match name {
        "config.json" => JobConfig::parse(text).is_some_and(|config| config.is_harbors),
        "result.json" => JobResult::parse(text).is_some_and(|result| result.is_harbors),
        _ => JobLock::parse(text).is_some_and(|lock| !lock.plan.is_empty()),
    };
    Some(if is_of_job { Kind::Job } else { Kind::Other })
}

/// Whether a folder is hidden or filled by programs with what others wrote.
fn is_dependency(name: &OsStr) -> bool {
    is_hidden(name) || DEPENDENCIES.iter().any(|known| name == *known)
}
