//! Figures of real jobs, compared with what Harbor wrote into the job's `result.json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use docks_proto::routes::RunKind;
use serde_json::Value;

use crate::support::{id_of, list, open, trials};
use docksd_testkit::harbor_jobs::{copy_tree, samples};

/// Jobs with several attempts at each task, and with steps.
fn figures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/harbor-figures")
}

/// Jobs of Harbor 0.26: with rewards that are not valid, and with a time-out in a step.
fn newer() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/harbor-0.26")
}

fn file_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn assert_close(found: &Value, expected: &Value, what: &str) {
    match (found.as_f64(), expected.as_f64()) {
        (Some(found), Some(expected)) => {
            assert!(
                (found - expected).abs() < 1e-9,
                "{what}: {found} {expected}"
            );
        }
        (None, None) => {}
        _ => panic!("{what}: {found} {expected}"),
    }
}

#[tokio::test]
async fn rewards_errors_passes_tokens_and_cost_are_those_that_harbor_wrote() {
    let mut evals = 0;
    let mut ks = 0;
    for dir in [samples(), figures(), newer()] {
        let jobs = open(&dir);
        for job in list(&jobs, RunKind::Evaluation).await {
            let name = job["name"].as_str().unwrap();
            let stats = &file_json(&dir.join(name).join("result.json"))["stats"];
            let harbor = &job["harbor"];
            for (ours, theirs) in [
                ("input_tokens", "n_input_tokens"),
                ("cache_tokens", "n_cache_tokens"),
                ("output_tokens", "n_output_tokens"),
                ("cost_usd", "cost_usd"),
            ] {
                assert_close(&harbor[ours], &stats[theirs], name);
                let groups = harbor["groups"].as_array().unwrap().iter();
                let known: Vec<f64> = groups.filter_map(|g| g[ours].as_f64()).collect();
                if !known.is_empty() {
                    let sum = known.iter().sum::<f64>();
                    assert_close(&sum.into(), &stats[theirs], &format!("{name} {ours}"));
                }
            }
            let mut errors: BTreeMap<&str, u64> = BTreeMap::new();
            let theirs = stats["evals"].as_object().unwrap();
            assert_eq!(harbor["groups"].as_array().unwrap().len(), theirs.len());
            for group in harbor["groups"].as_array().unwrap() {
                evals += 1;
                let parts = [&group["agent"], &group["model"], &group["dataset"]];
                let parts: Vec<&str> = parts.iter().filter_map(|p| p.as_str()).collect();
                let key = parts.join("__");
                let eval = &theirs[&key];
                assert!(eval.is_object(), "{name} {key}");
                assert_eq!(group["trials"]["errored"], eval["n_errors"], "{name} {key}");
                let metrics = eval["metrics"][0].as_object().unwrap();
                let means = group["mean_rewards"].as_object().unwrap();
                assert_eq!(
                    means.keys().collect::<Vec<_>>(),
                    metrics.keys().collect::<Vec<_>>()
                );
                for (reward, mean) in means {
                    assert_close(mean, &metrics[reward], &format!("{name} {key} {reward}"));
                }
                if eval["pass_at_k"].as_object().unwrap().is_empty() {
                    let published = group["pass_at_k"].as_object().unwrap();
                    assert!(
                        published.keys().all(|k| k == "1"),
                        "{name} {key} {published:?}"
                    );
                }
                for (k, share) in eval["pass_at_k"].as_object().unwrap() {
                    ks += 1;
                    assert_close(
                        &group["pass_at_k"][k],
                        share,
                        &format!("{name} {key} pass@{k}"),
                    );
                }
                for (kind, trials) in eval["exception_stats"].as_object().unwrap() {
                    *errors.entry(kind.as_str()).or_default() +=
                        trials.as_array().unwrap().len() as u64;
                }
            }
            let published = harbor["errors"].as_object().unwrap();
            for (kind, count) in errors {
                assert_eq!(published[kind], count, "{name} {kind}");
            }
        }
    }
    assert_eq!((evals, ks), (12, 9), "some samples were not compared");
}

#[tokio::test]
async fn a_multi_step_trial_has_each_step_with_its_phases_and_files() {
    let jobs = open(&figures());
    let id = id_of(&jobs, "steps-and-retries").await;
    let all = trials(&jobs, &id).await;
    let trial = all
        .iter()
        .find(|trial| trial["id"] == "two-steps__GXgYhx9")
        .unwrap();
    let folder = figures().join("steps-and-retries/two-steps__GXgYhx9");
    let result = file_json(&folder.join("result.json"));
    let steps = trial["harbor"]["steps"].as_array().unwrap();
    let theirs = result["step_results"].as_array().unwrap();
    assert_eq!(steps.len(), 2);
    let mut cost = 0.0;
    for (step, real) in steps.iter().zip(theirs) {
        assert_eq!(step["name"], real["step_name"]);
        assert_eq!(step["rewards"], real["verifier_result"]["rewards"]);
        assert_close(&step["cost_usd"], &real["agent_result"]["cost_usd"], "cost");
        cost += real["agent_result"]["cost_usd"].as_f64().unwrap();
        assert!(step["phase_seconds"]["agent_execution"].as_f64().unwrap() > 0.0);
    }
    assert_close(
        &trial["result_data"]["cost_usd"],
        &cost.into(),
        "sum of costs",
    );
    let agent = |of: &Value| of["phase_seconds"]["agent_execution"].clone();
    let both = agent(&steps[0]).as_f64().unwrap() + agent(&steps[1]).as_f64().unwrap();
    assert_close(&agent(&trial["harbor"]), &both.into(), "sum of phases");
    let files = trial["harbor"]["artifacts"].as_array().unwrap();
    let paths: Vec<String> = files
        .iter()
        .map(|file| {
            format!(
                "{} {}",
                file["type"].as_str().unwrap(),
                file["path"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        paths,
        [
            "logs steps/first-half/agent/scripted.txt",
            "logs steps/first-half/agent/setup/stdout.txt",
            "logs steps/first-half/verifier/test-stdout.txt",
            "logs steps/second-half/agent/scripted.txt",
            "logs steps/second-half/verifier/test-stdout.txt",
            "logs trial.log",
            "trajectory steps/first-half/agent/trajectory.json",
            "trajectory steps/second-half/agent/trajectory.json",
            "result result.json",
            "result steps/first-half/verifier/reward.txt",
            "result steps/second-half/verifier/reward.txt",
        ]
    );
    assert_eq!(trial["logs_uri"], files[0]["uri"]);
    assert_eq!(trial["diff_uri"], Value::Null);
    for file in files {
        let path = folder.join(file["path"].as_str().unwrap());
        assert_eq!(file["size_bytes"], fs::metadata(path).unwrap().len());
    }
}

#[tokio::test]
async fn the_log_and_the_result_of_a_job_are_its_own_artifacts() {
    let jobs = open(&samples());
    for job in list(&jobs, RunKind::Evaluation).await {
        let files = job["harbor"]["artifacts"].as_array().unwrap();
        let published: Vec<(&str, &str)> = files
            .iter()
            .map(|f| (f["type"].as_str().unwrap(), f["path"].as_str().unwrap()))
            .collect();
        assert_eq!(published, [("logs", "job.log"), ("result", "result.json")]);
        assert_eq!(files[0]["uri"], job["harbor"]["logs_uri"]);
    }
}

#[tokio::test]
async fn a_growing_log_does_not_change_a_running_trial() {
    let dir = tempfile::tempdir().unwrap();
    copy_tree(&samples().join("killed-midway"), &dir.path().join("job"));
    let log = dir.path().join("job/job.log");
    let _process = fs::File::options().append(true).open(log).unwrap();
    let jobs = open(dir.path());
    let id = id_of(&jobs, "job").await;
    let before = trials(&jobs, &id).await;
    let running = |t: &&Value| t["id"] == "long-solve__epzrhRs";
    assert_eq!(before.iter().find(running).unwrap()["status"], "running");
    let log = dir.path().join("job/long-solve__epzrhRs/agent/oracle.txt");
    assert!(fs::metadata(&log).unwrap().len() > 0);
    fs::write(&log, "x".repeat(10_000)).unwrap();
    assert_eq!(trials(&jobs, &id).await, before);
}
