//! Lists the files of a trial that belong to one of the four artifact types, in the order of reading.

use std::fs;
use std::path::{Path, PathBuf};

use crate::disk::cached_file::FileReader;
use crate::disk::file_version::FileVersion;
use crate::disk::folders::FolderListing;
use crate::snapshot::artifact::{Artifact, ArtifactKind};
use crate::snapshot::output_folder::OutputFolder;
use crate::snapshot::patches::find_patches;

/// Files of one type that are listed of one trial.
const MAX_FILES: usize = 256;

/// Lists the artifacts of a trial. `folders` begins with its own folder `dir`, whose content is `top`.
pub(crate) fn list(
    dir: &Path,
    top: &FolderListing,
    folders: &[OutputFolder],
    agent: &str,
    reader: &mut FileReader,
) -> Vec<Artifact> {
    let mut found = FoundFiles::default();
    let (own, steps) = folders.split_at(folders.len().min(1));
    for folder in own {
        found.add(ArtifactKind::Logs, agent_logs(folder, agent));
    }
    for step in steps {
        found.add(ArtifactKind::Logs, agent_logs(step, agent));
        found.add(ArtifactKind::Logs, verifier_logs(step));
    }
    // Empty logs are left out; Harbor creates `trial.log` before it writes anything to it.
    let trial_logs = ["trial.log", "exception.txt"].into_iter();
    let trial_logs = trial_logs
        .filter(|name| top.has_file(name))
        .map(|name| dir.join(name));
    found.add(
        ArtifactKind::Logs,
        trial_logs.filter(|path| is_not_empty(path)),
    );
    for folder in own {
        found.add(ArtifactKind::Logs, verifier_logs(folder));
    }
    for folder in folders {
        found.add(ArtifactKind::Trajectory, trajectories(folder));
        found.add(ArtifactKind::Diff, find_patches(folder, reader));
    }
    let result = top.has_file("result.json").then(|| dir.join("result.json"));
    let ended = result.is_some();
    found.add(ArtifactKind::Result, result);
    for folder in folders {
        found.add(ArtifactKind::Result, results(folder));
    }
    found.into_artifacts(ended)
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

    fn into_artifacts(mut self, ended: bool) -> Vec<Artifact> {
        self.0.sort_by_key(|(kind, _)| *kind);
        let size = |path: &Path| FileVersion::for_file(path).map(|version| version.size_bytes());
        let file = |(kind, path): (ArtifactKind, PathBuf)| Artifact {
            kind,
            size_bytes: if ended { size(&path) } else { None },
            path,
        };
        self.0.into_iter().map(file).collect()
    }
}

fn is_not_empty(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() > 0)
}

/// Returns the agent's log, which is named after it, other texts, then the output of its set-up and of single
/// commands.
fn agent_logs(folder: &OutputFolder, agent: &str) -> Vec<PathBuf> {
    let own = format!("{agent}.txt");
    let is_text = |name: &str| name.ends_with(".txt") || name.ends_with(".log");
    let others = folder.agent.files.iter().map(String::as_str);
    let others = others.filter(|name| is_text(name) && *name != own && *name != "exit-code.txt");
    let mut logs: Vec<PathBuf> = folder
        .agent
        .has_file(&own)
        .then_some(own.as_str())
        .into_iter()
        .chain(others)
        .map(|name| folder.path_in("agent", name))
        .collect();
    let subfolders = folder.agent.folders.iter().map(String::as_str);
    let mut with_output: Vec<&str> = subfolders
        .filter(|name| *name == "setup" || name.starts_with("command-"))
        .collect();
    // `command-10` comes after `command-9`.
    with_output.sort_by_key(|name| (*name != "setup", first_number(name), *name));
    for subfolder in with_output {
        for name in ["stdout.txt", "stderr.txt"] {
            let path = folder.path_in("agent", subfolder).join(name);
            if is_not_empty(&path)
                || (name == "stdout.txt" && FileVersion::for_file(&path).is_some())
            {
                logs.push(path);
            }
        }
    }
    logs
}

fn verifier_logs(folder: &OutputFolder) -> impl Iterator<Item = PathBuf> {
    let names = ["test-stdout.txt", "test-stderr.txt"].into_iter();
    names
        .filter(|name| folder.verifier.has_file(name))
        .map(|name| folder.path_in("verifier", name))
}

/// Returns the trajectory and its continuations; without one, that of the bridge to a simulated user.
fn trajectories(folder: &OutputFolder) -> Vec<PathBuf> {
    let whole = folder.agent.has_file("trajectory.json");
    if !whole && folder.agent.has_file("bridge-trajectory.json") {
        return vec![folder.path_in("agent", "bridge-trajectory.json")];
    }
    let names = folder.agent.files.iter().map(String::as_str);
    let mut continuations: Vec<&str> = names
        .filter(|name| name.starts_with("trajectory.cont-") && name.ends_with(".json"))
        .collect();
    continuations.sort_by_key(|name| (first_number(name), *name));
    let first = whole.then_some("trajectory.json");
    let all = first.into_iter().chain(continuations);
    all.map(|name| folder.path_in("agent", name)).collect()
}

/// Returns the first number in a name.
fn first_number(name: &str) -> u64 {
    let digits = name.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(u64::MAX)
}

fn results(folder: &OutputFolder) -> impl Iterator<Item = PathBuf> {
    let names = [
        "reward.json",
        "reward.txt",
        "reward-details.json",
        "ctrf.json",
    ];
    names
        .into_iter()
        .filter(|name| folder.verifier.has_file(name))
        .map(|name| folder.path_in("verifier", name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, name: &str, text: &str) {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn listed(dir: &Path, steps: &[&str]) -> Vec<String> {
        let mut reader = FileReader::new(docks_proto::time::UnixMs(0));
        let steps = steps.iter().map(|step| dir.join("steps").join(step));
        let folders: Vec<OutputFolder> = std::iter::once(dir.to_owned())
            .chain(steps)
            .map(OutputFolder::read)
            .collect();
        list(
            dir,
            &FolderListing::read(dir),
            &folders,
            "coder",
            &mut reader,
        )
        .into_iter()
        .map(|file| {
            let path = file.path.strip_prefix(dir).unwrap().display().to_string();
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
