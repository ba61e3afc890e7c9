//! Files with any content: nothing panics, and nothing else is lost.

use std::fs;
use std::path::Path;

use docks_proto::routes::RunKind;
use proptest::prelude::*;
use serde_json::Value;

use crate::support::{list, open, trials};
use docksd_testkit::harbor_jobs::{copy_tree, samples};

const FILES: [&str; 9] = [
    "bad/config.json",
    "bad/lock.json",
    "bad/result.json",
    "bad/hello-file__BbP5baJ/config.json",
    "bad/hello-file__BbP5baJ/result.json",
    "bad/hello-file__BbP5baJ/lock.json",
    "bad/hello-file__BbP5baJ/verifier/ctrf.json",
    "bad/long-solve__TZ9TSsi/config.json",
    "bad/long-solve__TZ9TSsi/result.json",
];

/// Keys that are read, so that random values end up where they matter.
const KEYS: [&str; 28] = [
    "id",
    "started_at",
    "finished_at",
    "updated_at",
    "n_total_trials",
    "stats",
    "evals",
    "metrics",
    "reward_stats",
    "exception_stats",
    "trials",
    "task",
    "path",
    "agent",
    "name",
    "model_name",
    "config",
    "trials_dir",
    "job_id",
    "agent_result",
    "n_input_tokens",
    "verifier_result",
    "rewards",
    "reward",
    "exception_info",
    "exception_type",
    "step_results",
    "trial_results",
];

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(Value::from("2026-11-23T16:43:17")),
        Just(Value::from("-009999-01-01T00:00:00")),
        Just(Value::from("9999-12-31T23:59:59.999999999")),
        Just(Value::from("../../etc")),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        let key = prop_oneof![
            proptest::sample::select(&KEYS[..]).prop_map(str::to_owned),
            ".{0,6}"
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => json().prop_map(|value| value.to_string().into_bytes()),
        1 => (json(), any::<prop::sample::Index>()).prop_map(|(value, cut)| {
            let mut text = value.to_string().into_bytes();
            text.truncate(cut.index(text.len() + 1));
            text
        }),
        1 => prop::collection::vec(any::<u8>(), 0..64),
        1 => Just(br#"{"stats":{"n_completed_trials":1e999},"started_at":"\ud800"}"#.to_vec()),
    ]
}

fn list_everything(dir: &Path) -> (Vec<Value>, Vec<Value>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let jobs = open(dir);
        let all = list(&jobs, RunKind::Evaluation).await;
        list(&jobs, RunKind::Run).await;
        let bad = all.iter().find(|e| e["name"] == "bad").unwrap();
        let trials = trials(&jobs, bad["id"].as_str().unwrap()).await;
        (all, trials)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn anything_in_any_file_costs_only_itself(
        contents in prop::collection::vec((0..FILES.len(), content()), 1..6),
    ) {
        let dir = tempfile::tempdir().unwrap();
        copy_tree(&samples().join("killed-midway"), &dir.path().join("bad"));
        copy_tree(&samples().join("2026-11-23__16-43-17"), &dir.path().join("good"));
        for (file, content) in contents {
            fs::write(dir.path().join(FILES[file]), content).unwrap();
        }
        let (all, trials) = list_everything(dir.path());
        let good = all.iter().find(|e| e["name"] == "good").unwrap();
        prop_assert_eq!(&good["status"], "completed");
        prop_assert_eq!(&good["passed_trials"], 6);
        let untouched = trials.iter().find(|t| t["id"] == "sum-orders__itdL3Bo").unwrap();
        prop_assert_eq!(&untouched["status"], "passed");
        for name in ["hello-file__BbP5baJ", "long-solve__TZ9TSsi", "wrong-answer__MnWYFeM"] {
            prop_assert!(trials.iter().any(|t| t["id"] == name));
        }
    }
}

#[test]
fn names_that_are_not_valid_ids_are_published_too() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    copy_tree(&samples().join("killed-midway"), &dir.path().join("bad"));
    let odd = std::ffi::OsStr::from_bytes(b"odd\xff\x1b[31m");
    let from = samples().join("killed-midway/sum-orders__itdL3Bo");
    copy_tree(&from, &dir.path().join("bad").join(odd));
    copy_tree(
        &samples().join("nightly-mixed"),
        &dir.path().join("line\nbreak"),
    );
    let (all, trials) = list_everything(dir.path());
    assert_eq!(all.len(), 2);
    let odd = trials
        .iter()
        .filter(|t| t["id"].as_str().unwrap().starts_with('~'));
    assert_eq!(odd.count(), 1);
}
