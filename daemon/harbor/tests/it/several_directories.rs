//! Several jobs directories as one remote.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use docks_proto::routes::RunKind;
use docksd_harbor::{HarborJobs, Options};
use docksd_remote::{ChangeDetection, FaultClass, PageRequest, Remote};
use serde_json::Value;

use crate::support::{DEADLINE, id_of, list, run_in_folder, take_changes_until};
use docksd_testkit::harbor_jobs::{copy_tree, samples};

struct TwoDirectories {
    _dir: tempfile::TempDir,
    near: PathBuf,
    far: PathBuf,
}

/// Two directories with two of the sample jobs each.
fn two_directories() -> TwoDirectories {
    let dir = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(dir.path()).unwrap();
    let (near, far) = (root.join("near"), root.join("far"));
    for (into, jobs) in [
        (&near, ["nightly-mixed", "killed-midway"]),
        (&far, ["interrupted-midway", "2026-11-23__16-43-17"]),
    ] {
        for job in jobs {
            copy_tree(&samples().join(job), &into.join(job));
        }
    }
    TwoDirectories {
        _dir: dir,
        near,
        far,
    }
}

impl TwoDirectories {
    fn open(&self) -> HarborJobs {
        HarborJobs::open(&[&self.near, &self.far], Options::default()).unwrap()
    }
}

fn names(listed: &[Value]) -> Vec<&str> {
    let mut names: Vec<&str> = listed.iter().filter_map(|r| r["name"].as_str()).collect();
    names.sort_unstable();
    names
}

const ALL: [&str; 4] = [
    "2026-11-23__16-43-17",
    "interrupted-midway",
    "killed-midway",
    "nightly-mixed",
];

#[tokio::test]
async fn the_jobs_of_all_directories_are_one_list_that_says_where_each_is() {
    let two = two_directories();
    let jobs = two.open();
    let listed = list(&jobs, RunKind::Evaluation).await;
    assert_eq!(names(&listed), ALL);
    let far = two.far.join("interrupted-midway");
    let run = run_in_folder(&jobs, "interrupted-midway").await;
    assert_eq!(run["remote_ref"], far.to_str().unwrap());
    assert!(
        run["harbor"]["job_uri"]
            .as_str()
            .unwrap()
            .ends_with(far.to_str().unwrap())
    );
}

#[tokio::test]
async fn a_job_copied_into_another_directory_keeps_its_id_in_the_first_one() {
    let two = two_directories();
    let original = two.near.join("nightly-mixed");
    let id = restore_written_time(&original).await;
    // The other directory comes first in the alphabet.
    copy_tree(&original, &two.far.join("nightly-mixed"));
    let jobs = two.open();
    let listed = list(&jobs, RunKind::Evaluation).await;
    let of = |dir: &Path| {
        let path = dir.join("nightly-mixed");
        let found = listed
            .iter()
            .find(|run| run["remote_ref"] == path.to_str().unwrap());
        found.unwrap().clone()
    };
    assert_eq!(of(&two.near)["id"], id);
    assert_eq!(of(&two.far)["id"], "nightly-mixed");
    let note = of(&two.far)["harbor"]["note"].to_string();
    assert!(note.contains(original.to_str().unwrap()), "{note}");
}

/// Sets the modification time of a job's result to the time at which Harbor wrote it, which copying did not
/// keep; returns the job's id.
async fn restore_written_time(job: &Path) -> String {
    let jobs = HarborJobs::open(&[job.parent().unwrap()], Options::default()).unwrap();
    let run = run_in_folder(&jobs, "nightly-mixed").await;
    let at = docks_proto::time::UnixMs::parse(run["updated_at"].as_str().unwrap()).unwrap();
    let at = std::time::UNIX_EPOCH + Duration::from_millis(u64::try_from(at.0).unwrap());
    let result = job.join("result.json");
    let file = fs::File::options().append(true).open(result).unwrap();
    file.set_modified(at).unwrap();
    run["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_unreachable_directory_affects_no_other_and_comes_back() {
    let two = two_directories();
    let jobs = two.open();
    assert_eq!(list(&jobs, RunKind::Run).await.len(), 4);
    let lost = id_of(&jobs, "interrupted-midway").await;
    let away = two.far.with_extension("away");
    fs::rename(&two.far, &away).unwrap();

    let page = PageRequest::default();
    let failed = jobs.list(RunKind::Run, &page, None).await.unwrap_err();
    assert_eq!(failed.class(), FaultClass::Outage);
    assert!(failed.to_string().contains("far"), "{failed}");
    let failed = jobs.run(RunKind::Run, &lost, None).await.unwrap_err();
    assert_eq!(
        failed.class(),
        FaultClass::Outage,
        "no proof that it is gone"
    );
    assert_eq!(status_of_sample(&jobs, "killed-midway").await, "failed");

    // The other directory is still followed, and nothing else is reported as gone.
    copy_tree(&samples().join("killed-midway"), &two.near.join("another"));
    take_changes_until(&jobs, |changes| {
        assert!(changes.gone.is_empty(), "{:?}", changes.gone);
        changes
            .runs
            .iter()
            .any(|run| run.run.text().contains("another"))
    })
    .await;
    let why = match jobs.change_detection() {
        ChangeDetection::Rescans { reason: why } => why,
        other => panic!("{other:?}"),
    };
    assert!(why.contains("far"), "{why}");

    fs::rename(&away, &two.far).unwrap();
    assert_eq!(list(&jobs, RunKind::Run).await.len(), 5);
    fs::remove_dir_all(two.far.join("interrupted-midway")).unwrap();
    take_changes_until(&jobs, |changes| changes.gone == [lost.as_str()]).await;
    assert!(matches!(
        jobs.change_detection(),
        ChangeDetection::Events { .. }
    ));
}

/// Returns the status of a sample job by its id, also while lists fail.
async fn status_of_sample(jobs: &HarborJobs, folder: &str) -> String {
    let result = fs::read_to_string(samples().join(folder).join("result.json")).unwrap();
    let result: Value = serde_json::from_str(&result).unwrap();
    let run = crate::support::run(jobs, RunKind::Run, result["id"].as_str().unwrap()).await;
    run["status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_directory_that_appears_later_is_found_and_followed() {
    let two = two_directories();
    let away = two.far.with_extension("away");
    fs::rename(&two.far, &away).unwrap();
    assert!(HarborJobs::open(&[&two.near, &two.far], Options::default()).is_err());
    let jobs = HarborJobs::new(&[&two.near, &two.far], Options::default());
    let page = PageRequest::default();
    assert!(jobs.list(RunKind::Run, &page, None).await.is_err());
    assert_eq!(status_of_sample(&jobs, "killed-midway").await, "failed");
    fs::rename(&away, &two.far).unwrap();
    assert_eq!(names(&list(&jobs, RunKind::Run).await), ALL);
    // From now on, changes are reported.
    let changed = jobs.clone();
    let waiting = tokio::spawn(async move { changed.wait_for_changes().await });
    tokio::time::timeout(DEADLINE, waiting)
        .await
        .unwrap()
        .unwrap();
    jobs.take_changes().await.unwrap();
    copy_tree(&samples().join("killed-midway"), &two.far.join("late"));
    take_changes_until(&jobs, |changes| {
        changes.runs.iter().any(|run| run.id == "late")
    })
    .await;
}

#[tokio::test]
async fn a_renamed_job_keeps_its_id_and_its_copy_gets_its_name() {
    let two = two_directories();
    let old = two.near.join("nightly-mixed");
    let jobs = two.open();
    let id = id_of(&jobs, "nightly-mixed").await;
    // The copy comes first in the alphabet, or has the name that its trials know.
    for (renamed, copy) in [("renamed", "copy"), ("again", "nightly-mixed")] {
        let (renamed, copy) = (two.near.join(renamed), two.near.join(copy));
        let current = if old.exists() {
            old.clone()
        } else {
            two.near.join("renamed")
        };
        fs::rename(current, &renamed).unwrap();
        copy_tree(&renamed, &copy);
        let listed = list(&jobs, RunKind::Evaluation).await;
        let with_id: Vec<&Value> = listed.iter().filter(|run| run["id"] == id).collect();
        assert_eq!(with_id.len(), 1);
        assert_eq!(with_id[0]["remote_ref"], renamed.to_str().unwrap());
    }
}

#[tokio::test]
async fn a_job_that_was_renamed_and_copied_unseen_keeps_its_id() {
    let two = two_directories();
    let (renamed, copy) = (two.near.join("renamed"), two.near.join("copy"));
    fs::rename(two.near.join("nightly-mixed"), &renamed).unwrap();
    copy_tree(&renamed, &copy);
    let listed = list(&two.open(), RunKind::Evaluation).await;
    let place = |folder: &Path| {
        let path = folder.to_str().unwrap();
        let found = listed.iter().find(|run| run["remote_ref"] == path);
        found.unwrap()["id"].as_str().unwrap().to_owned()
    };
    assert_eq!(place(&copy), "copy");
    assert_ne!(place(&renamed), "renamed");
}
