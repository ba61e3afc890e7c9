//! The snapshot of one trial's folder.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::cached_file::{CachedFile, FileReader, FileState};
use crate::disk::file_version::FileVersion;
use crate::disk::folders::display_name;
use crate::format::trial::{TrialConfig, TrialResult};
use crate::snapshot::trial_files::{self, TrialFiles};
use crate::snapshot::trial_tree::TrialTree;
use crate::utc::Utc;

/// Files of which any one makes a folder a trial.
const TRIAL_FILES: [&str; 4] = ["result.json", "config.json", "lock.json", "trial.log"];

/// The number of the next content that is read.
static NEXT_CONTENT_VERSION: AtomicU64 = AtomicU64::new(1);

/// A trial's folder as of the last scan.
#[derive(Debug, Default)]
pub(crate) struct TrialSnapshot {
    /// Its name.
    pub(crate) name: String,
    /// Its `result.json`.
    pub(crate) result: CachedFile<TrialResult>,
    config_file: CachedFile<TrialConfig>,
    /// What its folder contains.
    pub(crate) files: TrialFiles,
    /// When its configuration was written, which is its start while there is no result.
    pub(crate) configured_at: Option<Utc>,
    /// The version of the result with which the folder was last read.
    files_read_for: Option<FileVersion>,
    /// Stands for the versions of its files and folders when they were read; `None` if they may have changed
    /// meanwhile.
    fingerprint: Option<u64>,
    /// The folders of a trial without a result that stand for all that is published of it: nothing of it changes without
    /// one of them. Empty if something may.
    steady_folders: Vec<(PathBuf, FileVersion)>,
    inode: u64,
    /// Changes with everything that was read of it; no two snapshots have the same.
    content_version: u64,
    /// The name of its folder, if that is not the one that is shown.
    odd_name: Option<OsString>,
    /// Whether its folder is not here, so that only the job's result says something about it.
    pub(crate) is_absent: bool,
}

impl TrialSnapshot {
    /// Reads a folder, starting from its earlier snapshot if there is one. Returns whether anything changed.
    pub(crate) fn refresh_or_create(
        before: Option<Self>,
        name: &OsStr,
        inode: u64,
        dir: &Path,
        reader: &mut FileReader,
    ) -> (Self, bool) {
        let same = before.filter(|trial| trial.inode == inode);
        let mut changed = same.is_none();
        let mut trial = same.unwrap_or_else(|| {
            let shown = display_name(name);
            Self {
                odd_name: (*name != *shown).then(|| name.to_owned()),
                name: shown,
                inode,
                ..Self::default()
            }
        });
        changed |= trial.refresh(dir, reader);
        if changed {
            trial.content_version = NEXT_CONTENT_VERSION.fetch_add(1, Ordering::Relaxed);
        }
        (trial, changed)
    }

    /// Creates the snapshot of a trial whose folder is not here.
    pub(crate) fn absent(name: &str, result: TrialResult) -> Self {
        Self {
            name: name.to_owned(),
            result: CachedFile::from_content(result),
            is_absent: true,
            ..Self::default()
        }
    }

    /// Creates the snapshot of a trial that only a server has.
    pub(crate) fn served(name: &str, config: TrialConfig) -> Self {
        Self {
            name: name.to_owned(),
            config_file: CachedFile::from_content(config),
            ..Self::default()
        }
    }

    /// Whether Git LFS left a pointer in place of one of its files.
    pub(crate) fn has_lfs_pointer(&self) -> bool {
        let own = [self.result.state(), self.config_file.state()];
        own.contains(&FileState::LfsPointer) || self.files.has_lfs_pointer
    }

    /// Whether its result was read and is final.
    pub(crate) fn is_settled(&self) -> bool {
        self.result.is_settled()
    }

    /// Whether it ended, and was read since, in the folder with this inode.
    pub(crate) fn has_ended_in(&self, inode: u64) -> bool {
        self.inode == inode && self.is_settled() && self.fingerprint.is_some()
    }

    /// Whether it has no result, as when it was read, and nothing of it changed since, in the folder with this inode.
    pub(crate) fn runs_as_read(&self, inode: u64, dir: &Path) -> bool {
        let is_same = |(path, version): &(PathBuf, FileVersion)| {
            let path = TrialTree::path_in(dir, path);
            FileVersion::for_directory(&path) == Some(*version)
        };
        self.inode == inode
            && !self.steady_folders.is_empty()
            && self.steady_folders.iter().all(is_same)
            && FileVersion::for_file(&dir.join("config.json")) == self.config_file.version()
    }

    /// Whether the folder is a trial's.
    pub(crate) fn is_trial(&self, dir: &Path) -> bool {
        self.result.state() != FileState::Absent
            || self.config_file.state() != FileState::Absent
            || TRIAL_FILES
                .iter()
                .any(|name| FileVersion::for_file(&dir.join(name)).is_some())
    }

    /// Whether one of its files names it as a trial, which those of a job do not.
    pub(crate) fn is_named(&self) -> bool {
        let config = self.config();
        config.is_some_and(|config| config.trial_name.is_some())
    }

    /// Returns the configuration, from the result once there is one.
    pub(crate) fn config(&self) -> Option<&TrialConfig> {
        self.result
            .content()
            .map(|r| &r.config)
            .or_else(|| self.config_file.content())
    }

    fn refresh(&mut self, dir: &Path, reader: &mut FileReader) -> bool {
        let mut changed = self
            .result
            .refresh(&dir.join("result.json"), reader, TrialResult::parse);
        let is_valid = self.result.state() == FileState::Valid;
        let version = self.result.version().filter(|_| is_valid);
        let tree = TrialTree::read(dir);
        let fingerprint = tree.fingerprint(reader.now).known();
        if version.is_some()
            && version == self.files_read_for
            && fingerprint.is_some()
            && fingerprint == self.fingerprint
        {
            return changed;
        }
        if version.is_none() {
            changed |=
                self.config_file
                    .refresh(&dir.join("config.json"), reader, TrialConfig::parse);
            self.configured_at = self.config_file.version().map(|s| s.modified());
        }
        let files = self.read_files(&tree, reader);
        changed |= TrialFiles {
            newest_change: None,
            ..files.clone()
        } != TrialFiles {
            newest_change: None,
            ..std::mem::take(&mut self.files)
        };
        self.files = files;
        let is_open = self.result.state() == FileState::Absent
            && self.config_file.is_settled()
            && self.files.test_counts.is_none();
        self.steady_folders = match is_open {
            true => tree.steady_folders(reader.now).unwrap_or_default(),
            false => Vec::new(),
        };
        self.files_read_for = version;
        self.fingerprint = fingerprint;
        changed
    }

    /// Reads what else is in the folder.
    fn read_files(&self, tree: &TrialTree, reader: &mut FileReader) -> TrialFiles {
        let steps = self.steps();
        let agent = self
            .config()
            .map_or("oracle", |config| config.agent.name.as_str());
        trial_files::scan(tree, &steps, agent, reader)
    }

    fn steps(&self) -> Vec<String> {
        let result = self.result.content();
        result
            .map(|r| r.steps.iter().map(|s| s.name.clone()).collect())
            .unwrap_or_default()
    }

    /// Returns what stands for the versions of its files and folders; `None` if they may have changed while they were
    /// read.
    pub(crate) fn fingerprint(&self) -> Option<u64> {
        self.fingerprint
    }

    /// Returns a number that no other content of any trial has.
    pub(crate) fn content_version(&self) -> u64 {
        self.content_version
    }

    /// Returns the name of the folder.
    pub(crate) fn folder_name(&self) -> &OsStr {
        self.odd_name.as_deref().unwrap_or(OsStr::new(&self.name))
    }

    /// Returns the inode of the folder.
    pub(crate) fn inode(&self) -> u64 {
        self.inode
    }
}
