//! Archives finished jobs, and finds out whether they have changed since.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use docks_proto::hash::Fnv1a64;
use docks_proto::time::UnixMs;

use crate::disk::cached_file::{CachedFile, FileReader, FileState};
use crate::disk::file_version::{FileVersion, says_missing};
use crate::disk::folders::list_folders;
use crate::snapshot::archive::Archive;
use crate::snapshot::job_snapshot::{JOB_FILES, JobSnapshot, ScanDepth};
use crate::snapshot::trial_tree::{Fingerprint, TrialTree};

/// A job that changed this recently may soon change again, as when its trials are graded anew one by one.
const QUIET: Duration = Duration::from_secs(60);

/// The fingerprint of a job, from its own files and then its folders by name.
#[derive(Default)]
struct JobHash(Fnv1a64);

impl JobHash {
    fn add_own(&mut self, version: Option<FileVersion>) {
        match version {
            Some(version) => version.add_to(&mut self.0),
            None => self.0.write(&[0]),
        }
    }

    fn add_folder(&mut self, name: &OsStr, fingerprint: u64) {
        let name = name.as_encoded_bytes();
        self.0.write(&name.len().to_le_bytes());
        self.0.write(name);
        self.0.write(&fingerprint.to_le_bytes());
    }
}

/// Looks at all files and folders of a job without reading any.
pub(crate) fn look_at_job(dir: &Path, began: UnixMs) -> Fingerprint {
    look(dir, began).unwrap_or(Fingerprint::Unreadable)
}

fn look(dir: &Path, began: UnixMs) -> io::Result<Fingerprint> {
    let mut hash = JobHash::default();
    let own = JOB_FILES.map(|name| FileVersion::try_for_file(&dir.join(name)));
    let folder = FileVersion::try_for_directory(dir)?;
    for version in own.into_iter().chain([Ok(folder)]) {
        let version = version?;
        if version.is_some_and(|version| version.may_have_changed_since(began)) {
            return Ok(Fingerprint::Recent);
        }
        hash.add_own(version);
    }
    for (name, _) in list_folders(dir)? {
        match TrialTree::read(&dir.join(&name)).fingerprint(began) {
            Fingerprint::Known(fingerprint) => hash.add_folder(&name, fingerprint),
            unknown => return Ok(unknown),
        }
    }
    Ok(Fingerprint::Known(hash.0.finish()))
}

impl JobSnapshot {
    /// Creates the snapshot of a job that was archived by an earlier process.
    pub(crate) fn from_archive(dir: PathBuf, archive: Archive, now: UnixMs) -> Self {
        let [log, config, lock, result] =
            JOB_FILES.map(|name| FileVersion::for_file(&dir.join(name)));
        Self {
            dir_version: FileVersion::for_directory(&dir),
            config: CachedFile::from_version(config),
            lock: CachedFile::from_version(lock),
            result: CachedFile::from_version(result),
            log,
            archive: Some(archive),
            ..Self::new(dir, now)
        }
    }

    /// Whether only a fingerprint of it is known.
    pub(crate) fn is_archived(&self) -> bool {
        self.archive.is_some()
    }

    /// Returns the number of its trials that have a folder.
    pub(crate) fn trial_count(&self) -> usize {
        let archive = self.archive.as_ref();
        archive.map_or(self.trials.len(), |archive| archive.trials)
    }

    /// Returns what can be kept of it; `None` if it has not finished or may still change.
    pub(crate) fn to_archive(&self) -> Option<Archive> {
        if let Some(archive) = &self.archive {
            return Some(archive.clone());
        }
        let is_settled = |state: FileState, settled: bool| state == FileState::Absent || settled;
        let are_files_settled = is_settled(self.config.state(), self.config.is_settled())
            && is_settled(self.lock.state(), self.lock.is_settled())
            && is_settled(self.result.state(), self.result.is_settled());
        let is_recent = |version: Option<FileVersion>| {
            version.is_some_and(|version| version.may_have_changed_since(self.read_at))
        };
        if !self.is_settled()
            || !are_files_settled
            || is_recent(self.dir_version)
            || is_recent(self.log)
        {
            return None;
        }
        let mut hash = JobHash::default();
        let files = [self.log, self.config.version(), self.lock.version()];
        for version in files
            .into_iter()
            .chain([self.result.version(), self.dir_version])
        {
            hash.add_own(version);
        }
        for (name, fingerprint) in self.folder_fingerprints() {
            hash.add_folder(name, fingerprint?);
        }
        Some(Archive {
            fingerprint: hash.0.finish(),
            uuid: self.uuid(),
            has_original_name: self.has_original_name(),
            is_copy: self.is_copy(&self.times()),
            trials: self.trials.len(),
        })
    }

    /// Keeps only a fingerprint of it, if it has finished and did not change just now.
    pub(crate) fn archive(&mut self, now: UnixMs) {
        let is_quiet = self.changed_at.is_none_or(|at| now.since(at) >= QUIET);
        if self.is_archived() || !is_quiet {
            return;
        }
        if let Some(archive) = self.to_archive() {
            self.archive = Some(archive);
            self.forget_content();
        }
    }

    /// Reads it all again, unless it did not change. Returns the same as [`JobSnapshot::refresh`].
    ///
    /// What cannot be read for a moment changes nothing.
    pub(super) fn refresh_archived(
        &mut self,
        fingerprint: u64,
        reader: &mut FileReader,
        depth: ScanDepth,
    ) -> Option<bool> {
        let folder = match FileVersion::try_for_directory(&self.dir) {
            Ok(folder) => folder?,
            Err(_) => return Some(false),
        };
        let is_same = match depth {
            ScanDepth::SkipSettled => self.dir_version == Some(folder) && self.has_same_files(),
            ScanDepth::EveryTrial => match look_at_job(&self.dir, reader.now) {
                Fingerprint::Known(found) => found == fingerprint,
                Fingerprint::Recent => false,
                Fingerprint::Unreadable => true,
            },
        };
        if is_same {
            return Some(false);
        }
        self.read_again(reader)
    }

    /// Reads an archived job again. Returns the same as [`JobSnapshot::refresh`].
    pub(crate) fn read_again(&mut self, reader: &mut FileReader) -> Option<bool> {
        let mut fresh = Self {
            version: self.version + 1,
            changed_at: Some(reader.now),
            ..Self::new(self.dir.clone(), self.first_seen)
        };
        let unreadable = reader.unreadable;
        fresh.refresh(reader, ScanDepth::EveryTrial)?;
        if reader.unreadable > unreadable {
            return Some(false);
        }
        *self = fresh;
        Some(true)
    }

    fn has_same_files(&self) -> bool {
        let known = [
            self.log,
            self.config.version(),
            self.lock.version(),
            self.result.version(),
        ];
        let mut files = JOB_FILES.iter().zip(known);
        files.all(|(name, known)| {
            let found = FileVersion::try_for_file(&self.dir.join(name));
            found.map_or_else(|error| !says_missing(&error), |found| found == known)
        })
    }
}
