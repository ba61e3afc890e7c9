//! The first reading of all jobs, what is kept of a finished one, and what a later process reads again.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docksd_harbor::{HarborJobs, Options};
use docksd_remote::{
    Changes, CompleteRun, DeliveredRun, Fetched, Page, PageRequest, Remote, Validator,
};
use docksd_testkit::harbor_jobs::{big_job, copy_tree, samples};

use crate::support::{DEADLINE, expect_new, values};

/// Opens a directory as a daemon does, an hour later, so that no file counts as recent.
fn follow(dir: &Path, delivered: Vec<DeliveredRun>) -> HarborJobs {
    let options = Options {
        now: Arc::new(|| UnixMs::now().plus(Duration::from_secs(3_600))),
        first_answer: Duration::ZERO,
        ..Options::default()
    };
    let jobs = HarborJobs::open(&[dir], options).unwrap();
    jobs.resume(delivered);
    jobs
}

async fn list(jobs: &HarborJobs) -> Page {
    let page = PageRequest::default();
    let listed = jobs.list(RunKind::Evaluation, &page, None).await;
    expect_new(listed.unwrap())
}

/// Lists until everything was read.
async fn whole_list(jobs: &HarborJobs) -> Page {
    let start = Instant::now();
    loop {
        let page = list(jobs).await;
        if !page.is_partial {
            return page;
        }
        assert!(start.elapsed() < DEADLINE, "the directory is never read");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Takes all changes until everything was read and nothing is left.
async fn take_all(jobs: &HarborJobs) -> Vec<CompleteRun> {
    whole_list(jobs).await;
    let mut all = Vec::new();
    loop {
        let Changes { runs, gone } = jobs.take_changes().await.unwrap();
        assert!(gone.is_empty(), "{gone:?}");
        if runs.is_empty() {
            return all;
        }
        all.extend(runs);
    }
}

fn delivered(runs: &[CompleteRun]) -> Vec<DeliveredRun> {
    let runs = runs.iter().map(|run| DeliveredRun {
        id: run.id.clone(),
        run: run.run.clone(),
        evaluation: run.evaluation.clone(),
        trials_validator: run.validator.clone(),
    });
    runs.collect()
}

fn is_unchanged<T>(fetched: &Fetched<T>) -> bool {
    matches!(fetched, Fetched::NotModified)
}

async fn trials(jobs: &HarborJobs, id: &str, known: Option<&Validator>) -> Fetched<Page> {
    jobs.trials(id, known).await.unwrap()
}

/// Writes another reward into the result of a trial.
fn regrade(job: &Path, trial: &str) {
    let path = job.join(trial).join("result.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, text.replace("\"reward\": 1.0", "\"reward\": 0.5")).unwrap();
}

#[tokio::test]
async fn a_list_says_that_it_is_partial_until_all_jobs_are_read() {
    let dir = tempfile::tempdir().unwrap();
    for job in 0..6 {
        let folder = big_job(dir.path(), &format!("job-{job}"), 30);
        let path = folder.join("result.json");
        let text = fs::read_to_string(&path).unwrap();
        let id = format!("00000000-0000-4000-8000-00000000000{job}");
        let own: serde_json::Value = serde_json::from_str(&text).unwrap();
        fs::write(&path, text.replace(own["id"].as_str().unwrap(), &id)).unwrap();
    }
    let jobs = follow(dir.path(), Vec::new());
    let mut before = 0;
    loop {
        let page = list(&jobs).await;
        let reading = jobs.reading();
        assert!(page.objects.len() >= before, "a job disappeared");
        before = page.objects.len();
        if !page.is_partial {
            assert_eq!((page.objects.len(), reading), (6, None));
            break;
        }
    }
    let runs = take_all(&jobs).await;
    assert_eq!(runs.len(), 6);
    assert!(runs.iter().all(|run| run.trials.count() == 30));
}

#[tokio::test]
async fn a_later_process_reads_only_jobs_that_changed() {
    let dir = tempfile::tempdir().unwrap();
    let changing = big_job(dir.path(), "changing", 10);
    copy_tree(&samples().join("nightly-mixed"), &dir.path().join("same"));
    let first = follow(dir.path(), Vec::new());
    let runs = take_all(&first).await;
    let listed = values(whole_list(&first).await);
    assert_eq!(runs.len(), 2);
    let validators: Vec<(String, Validator)> = runs
        .iter()
        .map(|run| (run.id.clone(), run.validator.clone()))
        .collect();

    let second = follow(dir.path(), delivered(&runs));
    assert_eq!(values(whole_list(&second).await), listed);
    for (id, validator) in &validators {
        assert!(is_unchanged(&trials(&second, id, Some(validator)).await));
    }
    assert!(second.take_changes().await.unwrap().runs.is_empty());
    assert_eq!(second.scan_cost().files_read, 0);

    // One trial is graded again while no process looks.
    regrade(&changing, "fix-clamp__0000003");
    let third = follow(dir.path(), delivered(&runs));
    let found = take_all(&third).await;
    let names: Vec<&str> = found.iter().map(|run| run.id.as_str()).collect();
    let unchanged = listed.iter().find(|job| job["name"] == "same").unwrap();
    assert!(names.len() == 1 && unchanged["id"] != names[0], "{names:?}");
    // Its own files, and of each trial the result, the test report and the list of collected files.
    assert_eq!(third.scan_cost().files_read, 3 + 3 * 10);
}

#[tokio::test]
async fn a_finished_job_of_which_a_file_changes_is_delivered_again() {
    let dir = tempfile::tempdir().unwrap();
    let job = big_job(dir.path(), "big", 10);
    let jobs = follow(dir.path(), Vec::new());
    let runs = take_all(&jobs).await;
    let (id, validator) = (runs[0].id.clone(), runs[0].validator.clone());
    assert!(is_unchanged(&trials(&jobs, &id, Some(&validator)).await));
    let status_of = |page: &Page, status: &str| {
        let found = values(Page {
            objects: page.objects.clone(),
            ..Page::default()
        });
        found
            .iter()
            .filter(|trial| trial["status"] == status)
            .count()
    };
    // Graded again, a late file, a trial's folder that is removed, and one that is added.
    regrade(&job, "fix-clamp__0000003");
    let page = expect_new(trials(&jobs, &id, Some(&validator)).await);
    assert_eq!((status_of(&page, "failed"), page.objects.len()), (1, 10));
    fs::write(job.join("fix-clamp__0000004/agent/late.log"), "late\n").unwrap();
    let page = expect_new(trials(&jobs, &id, None).await);
    assert!(
        page.objects
            .iter()
            .any(|trial| trial.text().contains("agent/late.log"))
    );
    fs::remove_dir_all(job.join("fix-clamp__0000009")).unwrap();
    let copy = job.join("fix-clamp__0000010");
    copy_tree(&job.join("fix-clamp__0000001"), &copy);
    let page = expect_new(trials(&jobs, &id, None).await);
    assert!(
        page.objects
            .iter()
            .any(|trial| trial.text().contains("fix-clamp__0000010"))
    );
    assert!(
        !page
            .objects
            .iter()
            .any(|trial| trial.text().contains("\"fix-clamp__0000009\""))
    );
}

#[tokio::test]
async fn a_file_that_is_cut_off_for_a_moment_changes_nothing_of_a_finished_job() {
    let dir = tempfile::tempdir().unwrap();
    let job = big_job(dir.path(), "big", 5);
    let jobs = follow(dir.path(), Vec::new());
    let runs = take_all(&jobs).await;
    let id = runs[0].id.clone();
    let listed = values(whole_list(&jobs).await);
    let path = job.join("fix-clamp__0000002/result.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() / 2]).unwrap();
    let object = jobs.run(RunKind::Evaluation, &id, None).await.unwrap();
    let object: serde_json::Value = serde_json::from_str(expect_new(object).text()).unwrap();
    assert_eq!(object, listed[0]);
    assert!(jobs.take_changes().await.unwrap().runs.is_empty());
    fs::write(&path, text.replace("\"reward\": 1.0", "\"reward\": 0.5")).unwrap();
    let page = expect_new(trials(&jobs, &id, None).await);
    assert!(
        page.objects
            .iter()
            .any(|trial| trial.text().contains("\"status\":\"failed\""))
    );
}

#[tokio::test]
async fn a_copy_of_a_finished_job_that_appears_later_gets_its_folders_name() {
    let dir = tempfile::tempdir().unwrap();
    let original = dir.path().join("nightly-mixed");
    copy_tree(&samples().join("nightly-mixed"), &original);
    let jobs = follow(dir.path(), Vec::new());
    let runs = take_all(&jobs).await;
    let id = runs[0].id.clone();
    copy_tree(&samples().join("nightly-mixed"), &dir.path().join("a-copy"));
    let listed = values(whole_list(&jobs).await);
    let of = |name: &str| listed.iter().find(|job| job["name"] == name).unwrap();
    assert_eq!(of("nightly-mixed")["id"], id.as_str());
    assert_eq!(of("a-copy")["id"], "a-copy");
    assert_eq!(
        expect_new(trials(&jobs, "a-copy", None).await)
            .objects
            .len(),
        24
    );
    // The original goes, so the copy is the job now, and is read again for that.
    let taken = take_all(&jobs).await;
    assert_eq!(
        taken.iter().map(|run| run.id.as_str()).collect::<Vec<_>>(),
        ["a-copy"]
    );
    fs::remove_dir_all(&original).unwrap();
    let listed = values(whole_list(&jobs).await);
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0]["id"], &listed[0]["name"]),
        (&id.as_str().into(), &"a-copy".into())
    );
    assert_eq!(expect_new(trials(&jobs, &id, None).await).objects.len(), 24);
}
