//! Every file of a trial that belongs to one of the four artifact types, in the order of reading.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use crate::disk::cached_file::{Reader, Stamp};
use crate::format::json;
use crate::snapshot::trial_files::Names;

/// Folders below `artifacts/` that are searched for a patch.
const MOST_FOLDERS: usize = 256;
/// Files of one type that are told of one trial.
const MOST_FILES: usize = 256;

/// The four types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// What agent, Harbor and verifier wrote as they went.
    Logs,
    /// The agent's steps, in ATIF.
    Trajectory,
    /// Patches; Harbor makes none itself.
    Diff,
    /// Results, rewards, test reports.
    Result,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Artifact {
    /// Its type.
    pub(crate) kind: Kind,
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// Its size; unknown while its trial goes on, since logs grow.
    pub(crate) size_bytes: Option<u64>,
}

/// A folder with `agent/`, `verifier/` and `artifacts/`: the trial's own, or a step's.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    /// What lies in `agent/`.
    pub(crate) wrote: Names,
    /// What lies in `verifier/`.
    pub(crate) checked: Names,
}

impl Place {
    /// Lists the folders.
    pub(crate) fn of(dir: PathBuf) -> Self {
        Self {
            wrote: Names::of(&dir.join("agent")),
            checked: Names::of(&dir.join("verifier")),
            dir,
        }
    }

    fn below(&self, folder: &str, name: &str) -> PathBuf {
        self.dir.join(folder).join(name)
    }
}

/// Lists the files of a trial; `places` begins with its own folder, whose names are `top`.
pub(crate) fn list(
    dir: &Path,
    top: &Names,
    places: &[Place],
    agent: &str,
    reader: &mut Reader,
) -> Vec<Artifact> {
    let mut found = Found::default();
    let (own, steps) = places.split_at(places.len().min(1));
    for place in own {
        found.add(Kind::Logs, agent_logs(place, agent));
    }
    for step in steps {
        found.add(Kind::Logs, agent_logs(step, agent));
        found.add(Kind::Logs, verifier_logs(step));
    }
    // An empty log is no log; Harbor opens `trial.log` before it has anything to say.
    let said = ["trial.log", "exception.txt"].into_iter();
    let said = said.filter(|name| top.has(name)).map(|name| dir.join(name));
    found.add(Kind::Logs, said.filter(|path| is_filled(path)));
    for place in own {
        found.add(Kind::Logs, verifier_logs(place));
    }
    for place in places {
        found.add(Kind::Trajectory, trajectories(place));
        found.add(Kind::Diff, patches(place, reader));
    }
    let result = top.has("result.json").then(|| dir.join("result.json"));
    let ended = result.is_some();
    found.add(Kind::Result, result);
    for place in places {
        found.add(Kind::Result, results(place));
    }
    found.told(ended)
}

#[derive(Default)]
struct Found(Vec<(Kind, PathBuf)>);

impl Found {
    fn add(&mut self, kind: Kind, paths: impl IntoIterator<Item = PathBuf>) {
        let had = self.0.iter().filter(|(found, _)| *found == kind).count();
        let room = MOST_FILES.saturating_sub(had);
        self.0
            .extend(paths.into_iter().take(room).map(|path| (kind, path)));
    }

    fn told(mut self, ended: bool) -> Vec<Artifact> {
        self.0.sort_by_key(|(kind, _)| *kind);
        let size = |path: &Path| Stamp::of_file(path).map(|stamp| stamp.size_bytes());
        let file = |(kind, path): (Kind, PathBuf)| Artifact {
            kind,
            size_bytes: if ended { size(&path) } else { None },
            path,
        };
        self.0.into_iter().map(file).collect()
    }
}

fn is_filled(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() > 0)
}

/// The agent's own log by its name, other texts, then what setting it up and single commands said.
fn agent_logs(place: &Place, agent: &str) -> Vec<PathBuf> {
    let own = format!("{agent}.txt");
    let is_text = |name: &str| name.ends_with(".txt") || name.ends_with(".log");
    let others = place.wrote.files.iter().map(String::as_str);
    let others = others.filter(|name| is_text(name) && *name != own && *name != "exit-code.txt");
    let mut logs: Vec<PathBuf> = place
        .wrote
        .has(&own)
        .then_some(own.as_str())
        .into_iter()
        .chain(others)
        .map(|name| place.below("agent", name))
        .collect();
    let said = place.wrote.folders.iter().map(String::as_str);
    let mut said: Vec<&str> = said
        .filter(|name| *name == "setup" || name.starts_with("command-"))
        .collect();
    // `command-10` comes after `command-9`.
    said.sort_by_key(|name| (*name != "setup", number_in(name), *name));
    for folder in said {
        for name in ["stdout.txt", "stderr.txt"] {
            let path = place.below("agent", folder).join(name);
            if is_filled(&path) || (name == "stdout.txt" && Stamp::of_file(&path).is_some()) {
                logs.push(path);
            }
        }
    }
    logs
}

fn verifier_logs(place: &Place) -> impl Iterator<Item = PathBuf> {
    let names = ["test-stdout.txt", "test-stderr.txt"].into_iter();
    names
        .filter(|name| place.checked.has(name))
        .map(|name| place.below("verifier", name))
}

/// The trajectory with its continuations; without one, that of a bridge to a simulated user.
fn trajectories(place: &Place) -> Vec<PathBuf> {
    let whole = place.wrote.has("trajectory.json");
    if !whole && place.wrote.has("bridge-trajectory.json") {
        return vec![place.below("agent", "bridge-trajectory.json")];
    }
    let names = place.wrote.files.iter().map(String::as_str);
    let mut further: Vec<&str> = names
        .filter(|name| name.starts_with("trajectory.cont-") && name.ends_with(".json"))
        .collect();
    further.sort_by_key(|name| (number_in(name), *name));
    let first = whole.then_some("trajectory.json");
    let all = first.into_iter().chain(further);
    all.map(|name| place.below("agent", name)).collect()
}

/// The first number in a name.
fn number_in(name: &str) -> u64 {
    let digits = name.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(u64::MAX)
}

fn results(place: &Place) -> impl Iterator<Item = PathBuf> {
    let names = [
        "reward.json",
        "reward.txt",
        "reward-details.json",
        "ctrf.json",
    ];
    names
        .into_iter()
        .filter(|name| place.checked.has(name))
        .map(|name| place.below("verifier", name))
}

/// Patches that were collected, nearest first, then those that the agent left.
fn patches(place: &Place, reader: &mut Reader) -> Vec<PathBuf> {
    let artifacts = place.dir.join("artifacts");
    let mut found = Vec::new();
    let mut queue = VecDeque::from([artifacts.clone()]);
    for _ in 0..MOST_FOLDERS {
        let Some(dir) = queue.pop_front() else {
            break;
        };
        let names = Names::of(&dir);
        let patches = names.files.iter().filter(|name| is_patch(name));
        found.extend(patches.map(|name| dir.join(name)));
        queue.extend(names.folders.iter().map(|name| dir.join(name)));
    }
    if !found.is_empty() {
        let failed = not_collected(&artifacts.join("manifest.json"), reader);
        let whole = |path: &PathBuf| {
            let below = path.strip_prefix(&place.dir).unwrap_or(path);
            !failed.iter().any(|failed| below.starts_with(failed))
        };
        found.retain(whole);
    }
    let left = place.wrote.files.iter().filter(|name| is_patch(name));
    found.extend(left.map(|name| place.below("agent", name)));
    found
}

fn is_patch(name: &str) -> bool {
    name.ends_with(".patch") || name.ends_with(".diff")
}

/// What the manifest says could not be collected whole, as paths below the trial's folder.
fn not_collected(manifest: &Path, reader: &mut Reader) -> Vec<PathBuf> {
    let text = reader.read_once(manifest);
    let entries = text
        .as_deref()
        .and_then(json::parse)
        .map(json::Value::items);
    let entries = entries.unwrap_or_default().into_iter();
    entries
        .map(json::Value::object)
        .filter(|entry| entry.text("status").as_deref() == Some("failed"))
        .filter_map(|entry| Some(PathBuf::from(entry.text("destination")?)))
        .collect()
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
        let mut reader = Reader {
            now: docks_proto::time::UnixMs(0),
            opened: 0,
        };
        let steps = steps.iter().map(|step| dir.join("steps").join(step));
        let places: Vec<Place> = std::iter::once(dir.to_owned())
            .chain(steps)
            .map(Place::of)
            .collect();
        list(dir, &Names::of(dir), &places, "coder", &mut reader)
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
    fn steps_come_in_their_order_and_a_trial_that_goes_on_has_no_sizes() {
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
