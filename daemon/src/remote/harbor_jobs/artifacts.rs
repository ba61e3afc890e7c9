//! Which files a trial left, and which of them stand for the four artifact types.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::file::{Reader, Stamp};
use super::json;
use super::times::Utc;

/// What stays as it is in the path of a `file://` URI.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

/// Entries of one folder that are looked at; an agent can leave any number of files.
const MOST_ENTRIES: usize = 4_096;
/// Folders below `artifacts/` that are searched for a patch.
const MOST_FOLDERS: usize = 256;
/// Steps of one trial that are looked at.
const MOST_STEPS: usize = 256;

/// What was found in a trial's folder.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct TrialFiles {
    /// First log.
    pub(super) logs: Option<PathBuf>,
    /// First trajectory.
    pub(super) trajectory: Option<PathBuf>,
    /// A patch; Harbor makes none itself.
    pub(super) diff: Option<PathBuf>,
    /// `result.json`.
    pub(super) result: Option<PathBuf>,
    /// Tests that passed and tests in all, from the verifier's report.
    pub(super) tests: Option<(u64, u64)>,
    /// Whether the agent wrote anything yet.
    pub(super) agent_wrote: bool,
    /// Whether the verifier wrote anything yet.
    pub(super) verifier_wrote: bool,
    /// Folders, below the trial's, whose first file will say that it is in another phase.
    pub(super) awaited: Vec<PathBuf>,
    /// Newest change of a log, the sign of life of a trial that is under way.
    pub(super) newest: Option<Utc>,
}

/// Names in a folder, sorted; links and hidden names are left out.
#[derive(Debug, Default)]
struct Names {
    files: Vec<String>,
    folders: Vec<String>,
}

impl Names {
    fn of(dir: &Path) -> Self {
        let mut names = Self::default();
        // Every folder on the way was listed as a real one, or is checked here.
        if Stamp::of_directory(dir).is_none() {
            return names;
        }
        let Ok(entries) = fs::read_dir(dir) else {
            return names;
        };
        for entry in entries.take(MOST_ENTRIES).flatten() {
            let (Ok(kind), Ok(name)) = (entry.file_type(), entry.file_name().into_string()) else {
                continue;
            };
            if kind.is_file() {
                names.files.push(name);
            } else if kind.is_dir() {
                names.folders.push(name);
            }
        }
        names.files.sort_unstable();
        names.folders.sort_unstable();
        names
    }

    fn has(&self, file: &str) -> bool {
        self.files
            .binary_search_by(|name| name.as_str().cmp(file))
            .is_ok()
    }
}

/// Looks through a trial's folder. `steps` are the steps of its result, in order, if it has any.
pub(super) fn scan(dir: &Path, steps: &[String], agent: &str, reader: &mut Reader) -> TrialFiles {
    let top = Names::of(dir);
    let mut files = TrialFiles {
        result: top.has("result.json").then(|| dir.join("result.json")),
        ..TrialFiles::default()
    };
    let places = places(dir, &top, steps);
    for place in &places {
        look_into(place, agent, reader, &mut files);
    }
    if files.result.is_none() {
        files.await_phases(dir, &places, top.folders.iter().any(|name| name == "steps"));
    }
    // An empty log is no log; Harbor opens `trial.log` before it has anything to say.
    let filled = |name: &str| {
        let path = dir.join(name);
        let meta = fs::symlink_metadata(&path).ok()?;
        (meta.is_file() && meta.len() > 0).then_some(path)
    };
    files.logs = files
        .logs
        .or_else(|| filled("trial.log"))
        .or_else(|| filled("exception.txt"));
    if files.logs.is_none() {
        files.logs = places.iter().find_map(|place| {
            let checked = Names::of(&place.join("verifier"));
            ["test-stdout.txt", "test-stderr.txt"]
                .into_iter()
                .find(|name| checked.has(name))
                .map(|name| place.join("verifier").join(name))
        });
    }
    for name in ["trial.log", "config.json", "exception.txt"] {
        files.note_change(&dir.join(name));
    }
    files
}

/// Returns the folders that hold `agent/`, `verifier/` and `artifacts/`: the trial's own, then its steps'.
fn places(dir: &Path, top: &Names, steps: &[String]) -> Vec<PathBuf> {
    let mut places = vec![dir.to_owned()];
    if top.folders.iter().any(|name| name == "steps") {
        let base = dir.join("steps");
        let found = Names::of(&base).folders;
        let known = steps.iter().filter(|step| found.contains(step));
        let mut order: Vec<&String> = known.collect();
        let rest: Vec<&String> = found.iter().filter(|step| !steps.contains(step)).collect();
        order.extend(rest);
        places.extend(
            order
                .into_iter()
                .take(MOST_STEPS)
                .map(|step| base.join(step)),
        );
    }
    places
}

fn look_into(place: &Path, agent: &str, reader: &mut Reader, files: &mut TrialFiles) {
    let agent_dir = place.join("agent");
    let verifier_dir = place.join("verifier");
    let wrote = Names::of(&agent_dir);
    let checked = Names::of(&verifier_dir);
    files.agent_wrote |= !wrote.files.is_empty() || !wrote.folders.is_empty();
    files.verifier_wrote |= !checked.files.is_empty() || !checked.folders.is_empty();
    if files.logs.is_none() {
        files.logs = agent_log(&agent_dir, &wrote, agent);
    }
    if files.trajectory.is_none() {
        files.trajectory = ["trajectory.json", "bridge-trajectory.json"]
            .into_iter()
            .find(|name| wrote.has(name))
            .map(|name| agent_dir.join(name));
    }
    if files.diff.is_none() {
        files.diff = find_patch(&place.join("artifacts")).or_else(|| {
            let patch = wrote.files.iter().find(|name| is_patch(name))?;
            Some(agent_dir.join(patch))
        });
    }
    if checked.has("ctrf.json")
        && let Some((passed, total)) = reader
            .read_once(&verifier_dir.join("ctrf.json"))
            .and_then(|text| tests(&text))
    {
        let (sum_passed, sum_total) = files.tests.unwrap_or_default();
        files.tests = Some((
            u64::saturating_add(sum_passed, passed),
            u64::saturating_add(sum_total, total),
        ));
    }
    for name in &wrote.files {
        files.note_change(&agent_dir.join(name));
    }
}

impl TrialFiles {
    fn await_phases(&mut self, dir: &Path, places: &[PathBuf], has_steps: bool) {
        let below = |path: PathBuf| path.strip_prefix(dir).map(Path::to_owned).ok();
        if has_steps {
            self.awaited.push("steps".into());
            self.awaited
                .extend(places[1..].iter().cloned().filter_map(below));
        }
        for place in places {
            let writers = [
                (self.agent_wrote, "agent"),
                (self.verifier_wrote, "verifier"),
            ];
            for (_, name) in writers.into_iter().filter(|(wrote, _)| !wrote) {
                let folder = place.join(name);
                if Stamp::of_directory(&folder).is_some() {
                    self.awaited.extend(below(folder));
                }
            }
        }
    }

    fn note_change(&mut self, path: &Path) {
        self.newest = self.newest.max(Stamp::of_file(path).map(|s| s.modified()));
    }
}

/// Returns the agent's own log: by its name, else the first text, else what setting it up said.
fn agent_log(dir: &Path, names: &Names, agent: &str) -> Option<PathBuf> {
    let own = format!("{agent}.txt");
    if names.has(&own) {
        return Some(dir.join(own));
    }
    let is_log = |name: &&String| {
        (name.ends_with(".txt") || name.ends_with(".log")) && name.as_str() != "exit-code.txt"
    };
    if let Some(name) = names.files.iter().find(is_log) {
        return Some(dir.join(name));
    }
    names
        .folders
        .iter()
        .filter(|name| *name == "setup" || name.starts_with("command-"))
        .map(|name| dir.join(name).join("stdout.txt"))
        .find(|path| Stamp::of_file(path).is_some())
}

fn is_patch(name: &str) -> bool {
    name.ends_with(".patch") || name.ends_with(".diff")
}

/// Finds the first patch below a folder, nearest first.
fn find_patch(dir: &Path) -> Option<PathBuf> {
    let mut queue = VecDeque::from([dir.to_owned()]);
    for _ in 0..MOST_FOLDERS {
        let dir = queue.pop_front()?;
        let names = Names::of(&dir);
        if let Some(name) = names.files.iter().find(|name| is_patch(name)) {
            return Some(dir.join(name));
        }
        queue.extend(names.folders.iter().map(|name| dir.join(name)));
    }
    None
}

/// Reads passed and all tests of a CTRF report.
fn tests(text: &str) -> Option<(u64, u64)> {
    let summary = json::parse(text)?
        .object()
        .object("results")
        .object("summary");
    Some((summary.count("passed")?, summary.count("tests")?))
}

/// Writes a path as `file://` URI.
pub fn file_uri(path: &Path) -> String {
    format!(
        "file://{}",
        percent_encode(path.as_os_str().as_bytes(), PATH)
    )
}

#[cfg(test)]
mod checks {
    use super::*;

    fn write(dir: &Path, name: &str) {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }

    fn scanned(dir: &Path, steps: &[&str]) -> TrialFiles {
        let steps: Vec<String> = steps.iter().map(|s| (*s).to_owned()).collect();
        let mut reader = Reader {
            now: docks_proto::time::UnixMs(0),
            opened: 0,
        };
        scan(dir, &steps, "coder", &mut reader)
    }

    #[test]
    fn steps_are_searched_in_their_order() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "steps/a/agent/coder.txt");
        write(dir.path(), "steps/b/agent/coder.txt");
        write(dir.path(), "steps/b/agent/trajectory.json");
        write(dir.path(), "steps/b/artifacts/out/x/change.diff");
        let files = scanned(dir.path(), &["b", "a"]);
        assert!(files.logs.unwrap().ends_with("steps/b/agent/coder.txt"));
        assert!(
            files
                .trajectory
                .unwrap()
                .ends_with("steps/b/agent/trajectory.json")
        );
        assert!(
            files
                .diff
                .unwrap()
                .ends_with("steps/b/artifacts/out/x/change.diff")
        );
    }

    #[test]
    fn links_lead_nowhere() {
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
        let files = scanned(dir.path(), &[]);
        assert_eq!((files.logs, files.diff), (None, None));
    }

    #[test]
    fn uris_hold_any_path() {
        assert_eq!(
            file_uri(Path::new("/a b/ü%#?.txt")),
            "file:///a%20b/%C3%BC%25%23%3F.txt"
        );
    }
}
