//! The path of each artifact: `<first 12 of run>/<task>_<first 12 of trial>/<type><suffix>`.
//!
//! The layout is that of the Python client, so that existing scripts find their files. Where its
//! short names would put two trials into one directory, these trials get their whole ids, and
//! a hash if even those could collide. Names depend on all trials of the run, not only on the
//! selected ones, so a trial always has the same path.

mod names;

use crate::artifact::{ArtifactRequest, ArtifactType};
use crate::pattern::Pattern;
use crate::sanitise::last_segment;
use crate::trial::TrialArtifacts;
use names::{name_files, name_run, name_trials};

pub use names::RunName;

/// Selects artifacts of a run.
#[derive(Debug, Clone, Default)]
pub struct ArtifactSelector {
    /// Full ids of trials; empty selects every trial.
    pub trials: Vec<String>,
    /// Types; empty selects every type.
    pub kinds: Vec<ArtifactType>,
    /// Statuses of trials, in any case; empty selects every status.
    pub statuses: Vec<String>,
    /// Pattern for the path below the run's directory, the file name, or the name at the source.
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

/// The files to download.
#[derive(Debug, Default)]
pub struct Plan {
    /// One request per file, in the order of trials and types.
    pub requests: Vec<ArtifactRequest>,
    /// Number of selected artifacts that the remote does not have.
    pub unavailable: usize,
    /// Number of artifacts that do not match the pattern.
    pub excluded: usize,
}

/// Plans the download of the selected artifacts of trials.
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

/// Directory for the files of the run itself; directories of trials have a `_` in their names.
pub const RUN_FILES_DIRECTORY: &str = "run";

/// Plans the download of the files of the run itself, in the order of types.
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

#[cfg(test)]
mod tests;
