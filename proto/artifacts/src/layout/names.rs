//! Directory and file names of artifacts, each of them unique on any file system.

use std::collections::HashMap;

use crate::artifact::ArtifactType;
use crate::sanitise::{
    collision_key, file_suffix, last_segment, safe_segment, short_hash, short_id,
};
use crate::trial::TrialArtifacts;

/// Rounds after which crafted names are apart; each lengthens them by some bytes.
const MAX_ROUNDS: usize = 4;

/// How the run's directory is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunName {
    /// The first 12 characters, as the Python client does.
    Short,
    /// The whole id: names of jobs often begin with the same date.
    Whole,
}

/// Names the directory of a run.
pub(super) fn name_run(run_id: &str, run_name: RunName) -> String {
    match run_name {
        RunName::Short => safe_segment(short_id(run_id), "unknown"),
        RunName::Whole => safe_segment(run_id, "unknown"),
    }
}

/// Names the files of one type: the first as ever, further ones by where they lie at the source.
pub(super) fn name_files(kind: ArtifactType, uris: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = uris
        .iter()
        .enumerate()
        .map(|(at, uri)| match at {
            0 => format!("{}{}", kind.name(), file_suffix(uri)),
            _ => {
                let place = safe_segment(&below_common(uri, uris), "unknown");
                format!("{}-{place}", kind.name())
            }
        })
        .collect();
    for at in colliding(&names).into_iter().filter(|at| *at > 0) {
        names[at] = format!("{}-{}~{at}", kind.name(), short_hash(uris[at]));
    }
    names
}

/// The path of an address below the deepest folder that all of them share, with `_` for `/`.
///
/// A web address can hold anything; of that it is the name only.
fn below_common(uri: &str, all: &[&str]) -> String {
    if !uri.starts_with("file://") {
        return last_segment(uri).to_owned();
    }
    let folders = |uri: &str| -> Vec<String> {
        let mut parts: Vec<String> = uri.split('/').map(str::to_owned).collect();
        parts.pop();
        parts
    };
    let own = folders(uri);
    let shared = all.iter().map(|other| {
        let pairs = own.iter().zip(folders(other));
        pairs.take_while(|(a, b)| *a == b).count()
    });
    let shared = shared.min().unwrap_or(0);
    let mut parts: Vec<&str> = own[shared..].iter().map(String::as_str).collect();
    parts.push(last_segment(uri));
    parts.join("_")
}

/// Gives each trial a directory that no other trial has, on any file system.
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
    for at in colliding(&names) {
        names[at] = whole(trials[at]);
    }
    for at in colliding(&names) {
        let trial = trials[at];
        let exact = if trial.id.is_empty() {
            format!("{at}\0{}", trial.task)
        } else {
            format!("{}\0{}", trial.id, trial.task)
        };
        names[at] = format!("{}~{}", whole(trial), short_hash(&exact));
    }
    // Only names made to clash get here; a few rounds of positions part them.
    for _ in 0..MAX_ROUNDS {
        for at in colliding(&names) {
            names[at].push_str(&format!("~{at}"));
        }
    }
    trials.into_iter().zip(names).collect()
}

/// Of trials with the same id the last one counts, as in the mirror.
fn last_of_each_id(trials: &[TrialArtifacts]) -> Vec<&TrialArtifacts> {
    let last: HashMap<&str, usize> = trials
        .iter()
        .enumerate()
        .map(|(at, trial)| (trial.id.as_str(), at))
        .collect();
    trials
        .iter()
        .enumerate()
        .filter(|(at, trial)| trial.id.is_empty() || last[trial.id.as_str()] == *at)
        .map(|(_, trial)| trial)
        .collect()
}

fn colliding(names: &[String]) -> Vec<usize> {
    let mut places: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, name) in names.iter().enumerate() {
        places.entry(collision_key(name)).or_default().push(at);
    }
    places
        .into_values()
        .filter(|group| group.len() > 1)
        .flatten()
        .collect()
}
