//! Images and sounds that a trajectory points to, which come with it.
//!
//! Where they are is known only when the trajectory has been downloaded. Its paths are relative to its own
//! folder, and so are the names of the downloaded files: beside `trajectory.json`, its paths are right.

mod referenced_paths;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::Path;

use docks_proto::path_encoding::encode_path;

use crate::artifact::{ArtifactRequest, ArtifactType};
use crate::download::Outcome;
use crate::layout::OwnPaths;
use crate::trial::TrialArtifacts;
use referenced_paths::referenced_paths;

/// Plans the downloads of the images and sounds to which the downloaded trajectories point. Blocks while it
/// reads these; what cannot be read has none.
///
/// `owners` are the trials, and the run, whose artifacts `requests` are.
#[must_use]
pub fn plan_media<'a>(
    requests: &[ArtifactRequest],
    outcome: &Outcome,
    owners: impl IntoIterator<Item = &'a TrialArtifacts>,
) -> Vec<ArtifactRequest> {
    let is_trajectory = |request: &ArtifactRequest| request.kind == ArtifactType::Trajectory;
    let done = requests.iter().zip(&outcome.results);
    let mut found = Vec::new();
    for (request, result) in done.filter(|(request, _)| is_trajectory(request)) {
        let opened = result
            .as_ref()
            .ok()
            .and_then(|file| File::open(&file.path).ok());
        let paths = opened.and_then(|file| referenced_paths(file).ok());
        if let Some(paths) = paths.filter(|paths| !paths.is_empty()) {
            found.push((request, paths));
        }
    }
    if found.is_empty() {
        return Vec::new();
    }
    let owners: HashMap<&str, &TrialArtifacts> = owners
        .into_iter()
        .map(|owner| (owner.id.as_str(), owner))
        .collect();
    let mut known: HashSet<String> = requests.iter().map(|request| request.uri.clone()).collect();
    let mut places: HashMap<&[String], OwnPaths> = HashMap::new();
    for request in requests {
        let (base, below) = request
            .directories
            .split_at(request.directories.len().min(2));
        places
            .entry(base)
            .or_default()
            .take(below, &request.file_name);
    }
    let mut media = Vec::new();
    for (trajectory, paths) in found {
        let owner = owners.get(trajectory.trial_id.as_str());
        // Where the paths in it are right: it keeps its own path, or it is beside those of its trial.
        let (base, own) = trajectory
            .directories
            .split_at(trajectory.directories.len().min(2));
        let is_beside = !own.is_empty() || trajectory.file_name.starts_with("trajectory.");
        for path in paths {
            let in_trial = path_in_trial(trajectory, owner.copied(), &path);
            let listed =
                owner.and_then(|owner| owner.files.iter().find(|file| file.path == in_trial));
            let uri = match listed {
                Some(file) => Some(file.uri.clone()),
                None => beside(&trajectory.uri, &path),
            };
            let Some(uri) = uri.filter(|uri| known.insert(uri.clone())) else {
                continue;
            };
            let place = match is_beside {
                true => [own, &[path]].concat().join("/"),
                false => in_trial,
            };
            let (below, file_name) = places.entry(base).or_default().place(&place);
            media.push(ArtifactRequest {
                kind: ArtifactType::Media,
                uri,
                directories: [base, &below].concat(),
                file_name,
                ..trajectory.clone()
            });
        }
    }
    media
}

/// Returns the path below the trial's folder of what a trajectory calls `path`.
fn path_in_trial(
    trajectory: &ArtifactRequest,
    owner: Option<&TrialArtifacts>,
    path: &str,
) -> String {
    let files = owner.into_iter().flat_map(|owner| &owner.files);
    let own = files.into_iter().find(|file| file.uri == trajectory.uri);
    match own.and_then(|own| own.path.rsplit_once('/')) {
        Some((folder, _)) => format!("{folder}/{path}"),
        None => path.to_owned(),
    }
}

/// Returns the address of a path beside another address; `None` where a query decides what the address is of.
fn beside(uri: &str, path: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once("://")?;
    let is_web = scheme.to_ascii_lowercase().starts_with("http");
    if is_web && rest.contains(['?', '#']) {
        return None;
    }
    let (folder, _) = rest.rsplit_once('/')?;
    // In the names of objects nothing is encoded.
    let path = match is_web || scheme.eq_ignore_ascii_case("file") {
        true => encode_path(Path::new(path)),
        false => path.to_owned(),
    };
    Some(format!("{scheme}://{folder}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_beside_its_trajectory() {
        let beside = |uri| beside(uri, "images/a b.png");
        assert_eq!(
            beside("gs://b/t/trajectory.json").unwrap(),
            "gs://b/t/images/a b.png"
        );
        assert_eq!(
            beside("file:///j/t%20/agent/trajectory.json").unwrap(),
            "file:///j/t%20/agent/images/a%20b.png"
        );
        assert_eq!(
            beside("https://h/x/artifacts/j/t/trajectory.json").unwrap(),
            "https://h/x/artifacts/j/t/images/a%20b.png"
        );
        assert_eq!(beside("https://h/download?uri=x"), None);
        assert_eq!(beside("https://h"), None);
    }
}
