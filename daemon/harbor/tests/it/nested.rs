//! Jobs at any depth below a directory, a job itself, and trials without a job.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use docks_proto::routes::RunKind;
use docksd_harbor::HarborJobs;
use docksd_remote::Remote;
use docksd_testkit::harbor_jobs::{copy_tree, samples};

use crate::archives::case;
use crate::support::{list, open, open_now, take_changes_until, trials};

async fn names(jobs: &HarborJobs) -> Vec<String> {
    let listed = list(jobs, RunKind::Evaluation).await;
    let mut names: Vec<String> = listed
        .iter()
        .map(|job| job["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

fn notice(jobs: &HarborJobs) -> String {
    jobs.notice().map_or_else(String::new, |notice| notice.text)
}

#[tokio::test]
async fn jobs_of_a_repository_are_found_and_have_the_ids_of_their_own_directory() {
    let (dir, _) = case("nested");
    let repo = dir.path().join("repo");
    let jobs = open_now(&repo);
    assert_eq!(names(&jobs).await, ["run-1", "run-1"]);
    assert_eq!(notice(&jobs), "");
    let nested = list(&jobs, RunKind::Run).await;
    for round in ["r1", "r2"] {
        let flat = open_now(&repo.join("feedback").join(round).join("jobs"));
        let flat = list(&flat, RunKind::Run).await;
        assert!(nested.iter().any(|job| job["id"] == flat[0]["id"]));
        let id = flat[0]["id"].as_str().unwrap();
        assert_eq!(trials(&jobs, id).await.len(), 1);
    }
    // Also next to jobs of the directory itself, and in folders below a folder that looks like none.
    copy_tree(
        &samples().join("killed-midway"),
        &repo.join("killed-midway"),
    );
    assert_eq!(names(&jobs).await, ["killed-midway", "run-1", "run-1"]);
    fs::remove_dir_all(repo.join("feedback/r1")).unwrap();
    assert_eq!(names(&jobs).await, ["killed-midway", "run-1"]);
}

#[tokio::test]
async fn a_job_itself_can_be_named() {
    let jobs = open(&samples().join("killed-midway"));
    assert_eq!(names(&jobs).await, ["killed-midway"]);
    let id = list(&jobs, RunKind::Run).await[0]["id"].clone();
    let all = list(&open(&samples()), RunKind::Run).await;
    assert!(all.iter().any(|job| job["id"] == id));
    assert_eq!(trials(&jobs, "killed-midway").await.len(), 8);
}

#[tokio::test]
async fn trials_without_a_job_are_shown_as_one() {
    let (_dir, jobs) = case("timeout-but-solved");
    let trials_dir = jobs.join("before");
    for file in ["job.log", "config.json", "result.json"] {
        fs::remove_file(trials_dir.join(file)).unwrap();
    }
    for dir in [&trials_dir, &jobs] {
        let opened = open_now(dir);
        let listed = list(&opened, RunKind::Evaluation).await;
        let alone = listed.iter().find(|job| job["name"] == "before").unwrap();
        assert_eq!(alone["status"], "completed", "{}", dir.display());
        assert_eq!(
            (&alone["id"], &alone["total_trials"]),
            (&"before".into(), &3.into())
        );
        assert_eq!(trials(&opened, "before").await.len(), 3);
    }
    let one = open_now(&trials_dir.join("alpha__AAAAAA1"));
    assert_eq!(names(&one).await, Vec::<String>::new());
    assert!(
        notice(&one).contains("is one trial; `--harbor"),
        "{}",
        notice(&one)
    );
    // Jobs beside them are no trials.
    copy_tree(&jobs.join("after"), &trials_dir.join("after"));
    let both = open_now(&trials_dir);
    assert_eq!(names(&both).await, ["after", "before"]);
    assert_eq!(trials(&both, "before").await.len(), 3);
}

#[tokio::test]
async fn what_is_left_out_is_said_with_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    copy_tree(
        &samples().join("killed-midway"),
        &outside.path().join("linked"),
    );
    let root = dir.path().canonicalize().unwrap();
    let jobs = open(&root);
    assert_eq!(names(&jobs).await, Vec::<String>::new());
    assert!(jobs.notice().unwrap().explains_emptiness);
    assert!(
        notice(&jobs).contains("1 folder searched"),
        "{}",
        notice(&jobs)
    );
    copy_tree(
        &samples().join("killed-midway"),
        &root.join("killed-midway"),
    );
    assert_eq!(names(&jobs).await, ["killed-midway"]);
    assert_eq!(notice(&jobs), "");
    symlink(outside.path().join("linked"), root.join("linked")).unwrap();
    symlink(&root, root.join("loop")).unwrap();
    fs::create_dir_all(root.join("a/b/c/d/e/f/g/h/i/j")).unwrap();
    fs::create_dir_all(root.join("runs/2025-01-01__00-00-00")).unwrap();
    fs::write(
        root.join("runs/2025-01-01__00-00-00/run_metadata.json"),
        "{}",
    )
    .unwrap();
    assert_eq!(names(&jobs).await, ["killed-midway"]);
    let said = notice(&jobs);
    for part in [
        "2 symbolic links",
        "what is in 1 folder below the deepest level",
        "1 run of Terminal-Bench (`tb`)",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // Root reads everything.
    if fs::create_dir(root.join("closed")).is_ok() && !is_root() {
        let locked = fs::Permissions::from_mode(0o000);
        fs::set_permissions(root.join("closed"), locked).unwrap();
        names(&jobs).await;
        let said = notice(&jobs);
        fs::set_permissions(root.join("closed"), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(said.contains("1 folder that cannot be read"), "{said}");
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

#[tokio::test]
async fn folders_of_dependencies_and_files_of_other_programs_are_no_jobs() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let job = samples().join("killed-midway");
    for hidden in [
        ".git/x",
        "pkg/node_modules/x",
        "pkg/.venv/x",
        "pkg/__pycache__/x",
        "pkg/_old/x",
        "rust/target/x",
        "env/lib/x",
    ] {
        copy_tree(&job, &root.join(hidden));
    }
    fs::write(root.join("rust/target/CACHEDIR.TAG"), "").unwrap();
    fs::write(root.join("env/pyvenv.cfg"), "").unwrap();
    for (folder, file, text) in [
        ("app", "config.json", r#"{"port":80}"#),
        ("app/deep", "result.json", r#"{"ok":true}"#),
        ("farm", "config.json", r#"{"agents":[],"retry":3}"#),
        ("web", "lock.json", "[]"),
        ("tool", "config.json", "// with a comment\n{}"),
    ] {
        fs::create_dir_all(root.join(folder)).unwrap();
        fs::write(root.join(folder).join(file), text).unwrap();
    }
    let jobs = open(root);
    assert_eq!(names(&jobs).await, Vec::<String>::new());
}

#[tokio::test]
async fn changes_of_nested_jobs_and_new_ones_are_noticed() {
    let (dir, _) = case("nested");
    let repo = dir.path().join("repo").canonicalize().unwrap();
    let jobs = open_now(&repo);
    list(&jobs, RunKind::Run).await;
    let r1 = repo.join("feedback/r1/jobs");
    // The first wait starts the watches; what they find at first is delivered.
    take_changes_until(&jobs, |_| true).await;
    rewrite(
        &r1.join("run-1/result.json"),
        "\"n_total_trials\":1",
        "\"n_total_trials\":7",
    );
    take_changes_until(&jobs, |changes| {
        let mut runs = changes.runs.iter();
        runs.any(|run| run.evaluation.text().contains("\"total_trials\":7"))
    })
    .await;
    copy_tree(&samples().join("killed-midway"), &r1.join("late"));
    take_changes_until(&jobs, |changes| {
        changes
            .runs
            .iter()
            .any(|run| run.run.text().contains("\"name\":\"late\""))
    })
    .await;
    fs::remove_dir_all(r1.join("late")).unwrap();
    take_changes_until(&jobs, |changes| !changes.gone.is_empty()).await;
}

fn rewrite(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

#[tokio::test]
async fn a_second_search_lists_and_reads_nothing_again() {
    let (dir, _) = case("nested");
    let jobs = open(&dir.path().join("repo"));
    list(&jobs, RunKind::Run).await;
    list(&jobs, RunKind::Run).await;
    let before = jobs.scan_cost().files_read;
    list(&jobs, RunKind::Run).await;
    assert_eq!(jobs.scan_cost().files_read, before);
}
