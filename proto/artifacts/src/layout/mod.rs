//! The path of each artifact: `<first 12 of run>/<task>_<first 12 of trial>/<type><suffix>`.
//!
//! The layout is that of the Python client, so that existing scripts find their files. Where its
//! short names would put two trials into one directory, these trials get their whole ids, and
//! a hash if even those could collide. Names depend on all trials of the run, not only on the
//! selected ones, so a trial always has the same path.
//!
//! Files beyond the four main types keep their paths below the directory of their trial.

mod names;
mod own_paths;

use crate::artifact::{ArtifactRequest, ArtifactType};
use crate::pattern::Pattern;
use crate::sanitise::source_name;
use crate::trial::TrialArtifacts;
use names::{name_files, name_run, name_trials};

pub use names::RunName;
pub(crate) use own_paths::OwnPaths;

/// Selects artifacts of a run.
#[derive(Debug, Clone, Default)]
pub struct ArtifactSelector {
    /// Full ids of trials; empty selects every trial.
    pub trials: Vec<String>,
    /// Types; empty selects the four main types.
    pub kinds: Vec<ArtifactType>,
    /// Statuses of trials, in any case; empty selects every status.
    pub statuses: Vec<String>,
    /// Pattern for the path below the run's directory, the file name, or the name at the source.
    pub pattern: Option<Pattern>,
}

impl ArtifactSelector {
    /// Whether files of this trial are selected.
    #[must_use]
    pub fn selects(&self, trial: &TrialArtifacts) -> bool {
        let status = |one: &String| one.eq_ignore_ascii_case(&trial.status);
        (self.trials.is_empty() || self.trials.contains(&trial.id))
            && (self.statuses.is_empty() || self.statuses.iter().any(status))
    }

    /// Whether the pattern matches a request.
    #[must_use]
    pub fn matches(&self, request: &ArtifactRequest) -> bool {
        let at_source = source_name(&request.uri);
        let pattern = self.pattern.as_ref();
        pattern.is_none_or(|pattern| pattern.matches(&request.path_in_run(), &[&*at_source]))
    }

    fn kinds(&self) -> &[ArtifactType] {
        match self.kinds.is_empty() {
            true => &ArtifactType::MAIN,
            false => &self.kinds,
        }
    }

    /// Whether every type is selected, and so every file.
    fn selects_everything(&self) -> bool {
        let kinds = self.kinds();
        ArtifactType::ALL.iter().all(|kind| kinds.contains(kind))
    }

    /// Whether files are selected that are known only from a list of all files.
    #[must_use]
    pub fn needs_file_lists(&self) -> bool {
        self.kinds().iter().any(|kind| !kind.is_main())
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
        let before = plan.requests.len() + plan.excluded;
        let owner = Owner {
            trial_id: &trial.id,
            task: &trial.task,
            directories: [&run, &directory],
        };
        let requests = owner.requests(trial, filter, &mut plan.unavailable);
        for request in requests {
            if filter.matches(&request) {
                plan.requests.push(request);
            } else {
                plan.excluded += 1;
            }
        }
        if filter.selects_everything() && plan.requests.len() + plan.excluded == before {
            plan.unavailable += 1;
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
    run: &TrialArtifacts,
    filter: &ArtifactSelector,
) -> Vec<ArtifactRequest> {
    if !filter.trials.is_empty() || !filter.statuses.is_empty() {
        return Vec::new();
    }
    let owner = Owner {
        trial_id: "",
        task: "",
        directories: [&name_run(run_id, run_name), RUN_FILES_DIRECTORY],
    };
    let mut requests = owner.requests(run, filter, &mut 0);
    requests.retain(|request| filter.matches(request));
    requests
}

/// The trial or run that files belong to.
struct Owner<'a> {
    trial_id: &'a str,
    task: &'a str,
    directories: [&'a str; 2],
}

impl Owner<'_> {
    /// Returns the requests for the files of the selected types, and counts types without any.
    fn requests(
        &self,
        files: &TrialArtifacts,
        filter: &ArtifactSelector,
        unavailable: &mut usize,
    ) -> Vec<ArtifactRequest> {
        let (kinds, everything) = (filter.kinds(), filter.selects_everything());
        let mut requests = Vec::new();
        for kind in ArtifactType::MAIN
            .into_iter()
            .filter(|kind| kinds.contains(kind))
        {
            let uris = files.uris.iter().filter(|(found, _)| *found == kind);
            let uris: Vec<&str> = uris.map(|(_, uri)| uri.as_str()).collect();
            if uris.is_empty() && !everything {
                *unavailable += 1;
            }
            for (uri, file_name) in uris.iter().zip(name_files(kind, &uris)) {
                requests.push(self.request(kind, uri, Vec::new(), file_name));
            }
        }
        let mut places = OwnPaths::default();
        for request in &requests {
            let own = request.directories.get(2..).unwrap_or_default();
            places.take(own, &request.file_name);
        }
        for kind in kinds.iter().filter(|kind| !kind.is_main() && !everything) {
            if files.further_files().all(|(found, _)| found != *kind) {
                *unavailable += 1;
            }
        }
        let is_wanted =
            |kind: ArtifactType| everything || (!kind.is_main() && kinds.contains(&kind));
        for (kind, file) in files.further_files().filter(|(kind, _)| is_wanted(*kind)) {
            let (below, file_name) = places.place(&file.path);
            requests.push(self.request(kind, &file.uri, below, file_name));
        }
        requests
    }

    fn request(
        &self,
        kind: ArtifactType,
        uri: &str,
        below: Vec<String>,
        file_name: String,
    ) -> ArtifactRequest {
        let mut directories: Vec<String> = self.directories.map(str::to_owned).into();
        directories.extend(below);
        ArtifactRequest {
            trial_id: self.trial_id.to_owned(),
            task: self.task.to_owned(),
            kind,
            uri: uri.to_owned(),
            directories,
            file_name,
        }
    }
}

#[cfg(test)]
mod tests;
