//! Where each artifact goes: `<first 12 of run>/<task>_<first 12 of trial>/<type><suffix>`.
//!
//! The layout is the Python client's, so that scripts find their files. Where
//! its short names would put two trials into one directory, these trials get
//! their whole ids instead, and a mark where even those could be taken for one
//! another. Names depend on all trials of the run, not only on those asked
//! for, so one trial lies in the same place however it was fetched.

use std::collections::HashMap;

use crate::pattern::Pattern;
use crate::sanitise::{
    collision_key, file_suffix, last_segment, safe_segment, short_hash, short_id,
};
use crate::{ArtifactRequest, ArtifactType, TrialArtifacts};

/// Rounds after which crafted names are apart; each lengthens them by some bytes.
const MAX_ROUNDS: usize = 4;

/// Which artifacts are asked for.
#[derive(Debug, Clone, Default)]
pub struct ArtifactSelector {
    /// Full ids of the only trials; empty is every trial.
    pub trials: Vec<String>,
    /// The only types; empty is every type.
    pub kinds: Vec<ArtifactType>,
    /// The only statuses of trials, whatever their case; empty is every status.
    pub statuses: Vec<String>,
    /// Only files that fit: by path below the run's directory, by name, or by name at the source.
    pub pattern: Option<Pattern>,
}

impl ArtifactSelector {
    fn selects(&self, trial: &TrialArtifacts) -> bool {
        let status = |one: &String| one.eq_ignore_ascii_case(&trial.status);
        (self.trials.is_empty() || self.trials.contains(&trial.id))
            && (self.statuses.is_empty() || self.statuses.iter().any(status))
    }

    fn matches(&self, request: &ArtifactRequest) -> bool {
        let path = format!("{}/{}", request.directories[1], request.file_name);
        let at_source = last_segment(&request.uri);
        let pattern = self.pattern.as_ref();
        pattern.is_none_or(|pattern| pattern.matches(&path, &[at_source]))
    }
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
    /// Artifacts that do not fit the pattern.
    pub excluded: usize,
}

/// Names every artifact that is filter.
pub fn plan(
    run_id: &str,
    run_name: RunName,
    trials: &[TrialArtifacts],
    filter: &ArtifactSelector,
) -> Plan {
    let run = name_run(run_id, run_name);
    let mut plan = Plan::default();
    for (trial, directory) in name_trials(trials) {
        if !filter.selects(trial) {
            continue;
        }
        for kind in ArtifactType::ALL {
            if !filter.kinds.is_empty() && !filter.kinds.contains(&kind) {
                continue;
            }
            let uris = trial.uris.iter().filter(|(found, _)| *found == kind);
            let uris: Vec<&str> = uris.map(|(_, uri)| uri.as_str()).collect();
            if uris.is_empty() {
                plan.unavailable += 1;
            }
            for (uri, file_name) in uris.iter().zip(name_files(kind, &uris)) {
                let request = ArtifactRequest {
                    trial_id: trial.id.clone(),
                    task: trial.task.clone(),
                    kind,
                    uri: (*uri).to_owned(),
                    directories: [run.clone(), directory.clone()],
                    file_name,
                };
                if filter.matches(&request) {
                    plan.requests.push(request);
                } else {
                    plan.excluded += 1;
                }
            }
        }
    }
    plan
}

/// Directory of the run's own files; those of trials have a `_` in their names.
pub const RUN_FILES_DIRECTORY: &str = "run";

/// Names the files of the run itself, in the order of types.
#[must_use]
pub fn plan_run_files(
    run_id: &str,
    run_name: RunName,
    uris: &[(ArtifactType, String)],
    filter: &ArtifactSelector,
) -> Vec<ArtifactRequest> {
    if !filter.trials.is_empty() || !filter.statuses.is_empty() {
        return Vec::new();
    }
    let run = name_run(run_id, run_name);
    let is_wanted = |kind: &ArtifactType| filter.kinds.is_empty() || filter.kinds.contains(kind);
    let mut requests = Vec::new();
    for kind in ArtifactType::ALL.into_iter().filter(is_wanted) {
        let of_kind = uris.iter().filter(|(found, _)| *found == kind);
        let of_kind: Vec<&str> = of_kind.map(|(_, uri)| uri.as_str()).collect();
        for (uri, file_name) in of_kind.iter().zip(name_files(kind, &of_kind)) {
            requests.push(ArtifactRequest {
                trial_id: String::new(),
                task: String::new(),
                kind,
                uri: (*uri).to_owned(),
                directories: [run.clone(), RUN_FILES_DIRECTORY.to_owned()],
                file_name,
            });
        }
    }
    requests.retain(|request| filter.matches(request));
    requests
}

fn name_run(run_id: &str, run_name: RunName) -> String {
    match run_name {
        RunName::Short => safe_segment(short_id(run_id), "unknown"),
        RunName::Whole => safe_segment(run_id, "unknown"),
    }
}

/// Names the files of one type: the first as ever, further ones by where they lie at the source.
fn name_files(kind: ArtifactType, uris: &[&str]) -> Vec<String> {
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
fn name_trials(trials: &[TrialArtifacts]) -> Vec<(&TrialArtifacts, String)> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn trial(id: &str, task: &str) -> TrialArtifacts {
        TrialArtifacts {
            id: id.to_owned(),
            task: task.to_owned(),
            status: String::new(),
            uris: vec![(ArtifactType::Logs, format!("gs://b/{id}/logs.txt"))],
        }
    }

    fn directories(trials: &[TrialArtifacts]) -> Vec<String> {
        plan("run", RunName::Short, trials, &ArtifactSelector::default())
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
            &ArtifactSelector::default(),
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
        let filter = ArtifactSelector {
            trials: vec!["hello-file__PJUAFm8".to_owned()],
            ..ArtifactSelector::default()
        };
        let one = plan("run", RunName::Short, &trials, &filter).requests;
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
        let folded: HashSet<String> = names.iter().map(|n| collision_key(n)).collect();
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

    #[test]
    fn several_files_of_a_type_get_names_of_their_own() {
        let uris = [
            "file:///j/t/verifier/test-stdout.txt",
            "file:///j/t/trial.log",
            "file:///j/t/steps/1/trial.log",
        ];
        let mut one = trial("t", "sum");
        one.uris = uris.map(|uri| (ArtifactType::Logs, uri.to_owned())).into();
        let plan = plan("run", RunName::Short, &[one], &ArtifactSelector::default());
        let names: HashSet<_> = plan.requests.iter().map(|r| &r.file_name).collect();
        assert_eq!(names.len(), 3, "{names:?}");
        assert_eq!(plan.requests[0].file_name, "logs.txt");
    }

    #[test]
    fn status_and_pattern_narrow_what_is_planned() {
        let mut trials = [trial("a", "sum"), trial("b", "fix")];
        trials[0].status = "Failed".to_owned();
        let filter = ArtifactSelector {
            statuses: vec!["failed".to_owned(), "error".to_owned()],
            ..ArtifactSelector::default()
        };
        assert_eq!(
            plan("r", RunName::Short, &trials, &filter).requests.len(),
            1
        );
        let filter = ArtifactSelector {
            pattern: Some(Pattern::parse("fix_*/logs.*").unwrap()),
            ..ArtifactSelector::default()
        };
        let planned = plan("r", RunName::Short, &trials, &filter);
        assert_eq!((planned.requests.len(), planned.excluded), (1, 1));
        assert_eq!(planned.requests[0].trial_id, "b");
    }

    #[test]
    fn files_of_a_job_are_told_by_where_they_lie_and_the_first_keeps_its_short_name() {
        use ArtifactType::{Logs, Result};
        let object = |text: &str| {
            docks_proto::object::RawObject::parse(text)
                .unwrap()
                .unwrap()
        };
        let listed = |first: &str| {
            let text = format!(
                r#"{{"id":"t","task_slug":"sum","logs_uri":"{first}","harbor":{{"artifacts":[
                {{"type":"logs","uri":"file:///j/t/steps/a/agent/coder.txt"}},
                {{"type":"logs","uri":"file:///j/t/steps/b/agent/coder.txt"}},
                {{"type":"logs","uri":"file:///j/t/trial.log"}},{{"type":"odd","uri":"x"}},7,
                {{"type":"diff","uri":"file:///j/t/x.patch"}}]}}}}"#
            );
            TrialArtifacts::from_object(&object(&text))
        };
        let names = |trial: TrialArtifacts| -> Vec<String> {
            let plan = plan(
                "run",
                RunName::Short,
                &[trial],
                &ArtifactSelector::default(),
            );
            plan.requests.into_iter().map(|r| r.file_name).collect()
        };
        assert_eq!(
            names(listed("file:///j/t/steps/a/agent/coder.txt")),
            [
                "logs.txt",
                "logs-steps_b_agent_coder.txt",
                "logs-trial.log",
                "diff.patch"
            ]
        );
        // The list is of addresses that whoever passed the trial on has replaced.
        assert_eq!(
            names(listed("https://hub/x.log")),
            ["logs.log", "diff.patch"]
        );
        let uris = [
            (Logs, "file:///j/job.log".to_owned()),
            (Result, "file:///j/result.json".to_owned()),
        ];
        let paths = |filter: &ArtifactSelector| -> Vec<String> {
            let requests = plan_run_files("run", RunName::Short, &uris, filter);
            let path = |r: ArtifactRequest| format!("{}/{}", r.directories.join("/"), r.file_name);
            requests.into_iter().map(path).collect()
        };
        assert_eq!(
            paths(&ArtifactSelector::default()),
            ["run/run/logs.log", "run/run/result.json"]
        );
        let one_trial = ArtifactSelector {
            trials: vec!["t".to_owned()],
            ..ArtifactSelector::default()
        };
        assert!(paths(&one_trial).is_empty());
    }
}
