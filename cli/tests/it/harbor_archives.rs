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
        compared
            .stderr
            .contains("before: 2 of 3 passed, reward 0.667"),
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
        "steady: 1 of 4 passed, reward 0.625",
        "crashy: 1 of 4 passed, reward 0.25",
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
    let beta = home.run_jobs("runs trial j beta__MMMMMM2").expect_success();
    assert!(beta.contains("Git LFS pointer"), "{beta}");
}
