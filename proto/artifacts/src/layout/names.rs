//! Directory and file names of artifacts, each of them unique on any file system.

use std::collections::{HashMap, HashSet};

use crate::artifact::ArtifactType;
use crate::sanitise::{
    collision_key, downloaded_address, file_suffix, last_segment, safe_segment, short_hash,
    short_id, source_name,
};
use crate::trial::TrialArtifacts;

/// Rounds after which names that were made to collide are distinct; each round adds a few bytes.
const MAX_ROUNDS: usize = 4;

/// How the directory of a run is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunName {
    /// By the first 12 characters of the id, as in the Python client.
    Short,
    /// By the whole id: names of jobs often begin with the same date.
    Whole,
}

/// Names the directory of a run.
pub(super) fn name_run(run_id: &str, run_name: RunName) -> String {
    match run_name {
        RunName::Short => safe_segment(short_id(run_id), "unknown"),
        RunName::Whole => safe_segment(run_id, "unknown"),
    }
}

/// Names the files of one type: the first one after its type, others also after their source path.
pub(super) fn name_files(kind: ArtifactType, uris: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = uris
        .iter()
        .enumerate()
        .map(|(at, uri)| match at {
            0 => format!("{}{}", kind.name(), file_suffix(uri)),
            _ => {
                let path = safe_segment(&path_below_common_folder(uri, uris), "unknown");
                format!("{}-{path}", kind.name())
            }
        })
        .collect();
    rename_colliding(&mut names, uris, |at, uri, name| match at {
        0 => name.to_owned(),
        _ => format!("{}-{}~{at}", kind.name(), short_hash(uri)),
    });
    names
}

/// Returns the path of an address below the deepest common folder of all, with `_` for `/`.
///
/// The path of a web address can be anything, so only its last segment is used.
fn path_below_common_folder(uri: &str, all: &[&str]) -> String {
    let file_address = |uri: &str| {
        let downloaded = downloaded_address(uri);
        let address = downloaded.unwrap_or_else(|| uri.to_owned());
        address.starts_with("file://").then_some(address)
    };
    let Some(own_address) = file_address(uri) else {
        return source_name(uri).into_owned();
    };
    let folders = |uri: &str| -> Vec<String> {
        let address = file_address(uri).unwrap_or_default();
        let mut parts: Vec<String> = address.split('/').map(str::to_owned).collect();
        parts.pop();
        parts
    };
    let own = folders(uri);
    let shared = all.iter().map(|other| {
        let pairs = own.iter().zip(folders(other));
        pairs.take_while(|(a, b)| *a == b).count()
    });
    let shared = shared.min().unwrap_or(0);
    let mut parts: Vec<&str> = own.iter().skip(shared).map(String::as_str).collect();
    parts.push(last_segment(&own_address));
    parts.join("_")
}

/// Gives each trial a directory name that is unique on any file system.
pub(super) fn name_trials(trials: &[TrialArtifacts]) -> Vec<(&TrialArtifacts, String)> {
    let trials = last_of_each_id(trials);
    let task = |trial: &TrialArtifacts| safe_segment(&trial.task, "unknown");
    let short = |trial: &TrialArtifacts| {
        format!(
            "{}_{}",
            task(trial),
            safe_segment(short_id(&trial.id), "unknown")
        )
    };
    let whole =
        |trial: &TrialArtifacts| format!("{}_{}", task(trial), safe_segment(&trial.id, "unknown"));
    let mut names: Vec<String> = trials.iter().map(|t| short(t)).collect();
    rename_colliding(&mut names, &trials, |_, trial, _| whole(trial));
    rename_colliding(&mut names, &trials, |at, trial, _| {
        let exact = if trial.id.is_empty() {
            format!("{at}\0{}", trial.task)
        } else {
            format!("{}\0{}", trial.id, trial.task)
        };
        format!("{}~{}", whole(trial), short_hash(&exact))
    });
    // Only names that were made to collide get here; their positions make them distinct.
    for _ in 0..MAX_ROUNDS {
        rename_colliding(&mut names, &trials, |at, _, name| format!("{name}~{at}"));
    }
    trials.into_iter().zip(names).collect()
}

/// Keeps the last trial of each id, as the mirror does.
fn last_of_each_id(trials: &[TrialArtifacts]) -> Vec<&TrialArtifacts> {
    let last: HashMap<&str, usize> = trials
        .iter()
        .enumerate()
        .map(|(at, trial)| (trial.id.as_str(), at))
        .collect();
    trials
        .iter()
        .enumerate()
        .filter(|(at, trial)| trial.id.is_empty() || last.get(trial.id.as_str()) == Some(at))
        .map(|(_, trial)| trial)
        .collect()
}

/// Gives each name that collides with another one a new name, from its position, what it names, and itself.
fn rename_colliding<T>(
    names: &mut [String],
    named: &[T],
    rename: impl Fn(usize, &T, &str) -> String,
) {
    let colliding = colliding(names);
    for (at, (name, named)) in names.iter_mut().zip(named).enumerate() {
        if colliding.contains(&at) {
            *name = rename(at, named, name);
        }
    }
}

/// Returns the positions of names that collide with another one.
fn colliding(names: &[String]) -> HashSet<usize> {
    let mut positions: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, name) in names.iter().enumerate() {
        positions.entry(collision_key(name)).or_default().push(at);
    }
    positions
        .into_values()
        .filter(|group| group.len() > 1)
        .flatten()
        .collect()
}
