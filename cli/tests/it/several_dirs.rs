//! Several jobs directories as one remote, through the real binaries.

use std::fs;
use std::path::PathBuf;

use crate::sealed::CommandResult;
use crate::test_home::{TestHome, eventually};

/// Moves two of the sample jobs into another directory; returns both directories.
fn split(home: &TestHome) -> (PathBuf, PathBuf) {
    let other = home.path("other-jobs");
    fs::create_dir(&other).unwrap();
    for job in ["nightly-mixed", "interrupted-midway"] {
        fs::rename(home.jobs().join(job), other.join(job)).unwrap();
    }
    (home.jobs(), other)
}

fn named(listed: &str) -> Vec<&str> {
    let mut names: Vec<&str> = listed.lines().collect();
    names.sort_unstable();
    names
}

const ALL: [&str; 4] = [
    "2026-11-23__16-43-17",
    "interrupted-midway",
    "killed-midway",
    "nightly-mixed",
];

#[test]
fn directories_are_named_by_option_environment_or_profile_in_any_order() {
    let home = TestHome::with_jobs();
    let (one, two) = split(&home);
    let (one, two) = (one.display(), two.display());
    let list = "runs eval-list --columns name";
    let listed = home.run(&format!("{list} --harbor {one} --harbor {two}"));
    assert_eq!(named(&listed.expect_success()), ALL);
    let listed = home.run(&format!("--harbor {two} --harbor {one} {list}"));
    assert_eq!(named(&listed.expect_success()), ALL);
    let mut command = home.command(list);
    command.env("DOCKS_HARBOR_JOBS", format!("{two}:{one}"));
    let listed = CommandResult::new(command.output().unwrap());
    assert_eq!(named(&listed.expect_success()), ALL);
    home.run(&format!("profile add both --harbor {one} --harbor {two}"))
        .expect_success();
    assert_eq!(
        named(&home.run(&format!("{list} -p both")).expect_success()),
        ALL
    );
    let profiles = home.run("profile list").expect_success();
    assert!(profiles.contains(&format!("{one}:{two}")), "{profiles}");
    // One remote, however it is named, and the daemon remembers it.
    let status = home.status();
    let remotes = status["remotes"].as_array().unwrap();
    assert_eq!(remotes.len(), 1, "{status}");
    assert_eq!(remotes[0]["location"], format!("{one}:{two}"));
    home.stop();
    home.run("daemon start").expect_success();
    eventually("the daemon opens what was used", || {
        let remotes = home.status()["remotes"].clone();
        remotes.as_array().is_some_and(|remotes| {
            remotes.len() == 1 && remotes[0]["location"] == format!("{one}:{two}")
        })
    });
}

#[test]
fn a_name_in_both_directories_is_ambiguous_and_both_paths_are_shown() {
    let home = TestHome::with_jobs();
    let (one, two) = split(&home);
    let both = format!("--harbor {} --harbor {}", one.display(), two.display());
    for (dir, id) in [(&one, "1111"), (&two, "2222")] {
        let job = dir.join("same");
        fs::create_dir(&job).unwrap();
        fs::write(job.join("job.log"), "").unwrap();
        fs::write(job.join("result.json"), RESULT.replace("1111", id)).unwrap();
    }
    home.run(&format!("sync --full {both}")).expect_success();
    let ended = home.run(&format!("runs eval-get same {both}"));
    assert_eq!(ended.code, Some(9), "{}", ended.stderr);
    for dir in [&one, &two] {
        let place = dir.join("same");
        assert!(
            ended.stderr.contains(place.to_str().unwrap()),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn a_name_is_ambiguous_also_if_it_is_the_id_of_a_copy() {
    let home = TestHome::with_jobs();
    let (one, two) = split(&home);
    let both = format!("--harbor {} --harbor {}", one.display(), two.display());
    let copy = std::process::Command::new("cp")
        .arg("-r")
        .arg(two.join("nightly-mixed"))
        .arg(&one)
        .status();
    assert!(copy.unwrap().success());
    home.run(&format!("sync --full {both}")).expect_success();
    for command in ["runs eval-get", "runs trials", "runs stop --force"] {
        let ended = home.run(&format!("{command} nightly-mixed {both}"));
        assert_eq!(ended.code, Some(9), "{command}: {}", ended.stderr);
        for dir in [&one, &two] {
            let place = dir.join("nightly-mixed");
            assert!(ended.stderr.contains(place.to_str().unwrap()), "{ended:?}");
        }
    }
    let alone = home.run(&format!(
        "runs eval-get nightly-mixed --harbor {}",
        one.display()
    ));
    alone.expect_success();
}

const RESULT: &str = r#"{"id": "11111111-7cbd-4a64-8ed5-0a0c72aee0a1",
    "started_at": "2026-11-23T16:43:23", "finished_at": "2026-11-23T16:44:23",
    "n_total_trials": 0, "stats": {}}"#;

#[test]
fn artifacts_of_each_directory_are_downloaded_and_a_missing_one_is_named() {
    let home = TestHome::with_jobs();
    let (one, two) = split(&home);
    let both = format!("--harbor {} --harbor {}", one.display(), two.display());
    for (dir, job) in [(&one, "killed-midway"), (&two, "nightly-mixed")] {
        let out = home.path(job);
        let line = format!(
            "runs artifacts {job} --type result -o {} {both}",
            out.display()
        );
        let paths = home.run(&line).expect_success();
        let run = paths.lines().find(|path| path.contains("/run/")).unwrap();
        let source = fs::read(dir.join(job).join("result.json")).unwrap();
        assert_eq!(fs::read(run).unwrap(), source);
    }
    fs::rename(&two, home.path("unplugged")).unwrap();
    let ended = home.run(&format!("runs eval-list --columns name {both}"));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(named(&ended.stdout), ALL);
    let fresh = home.run(&format!("runs eval-list --fresh {both}"));
    assert_ne!(
        fresh.code,
        Some(0),
        "a missing directory cannot be confirmed"
    );
    assert!(
        fresh.stderr.contains(two.to_str().unwrap()),
        "{}",
        fresh.stderr
    );
    let trials = home.run(&format!("runs trials killed-midway --fresh -q {both}"));
    assert_eq!(
        trials.expect_success().lines().count(),
        8,
        "that one is within reach"
    );
}

#[test]
fn a_profile_cannot_hold_a_directory_with_a_colon() {
    let home = TestHome::with_jobs();
    let colon = home.path("with:colon");
    fs::create_dir(&colon).unwrap();
    let ended = home.run(&format!("profile add odd --harbor {}", colon.display()));
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("colon"), "{}", ended.stderr);
}
