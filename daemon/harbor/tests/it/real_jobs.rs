//! Real Harbor jobs: what is published agrees with Harbor's own counts.

use std::fs;
use std::path::Path;

use docks_proto::routes::RunKind;
use docksd_remote::Remote;
use docksd_testkit::harbor_jobs::{copy_tree, samples, timeline};
use serde_json::Value;

use crate::support::{id_of, list, open, run, trials};

fn with_status(trials: &[Value], status: &str) -> usize {
    trials.iter().filter(|t| t["status"] == status).count()
}

fn file_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Copies the job as of one point of the timeline and holds its log open, as its process did.
fn timeline_job(name: &str, dir: &Path) -> fs::File {
    copy_tree(&timeline().join(name), dir);
    let log = dir.join("nightly-mixed/job.log");
    fs::File::options()
        .append(true)
        .create(true)
        .open(log)
        .unwrap()
}

#[tokio::test]
async fn each_sample_has_the_right_status() {
    let jobs = open(&samples());
    let found: Vec<(String, String, String)> = list(&jobs, RunKind::Evaluation)
        .await
        .iter()
        .map(|e| {
            let text = |v: &Value| v.as_str().unwrap_or("-").to_owned();
            (
                text(&e["name"]),
                text(&e["status"]),
                text(&e["status_reason"]),
            )
        })
        .collect();
    let expected = [
        (
            "killed-midway",
            "failed",
            "killed: the process ended without finishing; 2 trials were running, 2 never started",
        ),
        (
            "interrupted-midway",
            "cancelled",
            "cancelled: 2 of 8 trials were stopped, 2 never started",
        ),
        (
            "nightly-mixed",
            "completed",
            "10 of 24 trials ended with an error",
        ),
        ("2026-11-23__16-43-17", "completed", "-"),
    ];
    let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
    assert_eq!(found, expected);
}

#[tokio::test]
async fn counts_agree_with_harbors_own() {
    let jobs = open(&samples());
    for evaluation in list(&jobs, RunKind::Evaluation).await {
        let name = evaluation["name"].as_str().unwrap();
        let stats = &file_json(&samples().join(name).join("result.json"))["stats"];
        let counts = &evaluation["harbor"]["trials"];
        let total = evaluation["total_trials"].as_u64().unwrap();
        let trials = trials(&jobs, evaluation["id"].as_str().unwrap()).await;
        assert_eq!(trials.len() as u64, total, "{name}");
        assert_eq!(
            evaluation["completed_trials"], stats["n_completed_trials"],
            "{name}"
        );
        assert_eq!(counts["errored"], stats["n_errored_trials"], "{name}");
        assert_eq!(counts["cancelled"], stats["n_cancelled_trials"], "{name}");
        assert_eq!(counts["pending"], stats["n_pending_trials"], "{name}");
        // Harbor's counter of running trials is stale where its process was killed.
        assert_eq!(counts["lost"], stats["n_running_trials"], "{name}");
        assert_eq!(
            with_status(&trials, "pending") as u64,
            counts["pending"].as_u64().unwrap()
        );
        let run = run(&jobs, RunKind::Run, evaluation["id"].as_str().unwrap()).await;
        assert_eq!(run["task_results"].as_array().unwrap().len() as u64, total);
        assert_eq!(run["status"], evaluation["status"]);
    }
}

#[tokio::test]
async fn a_running_job_agrees_with_harbors_own_counts_at_three_times() {
    for name in ["t1", "t2", "t3"] {
        let dir = tempfile::tempdir().unwrap();
        let process = timeline_job(name, dir.path());
        let jobs = open(dir.path());
        let evaluation = list(&jobs, RunKind::Evaluation).await.remove(0);
        let stats = &file_json(&dir.path().join("nightly-mixed/result.json"))["stats"];
        let counts = &evaluation["harbor"]["trials"];
        assert_eq!(evaluation["status"], "running", "{name}");
        assert_eq!(evaluation["total_trials"], 24);
        assert_eq!(
            evaluation["completed_trials"], stats["n_completed_trials"],
            "{name}"
        );
        assert_eq!(counts["errored"], stats["n_errored_trials"], "{name}");
        assert_eq!(counts["running"], stats["n_running_trials"], "{name}");
        assert_eq!(counts["pending"], stats["n_pending_trials"], "{name}");
        assert_eq!(evaluation["completed_at"], Value::Null);
        let trials = trials(&jobs, evaluation["id"].as_str().unwrap()).await;
        assert_eq!(trials.len(), 24);
        // Of 6 tasks, 2 agents and 2 attempts, no combination may occur more than twice.
        let mut combinations: Vec<String> = trials
            .iter()
            .map(|t| format!("{} {}", t["task_slug"], t["agent_variant"]))
            .collect();
        combinations.sort();
        combinations.dedup();
        assert_eq!(combinations.len(), 12, "{name}");
        drop(process);
    }
}

#[tokio::test]
async fn times_of_the_samples_are_exact_utc() {
    let jobs = open(&samples());
    let all = list(&jobs, RunKind::Run).await;
    let times = |name: &str| {
        let job = all.iter().find(|job| job["name"] == name).unwrap();
        ["started_at", "updated_at", "completed_at"]
            .map(|key| job[key].as_str().unwrap().to_owned())
    };
    assert_eq!(
        times("2026-11-23__16-43-17"),
        [
            "2026-11-23T21:43:17.147773Z",
            "2026-11-23T21:43:19.953040Z",
            "2026-11-23T21:43:19.953040Z"
        ]
    );
    assert_eq!(
        times("interrupted-midway"),
        [
            "2026-11-23T21:43:33.664224Z",
            "2026-11-23T21:43:40.340806Z",
            "2026-11-23T21:43:40.340806Z"
        ]
    );
    assert_eq!(times("nightly-mixed")[2], "2026-11-23T21:43:32.117031Z");
    assert_eq!(times("killed-midway")[0], "2026-11-23T21:43:41.806659Z");
}

#[tokio::test]
async fn a_trial_has_everything_that_the_api_has_a_field_for() {
    let jobs = open(&samples());
    let id = "a621929a-2384-4dd8-9273-02077fd28dc0";
    let trial = jobs.trial(id, "fix-clamp__dZiLxjf").await.unwrap();
    let trial: Value = serde_json::from_str(trial.text()).unwrap();
    assert_eq!(trial["id"], "fix-clamp__dZiLxjf");
    assert_eq!(trial["status"], "passed");
    assert_eq!(trial["task_slug"], "fix-clamp");
    assert_eq!(trial["agent_variant"], "scripted-coder (acme/scripted-1)");
    assert_eq!(trial["created_at"], "2026-11-23T21:43:17.301075Z");
    assert_eq!(trial["completed_at"], "2026-11-23T21:43:18.960649Z");
    assert_eq!(trial["duration_seconds"], 1.659574);
    let data = &trial["result_data"];
    assert_eq!(
        (&data["reward"], &data["tests_passed"], &data["tests_total"]),
        (&1.0.into(), &1.into(), &1.into())
    );
    assert_eq!(
        (&data["prompt_tokens"], &data["completion_tokens"]),
        (&7100.into(), &310.into())
    );
    assert_eq!(data["cost_usd"], 0.01461);
    assert_eq!(
        trial["harbor"]["trial_uuid"],
        "0214b9be-3c4e-4a4f-80ff-32e4838b68e1"
    );
    assert_eq!(trial["harbor"]["task_name"], "tiny/fix-clamp");
    for (uri, end) in [
        ("logs_uri", "/agent/scripted.txt"),
        ("trajectory_uri", "/agent/trajectory.json"),
        ("diff_uri", "/artifacts/logs/artifacts/changes.patch"),
        ("result_uri", "/fix-clamp__dZiLxjf/result.json"),
    ] {
        let path = trial[uri]
            .as_str()
            .unwrap()
            .strip_prefix("file://")
            .unwrap();
        assert!(path.ends_with(end) && Path::new(path).is_file(), "{path}");
    }
}

#[tokio::test]
async fn trials_of_a_killed_job_are_lost_and_those_to_come_never_started() {
    let jobs = open(&samples());
    let trials = trials(&jobs, "killed-midway").await;
    let lost: Vec<&Value> = trials.iter().filter(|t| t["status"] == "error").collect();
    assert_eq!(lost.len(), 2);
    for trial in lost {
        assert_eq!(trial["error_message"], "lost: the job's process is gone");
        assert_eq!(trial["result_data"]["error_code"], "Lost");
        assert_eq!(trial["task_slug"], "long-solve");
    }
    let mut planned: Vec<(&str, &str)> = trials
        .iter()
        .filter(|t| t["status"] == "pending")
        .map(|t| (t["id"].as_str().unwrap(), t["task_slug"].as_str().unwrap()))
        .collect();
    planned.sort_unstable();
    assert_eq!(
        planned,
        [
            ("planned-0007", "sum-orders"),
            ("planned-0008", "wrong-answer")
        ]
    );
}

#[tokio::test]
async fn the_leaderboard_counts_every_agent() {
    let jobs = open(&samples());
    let id = id_of(&jobs, "nightly-mixed").await;
    let evaluation = run(&jobs, RunKind::Evaluation, &id).await;
    let lines: Vec<String> = evaluation["leaderboard"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| {
            format!(
                "{} {} {} {}",
                l["variant_name"], l["trial_count"], l["completed_count"], l["avg_pass_rate"]
            )
        })
        .collect();
    assert_eq!(
        lines,
        ["\"nop\" 12 12 0.0", "\"oracle\" 12 12 0.16666666666666666"]
    );
    assert_eq!(evaluation["tasks_total"], 6);
    assert_eq!(evaluation["dataset_uri"], "tasks");
}
