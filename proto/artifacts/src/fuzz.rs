//! Fuzz target: the names of files that a remote's objects lead to. Its corpus is `tests/corpus/trials`.

use std::collections::HashSet;
use std::path::{Component, Path};

use docks_fuzz::fuzz;
use docks_proto::object::parse_list;

use crate::layout::{ArtifactSelector, RunName, plan, plan_run_files};
use crate::sanitise::{
    MAX_SEGMENT_BYTES, collision_key, downloaded_address, file_suffix, safe_segment,
};
use crate::{ArtifactRequest, TrialArtifacts};

/// Checks that files stay below the output directory, each at a place of its own.
fn check(requests: &[ArtifactRequest]) {
    let mut taken = HashSet::new();
    for request in requests {
        let names = request.directories.iter().chain([&request.file_name]);
        for name in names.clone() {
            let mut components = Path::new(name).components();
            assert!(
                matches!(components.next(), Some(Component::Normal(_))),
                "{name:?}"
            );
            assert_eq!(components.next(), None, "{name:?}");
            assert!(
                name.len() <= 255 && !name.contains(['\\', ':', '\0']),
                "{name:?}"
            );
            // The directory of a trial has two names, each of which may have been shortened.
            assert!(
                name.len() > MAX_SEGMENT_BYTES || *name == safe_segment(name, "unknown"),
                "a safe name stays as it is: {name:?}"
            );
        }
        let place: Vec<String> = names.map(|name| collision_key(name)).collect();
        assert!(taken.insert(place), "{request:?} is where another one is");
    }
}

#[test]
fn fuzz_artifact_names() {
    fuzz(env!("CARGO_MANIFEST_DIR"), "tests/corpus/trials", |input| {
        let text = String::from_utf8_lossy(input);
        let list = format!("[{text}]");
        let objects = parse_list(input).or_else(|_| parse_list(list.as_bytes()));
        let objects = objects.map_or_else(|_| Vec::new(), |list| list.objects);
        let mut trials: Vec<TrialArtifacts> =
            objects.iter().map(TrialArtifacts::from_object).collect();
        let filter = ArtifactSelector::default();
        for run_name in [RunName::Short, RunName::Whole] {
            check(&plan(&text, run_name, &trials, &filter).requests);
        }
        trials.iter_mut().for_each(TrialArtifacts::use_listed_files);
        check(&plan(&text, RunName::Short, &trials, &filter).requests);
        for trial in &trials {
            check(&plan_run_files(&text, RunName::Short, trial, &filter));
            for (_, uri) in &trial.uris {
                drop((downloaded_address(uri), file_suffix(uri)));
            }
        }
    });
}
