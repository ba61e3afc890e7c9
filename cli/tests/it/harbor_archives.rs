//! Harbor jobs as they are kept in archives and repositories, through the real binaries.

use std::path::Path;
use std::process::Command;

use crate::test_home::TestHome;

/// Creates a home with a copy of a case in `jobs`; the copies are new, as in a checkout.
fn home_with(case: &str) -> TestHome {
    let home = TestHome::new();
    let cases =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../daemon/harbor/tests/data/harbor-cases");
    let mut copy = Command::new("cp");
    copy.arg("-r")
        .arg(cases.join(case).join("jobs"))
        .arg(home.jobs());
    assert!(copy.status().unwrap().success());
    home
}

#[test]
fn a_solved_trial_with_an_error_is_passed_in_lists_and_comparisons() {
    let home = home_with("timeout-but-solved");
    let list = home.run_jobs("runs eval-list --columns name,pass-rate --format tsv");
    for line in list
        .expect_success()
        .lines()
        .filter(|line| !line.starts_with("NAME"))
    {
        assert!(line.ends_with("0.6667"), "{line}");
    }
    let compared = home.run_jobs("runs compare before after --format tsv");
    assert!(
        compared.stderr.contains("before: 2 of 3 solved, 66.7 %"),
        "{compared:?}"
    );
    assert!(
        compared.stderr.contains("0 better") && compared.stderr.contains("0 worse"),
        "{compared:?}"
    );
    let shown = home.run_jobs("runs eval-get before").expect_success();
    assert!(
        shown.contains("2 passed (1 with an error), 1 failed, 1 errored"),
        "{shown}"
    );
}

#[test]
fn a_comparison_has_the_means_of_harbor() {
    let home = home_with("errors-lift-the-mean");
    let compared = home.run_jobs("runs compare steady crashy --format tsv");
    for head in [
        "steady: 1 of 4 solved",
        "reward 0.625, 3m00s (completed)",
        "crashy: 1 of 4 solved",
        "reward 0.25, 3m00s, 3 with an error",
    ] {
        assert!(compared.stderr.contains(head), "{}", compared.stderr);
    }
    let home = home_with("harbor-0.26-valid-rewards");
    let compared = home
        .run_jobs("runs compare j j --format json")
        .expect_success();
    let compared: serde_json::Value = serde_json::from_str(&compared).unwrap();
    assert_eq!(
        (
            &compared["runs"][0]["reward"],
            &compared["runs"][0]["passed"]
        ),
        (&1.0.into(), &2.into())
    );
    let found = home
        .run_jobs("runs trials j --error ApiRateLimitError -q")
        .expect_success();
    assert_eq!(found, "delta__QQQQQQ4\n");
}

#[test]
fn a_job_without_folders_of_trials_says_so_and_has_its_times() {
    let home = home_with("job-files-only");
    let shown = home.run_jobs("runs eval-get summary-only").expect_success();
    for part in [
        "2026-02-10T15:10:00",
        "10m00s",
        "the folders of 3 trials that ended are not here",
        "UTC is assumed",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let trials = home
        .run_jobs("runs trials summary-only --format tsv")
        .expect_success();
    assert_eq!(trials.lines().count(), 4, "{trials}");
}

#[test]
fn cached_tokens_beside_the_input_are_shown_as_a_part_of_it() {
    let home = home_with("cached-beside-input");
    let shown = home.run_jobs("runs eval-get j").expect_success();
    assert!(shown.contains("3156 in, 3009 of them cached"), "{shown}");
    let trial = home
        .run_jobs("runs trial j alpha__GGGGGG1")
        .expect_success();
    assert!(trial.contains("3156"), "{trial}");
    let raw = home
        .run_jobs("runs trial j alpha__GGGGGG1 --format json")
        .expect_success();
    assert!(raw.contains(r#""prompt_tokens":147"#), "{raw}");
}

#[test]
fn git_lfs_pointers_are_named_wherever_a_file_is_read() {
    let home = home_with("lfs-pointers");
    let read = home.run_jobs("runs trajectory j alpha__MMMMMM1");
    assert_ne!(read.code, Some(0));
    let wanted = "agent/trajectory.json is a Git LFS pointer; run `git lfs pull`";
    assert!(read.stderr.contains(wanted), "{}", read.stderr);
    assert!(!read.stderr.contains("cut off"), "{}", read.stderr);
    let read = home.run_jobs("runs logs j alpha__MMMMMM1");
    assert!(
        read.stderr.contains("agent/acme.txt is a Git LFS pointer"),
        "{}",
        read.stderr
    );
    let out = home.path("out");
    let fetched = home.run_jobs(&format!("runs artifacts j -o {}", out.display()));
    assert!(
        fetched
            .stderr
            .contains("trajectory.json is a Git LFS pointer"),
        "{}",
        fetched.stderr
    );
    let beta = home.run_jobs("runs trial j beta__MMMMMM2").expect_success();
    assert!(beta.contains("Git LFS pointer"), "{beta}");
}

#[test]
fn jobs_below_a_directory_are_found_and_an_empty_list_says_what_was_looked_at() {
    let home = TestHome::new();
    let cases =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../daemon/harbor/tests/data/harbor-cases");
    let mut copy = Command::new("cp");
    copy.arg("-r")
        .arg(cases.join("nested/repo"))
        .arg(home.path("repo"));
    assert!(copy.status().unwrap().success());
    let repo = home.path("repo");
    let listed = home.run(&format!("runs eval-list -q --harbor {}", repo.display()));
    assert_eq!(listed.expect_success().lines().count(), 2);
    let ambiguous = home.run(&format!("runs eval-get run-1 --harbor {}", repo.display()));
    assert_eq!(ambiguous.code, Some(9), "{ambiguous:?}");
    for round in ["r1", "r2"] {
        let place = repo.join("feedback").join(round).join("jobs/run-1");
        assert!(
            ambiguous.stderr.contains(place.to_str().unwrap()),
            "{}",
            ambiguous.stderr
        );
    }
    // A directory without jobs.
    std::fs::create_dir_all(home.path("empty/a/b")).unwrap();
    let empty = home.path("empty");
    for _ in 0..2 {
        let listed = home.run(&format!("runs eval-list --harbor {}", empty.display()));
        let said = format!("no Harbor jobs in {}: 3 folders searched", empty.display());
        assert!(listed.stderr.contains(&said), "{listed:?}");
    }
    // What is left out is said once.
    std::os::unix::fs::symlink(repo.join("feedback/r1"), repo.join("link")).unwrap();
    let list = format!("runs eval-list --fresh --harbor {}", repo.display());
    let said: Vec<bool> = (0..3)
        .map(|_| home.run(&list).stderr.contains("left out: 1 symbolic link"))
        .collect();
    assert_eq!(said, [true, false, false]);
    let status = home.run("daemon status").expect_success();
    assert!(status.contains("left out: 1 symbolic link"), "{status}");
    // A directory that was named by mistake can be forgotten as the status says.
    let remotes = home.status()["remotes"].clone();
    let mistake = remotes.as_array().unwrap().iter();
    let mistake = mistake
        .clone()
        .find(|remote| remote["location"] == empty.to_str().unwrap());
    let mirror = mistake.unwrap()["mirror"].as_str().unwrap().to_owned();
    assert!(
        status.contains(&format!("docks cache forget {mirror}")),
        "{status}"
    );
    home.run(&format!("cache forget {mirror} --yes"))
        .expect_success();
    let remotes = home.status()["remotes"].to_string();
    assert!(!remotes.contains(empty.to_str().unwrap()), "{remotes}");
}

#[test]
fn the_jobs_directory_here_is_the_default_where_nothing_else_is_set() {
    let home = home_with("errors-lift-the-mean");
    let listed = home.run("runs eval-list --columns name --format tsv");
    let mut names: Vec<String> = listed.expect_success().lines().map(str::to_owned).collect();
    names.sort();
    assert_eq!(names, ["NAME", "crashy", "steady"]);
    let explained = home.run("config explain").expect_success();
    assert!(
        explained.contains(home.jobs().to_str().unwrap()),
        "{explained}"
    );
    let job = home.run(&format!(
        "runs eval-list -q --harbor {}",
        home.jobs().join("steady").display()
    ));
    assert_eq!(job.expect_success().lines().count(), 1);
    // Anything else that is set comes first.
    home.profile("http://127.0.0.1:9", "t");
    let other = home.run("runs eval-list --columns name");
    assert_ne!(other.code, Some(0), "{other:?}");
}
