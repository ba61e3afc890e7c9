//! One command over several remotes: what one of them cannot answer takes nothing from the others.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::test_home::TestHome;

/// Names of the bundled jobs.
const JOBS: [&str; 4] = [
    "2026-11-23__16-43-17",
    "interrupted-midway",
    "killed-midway",
    "nightly-mixed",
];

/// Creates a home with the profiles `a` and `b`, each a copy of the bundled jobs, `b` with one more, and
/// `away` and `gone`, which cannot be reached.
fn home() -> TestHome {
    let home = TestHome::with_jobs();
    let (a, b) = (home.path("a"), home.path("b"));
    for dir in [&a, &b] {
        let copied = std::process::Command::new("cp")
            .arg("-a")
            .args([&home.jobs(), dir])
            .status();
        assert!(copied.unwrap().success());
    }
    let only = b.join("only-in-b");
    fs::create_dir(&only).unwrap();
    let result = r#"{"id": "0b5ef4a6-9a3c-4b6e-9a53-000000000001", "started_at": "2025-11-23T16:43:23",
        "finished_at": "2025-11-23T16:44:23", "n_total_trials": 0, "stats": {}}"#;
    fs::write(only.join("result.json"), result).unwrap();
    let config = format!(
        "[a]\nharbor_jobs = \"{}\"\n\n[b]\nharbor_jobs = \"{}\"\n\n",
        a.display(),
        b.display()
    );
    home.write_settings(config);
    home
}

fn add_unreachable(home: &TestHome, name: &str) {
    let path = home.path("docks/config.toml");
    let mut config = fs::read_to_string(&path).unwrap();
    config.push_str(&format!(
        "[{name}]\napi_url = \"http://127.0.0.1:9\"\ntenant_id = \"t\"\ntoken = \"canary\"\n\n"
    ));
    fs::write(path, config).unwrap();
}

fn rows(text: &str) -> Vec<(String, String)> {
    let rows: Vec<Value> = serde_json::from_str(text).unwrap();
    let field = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    rows.iter()
        .map(|row| (field(row, "name"), field(row, "remote")))
        .collect()
}

#[test]
fn lists_are_merged_sorted_and_cut_as_one() {
    let home = home();
    for selected in ["-p a,b", "-p a -p b", "-p all"] {
        let list = home.run(&format!(
            "{selected} runs eval-list --sort name -n 3 --format json"
        ));
        assert!(list.stderr.contains("3 of 9"), "{}", list.stderr);
        let listed = rows(&list.expect_success());
        let names: Vec<&str> = listed.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, [JOBS[0], JOBS[0], JOBS[1]], "{selected}");
        let remotes: BTreeSet<&str> = listed.iter().map(|(_, remote)| remote.as_str()).collect();
        assert_eq!(remotes, BTreeSet::from(["a", "b"]));
    }
    let table = home.run("-p a,b runs eval-list --sort name --format tsv");
    let table = table.expect_success();
    let mut lines = table.lines();
    assert!(lines.next().unwrap().ends_with("\tREMOTE"), "{table}");
    assert_eq!(lines.filter(|line| line.ends_with("\tb")).count(), 5);
    let chosen = home.run("-p a,b runs eval-list --columns remote,name --search only");
    assert_eq!(chosen.expect_success(), "b\tonly-in-b\n");
    let trials = home.run("-p a,b runs trials --all-runs -n 0 --format json");
    let trials: Vec<Value> = serde_json::from_str(&trials.expect_success()).unwrap();
    let of_a = trials.iter().filter(|trial| trial["remote"] == "a").count();
    assert_eq!((of_a * 2, of_a > 30), (trials.len(), true));
    let meta = home.run("-p a,b --meta runs list --format json");
    let meta: Value = serde_json::from_str(&meta.expect_success()).unwrap();
    assert_eq!(meta["total"], 9);
    assert_eq!(meta["remotes"].as_array().unwrap().len(), 2);
    assert!(meta["remotes"][0]["age_ms"].is_u64(), "{meta}");
    // One remote looks as ever.
    let one = home
        .run("-p a runs eval-list --format tsv")
        .expect_success();
    assert!(!one.contains("REMOTE"), "{one}");
    assert_eq!(home.run("-p a,b auth status").code, Some(2));
    assert_eq!(home.run("-p a,zzz runs list").code, Some(1));
}

#[test]
fn a_remote_that_does_not_answer_takes_nothing_from_the_others() {
    let home = home();
    add_unreachable(&home, "away");
    let list = home.run("-p all runs list -n 0 -q");
    assert_eq!(list.code, Some(1), "{list:?}");
    assert_eq!(list.stdout.lines().count(), 9);
    assert!(list.stderr.contains("warning: away: "), "{}", list.stderr);
    assert!(list.stderr.contains("1 of 3 remotes"), "{}", list.stderr);
    let meta = home.run("-p a,away --meta runs list --format json");
    let meta: Value = serde_json::from_str(&meta.stdout).unwrap();
    assert_eq!(meta["remotes"][1]["remote"], "away");
    assert!(meta["remotes"][1]["error"].is_string(), "{meta}");
    add_unreachable(&home, "gone");
    let none = home.run("-p away,gone runs list");
    assert_eq!(none.code, Some(5), "{none:?}");
    // A run can be read, but not changed, while one remote may have it, too.
    let read = home.run("-p a,away runs eval-get nightly-mixed");
    assert_eq!(read.code, Some(0), "{read:?}");
    assert!(read.stderr.contains("away: "), "{}", read.stderr);
    let stop = home.run("-p a,away runs stop nightly-mixed --force");
    assert_eq!(stop.code, Some(5), "{stop:?}");
    assert!(stop.stderr.contains("cannot tell"), "{}", stop.stderr);
}

#[test]
fn a_run_is_found_in_the_remote_that_has_it() {
    let home = home();
    let get = home.run("-p a,b runs get only-in-b --format json");
    assert!(get.expect_success().contains("only-in-b"));
    let both = home.run("-p a,b runs eval-get nightly-mixed");
    assert_eq!(both.code, Some(9), "{both:?}");
    for said in ["a, b", "-p a", "a:nightly-mixed"] {
        assert!(both.stderr.contains(said), "{said}: {}", both.stderr);
    }
    for line in [
        "runs eval-get b:nightly-mixed",
        "runs trials a:nightly-mixed -q",
        "runs history b:nightly-mixed",
    ] {
        home.run(&format!("-p a,b {line}")).expect_success();
    }
    let stop = home.run("-p a,b runs stop nightly-mixed --force");
    assert_eq!(stop.code, Some(9), "{stop:?}");
    let missing = home.run("-p a,b runs get no-such-run");
    assert_eq!(missing.code, Some(3), "{missing:?}");
    assert!(missing.stderr.contains("a, b"), "{}", missing.stderr);
    let ended = home.run("-p a,b runs stop b:nightly-mixed --force");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("is not running"), "{}", ended.stderr);
}

#[test]
fn runs_of_several_remotes_are_compared_watched_and_their_changes_listed() {
    let home = home();
    let compared = home.run("-p a,b runs compare a:nightly-mixed b:nightly-mixed --format json");
    let compared: Value = serde_json::from_str(&compared.expect_success()).unwrap();
    assert_eq!(compared["runs"][0]["remote"], "a");
    assert_eq!(compared["runs"][1]["remote"], "b");
    assert_eq!(compared["better"].as_array().unwrap().len(), 0);
    let line = "-p a,b runs watch a:nightly-mixed b:nightly-mixed only-in-b --format jsonl";
    let watched = home.run(line);
    assert_eq!(watched.code, Some(0), "{watched:?}");
    let events: Vec<Value> = watched
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let remotes: BTreeSet<&str> = events
        .iter()
        .filter(|event| event["event"] == "state")
        .map(|event| event["remote"].as_str().unwrap())
        .collect();
    assert_eq!(remotes, BTreeSet::from(["a", "b"]));
    let names = home.run("-p a,b runs watch a:nightly-mixed b:nightly-mixed --format tsv");
    let names = names.expect_success();
    assert!(names.contains("\ta:nightly-mixed\t"), "{names}");
    let changes = home.run("-p a,b runs changes --since 3000d --kind evaluation --format tsv");
    let changes = changes.expect_success();
    assert!(changes.lines().next().unwrap().ends_with("\tremote"));
    for remote in ["\ta\n", "\tb\n"] {
        assert!(changes.contains(remote), "{changes}");
    }
    let json = home.run("-p a,b runs changes --since 3000d -n 1 --format json");
    let json: Vec<Value> = serde_json::from_str(&json.expect_success()).unwrap();
    assert_eq!(json.len(), 1);
    assert!(json[0]["remote"].is_string());
}

#[test]
fn jobs_directories_are_named_beside_profiles_and_each_other() {
    let home = home();
    let (a, b) = (home.path("a"), home.path("b"));
    let mixed = home.run(&format!(
        "-p a --harbor {} runs list -n 0 --format json",
        b.display()
    ));
    let remotes: BTreeSet<String> = rows(&mixed.expect_success())
        .into_iter()
        .map(|(_, remote)| remote)
        .collect();
    assert_eq!(
        remotes,
        BTreeSet::from(["a".to_owned(), b.display().to_string()])
    );
    let dirs = home.run(&format!(
        "--harbor {} --harbor {} runs list -n 0 --format json",
        a.display(),
        b.display()
    ));
    let remotes: BTreeSet<String> = rows(&dirs.expect_success())
        .into_iter()
        .map(|(_, remote)| remote)
        .collect();
    let expected = [a, b].map(|dir| dir.display().to_string());
    assert_eq!(remotes, BTreeSet::from(expected));
}
