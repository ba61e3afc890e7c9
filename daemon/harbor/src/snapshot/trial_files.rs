//! What a look into a trial's folder shows: how far it is, its tests, its files.

use std::fs;
use std::path::{Path, PathBuf};

use docks_proto::path_encoding::encode_path;

use crate::disk::cached_file::{Reader, Stamp};
use crate::format::json;
use crate::format::times::Utc;
use crate::snapshot::trial_artifacts::{self, Artifact, Kind, Place};

/// Entries of one folder that are looked at; an agent can leave any number of files.
const MOST_ENTRIES: usize = 4_096;
/// Steps of one trial that are looked at.
const MOST_STEPS: usize = 256;

/// What was found in a trial's folder.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct TrialFiles {
    /// Every file of the four types.
    pub(crate) all: Vec<Artifact>,
    /// Tests that passed and tests in all, from the verifier's report.
    pub(crate) tests: Option<(u64, u64)>,
    /// Whether the agent wrote anything yet.
    pub(crate) agent_wrote: bool,
    /// Whether the verifier wrote anything yet.
    pub(crate) verifier_wrote: bool,
    /// Folders, below the trial's, whose first file will say that it is in another phase.
    pub(crate) awaited: Vec<PathBuf>,
    /// Newest change of a log, the sign of life of a trial that is under way.
    pub(crate) newest: Option<Utc>,
}

/// Names in a folder, sorted; links and hidden names are left out.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) files: Vec<String>,
    pub(crate) folders: Vec<String>,
}

impl Names {
    pub(crate) fn of(dir: &Path) -> Self {
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

    pub(crate) fn has(&self, file: &str) -> bool {
        self.files
            .binary_search_by(|name| name.as_str().cmp(file))
            .is_ok()
    }
}

/// Looks through a trial's folder. `steps` are the steps of its result, in order, if it has any.
pub(crate) fn scan(dir: &Path, steps: &[String], agent: &str, reader: &mut Reader) -> TrialFiles {
    let top = Names::of(dir);
    let mut files = TrialFiles::default();
    let places: Vec<Place> = places(dir, &top, steps)
        .into_iter()
        .map(Place::of)
        .collect();
    for place in &places {
        look_into(place, reader, &mut files);
    }
    if !top.has("result.json") {
        files.await_phases(dir, &places, top.folders.iter().any(|name| name == "steps"));
    }
    files.all = trial_artifacts::list(dir, &top, &places, agent, reader);
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

fn look_into(place: &Place, reader: &mut Reader, files: &mut TrialFiles) {
    let (wrote, checked) = (&place.wrote, &place.checked);
    let (agent_dir, verifier_dir) = (place.dir.join("agent"), place.dir.join("verifier"));
    files.agent_wrote |= !wrote.files.is_empty() || !wrote.folders.is_empty();
    files.verifier_wrote |= !checked.files.is_empty() || !checked.folders.is_empty();
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
    fn await_phases(&mut self, dir: &Path, places: &[Place], has_steps: bool) {
        let below = |path: PathBuf| path.strip_prefix(dir).map(Path::to_owned).ok();
        if has_steps {
            self.awaited.push("steps".into());
            let steps = places[1..].iter().map(|place| place.dir.clone());
            self.awaited.extend(steps.filter_map(below));
        }
        for place in places {
            let writers = [
                (self.agent_wrote, "agent"),
                (self.verifier_wrote, "verifier"),
            ];
            for (_, name) in writers.into_iter().filter(|(wrote, _)| !wrote) {
                let folder = place.dir.join(name);
                if Stamp::of_directory(&folder).is_some() {
                    self.awaited.extend(below(folder));
                }
            }
        }
    }

    /// Returns the first file of a type.
    pub(crate) fn first(&self, kind: Kind) -> Option<&Path> {
        let mut all = self.all.iter();
        let found = all.find(|file| file.kind == kind)?;
        Some(&found.path)
    }

    fn note_change(&mut self, path: &Path) {
        self.newest = self.newest.max(Stamp::of_file(path).map(|s| s.modified()));
    }
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
    format!("file://{}", encode_path(path))
}

#[cfg(test)]
mod checks {
    use super::*;

    fn write(dir: &Path, name: &str) {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }

    fn scanned(dir: &Path) -> TrialFiles {
        let mut reader = Reader {
            now: docks_proto::time::UnixMs(0),
            opened: 0,
        };
        scan(dir, &[], "coder", &mut reader)
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
        let files = scanned(dir.path());
        assert_eq!(files.all, []);
    }

    #[test]
    fn uris_hold_any_path() {
        assert_eq!(
            file_uri(Path::new("/a b/ü%#?.txt")),
            "file:///a%20b/%C3%BC%25%23%3F.txt"
        );
    }
}
