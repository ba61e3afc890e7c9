//! The files in a trial's folder: its phase, its tests, its artifacts.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use docks_proto::time::UnixMs;

use crate::disk::cached_file::FileReader;
use crate::disk::file_version::FileVersion;
use crate::disk::folders::FolderListing;
use crate::format::json;
use crate::snapshot::artifact::{Artifact, ArtifactKind};
use crate::snapshot::output_folder::OutputFolder;
use crate::snapshot::trial_artifacts;
use crate::utc::Utc;

/// Steps of one trial that are read.
const MAX_STEPS: usize = 256;

/// Sizes of Git LFS pointers: three lines, the last of which is the size of the file.
const LFS_POINTER_BYTES: std::ops::RangeInclusive<u64> = 126..=142;

/// What a trial's folder contains.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct TrialFiles {
    /// Its artifacts, in the order of reading.
    pub(crate) artifacts: Vec<Artifact>,
    /// Passed tests and all tests, from the verifier's report.
    pub(crate) test_counts: Option<(u64, u64)>,
    /// Whether the agent wrote anything yet.
    pub(crate) agent_wrote: bool,
    /// Whether the verifier wrote anything yet.
    pub(crate) verifier_wrote: bool,
    /// Folders, relative to the trial's, in which the first file means that another phase has started.
    pub(crate) awaited_folders: Vec<PathBuf>,
    /// Whether Git LFS left a pointer in place of one of its artifacts.
    pub(crate) has_lfs_pointer: bool,
    /// Newest change of a log, which shows that a running trial is alive.
    pub(crate) newest_change: Option<Utc>,
}

/// Reads a trial's folder. `steps` are the steps of its result in order, if there are any.
pub(crate) fn scan(
    dir: &Path,
    steps: &[String],
    agent: &str,
    reader: &mut FileReader,
) -> TrialFiles {
    let top = FolderListing::read(dir);
    let mut files = TrialFiles::default();
    let folders: Vec<OutputFolder> = output_folders(dir, &top, steps)
        .into_iter()
        .map(OutputFolder::read)
        .collect();
    for folder in &folders {
        read_outputs(folder, reader, &mut files);
    }
    let has_result = top.has_file("result.json");
    if !has_result {
        files.add_awaited_folders(
            dir,
            &folders,
            top.folders.iter().any(|name| name == "steps"),
        );
    }
    files.artifacts = trial_artifacts::list(dir, &top, &folders, agent, reader);
    files.has_lfs_pointer = has_result
        && files.artifacts.iter().any(|file| {
            let size = file.size_bytes.unwrap_or(0);
            LFS_POINTER_BYTES.contains(&size) && reader.is_lfs_pointer(&file.path)
        });
    for name in ["trial.log", "config.json", "exception.txt"] {
        files.record_change(&dir.join(name));
    }
    files
}

/// Returns a number that stands for the versions of a trial's files and folders: if it is the same, nothing has
/// been added, removed or rewritten. `None` if something changed after `began`, or just before it.
pub(crate) fn fingerprint(
    dir: &Path,
    steps: &[String],
    files: &TrialFiles,
    began: UnixMs,
) -> Option<u64> {
    let base = dir.join("steps");
    let outputs = steps.iter().take(MAX_STEPS).map(|step| base.join(step));
    let mut paths = BTreeSet::from([base.clone()]);
    for output in std::iter::once(dir.to_owned()).chain(outputs) {
        for name in ["agent", "verifier", "artifacts", "artifacts/manifest.json"] {
            paths.insert(output.join(name));
        }
        paths.insert(output);
    }
    for artifact in &files.artifacts {
        paths.extend(artifact.path.parent().map(Path::to_owned));
        paths.insert(artifact.path.clone());
    }
    let mut hasher = DefaultHasher::new();
    for path in &paths {
        let version = FileVersion::for_any(path);
        if version.is_some_and(|version| version.may_have_changed_since(began)) {
            return None;
        }
        (path, version).hash(&mut hasher);
    }
    Some(hasher.finish())
}

/// Returns the folders that contain `agent/`, `verifier/` and `artifacts/`: the trial's own, then its steps'.
fn output_folders(dir: &Path, top: &FolderListing, steps: &[String]) -> Vec<PathBuf> {
    let mut folders = vec![dir.to_owned()];
    if top.folders.iter().any(|name| name == "steps") {
        let base = dir.join("steps");
        let found = FolderListing::read(&base).folders;
        let known = steps.iter().filter(|step| found.contains(step));
        let mut order: Vec<&String> = known.collect();
        let rest: Vec<&String> = found.iter().filter(|step| !steps.contains(step)).collect();
        order.extend(rest);
        folders.extend(
            order
                .into_iter()
                .take(MAX_STEPS)
                .map(|step| base.join(step)),
        );
    }
    folders
}

fn read_outputs(folder: &OutputFolder, reader: &mut FileReader, files: &mut TrialFiles) {
    let (agent, verifier) = (&folder.agent, &folder.verifier);
    let (agent_dir, verifier_dir) = (folder.dir.join("agent"), folder.dir.join("verifier"));
    files.agent_wrote |= !agent.files.is_empty() || !agent.folders.is_empty();
    files.verifier_wrote |= !verifier.files.is_empty() || !verifier.folders.is_empty();
    if verifier.has_file("ctrf.json")
        && let Some((passed, total)) = reader
            .read_uncached(&verifier_dir.join("ctrf.json"))
            .and_then(|text| test_counts(&text))
    {
        let (sum_passed, sum_total) = files.test_counts.unwrap_or_default();
        files.test_counts = Some((
            u64::saturating_add(sum_passed, passed),
            u64::saturating_add(sum_total, total),
        ));
    }
    for name in &agent.files {
        files.record_change(&agent_dir.join(name));
    }
}

impl TrialFiles {
    fn add_awaited_folders(&mut self, dir: &Path, folders: &[OutputFolder], has_steps: bool) {
        let relative = |path: PathBuf| path.strip_prefix(dir).map(Path::to_owned).ok();
        if has_steps {
            self.awaited_folders.push("steps".into());
            let steps = folders[1..].iter().map(|folder| folder.dir.clone());
            self.awaited_folders.extend(steps.filter_map(relative));
        }
        for output in folders {
            let writers = [
                (self.agent_wrote, "agent"),
                (self.verifier_wrote, "verifier"),
            ];
            for (_, name) in writers.into_iter().filter(|(wrote, _)| !wrote) {
                let folder = output.dir.join(name);
                if FileVersion::for_directory(&folder).is_some() {
                    self.awaited_folders.extend(relative(folder));
                }
            }
        }
    }

    /// Returns the first artifact of a type.
    pub(crate) fn first_artifact(&self, kind: ArtifactKind) -> Option<&Path> {
        let mut artifacts = self.artifacts.iter();
        let found = artifacts.find(|file| file.kind == kind)?;
        Some(&found.path)
    }

    fn record_change(&mut self, path: &Path) {
        self.newest_change = self
            .newest_change
            .max(FileVersion::for_file(path).map(|s| s.modified()));
    }
}

/// Reads the numbers of passed tests and of all tests from a CTRF report.
fn test_counts(text: &str) -> Option<(u64, u64)> {
    let summary = json::parse(text)?
        .object()
        .object("results")
        .object("summary");
    Some((summary.count("passed")?, summary.count("tests")?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn write(dir: &Path, name: &str) {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }

    fn scanned(dir: &Path) -> TrialFiles {
        let mut reader = FileReader::new(docks_proto::time::UnixMs(0));
        scan(dir, &[], "coder", &mut reader)
    }

    #[test]
    fn links_are_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        write(outside.path(), "secret.patch");
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("agent")).unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("artifacts")).unwrap();
        std::os::unix::fs::symlink(
            outside.path().join("secret.patch"),
            dir.path().join("agent/coder.txt"),
        )
        .unwrap();
        let files = scanned(dir.path());
        assert_eq!(files.artifacts, []);
    }
}
