//! The files in a trial's folder: its phase, its tests, its artifacts.

use std::path::{Path, PathBuf};

use crate::disk::cached_file::FileReader;
use crate::disk::file_version::FileVersion;
use crate::format::json;
use crate::snapshot::artifact::{Artifact, ArtifactKind};
use crate::snapshot::trial_artifacts::{self, DiskFiles};
use crate::snapshot::trial_tree::TrialTree;
use crate::utc::Utc;

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
    tree: &TrialTree,
    steps: &[String],
    agent: &str,
    reader: &mut FileReader,
) -> TrialFiles {
    let mut files = TrialFiles::default();
    let outputs = outputs_in_order(tree, steps);
    for output in &outputs {
        read_outputs(tree, output, reader, &mut files);
    }
    let has_result = tree.top().has_file("result.json");
    if !has_result {
        files.add_awaited_folders(tree, &outputs);
        // Logs grow while the agent works, whatever they are called.
        for output in &outputs {
            let folder = output.join("agent");
            for name in &tree.folder(&folder).files {
                files.record_change(&tree.full_path(&folder.join(name)));
            }
        }
    }
    let mut facts = DiskFiles { tree, reader };
    files.artifacts = trial_artifacts::list(tree, &outputs, agent, &mut facts);
    files.has_lfs_pointer = has_result
        && files.artifacts.iter().any(|file| {
            let size = file.size_bytes.unwrap_or(0);
            LFS_POINTER_BYTES.contains(&size) && reader.is_lfs_pointer(&tree.full_path(&file.path))
        });
    let newest = tree.newest_change().map(|version| version.modified());
    files.newest_change = files.newest_change.max(newest);
    files
}

/// Returns the folders that contain `agent/`, `verifier/` and `artifacts/`: the trial's own, then its steps' in their
/// order.
fn outputs_in_order(tree: &TrialTree, steps: &[String]) -> Vec<PathBuf> {
    let (own, found) = tree.outputs().split_at(1);
    let is_named = |output: &PathBuf, step: &String| output.ends_with(step);
    let known = steps
        .iter()
        .filter_map(|step| found.iter().find(|output| is_named(output, step)));
    let rest = found
        .iter()
        .filter(|output| !steps.iter().any(|step| is_named(output, step)));
    own.iter().chain(known).chain(rest).cloned().collect()
}

fn read_outputs(tree: &TrialTree, output: &Path, reader: &mut FileReader, files: &mut TrialFiles) {
    let verifier_dir = output.join("verifier");
    let (agent, verifier) = (
        tree.folder(&output.join("agent")),
        tree.folder(&verifier_dir),
    );
    files.agent_wrote |= !agent.files.is_empty() || !agent.folders.is_empty();
    files.verifier_wrote |= !verifier.files.is_empty() || !verifier.folders.is_empty();
    if verifier.has_file("ctrf.json")
        && let Some((passed, total)) = reader
            .read_uncached(&tree.full_path(&verifier_dir.join("ctrf.json")))
            .and_then(|text| test_counts(&text))
    {
        let (sum_passed, sum_total) = files.test_counts.unwrap_or_default();
        files.test_counts = Some((
            u64::saturating_add(sum_passed, passed),
            u64::saturating_add(sum_total, total),
        ));
    }
}

impl TrialFiles {
    fn add_awaited_folders(&mut self, tree: &TrialTree, outputs: &[PathBuf]) {
        if tree.top().folders.iter().any(|name| name == "steps") {
            self.awaited_folders.push("steps".into());
            self.awaited_folders.extend(outputs.iter().skip(1).cloned());
        }
        for output in outputs {
            let writers = [
                (self.agent_wrote, "agent"),
                (self.verifier_wrote, "verifier"),
            ];
            for (_, name) in writers.into_iter().filter(|(wrote, _)| !wrote) {
                let folder = output.join(name);
                let exists = tree.version(&folder).is_some();
                self.awaited_folders.extend(exists.then_some(folder));
            }
        }
    }

    /// Returns the first artifact of a type.
    pub(crate) fn first_artifact(&self, kind: ArtifactKind) -> Option<&Artifact> {
        self.artifacts.iter().find(|file| file.kind == kind)
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
        scan(&TrialTree::read(dir), &[], "coder", &mut reader)
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
