//! Where each artifact goes: `<first 12 of run>/<task>_<first 12 of trial>/<type><suffix>`.
//!
//! The layout is the Python client's, so that scripts find their files. Where
//! its short names would put two trials into one directory, these trials get
//! their whole ids instead, and a mark where even those could be taken for one
//! another. Names depend on all trials of the run, not only on those asked
//! for, so one trial lies in the same place however it was fetched.

use std::collections::HashMap;

use super::sanitise::{first_twelve, fold, mark, segment, suffix_of};
use super::{ArtifactRequest, ArtifactType, TrialArtifacts};

/// Rounds after which crafted names are apart; each lengthens them by some bytes.
const ROUNDS: usize = 4;

/// Which artifacts are asked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Full ids of the only trials; empty is every trial.
    pub trials: Vec<String>,
    /// The only types; empty is every type.
    pub kinds: Vec<ArtifactType>,
}

/// How the run's directory is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunName {
    /// The first 12 characters, as the Python client does.
    Short,
    /// The whole id: names of jobs often begin with the same date.
    Whole,
}

/// What there is to do.
#[derive(Debug, Default)]
pub struct Plan {
    /// Files to fetch, in the order of trials and types.
    pub requests: Vec<ArtifactRequest>,
    /// Artifacts that were asked for and that the remote does not have.
    pub unavailable: usize,
}

/// Names every artifact that is wanted.
pub fn plan(run_id: &str, run_name: RunName, trials: &[TrialArtifacts], wanted: &Wanted) -> Plan {
    let run = match run_name {
        RunName::Short => segment(first_twelve(run_id), "unknown"),
        RunName::Whole => segment(run_id, "unknown"),
    };
    let mut plan = Plan::default();
    for (trial, directory) in name_trials(trials) {
        if !wanted.trials.is_empty() && !wanted.trials.contains(&trial.id) {
            continue;
        }
        for kind in ArtifactType::ALL {
            if !wanted.kinds.is_empty() && !wanted.kinds.contains(&kind) {
                continue;
            }
            let Some((_, uri)) = trial.uris.iter().find(|(found, _)| *found == kind) else {
                plan.unavailable += 1;
                continue;
            };
            plan.requests.push(ArtifactRequest {
                trial_id: trial.id.clone(),
                task: trial.task.clone(),
                kind,
                uri: uri.clone(),
                directories: [run.clone(), directory.clone()],
                file_name: format!("{}{}", kind.name(), suffix_of(uri)),
            });
        }
    }
    plan
}

/// Gives each trial a directory that no other trial has, on any file system.
fn name_trials(trials: &[TrialArtifacts]) -> Vec<(&TrialArtifacts, String)> {
    let trials = without_repeats(trials);
    let task = |trial: &TrialArtifacts| segment(&trial.task, "unknown");
    let short = |trial: &TrialArtifacts| {
        format!(
            "{}_{}",
            task(trial),
            segment(first_twelve(&trial.id), "unknown")
        )
    };
    let whole =
        |trial: &TrialArtifacts| format!("{}_{}", task(trial), segment(&trial.id, "unknown"));
    let mut names: Vec<String> = trials.iter().map(|t| short(t)).collect();
    for at in clashes(&names) {
        names[at] = whole(trials[at]);
    }
    for at in clashes(&names) {
        let trial = trials[at];
        let exact = if trial.id.is_empty() {
            format!("{at}\0{}", trial.task)
        } else {
            format!("{}\0{}", trial.id, trial.task)
        };
        names[at] = format!("{}~{}", whole(trial), mark(&exact));
    }
    // Only names made to clash get here; a few rounds of positions part them.
    for _ in 0..ROUNDS {
        for at in clashes(&names) {
            names[at].push_str(&format!("~{at}"));
        }
    }
    trials.into_iter().zip(names).collect()
}

/// Of trials with the same id the last one counts, as in the mirror.
fn without_repeats(trials: &[TrialArtifacts]) -> Vec<&TrialArtifacts> {
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

fn clashes(names: &[String]) -> Vec<usize> {
    let mut places: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, name) in names.iter().enumerate() {
        places.entry(fold(name)).or_default().push(at);
    }
    places
        .into_values()
        .filter(|group| group.len() > 1)
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn trial(id: &str, task: &str) -> TrialArtifacts {
        TrialArtifacts {
            id: id.to_owned(),
            task: task.to_owned(),
            uris: vec![(ArtifactType::Logs, format!("gs://b/{id}/logs.txt"))],
        }
    }

    fn directories(trials: &[TrialArtifacts]) -> Vec<String> {
        plan("run", RunName::Short, trials, &Wanted::default())
            .requests
            .into_iter()
            .map(|r| r.directories[1].clone())
            .collect()
    }

    #[test]
    fn names_are_those_of_the_python_client() {
        let trials = [trial("0123456789abcdef", "sum-orders")];
        let plan = plan(
            "aaaabbbb-cccc-dddd",
            RunName::Short,
            &trials,
            &Wanted::default(),
        );
        let request = &plan.requests[0];
        assert_eq!(
            request.directories,
            ["aaaabbbb-ccc", "sum-orders_0123456789ab"]
        );
        assert_eq!(request.file_name, "logs.txt");
        assert_eq!(plan.unavailable, 3);
    }

    #[test]
    fn trials_that_share_twelve_characters_get_their_whole_ids() {
        let trials = [
            trial("hello-file__PJUAFm8", "hello"),
            trial("hello-file__xDbNiAZ", "hello"),
            trial("other", "x"),
        ];
        assert_eq!(
            directories(&trials),
            [
                "hello_hello-file__PJUAFm8",
                "hello_hello-file__xDbNiAZ",
                "x_other"
            ]
        );
        let wanted = Wanted {
            trials: vec!["hello-file__PJUAFm8".to_owned()],
            ..Wanted::default()
        };
        let one = plan("run", RunName::Short, &trials, &wanted).requests;
        assert_eq!(one.len(), 1);
        assert_eq!(one[0].directories[1], "hello_hello-file__PJUAFm8");
    }

    #[test]
    fn trials_that_any_file_system_could_merge_stay_apart() {
        let mut trials = vec![
            trial("ABC", "t"),
            trial("abc", "t"),
            trial("x/y", "t"),
            trial("x\\y", "t"),
            trial("\u{e9}", "t"),
            trial("e\u{301}", "t"),
            trial("", "t"),
            trial("", "t"),
            trial("c", "a_b"),
            trial("b_c", "a"),
        ];
        trials.extend((0..50).map(|n| trial(&format!("{}{n}", "z".repeat(300)), "t")));
        let names = directories(&trials);
        let folded: HashSet<String> = names.iter().map(|n| fold(n)).collect();
        assert_eq!(folded.len(), trials.len(), "{names:?}");
        assert!(names.iter().all(|n| n.len() <= 255));
    }

    #[test]
    fn a_repeated_trial_is_fetched_once() {
        assert_eq!(
            directories(&[trial("a", "t"), trial("b", "t"), trial("a", "u")]),
            ["t_b", "u_a"]
        );
    }
}
