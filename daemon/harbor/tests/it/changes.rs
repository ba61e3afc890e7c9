//! A jobs directory that changes: what is read again, and what is never published.

use std::fs;
use std::io::{Seek, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use docks_proto::routes::RunKind;
use docksd_harbor::{HarborJobs, Options};
use docksd_remote::{Changes, FaultClass, Fetched, PageRequest, Remote, Validator};
use serde_json::Value;

use crate::support::{expect_new, list, open, run_in_folder, take_changes_until, trials, values};
use docksd_testkit::harbor_jobs::{big_job, copy_tree, samples, timeline};

fn copy_of(job: &str, dir: &Path) {
    copy_tree(&samples().join(job), &dir.join(job));
}

async fn validator(jobs: &HarborJobs) -> Validator {
    match jobs
        .list(RunKind::Run, &PageRequest::default(), None)
        .await
        .unwrap()
    {
        Fetched::New { validator, .. } => validator.unwrap(),
        Fetched::NotModified => panic!("no validator was sent"),
    }
}

#[tokio::test]
async fn a_second_scan_reads_only_what_changed() {
    let dir = tempfile::tempdir().unwrap();
    big_job(dir.path(), "big", 40);
    let jobs = open(dir.path());
    let known = validator(&jobs).await;
    assert_eq!(trials(&jobs, "big").await.len(), 40);
    let first = jobs.scan_cost().files_read;
    // Job: config, lock, result. Trial: result, test report, and the list of collected files,
    // since there is a patch among them.
    assert_eq!(first, 3 + 3 * 40);
    let again = jobs
        .list(RunKind::Run, &PageRequest::default(), Some(&known))
        .await
        .unwrap();
    assert!(matches!(again, Fetched::NotModified));
    assert_eq!(trials(&jobs, "big").await.len(), 40);
    assert_eq!(jobs.scan_cost().files_read, first);

    let changed = dir.path().join("big/fix-clamp__0000007/result.json");
    let text = fs::read_to_string(&changed).unwrap();
    fs::write(
        &changed,
        text.replace("\"reward\": 1.0", "\"reward\": 0.25"),
    )
    .unwrap();
    let trials = trials(&jobs, "big").await;
    assert_eq!(trials.iter().filter(|t| t["status"] == "failed").count(), 1);
    assert_eq!(jobs.scan_cost().files_read, first + 3);
    let again = jobs
        .list(RunKind::Run, &PageRequest::default(), Some(&known))
        .await
        .unwrap();
    assert!(matches!(again, Fetched::New { .. }));
}

#[tokio::test]
async fn a_validator_holds_across_processes() {
    let known = validator(&open(&samples())).await;
    let page = PageRequest::default();
    let again = open(&samples())
        .list(RunKind::Run, &page, Some(&known))
        .await
        .unwrap();
    assert!(matches!(again, Fetched::NotModified));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_job_runs_as_long_as_its_log_is_held_open() {
    let dir = tempfile::tempdir().unwrap();
    copy_of("killed-midway", dir.path());
    let log = dir.path().join("killed-midway/job.log");
    let process = fs::File::options().append(true).open(&log).unwrap();
    let jobs = open(dir.path());
    let run = run_in_folder(&jobs, "killed-midway").await;
    assert_eq!(run["status"], "running");
    assert_eq!(run["harbor"]["pid"], std::process::id());
    let alive = trials(&jobs, "killed-midway").await;
    assert_eq!(alive.iter().filter(|t| t["status"] == "running").count(), 2);
    drop(process);
    let run = run_in_folder(&jobs, "killed-midway").await;
    assert_eq!(
        (&run["status"], &run["harbor"]["state"]),
        (&"failed".into(), &"killed".into())
    );
    // A job that is known to be dead is not searched for until something in it changes.
    let scans = jobs.scan_cost().process_scans;
    run_in_folder(&jobs, "killed-midway").await;
    assert_eq!(jobs.scan_cost().process_scans, scans);
}

#[tokio::test]
async fn where_processes_are_invisible_recent_files_mean_running_and_old_ones_do_not() {
    let dir = tempfile::tempdir().unwrap();
    copy_of("killed-midway", dir.path());
    let without_processes = |hours: u64| {
        let now = move || docks_proto::time::UnixMs::now().plus(Duration::from_secs(3_600 * hours));
        let options = Options {
            processes: dir.path().join("no-proc"),
            now: std::sync::Arc::new(now),
            ..Options::default()
        };
        HarborJobs::open(&[dir.path()], options).unwrap()
    };
    // Its files are recent copies, and their content shows that.
    let run = run_in_folder(&without_processes(0), "killed-midway").await;
    assert_eq!(run["harbor"]["state"], "killed");
    let result = dir.path().join("killed-midway/result.json");
    let text = fs::read_to_string(&result).unwrap();
    let now = docks_proto::time::UnixMs::now().rfc3339();
    fs::write(&result, text.replace("2026-11-23T21:43:48.331941Z", &now)).unwrap();
    assert_eq!(
        run_in_folder(&without_processes(0), "killed-midway").await["status"],
        "running"
    );
    assert_eq!(
        run_in_folder(&without_processes(1), "killed-midway").await["status"],
        "failed"
    );
}

/// Writes as Harbor does: truncates the file, then writes the new text in place.
fn rewrite(file: &mut fs::File, text: &str) {
    file.set_len(0).unwrap();
    file.rewind().unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_is_rewritten_during_the_scan_never_gives_a_wrong_status() {
    let dir = tempfile::tempdir().unwrap();
    copy_tree(&timeline().join("t2"), dir.path());
    let job = dir.path().join("nightly-mixed");
    let process = fs::File::options()
        .append(true)
        .create(true)
        .open(job.join("job.log"))
        .unwrap();
    let moments: Vec<String> = ["t1", "t2", "t3"]
        .map(|t| fs::read_to_string(timeline().join(t).join("nightly-mixed/result.json")).unwrap())
        .into();
    let ended = job.join("bad-env__fEKY4WE/result.json");
    let trial_text = fs::read_to_string(&ended).unwrap();
    let done = std::sync::Arc::new(AtomicBool::new(false));
    let writer = {
        let (done, job) = (done.clone(), job.clone());
        std::thread::spawn(move || {
            let open = |path: &Path| fs::File::options().write(true).open(path).unwrap();
            let (mut result, mut trial) = (open(&job.join("result.json")), open(&ended));
            for round in 0..2_500 {
                rewrite(&mut result, &moments[round % 3]);
                rewrite(&mut trial, &trial_text);
            }
            done.store(true, Ordering::SeqCst);
        })
    };
    let jobs = HarborJobs::open(&[dir.path()], Options::default()).unwrap();
    let mut scans = 0;
    while !done.load(Ordering::SeqCst) || scans == 0 {
        let all = list(&jobs, RunKind::Evaluation).await;
        assert_eq!(all.len(), 1);
        assert_eq!(all[0]["status"], "running", "{}", all[0]);
        assert_eq!(all[0]["total_trials"], 24);
        let trials = trials(&jobs, "nightly-mixed").await;
        let bad = trials
            .iter()
            .find(|t| t["id"] == "bad-env__fEKY4WE")
            .unwrap();
        assert!(
            bad["status"] == "error" || bad["harbor"]["phase"] == "ending",
            "{bad}"
        );
        assert_ne!(bad["harbor"]["phase"], "setup");
        scans += 1;
    }
    writer.join().unwrap();
    drop(process);
}

#[tokio::test]
async fn a_job_that_ends_while_it_is_scanned_goes_from_running_to_completed_only() {
    let dir = tempfile::tempdir().unwrap();
    copy_tree(&timeline().join("t3"), dir.path());
    let job = dir.path().join("nightly-mixed");
    let process = fs::File::options()
        .append(true)
        .create(true)
        .open(job.join("job.log"))
        .unwrap();
    let ending = job.clone();
    let finish = std::thread::spawn(move || {
        copy_tree(
            &samples().join("nightly-mixed"),
            &ending.join("..").join("nightly-mixed"),
        );
        drop(process);
    });
    let jobs = HarborJobs::open(&[dir.path()], Options::default()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let run = run_in_folder(&jobs, "nightly-mixed").await;
        match run["status"].as_str().unwrap() {
            "completed" => break,
            "running" => assert!(Instant::now() < deadline),
            other => panic!("{other}: {run}"),
        }
    }
    finish.join().unwrap();
}

#[tokio::test]
async fn a_folder_that_was_empty_when_it_was_read_is_watched() {
    let dir = tempfile::tempdir().unwrap();
    copy_tree(&timeline().join("t1"), dir.path());
    let job = dir.path().join("nightly-mixed");
    let log = job.join("job.log");
    let process = fs::File::options().append(true).open(&log).unwrap();
    let jobs = HarborJobs::open(&[dir.path()], Options::default()).unwrap();
    list(&jobs, RunKind::Run).await;
    let is_running = |changes: &Changes, name: &str| {
        changes.runs.iter().any(|run| {
            let id = format!(r#""id":"{name}""#);
            let mut trials = run.trials.objects();
            let found = trials.find(|trial| trial.text().contains(&id));
            found.is_some_and(|trial| trial.text().contains(r#""status":"running""#))
        })
    };
    let empty = job.join("late__1");
    fs::create_dir(&empty).unwrap();
    // Another trial appears whole; once it is known, the empty folder was read, too.
    let running = job.join("hello-file__Qmebu9J");
    copy_tree(&running, &dir.path().join(".other"));
    fs::rename(dir.path().join(".other"), job.join("other__1")).unwrap();
    take_changes_until(&jobs, |changes| is_running(changes, "other__1")).await;
    fs::copy(running.join("config.json"), empty.join("config.json")).unwrap();
    take_changes_until(&jobs, |changes| is_running(changes, "late__1")).await;
    drop(process);
}

#[tokio::test]
async fn a_copied_folder_does_not_take_the_id_of_the_original() {
    let dir = tempfile::tempdir().unwrap();
    copy_of("nightly-mixed", dir.path());
    copy_tree(&samples().join("nightly-mixed"), &dir.path().join("a-copy"));
    let jobs = open(dir.path());
    let all = list(&jobs, RunKind::Evaluation).await;
    let of = |name: &str| all.iter().find(|e| e["name"] == name).unwrap().clone();
    assert_eq!(
        of("nightly-mixed")["id"],
        "e8c003f5-a129-414b-9d33-4c12687eb455"
    );
    assert_eq!(of("a-copy")["id"], "a-copy");
    let note = of("a-copy")["harbor"]["note"].as_str().unwrap().to_owned();
    assert!(
        note.contains("same job id") && note.contains("nightly-mixed"),
        "{note}"
    );
    assert_eq!(trials(&jobs, "a-copy").await.len(), 24);
}

#[tokio::test]
async fn a_removed_job_is_not_found_and_a_removed_directory_is_an_outage() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("jobs");
    copy_tree(&samples(), &inner);
    let jobs = open(&inner);
    let id = list(&jobs, RunKind::Run).await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    fs::remove_dir_all(inner.join("killed-midway")).unwrap();
    let gone = jobs.run(RunKind::Run, &id, None).await.unwrap_err();
    assert_eq!(gone.class(), FaultClass::NotFound);
    assert_eq!(list(&jobs, RunKind::Run).await.len(), 3);
    fs::remove_dir_all(&inner).unwrap();
    let failed = jobs.run(RunKind::Run, &id, None).await.unwrap_err();
    assert_eq!(failed.class(), FaultClass::Outage);
    let failed = jobs
        .list(RunKind::Run, &PageRequest::default(), None)
        .await
        .unwrap_err();
    assert_eq!(failed.class(), FaultClass::Outage);
}

#[tokio::test]
async fn a_directory_that_is_moved_during_the_scan_is_published_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let (inner, away) = (dir.path().join("jobs"), dir.path().join("away"));
    copy_tree(&samples(), &inner);
    let jobs = open(&inner);
    let whole = list(&jobs, RunKind::Evaluation).await;
    let (report, reports) = std::sync::mpsc::channel::<bool>();
    let mover = std::thread::spawn({
        let mut places = [inner.clone(), away.clone()];
        move || {
            let mut there = true;
            let mut delays = (0..2_000).step_by(70).cycle().map(Duration::from_micros);
            // Moves it only after a scan that found it where it is now.
            for found in reports {
                if found == there {
                    // At any moment of the scan that is running now.
                    let at = Instant::now() + delays.next().unwrap();
                    while Instant::now() < at {
                        std::hint::spin_loop();
                    }
                    fs::rename(&places[0], &places[1]).unwrap();
                    places.swap(0, 1);
                    there = !there;
                }
            }
        }
    });
    let page = PageRequest::default();
    let mut moves = 0;
    let mut there = true;
    while moves < 200 {
        let listed = jobs.list(RunKind::Evaluation, &page, None).await;
        moves += u32::from(listed.is_ok() != there);
        there = listed.is_ok();
        match listed {
            Ok(Fetched::New { value, .. }) => {
                assert_eq!(values(value), whole, "after {moves} moves");
            }
            Ok(Fetched::NotModified) => panic!("no validator was sent"),
            Err(error) => assert_eq!(error.class(), FaultClass::Outage, "{error}"),
        }
        report.send(there).unwrap();
    }
    drop(report);
    mover.join().unwrap();
}

#[tokio::test]
async fn a_retried_trial_forgets_its_discarded_attempt() {
    let dir = tempfile::tempdir().unwrap();
    copy_tree(&timeline().join("t2"), dir.path());
    let job = dir.path().join("nightly-mixed");
    let process = fs::File::options()
        .append(true)
        .create(true)
        .open(job.join("job.log"))
        .unwrap();
    let jobs = open(dir.path());
    let status = |all: &[Value], id: &str| {
        let found = all.iter().find(|t| t["id"] == id);
        found.map(|t| t["status"].as_str().unwrap().to_owned())
    };
    let name = "bad-env__fEKY4WE";
    assert_eq!(
        status(&trials(&jobs, "nightly-mixed").await, name).as_deref(),
        Some("error")
    );
    fs::remove_dir_all(job.join(name)).unwrap();
    let all = trials(&jobs, "nightly-mixed").await;
    assert_eq!((status(&all, name), all.len()), (None, 24));
    fs::create_dir_all(job.join(name).join("agent")).unwrap();
    fs::copy(
        job.join("bad-env__EjwzeTT/config.json"),
        job.join(name).join("config.json"),
    )
    .unwrap();
    let all = trials(&jobs, "nightly-mixed").await;
    assert_eq!(
        (status(&all, name).as_deref(), all.len()),
        (Some("running"), 24)
    );
    drop(process);
}

#[tokio::test]
async fn other_things_in_the_directory_are_not_jobs() {
    let dir = tempfile::tempdir().unwrap();
    copy_of("nightly-mixed", dir.path());
    for name in [".harbor-download-1", "_retries"] {
        copy_tree(&samples().join("killed-midway"), &dir.path().join(name));
    }
    fs::create_dir_all(dir.path().join("notes/deep")).unwrap();
    copy_tree(
        &samples().join("nightly-mixed/hello-file__Da75jky"),
        &dir.path().join("a-lone-trial"),
    );
    std::os::unix::fs::symlink(samples(), dir.path().join("link")).unwrap();
    std::os::unix::fs::symlink(samples().join("killed-midway"), dir.path().join("job-link"))
        .unwrap();
    let jobs = open(dir.path());
    let page = expect_new(
        jobs.list(RunKind::Run, &PageRequest::default(), None)
            .await
            .unwrap(),
    );
    // The job, and the trial without one.
    assert_eq!(page.objects.len(), 2);
    assert!(
        page.objects
            .iter()
            .any(|job| job.text().contains("nightly-mixed"))
    );
    assert_eq!(trials(&jobs, "nightly-mixed").await.len(), 24);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_job_copied_just_now_is_as_dead_as_its_original() {
    for _ in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        for name in ["killed-midway", "interrupted-midway"] {
            copy_of(name, dir.path());
        }
        let jobs = HarborJobs::open(&[dir.path()], Options::default()).unwrap();
        for job in list(&jobs, RunKind::Evaluation).await {
            let ended = if job["name"] == "killed-midway" {
                "failed"
            } else {
                "cancelled"
            };
            assert_eq!(job["status"], ended, "{job}");
        }
    }
}
