//! Fuzz target: the files of a job and its trials. Its corpus is `tests/corpus/results`.

use std::cell::Cell;
use std::fs;

use docks_fuzz::fuzz;
use docks_proto::routes::RunKind;

use crate::support::{list, open, trials};
use docksd_testkit::harbor_jobs::{copy_tree, samples};

/// The files of the job that are replaced, all by the same text.
const FILES: [&str; 6] = [
    "result.json",
    "config.json",
    "lock.json",
    "hello-file__BbP5baJ/result.json",
    "hello-file__BbP5baJ/config.json",
    "hello-file__BbP5baJ/verifier/ctrf.json",
];

#[test]
fn fuzz_result_files() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    copy_tree(&samples().join("killed-midway"), &dir.path().join("bad"));
    let turns = Cell::new(0);
    fuzz(
        env!("CARGO_MANIFEST_DIR"),
        "tests/corpus/results",
        |input| {
            turns.set(turns.get() + 1);
            let file = dir
                .path()
                .join("bad")
                .join(FILES[turns.get() % FILES.len()]);
            let before = fs::read(&file).ok();
            fs::write(&file, input).unwrap();
            runtime.block_on(async {
                let jobs = open(dir.path());
                let all = list(&jobs, RunKind::Evaluation).await;
                assert_eq!(all.len(), 1, "the job is there whatever is in its files");
                let trials = trials(&jobs, all[0]["id"].as_str().unwrap()).await;
                assert!(!trials.is_empty());
            });
            match before {
                Some(before) => fs::write(&file, before).unwrap(),
                None => fs::remove_file(&file).unwrap(),
            }
        },
    );
}
