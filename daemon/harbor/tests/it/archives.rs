//! Jobs as they are kept in archives and repositories: with the times of a checkout, and without some of their files.

use std::fs;
use std::path::{Path, PathBuf};

use docks_proto::routes::RunKind;
use docksd_testkit::harbor_jobs::copy_tree;
use serde_json::{Value, json};

use crate::support::{list, open_now, trials};

/// Copies a case, so that all of its files are new, as in a checkout.
pub(crate) fn case(name: &str) -> (tempfile::TempDir, PathBuf) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/harbor-cases");
    let dir = tempfile::tempdir().unwrap();
    copy_tree(&from.join(name), dir.path());
    let jobs = dir.path().join("jobs");
    (dir, jobs)
}

pub(crate) async fn job(dir: &Path, name: &str) -> Value {
    let jobs = open_now(dir);
    let all = list(&jobs, RunKind::Evaluation).await;
    all.into_iter().find(|job| job["name"] == name).unwrap()
}

async fn trials_of(dir: &Path, name: &str) -> Vec<Value> {
    let id = job(dir, name).await["id"].as_str().unwrap().to_owned();
    trials(&open_now(dir), &id).await
}

fn write(path: &Path, value: &Value) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, value.to_string()).unwrap();
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    change(&mut value);
    write(path, &value);
}

#[tokio::test]
async fn without_a_log_no_process_holds_it() {
    let (_dir, jobs) = case("checkout-without-job-log");
    let slim = job(&jobs, "slim").await;
    assert_eq!(slim["status"], "completed");
    assert_eq!(slim["created_at"], "2026-02-10T15:00:05.000000Z");
    assert_eq!(slim["completed_at"], "2026-02-10T15:03:05.000000Z");
    let killed = job(&jobs, "killed").await;
    assert_eq!(killed["status"], "failed");
    assert_eq!(killed["created_at"], "2026-02-10T15:00:00.000000Z");
    // Also where processes are not visible.
    let hidden = crate::support::open_without_processes(&jobs);
    for job in list(&hidden, RunKind::Evaluation).await {
        assert_ne!(job["status"], "running", "{}", job["name"]);
    }
}

#[tokio::test]
async fn a_job_without_folders_of_trials_is_what_its_result_says() {
    let (_dir, jobs) = case("job-files-only");
    let summary = job(&jobs, "summary-only").await;
    assert_eq!(summary["status"], "completed");
    assert_eq!(summary["created_at"], "2026-02-10T15:00:00.000000Z");
    assert_eq!(summary["completed_at"], "2026-02-10T15:10:00.000000Z");
    let harbor = &summary["harbor"];
    assert_eq!(harbor["durations"]["job_seconds"], 600.0);
    assert_eq!(
        (&summary["completed_trials"], &summary["total_trials"]),
        (&json!(3), &json!(3))
    );
    assert_eq!(
        (&summary["passed_trials"], &summary["failed_trials"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(harbor["trials"]["pending"], 0);
    assert_eq!(harbor["errors"], json!({"RuntimeError": 1}));
    let group = &harbor["groups"][0];
    assert_eq!(
        (&group["agent"], &group["model"], &group["dataset"]),
        (&json!("acme"), &json!("m-1"), &json!("tasks"))
    );
    assert!((group["mean_reward"].as_f64().unwrap() - 1.0 / 3.0).abs() < 1e-9);
    let note = harbor["note"].as_str().unwrap();
    assert!(
        note.contains("the folders of 3 trials that ended are not here"),
        "{note}"
    );
    assert!(note.contains("UTC is assumed"), "{note}");
    let trials = trials_of(&jobs, "summary-only").await;
    let mut found: Vec<_> = trials
        .iter()
        .map(|t| {
            format!(
                "{} {} {} {}",
                t["id"], t["status"], t["task_slug"], t["agent_variant"]
            )
        })
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            r#""alpha__HHHHHH1" "passed" "alpha" "acme (prov/m-1)""#,
            r#""beta__HHHHHH2" "failed" "beta" "acme (prov/m-1)""#,
            r#""gamma__HHHHHH3" "error" "gamma" "acme (prov/m-1)""#,
        ]
    );
    assert!(
        trials
            .iter()
            .all(|t| t["harbor"]["note"].as_str().unwrap().contains("not here"))
    );
}

#[tokio::test]
async fn trials_that_ended_without_a_name_are_counted_and_the_means_are_harbors() {
    let (_dir, jobs) = case("job-files-only");
    edit(&jobs.join("summary-only/result.json"), |result| {
        result["n_total_trials"] = json!(5);
        result["stats"]["n_trials"] = json!(5);
        result["stats"]["evals"]["acme__m-1__tasks"]["metrics"] = json!([{"mean": 0.2}]);
    });
    let summary = job(&jobs, "summary-only").await;
    assert_eq!(
        (&summary["completed_trials"], &summary["total_trials"]),
        (&json!(5), &json!(5))
    );
    assert_eq!(summary["harbor"]["groups"][0]["mean_reward"], 0.2);
    // One that was stopped has the counters of when it was.
    edit(&jobs.join("summary-only/result.json"), |result| {
        result["finished_at"] = Value::Null;
        result["stats"] = json!({"n_completed_trials": 2, "n_errored_trials": 1, "n_running_trials": 1,
            "n_pending_trials": 2, "n_cancelled_trials": 0});
    });
    let stopped = job(&jobs, "summary-only").await;
    assert_eq!(stopped["status"], "failed");
    let counts = &stopped["harbor"]["trials"];
    let found =
        ["total", "ended", "errored", "lost", "pending"].map(|key| counts[key].as_u64().unwrap());
    assert_eq!(found, [5, 2, 1, 1, 2]);
}

#[tokio::test]
async fn some_missing_folders_of_a_finished_job_are_not_pending() {
    let (_dir, jobs) = case("timeout-but-solved");
    fs::remove_dir_all(jobs.join("before/gamma__AAAAAA3")).unwrap();
    let before = job(&jobs, "before").await;
    assert_eq!(before["completed_trials"], 3);
    assert_eq!(before["harbor"]["trials"]["pending"], 0);
    // One that was renamed is here.
    let folders = ["alpha__AAAAAA1", "alpha-kept"].map(|name| jobs.join("before").join(name));
    fs::rename(&folders[0], &folders[1]).unwrap();
    let renamed = job(&jobs, "before").await;
    assert_eq!(renamed["completed_trials"], 3);
    assert_eq!(renamed["harbor"]["trials"]["passed"], 2);
    let note = before["harbor"]["note"].as_str().unwrap();
    assert!(
        note.contains("the folder of 1 trial that ended is not here"),
        "{note}"
    );
}

#[tokio::test]
async fn a_date_in_a_name_is_better_than_the_time_of_a_checkout() {
    let (_dir, dir) = case("no-result-dated-name");
    let jobs = open_now(&dir);
    let names: Vec<_> = list(&jobs, RunKind::Evaluation)
        .await
        .iter()
        .map(|j| j["name"].clone())
        .collect();
    assert_eq!(names, ["2026-02-10__15-00-00", "2026-02-01__13-18-00"]);
    let killed = job(&dir, "2026-02-01__13-18-00").await;
    assert_eq!(killed["created_at"], "2026-02-01T13:18:00.000000Z");
    assert_eq!(killed["status"], "failed");
    assert!(
        killed["harbor"]["note"]
            .as_str()
            .unwrap()
            .contains("UTC is assumed")
    );
    // The trial is not as young as the checkout either.
    let trial = &trials_of(&dir, "2026-02-01__13-18-00").await[0];
    assert_eq!(trial["created_at"], "2026-02-01T13:18:00.000000Z");
    // The folder may have been renamed.
    fs::rename(dir.join("2026-02-01__13-18-00"), dir.join("kept")).unwrap();
    assert_eq!(
        job(&dir, "kept").await["created_at"],
        "2026-02-01T13:18:00.000000Z"
    );
}

#[tokio::test]
async fn git_lfs_pointers_are_named_and_nothing_is_lost_by_them() {
    let (_dir, jobs) = case("lfs-pointers");
    let ids = job(&jobs, "j").await;
    assert_eq!(
        (&ids["status"], &ids["completed_trials"]),
        (&json!("completed"), &json!(2))
    );
    let note = ids["harbor"]["note"].as_str().unwrap();
    assert!(
        note.contains("files of 2 of its trials") && note.contains("git lfs pull"),
        "{note}"
    );
    let trials = trials_of(&jobs, "j").await;
    let beta = trials.iter().find(|t| t["id"] == "beta__MMMMMM2").unwrap();
    assert_eq!(beta["status"], "completed");
    assert!(
        beta["error_message"]
            .as_str()
            .unwrap()
            .contains("Git LFS pointer")
    );
    let k = job(&jobs, "k").await;
    assert_eq!(k["status"], "completed");
    assert!(
        k["status_reason"]
            .as_str()
            .unwrap()
            .contains("git lfs pull")
    );
    assert_eq!(k["created_at"], "2026-02-10T15:00:05.000000Z");
    // A pointer that is fetched is read.
    let result = fs::read_to_string(jobs.join("j/alpha__MMMMMM1/result.json")).unwrap();
    fs::write(jobs.join("j/beta__MMMMMM2/result.json"), result).unwrap();
    assert_eq!(job(&jobs, "j").await["passed_trials"], 2);
}

#[tokio::test]
async fn a_job_that_was_put_together_by_hand_is_not_interrupted() {
    let (_dir, jobs) = case("timeout-but-solved");
    let merged = jobs.join("merged");
    for (from, trial) in [("before", "alpha__AAAAAA1"), ("after", "beta__BBBBBB2")] {
        copy_tree(&jobs.join(from).join(trial), &merged.join(trial));
    }
    let id = "0f0f0f0f-7cbd-4a64-8ed5-0a0c72aee0a1";
    for result in [
        json!({"id": id, "n_total_trials": 2, "stats": {}}),
        json!({"id": id, "started_at": null, "finished_at": null, "stats": {"evals": {}}}),
        json!({"id": id, "started_at": "2026-02-10T15:00:00", "finished_at": null, "n_total_trials": 2, "stats": {}}),
    ] {
        write(&merged.join("result.json"), &result);
        let found = job(&jobs, "merged").await;
        assert_eq!(found["status"], "completed", "{result}");
        assert_eq!(found["completed_at"], "2026-02-10T15:03:05.000000Z");
    }
    write(
        &merged.join("gamma__CCCCCC9/config.json"),
        &json!({"trial_name": "gamma__CCCCCC9"}),
    );
    write(&merged.join("result.json"), &json!({"id": id, "stats": {}}));
    assert_eq!(job(&jobs, "merged").await["status"], "partial");
}

#[tokio::test]
async fn times_of_trials_without_an_offset_follow_those_of_the_job() {
    let (_dir, jobs) = case("timeout-but-solved");
    for name in ["alpha__AAAAAA1", "beta__AAAAAA2", "gamma__AAAAAA3"] {
        edit(
            &jobs.join("before").join(name).join("result.json"),
            |result| {
                result["started_at"] = json!("2026-02-10T15:00:05");
                result["finished_at"] = json!("2026-02-10T15:03:05");
            },
        );
    }
    let before = job(&jobs, "before").await;
    assert_eq!(before["created_at"], "2026-02-10T15:00:00.000000Z");
    assert!(
        before["harbor"]["note"]
            .as_str()
            .unwrap()
            .contains("UTC is assumed")
    );
    // The files say the zone if they are as old as what is in them.
    let at = |seconds: u64| std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    let result = fs::File::open(jobs.join("before/result.json")).unwrap();
    // 20:10:01 UTC, when it was 15:10:01 in New York.
    result.set_modified(at(1_770_754_201)).unwrap();
    let before = job(&jobs, "before").await;
    assert_eq!(before["created_at"], "2026-02-10T20:00:00.000000Z");
    assert_eq!(before["completed_at"], "2026-02-10T20:10:00.000000Z");
    let trials = trials_of(&jobs, "before").await;
    assert!(
        trials
            .iter()
            .all(|t| t["started_at"] == "2026-02-10T20:00:05.000000Z")
    );
}

#[tokio::test]
async fn the_time_of_a_job_is_also_told_without_the_pause_before_it_was_resumed() {
    let (_dir, jobs) = case("timeout-but-solved");
    edit(&jobs.join("before/gamma__AAAAAA3/result.json"), |result| {
        result["started_at"] = json!("2026-02-12T15:00:00Z");
        result["finished_at"] = json!("2026-02-12T15:01:00Z");
    });
    edit(&jobs.join("before/result.json"), |result| {
        result["finished_at"] = json!("2026-02-12T15:01:01");
    });
    let durations = job(&jobs, "before").await["harbor"]["durations"].clone();
    assert_eq!(durations["job_seconds"], 172_861.0);
    assert_eq!(durations["trials_active_seconds"], 240.0);
}
