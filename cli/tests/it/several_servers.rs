//! One command over several `harbor serve`, profiles and jobs directories.

use std::collections::BTreeSet;

use docksd_testkit::fake_harbor::FakeHarbor;
use serde_json::Value;

use crate::harbor_server::{Served, attempt};
use crate::test_home::TestHome;

const WEEKLY: &str = "33333333-0000-4000-8000-000000000000";

/// A server with the job `nightly`, another with `weekly` and `nightly`, and a home with the profile `lab`.
fn two_servers() -> (Served, FakeHarbor) {
    let served = Served::start_with(TestHome::with_jobs());
    let second = served.runtime.block_on(FakeHarbor::start());
    second.with(|data| {
        data.job(WEEKLY, "weekly", "finished");
        data.attempt(WEEKLY, &attempt("b", "finished"));
        data.job("44444444-0000-4000-8000-000000000000", "nightly", "running");
    });
    let lab = format!(
        "[lab]\nharbor_jobs = \"{}\"\n",
        served.home.jobs().display()
    );
    served.home.write_settings(lab);
    (served, second)
}

fn remotes(text: &str) -> BTreeSet<String> {
    let rows: Vec<Value> = serde_json::from_str(text).unwrap();
    let remote = |row: &Value| row["remote"].as_str().unwrap().to_owned();
    rows.iter().map(remote).collect()
}

#[test]
fn servers_profiles_and_directories_are_one_list() {
    let (served, second) = two_servers();
    let (one, two) = (served.server.url(), second.url());
    let jobs = served.home.jobs().display().to_string();
    let all = BTreeSet::from(["lab".to_owned(), jobs.clone(), one.clone(), two.clone()]);
    for list in ["runs list", "runs eval-list", "runs trials --all-runs"] {
        let listed = served.run(&format!(
            "--harbor-server {two}/ --harbor-server {two} -p lab --harbor {jobs} {list} -n 0 --format json"
        ));
        let listed = listed.expect_success();
        assert_eq!(remotes(&listed), all, "{list}");
        // The server that is named twice is asked once.
        let rows: Vec<Value> = serde_json::from_str(&listed).unwrap();
        let own = |row: &Value| {
            (
                row["remote"].to_string(),
                row["run_id"].to_string(),
                row["id"].to_string(),
            )
        };
        let different: BTreeSet<_> = rows.iter().map(own).collect();
        assert_eq!(different.len(), rows.len(), "{list}");
    }
    let both = format!("--harbor-server {two}");
    let found = served.run(&format!(
        "{both} runs eval-list --search week --columns name,remote"
    ));
    assert_eq!(found.expect_success(), format!("weekly\t{two}\n"));
    let weekly = served.run(&format!("{both} runs eval-get weekly --format json"));
    assert!(weekly.expect_success().contains(WEEKLY));
    let ambiguous = served.run(&format!("{both} runs eval-get nightly"));
    assert_eq!(ambiguous.code, Some(9), "{ambiguous:?}");
    let hint = format!("--harbor-server {one}, or as {one}:nightly");
    assert!(ambiguous.stderr.contains(&hint), "{}", ambiguous.stderr);
    let compared = served.run(&format!(
        "{both} runs compare {one}:nightly weekly --format json"
    ));
    let compared: Value = serde_json::from_str(&compared.expect_success()).unwrap();
    assert_eq!(compared["runs"][0]["remote"], one);
    assert_eq!(compared["runs"][1]["remote"], two);
    let watched = served.run(&format!("{both} runs watch weekly --format tsv"));
    let watched = watched.expect_success();
    assert!(watched.contains(&format!("\t{two}:weekly\t")), "{watched}");
    let changes = served.run(&format!(
        "{both} -p lab runs changes --since 3000d -n 0 --format json"
    ));
    assert!(remotes(&changes.expect_success()).is_superset(&BTreeSet::from([one, two])));
}

#[test]
fn a_server_that_is_away_takes_nothing_from_the_others_and_a_bad_address_is_said() {
    let (served, second) = two_servers();
    let url = second.url();
    drop(second);
    let listed = served.run(&format!("--harbor-server {url} runs eval-list -q"));
    assert_eq!(listed.code, Some(1), "{listed:?}");
    assert!(listed.stdout.starts_with("11111111"), "{}", listed.stdout);
    assert!(
        listed.stderr.contains(&format!("warning: {url}: ")),
        "{}",
        listed.stderr
    );
    let bad = served.run("--harbor-server nowhere runs eval-list");
    assert_eq!(bad.code, Some(2), "{bad:?}");
    let secret = served.run("--harbor-server http://me:canary@127.0.0.1:1 runs eval-list");
    assert_eq!(secret.code, Some(2), "{secret:?}");
    assert!(!secret.stderr.contains("canary"), "{}", secret.stderr);
    // A command about one remote names one.
    let one = served.run(&format!("--harbor-server {url} auth status"));
    assert_eq!(one.code, Some(2), "{one:?}");
}
