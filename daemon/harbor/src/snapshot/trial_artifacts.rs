//! Lists the files of a trial that belong to one of the four artifact types, in the order of reading.
//!
//! The rules need the names in some folders and a few facts about single files ([`FileFacts`]), wherever these come from.

use std::path::{Path, PathBuf};

use crate::disk::cached_file::FileReader;
use crate::snapshot::artifact::{Artifact, ArtifactKind};
use crate::snapshot::artifact_names::{
    VERIFIER_LOGS, VERIFIER_RESULTS, is_continuation, is_output_of_command, is_text,
};
use crate::snapshot::patches::find_patches;
use crate::snapshot::trial_tree::TrialTree;

/// Files of one type that are listed of one trial.
const MAX_FILES: usize = 256;

/// What the rules ask about single files, by their paths in the trial's folder.
pub(crate) trait FileFacts {
    /// Whether it is a regular file.
    fn exists(&self, path: &Path) -> bool;

    /// Whether it is a regular file with content.
    fn is_not_empty(&self, path: &Path) -> bool;

    /// Returns its size, if that is known.
    fn size_bytes(&self, path: &Path) -> Option<u64>;

    /// Returns its address, unless it is that of a local file.
    fn address(&self, path: &Path) -> Option<String>;

    /// Returns the patches of a folder with outputs.
    fn patches(&mut self, output: &Path) -> Vec<PathBuf>;
}

/// Files on disk.
pub(crate) struct DiskFiles<'a> {
    pub(crate) tree: &'a TrialTree,
    pub(crate) reader: &'a mut FileReader,
}

impl FileFacts for DiskFiles<'_> {
    fn exists(&self, path: &Path) -> bool {
        self.tree.version(path).is_some()
    }

    fn is_not_empty(&self, path: &Path) -> bool {
        let version = self.tree.version(path);
        version.is_some_and(|version| version.size_bytes() > 0)
    }

    fn size_bytes(&self, path: &Path) -> Option<u64> {
        self.tree.version(path).map(|version| version.size_bytes())
    }

    fn address(&self, _path: &Path) -> Option<String> {
        None
    }

    fn patches(&mut self, output: &Path) -> Vec<PathBuf> {
        find_patches(self.tree, output, self.reader)
    }
}

/// Lists the artifacts of a trial. `outputs` begins with its own folder, then its steps'.
pub(crate) fn list(
    tree: &TrialTree,
    outputs: &[PathBuf],
    agent: &str,
    files: &mut impl FileFacts,
) -> Vec<Artifact> {
    let mut found = FoundFiles::default();
    let (own, steps) = outputs.split_at(outputs.len().min(1));
    for output in own {
        found.add(ArtifactKind::Logs, agent_logs(tree, output, agent, files));
    }
    for step in steps {
        found.add(ArtifactKind::Logs, agent_logs(tree, step, agent, files));
        found.add(ArtifactKind::Logs, in_verifier(tree, step, &VERIFIER_LOGS));
    }
    // Empty logs are left out; Harbor creates `trial.log` before it writes anything to it.
    let trial_logs = ["trial.log", "exception.txt"].map(PathBuf::from);
    found.add(
        ArtifactKind::Logs,
        trial_logs
            .into_iter()
            .filter(|path| files.is_not_empty(path)),
    );
    for output in own {
        found.add(
            ArtifactKind::Logs,
            in_verifier(tree, output, &VERIFIER_LOGS),
        );
    }
    for output in outputs {
        found.add(ArtifactKind::Trajectory, trajectories(tree, output));
        found.add(ArtifactKind::Diff, files.patches(output));
    }
    let result = tree.top().has_file("result.json");
    found.add(
        ArtifactKind::Result,
        result.then(|| PathBuf::from("result.json")),
    );
    for output in outputs {
        found.add(
            ArtifactKind::Result,
            in_verifier(tree, output, &VERIFIER_RESULTS),
        );
    }
    found.into_artifacts(result, files)
}

#[derive(Default)]
struct FoundFiles(Vec<(ArtifactKind, PathBuf)>);

impl FoundFiles {
    fn add(&mut self, kind: ArtifactKind, paths: impl IntoIterator<Item = PathBuf>) {
        let known = self.0.iter().filter(|(found, _)| *found == kind).count();
        let room = MAX_FILES.saturating_sub(known);
        self.0
            .extend(paths.into_iter().take(room).map(|path| (kind, path)));
    }

    fn into_artifacts(mut self, ended: bool, files: &impl FileFacts) -> Vec<Artifact> {
        self.0.sort_by_key(|(kind, _)| *kind);
        let file = |(kind, path): (ArtifactKind, PathBuf)| Artifact {
            kind,
            size_bytes: if ended { files.size_bytes(&path) } else { None },
            address: files.address(&path),
            path,
        };
        self.0.into_iter().map(file).collect()
    }
}

/// Returns the agent's log, which is named after it, other texts, then the output of its set-up and of single
/// commands.
fn agent_logs(
    tree: &TrialTree,
    output: &Path,
    agent: &str,
    files: &impl FileFacts,
) -> Vec<PathBuf> {
    let folder = output.join("agent");
    let listing = tree.folder(&folder);
    let own = format!("{agent}.txt");
    let others = listing.files.iter().map(String::as_str);
    let others = others.filter(|name| is_text(name) && *name != own && *name != "exit-code.txt");
    let mut logs: Vec<PathBuf> = listing
        .has_file(&own)
        .then_some(own.as_str())
        .into_iter()
        .chain(others)
        .map(|name| folder.join(name))
        .collect();
    let subfolders = listing.folders.iter().map(String::as_str);
    let mut with_output: Vec<&str> = subfolders
        .filter(|name| is_output_of_command(name))
        .collect();
    // `command-10` comes after `command-9`.
    with_output.sort_by_key(|name| (*name != "setup", first_number(name), *name));
    for subfolder in with_output {
        let stdout = folder.join(subfolder).join("stdout.txt");
        logs.extend(Some(stdout).filter(|path| files.exists(path)));
        let stderr = folder.join(subfolder).join("stderr.txt");
        logs.extend(Some(stderr).filter(|path| files.is_not_empty(path)));
    }
    logs
}

/// Returns those of the files that are in `verifier/`.
fn in_verifier(tree: &TrialTree, output: &Path, names: &[&str]) -> Vec<PathBuf> {
    let folder = output.join("verifier");
    let listing = tree.folder(&folder);
    let names = names.iter().filter(|name| listing.has_file(name));
    names.map(|name| folder.join(name)).collect()
}

/// Returns the trajectory and its continuations; without one, that of the bridge to a simulated user.
fn trajectories(tree: &TrialTree, output: &Path) -> Vec<PathBuf> {
    let folder = output.join("agent");
    let listing = tree.folder(&folder);
    let whole = listing.has_file("trajectory.json");
    if !whole && listing.has_file("bridge-trajectory.json") {
        return vec![folder.join("bridge-trajectory.json")];
    }
    let names = listing.files.iter().map(String::as_str);
    let mut continuations: Vec<&str> = names.filter(|name| is_continuation(name)).collect();
    continuations.sort_by_key(|name| (first_number(name), *name));
    let first = whole.then_some("trajectory.json");
    let all = first.into_iter().chain(continuations);
    all.map(|name| folder.join(name)).collect()
}

/// Returns the first number in a name.
fn first_number(name: &str) -> u64 {
    let digits = name.trim_start_matches(|c: char| !c.is_ascii_digit());
    let digits = digits.split(|c: char| !c.is_ascii_digit()).next();
    digits
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn write(dir: &Path, name: &str, text: &str) {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn listed(dir: &Path, steps: &[&str]) -> Vec<String> {
        let mut reader = FileReader::new(docks_proto::time::UnixMs(0));
        let steps = steps.iter().map(|step| Path::new("steps").join(step));
        let outputs: Vec<PathBuf> = std::iter::once(PathBuf::new()).chain(steps).collect();
        let tree = TrialTree::read(dir);
        let mut facts = DiskFiles {
            tree: &tree,
            reader: &mut reader,
        };
        list(&tree, &outputs, "coder", &mut facts)
            .into_iter()
            .map(|file| {
                let path = file.path.display().to_string();
                let size = file.size_bytes.map_or("?".to_owned(), |n| n.to_string());
                format!("{:?} {path} {size}", file.kind)
            })
            .collect()
    }

    #[test]
    fn all_files_of_a_trial_are_listed_in_the_order_of_reading() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "result.json",
            "exception.txt",
            "agent/a.log",
            "agent/coder.txt",
            "agent/exit-code.txt",
            "agent/native.jsonl",
            "agent/setup/stdout.txt",
            "agent/command-10/stdout.txt",
            "agent/command-9/stdout.txt",
            "agent/command-9/stderr.txt",
            "agent/trajectory.json",
            "agent/trajectory.cont-2.json",
            "agent/trajectory.cont-10.json",
            "agent/trajectory.summarization-1.json",
            "agent/bridge-trajectory.json",
            "agent/left.patch",
            "verifier/test-stdout.txt",
            "verifier/reward.txt",
            "verifier/ctrf.json",
            "artifacts/deep/er/x.diff",
            "artifacts/near.patch",
            "artifacts/bad/y.patch",
        ] {
            write(dir.path(), name, "x");
        }
        write(dir.path(), "trial.log", "");
        write(
            dir.path(),
            "artifacts/manifest.json",
            r#"[{"destination":"artifacts/bad","status":"failed"},{"destination":"artifacts/deep","status":"ok"},7]"#,
        );
        assert_eq!(
            listed(dir.path(), &[]),
            [
                "Logs agent/coder.txt 1",
                "Logs agent/a.log 1",
                "Logs agent/setup/stdout.txt 1",
                "Logs agent/command-9/stdout.txt 1",
                "Logs agent/command-9/stderr.txt 1",
                "Logs agent/command-10/stdout.txt 1",
                "Logs exception.txt 1",
                "Logs verifier/test-stdout.txt 1",
                "Trajectory agent/trajectory.json 1",
                "Trajectory agent/trajectory.cont-2.json 1",
                "Trajectory agent/trajectory.cont-10.json 1",
                "Diff artifacts/near.patch 1",
                "Diff artifacts/deep/er/x.diff 1",
                "Diff agent/left.patch 1",
                "Result result.json 1",
                "Result verifier/reward.txt 1",
                "Result verifier/ctrf.json 1",
            ]
        );
    }

    #[test]
    fn steps_come_in_their_order_and_a_running_trial_has_no_sizes() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "trial.log",
            "steps/b/agent/coder.txt",
            "steps/b/verifier/test-stdout.txt",
            "steps/b/verifier/reward.json",
            "steps/a/agent/coder.txt",
            "steps/a/agent/bridge-trajectory.json",
        ] {
            write(dir.path(), name, "x");
        }
        assert_eq!(
            listed(dir.path(), &["b", "a"]),
            [
                "Logs steps/b/agent/coder.txt ?",
                "Logs steps/b/verifier/test-stdout.txt ?",
                "Logs steps/a/agent/coder.txt ?",
                "Logs trial.log ?",
                "Trajectory steps/a/agent/bridge-trajectory.json ?",
                "Result steps/b/verifier/reward.json ?",
            ]
        );
    }
}
