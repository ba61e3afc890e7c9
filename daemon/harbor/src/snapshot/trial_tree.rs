//! A trial's folder, looked at once: what is in it, and the version of everything that its objects depend on.
//!
//! The versions are read before any content, so content that changes meanwhile differs from its version at the next look.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};

use docks_proto::hash::Fnv1a64;
use docks_proto::time::UnixMs;

use crate::disk::file_version::FileVersion;
use crate::disk::folders::FolderListing;
use crate::snapshot::artifact_names::{
    TOP_FILES, VERIFIER_FILES, is_agent_artifact, is_output_of_command, is_patch,
};

/// Steps of one trial that are read.
const MAX_STEPS: usize = 256;
/// Folders below `artifacts/` that are searched for patches.
const MAX_ARTIFACT_FOLDERS: usize = 256;
/// What a folder contains that does not exist.
static NOTHING: FolderListing = FolderListing {
    files: Vec::new(),
    folders: Vec::new(),
};

/// A trial's folder. Paths in it are relative to the folder.
#[derive(Debug, Default)]
pub(crate) struct TrialTree {
    dir: PathBuf,
    folders: BTreeMap<PathBuf, FolderListing>,
    versions: BTreeMap<PathBuf, Option<FileVersion>>,
    outputs: Vec<PathBuf>,
    artifact_folders: BTreeMap<PathBuf, Vec<PathBuf>>,
    is_unreadable: bool,
}

/// What stands for the versions of all that matters of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fingerprint {
    /// If it is the same, nothing has been added, removed or rewritten. It does not depend on where the folder is.
    Known(u64),
    /// Something changed while it was looked at, or just before.
    Recent,
    /// Something could not be looked at, which may pass.
    Unreadable,
}

impl Fingerprint {
    /// Returns the number, if it is known.
    pub(crate) fn known(self) -> Option<u64> {
        match self {
            Self::Known(number) => Some(number),
            Self::Recent | Self::Unreadable => None,
        }
    }
}

impl TrialTree {
    /// Takes over what is in the folders of a trial that only a server has, without the versions.
    pub(crate) fn of_names(folders: impl IntoIterator<Item = (PathBuf, FolderListing)>) -> Self {
        Self {
            folders: folders.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Looks at a folder.
    pub(crate) fn read(dir: &Path) -> Self {
        let mut tree = Self {
            dir: dir.to_owned(),
            ..Self::default()
        };
        tree.add_folder(PathBuf::new(), |name| TOP_FILES.contains(&name));
        tree.outputs.push(PathBuf::new());
        if tree.top().folders.iter().any(|name| name == "steps") {
            let steps = PathBuf::from("steps");
            tree.add_folder(steps.clone(), |_| false);
            let found = tree.folder(&steps).folders.iter().take(MAX_STEPS);
            let found: Vec<PathBuf> = found.map(|name| steps.join(name)).collect();
            for step in &found {
                let version = FileVersion::try_for_directory(&tree.full_path(step));
                tree.add_version(step.clone(), version);
            }
            tree.outputs.extend(found);
        }
        for output in tree.outputs.clone() {
            tree.add_output(&output);
        }
        tree
    }

    /// Looks at what the agent, the verifier and Harbor left of the trial or a step.
    fn add_output(&mut self, output: &Path) {
        let agent = output.join("agent");
        self.add_folder(agent.clone(), is_agent_artifact);
        let folders = self.folder(&agent).folders.iter();
        let commands: Vec<PathBuf> = folders
            .filter(|name| is_output_of_command(name))
            .map(|name| agent.join(name))
            .collect();
        for command in commands {
            self.add_folder(command, |name| matches!(name, "stdout.txt" | "stderr.txt"));
        }
        self.add_folder(output.join("verifier"), |name| {
            VERIFIER_FILES.contains(&name)
        });
        let artifacts = output.join("artifacts");
        let mut queue = VecDeque::from([artifacts.clone()]);
        let mut searched = Vec::new();
        while searched.len() < MAX_ARTIFACT_FOLDERS
            && let Some(folder) = queue.pop_front()
        {
            let is_manifest = |name: &str| name == "manifest.json" && folder == artifacts;
            self.add_folder(folder.clone(), |name| is_patch(name) || is_manifest(name));
            let below = self.folder(&folder).folders.iter();
            queue.extend(below.map(|name| folder.join(name)));
            searched.push(folder);
        }
        self.artifact_folders.insert(output.to_owned(), searched);
    }

    fn add_file(&mut self, path: PathBuf) {
        let version = FileVersion::try_for_file(&self.full_path(&path));
        self.add_version(path, version);
    }

    fn add_version(&mut self, path: PathBuf, version: io::Result<Option<FileVersion>>) {
        self.is_unreadable |= version.is_err();
        self.versions.insert(path, version.ok().flatten());
    }

    fn add_folder(&mut self, path: PathBuf, matters: impl Fn(&str) -> bool) {
        let full = self.full_path(&path);
        let version = FileVersion::try_for_directory(&full);
        if matches!(version, Ok(Some(_))) {
            let listing = FolderListing::read(&full);
            for name in listing.files.iter().filter(|name| matters(name)) {
                self.add_file(path.join(name));
            }
            self.folders.insert(path.clone(), listing);
        }
        self.add_version(path, version);
    }

    /// Returns the path of something in the folder.
    pub(crate) fn full_path(&self, path: &Path) -> PathBuf {
        Self::path_in(&self.dir, path)
    }

    /// Returns the path of something in a folder.
    pub(crate) fn path_in(dir: &Path, path: &Path) -> PathBuf {
        // Joining an empty path would add a slash.
        if path.as_os_str().is_empty() {
            dir.to_owned()
        } else {
            dir.join(path)
        }
    }

    /// Returns the folders, if the names in them say all that matters while the trial runs: what is in files of logs does
    /// not, except that there is something. `None` if anything changed while it was looked at, or just before;
    /// `began` is when the scan began.
    pub(crate) fn steady_folders(&self, began: UnixMs) -> Option<Vec<(PathBuf, FileVersion)>> {
        let mut folders = Vec::new();
        for (path, version) in &self.versions {
            let is_folder = self.folders.contains_key(path);
            match version {
                Some(version) if is_folder && !version.may_have_changed_since(began) => {
                    folders.push((path.clone(), *version));
                }
                Some(version) if !is_folder && version.size_bytes() > 0 => {}
                None if !self.is_unreadable => {}
                _ => return None,
            }
        }
        Some(folders)
    }

    /// Returns what is in the folder itself.
    pub(crate) fn top(&self) -> &FolderListing {
        self.folder(Path::new(""))
    }

    /// Returns what is in a folder; nothing if it does not exist.
    pub(crate) fn folder(&self, path: &Path) -> &FolderListing {
        self.folders.get(path).unwrap_or(&NOTHING)
    }

    /// Returns the version of a regular file or a folder that matters; `None` if there is none.
    pub(crate) fn version(&self, path: &Path) -> Option<FileVersion> {
        self.versions.get(path).copied().flatten()
    }

    /// Returns the folders that contain `agent/`, `verifier/` and `artifacts/`: the trial's own, then its steps' in the
    /// alphabet.
    pub(crate) fn outputs(&self) -> &[PathBuf] {
        &self.outputs
    }

    /// Returns the folders of collected files of an output folder, those with the shortest path first.
    pub(crate) fn artifact_folders(&self, output: &Path) -> &[PathBuf] {
        self.artifact_folders.get(output).map_or(&[], Vec::as_slice)
    }

    /// Returns when a log that matters changed last.
    pub(crate) fn newest_change(&self) -> Option<FileVersion> {
        let versions = self.versions.iter();
        let files = versions.filter(|(path, _)| !self.folders.contains_key(*path));
        let versions = files.filter_map(|(_, version)| *version);
        versions.max_by_key(FileVersion::modified)
    }

    /// Returns what stands for the versions of all that matters; `began` is when the scan began.
    pub(crate) fn fingerprint(&self, began: UnixMs) -> Fingerprint {
        if self.is_unreadable {
            return Fingerprint::Unreadable;
        }
        let mut hash = Fnv1a64::default();
        for (path, version) in &self.versions {
            if version.is_some_and(|version| version.may_have_changed_since(began)) {
                return Fingerprint::Recent;
            }
            hash.write(path.as_os_str().as_encoded_bytes());
            match version {
                Some(version) => version.add_to(&mut hash),
                None => hash.write(&[0]),
            }
        }
        Fingerprint::Known(hash.finish())
    }
}
