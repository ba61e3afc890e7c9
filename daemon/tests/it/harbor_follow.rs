//! A jobs directory that is followed: what happens in it is in the mirror soon, with its history.

use std::fs;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;
use docksd_harbor::{HarborJobs, Options};
use docksd_mirror::{Mirror, Provenance, StatusEvent, StoredObject, Subject};
use docksd_remote::ChangeDetection;
use docksd_sync::{Clock, SyncHandle, SystemClock};
use serde_json::Value;
use tempfile::TempDir;

use crate::test_daemon::eventually;
use docksd_testkit::harbor_jobs::{copy_tree, samples, timeline};

const JOB: &str = "nightly-mixed";
const ID: &str = "e8c003f5-a129-414b-9d33-4c12687eb455";
/// A trial that has ended with an exception at the second point of the timeline.
const FAILED: &str = "bad-env__fEKY4WE";

/// A directory, its mirror, and the sync engine between them.
struct FollowedDirectory {
    home: TempDir,
    mirror: Mirror,
    sync: SyncHandle,
}

impl FollowedDirectory {
    async fn new() -> Self {
        Self::with_content(|_| {}).await
    }

    /// Starts with the content that `prepare` creates in the directory.
    async fn with_content(prepare: impl FnOnce(&Path)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("jobs");
        fs::create_dir(&dir).unwrap();
        prepare(&dir);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let path = home.path().join("mirror.db");
        let (mirror, _) = Mirror::open(&path, "jobs", clock.wall()).unwrap();
        let jobs = HarborJobs::open(&[&dir], Options::default()).unwrap();
        let sync = docksd_sync::spawn(
            Arc::new(jobs),
            mirror.clone(),
            clock,
            docksd_sync::Options::default(),
        );
        let followed = Self { home, mirror, sync };
        let is_followed = || async {
            let health = followed.sync.health();
            matches!(health.change_detection, ChangeDetection::Events { .. })
                && health.last_success.is_some()
        };
        eventually("the directory is followed", is_followed).await;
        followed
    }

    fn dir(&self) -> PathBuf {
        self.home.path().join("jobs")
    }

    fn job(&self) -> PathBuf {
        self.dir().join(JOB)
    }

    /// Brings the job to a point of the timeline.
    fn apply_moment(&self, name: &str) {
        copy_tree(&timeline().join(name), &self.dir());
    }

    /// Holds the job's log open, as its process does.
    fn open_log(&self) -> fs::File {
        fs::create_dir_all(self.job()).unwrap();
        let log = self.job().join("job.log");
        let mut options = fs::File::options();
        options.append(true).create(true).open(log).unwrap()
    }

    async fn run(&self) -> Option<StoredObject> {
        self.mirror.run(RunKind::Evaluation, ID).await.unwrap()
    }

    async fn published(&self) -> Value {
        let run = self.run().await.filter(|run| run.gone_at.is_none());
        run.map_or(Value::Null, |run| serde_json::from_str(&run.text).unwrap())
    }

    async fn trial(&self, name: &str) -> Value {
        let trial = self.mirror.trial(ID, name).await.unwrap();
        let trial = trial.filter(|trial| trial.gone_at.is_none());
        trial.map_or(Value::Null, |trial| {
            serde_json::from_str(&trial.text).unwrap()
        })
    }

    async fn count_trials(&self, status: &str) -> u64 {
        let query = ListQuery {
            status: vec![status.to_owned()],
            ..ListQuery::default()
        };
        let listing = self.mirror.list_trials(ID, &query).await.unwrap();
        listing.map_or(0, |listing| listing.total)
    }

    async fn wait_until_ended(&self, count: u64) {
        let what = format!("{count} trials have ended");
        eventually(&what, || async {
            let run = self.published().await;
            let counts = &run["harbor"]["trials"];
            run["completed_trials"] == count
                && self.count_trials("running").await == counts["running"].as_u64().unwrap_or(99)
                && self.count_trials("pending").await == counts["pending"].as_u64().unwrap_or(99)
        })
        .await;
    }

    async fn wait_for_state(&self, state: &str) {
        eventually(&format!("the job is {state}"), || async {
            self.published().await["harbor"]["state"] == state
        })
        .await;
    }

    async fn history(&self, matches: impl Fn(&StatusEvent) -> bool) -> Vec<StatusEvent> {
        let all = self.mirror.events_after(0, 10_000).await.unwrap();
        all.into_iter().filter(matches).collect()
    }

    async fn shut_down(self) {
        self.sync.stop().await;
        self.mirror.close().await;
    }
}

fn is_about_trial(name: &str) -> impl Fn(&StatusEvent) -> bool {
    move |event| event.trial.as_deref() == Some(name)
}

fn is_about_the_run(event: &StatusEvent) -> bool {
    event.subject == Subject::Run(RunKind::Evaluation) && event.run == ID
}

fn statuses(events: &[StatusEvent]) -> Vec<&str> {
    events.iter().map(|event| event.to.as_str()).collect()
}

#[tokio::test]
async fn a_job_is_followed_from_its_first_folder_to_its_end() {
    let followed = FollowedDirectory::new().await;
    let process = followed.open_log();
    for (moment, ended) in [("t1", 3), ("t2", 11), ("t3", 19)] {
        followed.apply_moment(moment);
        followed.wait_until_ended(ended).await;
        assert_eq!(followed.published().await["status"], "running");
    }
    copy_tree(&samples().join(JOB), &followed.job());
    drop(process);
    followed.wait_until_ended(24).await;
    followed.wait_for_state("completed").await;
    let run = followed.history(is_about_the_run).await;
    assert_eq!(statuses(&run), ["running", "completed"]);
    // Rescans run every five seconds; what was noticed sooner came by an event.
    let ends = followed
        .history(|e| e.subject == Subject::Trial && e.to == "passed")
        .await;
    assert!(
        ends.iter()
            .any(|event| event.provenance == Provenance::Event),
        "{ends:?}"
    );
    // It was never published under another id.
    let ids = followed.history(|event| event.run != ID).await;
    assert_eq!(ids, []);
    followed.shut_down().await;
}

#[tokio::test]
async fn a_process_that_exits_without_a_result_is_noticed() {
    let followed = FollowedDirectory::new().await;
    let process = followed.open_log();
    followed.apply_moment("t2");
    followed.wait_for_state("running").await;
    drop(process);
    followed.wait_for_state("killed").await;
    assert_eq!(followed.published().await["status"], "failed");
    eventually("its trials are lost", || async {
        followed.count_trials("running").await == 0
    })
    .await;
    // A resume rewrites the same files and continues under the same id.
    let process = followed.open_log();
    let result = followed.job().join("result.json");
    let text = fs::read_to_string(&result).unwrap();
    let now = docks_proto::time::UnixMs::now().rfc3339();
    fs::write(&result, with_updated_at(&text, &now)).unwrap();
    followed.wait_for_state("running").await;
    let run = followed.history(is_about_the_run).await;
    assert_eq!(statuses(&run), ["running", "failed", "running"]);
    drop(process);
    followed.shut_down().await;
}

/// Returns a job's result with another `updated_at`.
fn with_updated_at(text: &str, at: &str) -> String {
    let mut result: Value = serde_json::from_str(text).unwrap();
    result["updated_at"] = at.into();
    serde_json::to_string_pretty(&result).unwrap()
}

#[tokio::test]
async fn a_retry_waits_under_the_same_name_and_starts_again() {
    let followed = FollowedDirectory::new().await;
    let process = followed.open_log();
    followed.apply_moment("t2");
    let config = samples().join(JOB).join("config.json");
    let mut text: Value = serde_json::from_str(&fs::read_to_string(config).unwrap()).unwrap();
    text["retry"] = serde_json::json!({"max_retries": 2});
    fs::write(followed.job().join("config.json"), text.to_string()).unwrap();
    followed.wait_until_ended(11).await;
    let folder = followed.job().join(FAILED);
    let attempt = fs::read_to_string(folder.join("result.json")).unwrap();
    let setup = fs::read(followed.job().join("bad-env__EjwzeTT/config.json")).unwrap();

    fs::remove_dir_all(&folder).unwrap();
    eventually("it waits for a retry", || async {
        followed.trial(FAILED).await["harbor"]["phase"] == "waiting_for_retry"
    })
    .await;
    let waiting = followed.trial(FAILED).await;
    assert_eq!(
        (&waiting["status"], &waiting["task_slug"]),
        (&"pending".into(), &"bad-env".into())
    );
    assert_eq!(waiting["harbor"]["retry_of"], "RuntimeError");
    let run = followed.published().await;
    assert_eq!(
        (&run["total_trials"], &run["harbor"]["trials"]["retrying"]),
        (&24.into(), &1.into())
    );

    fs::create_dir_all(folder.join("agent")).unwrap();
    fs::write(folder.join("config.json"), setup).unwrap();
    eventually("it runs again", || async {
        followed.trial(FAILED).await["status"] == "running"
    })
    .await;
    let mut result: Value = serde_json::from_str(&attempt).unwrap();
    result["id"] = "11111111-2222-4333-8444-555555555555".into();
    result["exception_info"] = Value::Null;
    result["verifier_result"] = serde_json::json!({"rewards": {"reward": 1.0}});
    fs::write(folder.join("result.json"), result.to_string()).unwrap();
    eventually("it passed", || async {
        followed.trial(FAILED).await["status"] == "passed"
    })
    .await;
    let trial = followed.trial(FAILED).await;
    assert_eq!(trial["harbor"]["trial_uuid"], result["id"]);
    let history = followed.history(is_about_trial(FAILED)).await;
    assert_eq!(
        statuses(&history)[..],
        ["error", "pending", "running", "passed"]
    );
    drop(process);
    followed.shut_down().await;
}

#[tokio::test]
async fn a_finished_job_that_is_rewritten_or_removed_is_followed_too() {
    let followed = FollowedDirectory::with_content(|dir| copy_tree(&samples(), dir)).await;
    followed.wait_until_ended(24).await;
    // Harbor does this when it hides secrets; nothing else of the job changes.
    let result = followed.job().join("result.json");
    let text = fs::read_to_string(&result).unwrap();
    fs::write(
        &result,
        text.replace(
            "\"finished_at\": \"2026-11-23T16:43:32",
            "\"finished_at\": \"2026-11-23T16:44:32",
        ),
    )
    .unwrap();
    eventually("the new end is published", || async {
        followed.published().await["harbor"]["finished_at"] == "2026-11-23T21:44:32.117031Z"
    })
    .await;
    fs::rename(followed.job(), followed.home.path().join("elsewhere")).unwrap();
    eventually("the job is gone", || async {
        followed
            .run()
            .await
            .is_some_and(|run| run.gone_at.is_some())
    })
    .await;
    eventually("it is gone from both lists", || async {
        let rows = followed.mirror.stats().await.unwrap().rows;
        (rows.runs, rows.evaluation_runs) == (3, 3)
    })
    .await;
    followed.shut_down().await;
}

#[tokio::test]
async fn a_directory_that_disappears_loses_nothing() {
    let followed = FollowedDirectory::with_content(|dir| copy_tree(&samples(), dir)).await;
    let rows = async || {
        let rows = followed.mirror.stats().await.unwrap().rows;
        (rows.runs, rows.evaluation_runs, rows.tombstones)
    };
    eventually("both lists are mirrored", async || {
        rows().await == (4, 4, 0)
    })
    .await;
    fs::rename(followed.dir(), followed.home.path().join("unmounted")).unwrap();
    eventually("its absence is noticed", || async {
        followed.sync.health().last_error.is_some()
    })
    .await;
    assert_eq!(rows().await, (4, 4, 0));
    fs::rename(followed.home.path().join("unmounted"), followed.dir()).unwrap();
    eventually("it is followed again", || async {
        let health = followed.sync.health();
        health.last_error.is_none()
            && matches!(health.change_detection, ChangeDetection::Events { .. })
    })
    .await;
    followed.shut_down().await;
}

/// Whether an event only says that something has started; on a busy machine it may come late.
fn is_start(event: &StatusEvent) -> bool {
    event.to == "running" && matches!(event.from.as_deref(), None | Some("pending"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_torn_writes_leave_no_wrong_status_in_the_history() {
    let followed = FollowedDirectory::new().await;
    let process = followed.open_log();
    followed.apply_moment("t2");
    followed.wait_until_ended(11).await;
    let before = followed.history(|event| !is_start(event)).await.len();
    let (job, trial) = (
        followed.job().join("result.json"),
        followed.job().join(FAILED).join("result.json"),
    );
    let writer = std::thread::spawn(move || {
        let texts = [&job, &trial].map(|path| (path.clone(), fs::read(path).unwrap()));
        let mut files = texts.map(|(path, text)| {
            let file = fs::File::options().write(true).open(path).unwrap();
            (file, text)
        });
        for _ in 0..3_000 {
            for (file, text) in &mut files {
                // As Harbor does: truncate, then write in place, here in two pieces.
                file.set_len(0).unwrap();
                file.rewind().unwrap();
                let (head, tail) = text.split_at(text.len() / 2);
                file.write_all(head).unwrap();
                file.write_all(tail).unwrap();
            }
        }
    });
    while !writer.is_finished() {
        let run = followed.published().await;
        assert_eq!(
            (&run["status"], &run["total_trials"]),
            (&"running".into(), &24.into()),
            "{run}"
        );
        let trial = followed.trial(FAILED).await;
        assert!(
            trial["status"] == "error" && trial["harbor"]["trial_uuid"].is_string(),
            "{trial}"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    writer.join().unwrap();
    followed.wait_until_ended(11).await;
    let wrong = followed.history(|event| !is_start(event)).await;
    assert_eq!(statuses(&wrong[before..]), [""; 0]);
    drop(process);
    followed.shut_down().await;
}
