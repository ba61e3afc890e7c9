//! A job that has not written its UUID yet has its folder's name as id: it is never said to be gone.

use std::fs;
use std::path::PathBuf;
use std::rc::Rc;

use crate::hub::{Hub, sign_in};
use crate::test_home::{TestHome, eventually};
use crate::watch::Watch;

pub(crate) const UUID: &str = "0b5ef4a6-9a3c-4b6e-9a53-1c0e7a7f3f10";

/// A job that this process runs, as far as docks can see.
pub(crate) struct StartingJob {
    folder: PathBuf,
    log: Option<fs::File>,
}

impl StartingJob {
    /// Creates its folder and opens its log.
    pub(crate) fn create(folder: PathBuf) -> Self {
        fs::create_dir(&folder).unwrap();
        let mut log = fs::File::options();
        let log = log.append(true).create(true);
        let log = log.open(folder.join("job.log")).unwrap();
        Self {
            folder,
            log: Some(log),
        }
    }

    /// Gives it its UUID; `finished_at` is JSON.
    pub(crate) fn write_result(&self, finished_at: &str) {
        let result = format!(
            r#"{{"id": "{UUID}", "started_at": "2026-11-23T16:43:23", "finished_at": {finished_at},
                "n_total_trials": 0, "stats": {{}}}}"#
        );
        fs::write(self.folder.join("result.json"), result).unwrap();
    }

    fn finish(&mut self) {
        self.write_result(r#""2026-11-23T16:44:23""#);
        self.log = None;
    }
}

/// Waits until the job named `big` has this id; it must be found all the time once it was.
pub(crate) fn wait_for_id(home: &TestHome, options: &str, id: &str) {
    let line = format!("runs eval-get big --format json {options}");
    let mut was_found = id == UUID;
    eventually("the job has its id", || {
        let found = home.run(&line);
        assert!(!was_found || found.code == Some(0), "{found:?}");
        was_found |= found.code == Some(0);
        found.stdout.contains(&format!(r#""id":"{id}""#))
    });
}

/// Watches the job, which has not started yet.
fn watch(home: &TestHome, options: &str) -> Watch {
    let line = format!("runs watch big --exit-status --format jsonl {options}");
    let mut watch = Watch::start(home, &line);
    watch.until(r#""event":"ready""#);
    watch
}

#[test]
fn a_job_that_is_slow_to_start_is_found_by_its_name_all_the_time_here_and_from_a_hub() {
    let home = Rc::new(TestHome::with_jobs());
    let mut job = StartingJob::create(home.jobs().join("big"));
    let here = format!("--harbor {}", home.jobs().display());
    wait_for_id(&home, &here, "big");
    let hub = Hub::of(Rc::clone(&home), "");
    let other = TestHome::new();
    assert_eq!(sign_in(&other, &hub, &hub.token(), "").code, Some(0));
    other.run("-p team sync --full").expect_success();
    wait_for_id(&other, "-p team", "big");
    let direct = TestHome::new();
    assert_eq!(sign_in(&direct, &hub, &hub.token(), "").code, Some(0));
    // These know it by its name only.
    let watches = [
        watch(&home, &here),
        watch(&other, "-p team"),
        watch(&direct, "-p team --no-daemon"),
    ];
    job.write_result("null");
    wait_for_id(&home, &format!("{here} --fresh"), UUID);
    wait_for_id(&other, "-p team --fresh", UUID);
    for (home, options) in [(&*home, here.as_str()), (&other, "-p team")] {
        home.run(&format!("runs trials big {options}"))
            .expect_success();
        let history = home.run(&format!("runs history big {options} --format json"));
        let history = history.expect_success();
        let history: serde_json::Value = serde_json::from_str(&history).unwrap();
        let changes = history["changes"].as_array().unwrap();
        let statuses = changes.iter().map(|change| change["to"].as_str().unwrap());
        assert_eq!(statuses.collect::<Vec<_>>(), ["pending", "running"]);
        home.run("daemon stop").expect_success();
        wait_for_id(home, options, UUID);
        // By its name as by an id: nobody has that any more.
        let history = home.run(&format!("runs history big {options} --format json"));
        assert!(history.expect_success().contains(UUID));
    }
    job.finish();
    for watch in watches {
        let (code, lines, stderr) = watch.end();
        assert_eq!(code, Some(0), "{lines:?} {stderr}");
        let told = lines
            .iter()
            .any(|line| line.contains(r#""status":"completed""#));
        assert!(told && lines.iter().all(|line| !line.contains(r#""gone":true"#)));
    }
}
