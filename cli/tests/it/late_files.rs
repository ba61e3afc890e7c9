//! Files of a Harbor job that arrive or change after it has finished, and directories that go away.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::test_home::{TestHome, eventually};

const JOB: &str = "2026-11-23__16-43-17";
const TRIAL: &str = "fix-clamp__dZiLxjf";

/// Sets every time below a folder, as a copy that keeps times.
fn age(path: &Path) {
    let metadata = fs::symlink_metadata(path).unwrap();
    if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            age(&entry.unwrap().path());
        }
    }
    set_time(
        path,
        SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000),
    );
}

fn set_time(path: &Path, at: SystemTime) {
    fs::File::open(path).unwrap().set_modified(at).unwrap();
}

fn trial_folder(home: &TestHome) -> PathBuf {
    home.jobs().join(JOB).join(TRIAL)
}

fn trial(home: &TestHome, options: &str) -> serde_json::Value {
    let line = format!("runs trial {JOB} {TRIAL} --format json {options}");
    let text = home.run_jobs(&line).expect_success();
    serde_json::from_str(&text).unwrap()
}

fn has_artifact(trial: &serde_json::Value, name: &str) -> bool {
    let artifacts = trial["harbor"]["artifacts"].as_array().unwrap();
    artifacts
        .iter()
        .any(|file| file["path"].as_str().unwrap().ends_with(name))
}

#[test]
fn files_that_arrive_after_the_result_are_seen() {
    let home = TestHome::with_jobs();
    age(&home.jobs());
    home.run_jobs("sync --full").expect_success();
    let folder = trial_folder(&home);
    let late = [
        "agent/trajectory.cont-7.json",
        "agent/late.log",
        "verifier/reward.json",
    ];
    for name in late {
        assert!(!has_artifact(&trial(&home, "--fresh"), name));
        fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        fs::write(folder.join(name), "{}").unwrap();
        assert!(has_artifact(&trial(&home, "--fresh"), name), "{name}");
    }
    let last = folder.join("agent/later.log");
    fs::write(&last, "x").unwrap();
    eventually("it is seen without being asked for", || {
        has_artifact(&trial(&home, ""), "agent/later.log")
    });
    // A file that grows is as long as it is.
    fs::write(&last, "much more").unwrap();
    let artifacts = trial(&home, "--fresh")["harbor"]["artifacts"].clone();
    let mut artifacts = artifacts.as_array().unwrap().iter();
    let grown = artifacts.find(|file| file["path"] == "agent/later.log");
    assert_eq!(grown.unwrap()["size_bytes"], 9);
}

#[test]
fn a_trial_that_is_graded_again_is_seen_even_if_size_and_time_stay() {
    let home = TestHome::with_jobs();
    age(&home.jobs());
    home.run_jobs("sync --full").expect_success();
    assert_eq!(trial(&home, "--fresh")["status"], "passed");
    let result = trial_folder(&home).join("result.json");
    let regrade = |from: &str, to: &str| {
        let before = fs::metadata(&result).unwrap();
        let text = fs::read_to_string(&result).unwrap();
        assert!(text.contains(from));
        fs::write(&result, text.replace(from, to)).unwrap();
        set_time(&result, before.modified().unwrap());
        assert_eq!(fs::metadata(&result).unwrap().len(), before.len());
    };
    regrade("\"reward\": 1.0", "\"reward\": 0.0");
    assert_eq!(trial(&home, "--fresh")["status"], "failed");
    regrade("\"reward\": 0.0", "\"reward\": 1.0");
    eventually("it is seen without being asked for", || {
        trial(&home, "")["status"] == "passed"
    });
    let run = home.run_jobs(&format!("runs eval-get {JOB} --format json"));
    assert!(run.expect_success().contains("\"passed_trials\""));
}

#[test]
fn lists_of_a_directory_that_is_gone_say_so_and_why() {
    let home = TestHome::new();
    let (mount, jobs) = (home.path("mount"), home.path("mount/jobs"));
    fs::create_dir_all(&mount).unwrap();
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/harbor-jobs");
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(bundled)
        .arg(&jobs)
        .status();
    assert!(copied.unwrap().success());
    let list = format!("runs eval-list -q --harbor {}", jobs.display());
    home.run(&list).expect_success();
    let says_so = || {
        let listed = home.run(&list);
        assert_eq!(listed.code, Some(0), "{listed:?}");
        assert_eq!(listed.stdout.lines().count(), 4);
        listed.stderr.contains("No such file") && listed.stderr.contains(jobs.to_str().unwrap())
    };
    assert!(!says_so());
    // The directory itself, then what it is in.
    for path in [&jobs, &mount] {
        let away = path.with_extension("away");
        fs::rename(path, &away).unwrap();
        eventually("the list cannot be confirmed", says_so);
        fs::rename(&away, path).unwrap();
        eventually("it can be again", || !says_so());
    }
}
