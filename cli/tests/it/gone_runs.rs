//! A run that was gone from the remote: what is said of it when it is back, or when another has its name.

use std::sync::{Arc, Mutex};

use crate::remote::Remote;
use crate::test_home::{TestHome, eventually};
use crate::watch::FakeRun;

/// Evaluation runs by id and name, all with one trial.
type Runs = Arc<Mutex<Vec<(&'static str, &'static str)>>>;

fn remote(runs: &Runs) -> Remote {
    let runs = Arc::clone(runs);
    Remote::start(move |asked| {
        let path = asked.split([' ', '?']).nth(1).unwrap();
        let runs = runs.lock().unwrap();
        let object = |(id, name): &(&str, &str)| {
            format!(
                r#"{{"id":"{id}","name":"{name}","status":"completed","created_at":"2026-01-01T00:00:00Z"}}"#
            )
        };
        let rest = path.trim_start_matches("/tenants/ten");
        let (run, part) = match rest.trim_start_matches("/harbor/runs/").split_once('/') {
            Some((run, part)) => (run, part),
            None => (rest.trim_start_matches("/harbor/runs/"), ""),
        };
        let found = runs.iter().find(|(id, _)| *id == run);
        match (rest, found, part) {
            ("/harbor/runs", ..) => {
                let all: Vec<_> = runs.iter().map(object).collect();
                (200, format!("[{}]", all.join(",")))
            }
            ("/runs", ..) => (200, "[]".to_owned()),
            (_, Some(run), "") => (200, object(run)),
            (_, Some((id, _)), "trials") => (
                200,
                format!(r#"[{{"id":"trial-of-{id}","task_slug":"task","status":"passed"}}]"#),
            ),
            _ => (404, r#"{"detail":"not found"}"#.to_owned()),
        }
    })
}

#[test]
fn a_run_that_is_back_or_whose_name_another_has_is_found() {
    let runs: Runs = Arc::new(Mutex::new(vec![("night", "night"), ("r2", "other")]));
    let remote = remote(&runs);
    let home = TestHome::with_remote(&remote);
    home.run("sync --full").expect_success();
    home.run("runs trials night").expect_success();
    let gone = |line: &str| {
        let said = home.run(line);
        assert_eq!(said.code, Some(3), "{line}: {said:?}");
    };

    runs.lock().unwrap().remove(0);
    home.run("sync --full").expect_success();
    gone("runs eval-get night");
    gone("runs eval-get night --fresh");
    gone("runs trials night");
    gone("runs trials night --fresh");

    // It is back, and a fresh read finds it.
    runs.lock().unwrap().push(("night", "night"));
    let trials = home.run("runs trials night --fresh --format json");
    assert!(trials.expect_success().contains("trial-of-night"));
    home.run("runs eval-get night").expect_success();

    // What was its id is the name of another run by now.
    runs.lock().unwrap().retain(|(id, _)| *id != "night");
    home.run("sync --full").expect_success();
    gone("runs eval-get night --fresh");
    runs.lock().unwrap().push(("r3", "night"));
    let other = home.run("runs eval-get night --fresh --format json");
    assert!(other.expect_success().contains(r#""id":"r3""#));
    let trials = home.run("runs trials night --format json");
    assert!(trials.expect_success().contains("trial-of-r3"));
}

#[test]
fn a_fresh_list_lacks_what_is_gone_and_after_a_404_every_list_does() {
    let runs: Runs = Arc::new(Mutex::new(vec![
        ("night", "night"),
        ("r2", "other"),
        ("r3", "third"),
    ]));
    let remote = remote(&runs);
    let home = TestHome::with_remote(&remote);
    home.run("sync --full").expect_success();
    let ids = |line: &str| home.run(line).expect_success();

    runs.lock().unwrap().remove(0);
    assert_eq!(ids("runs eval-list --quiet --fresh --sort id"), "r2\nr3\n");
    let gone = home.run("runs eval-get night");
    assert_eq!(gone.code, Some(3), "{gone:?}");

    runs.lock().unwrap().remove(0);
    let gone = home.run("runs eval-get r2 --fresh");
    assert_eq!(gone.code, Some(3), "{gone:?}");
    eventually("the list lacks it", || {
        ids("runs eval-list --quiet --offline") == "r3\n"
    });
}

#[test]
fn a_trial_that_is_gone_is_not_shown() {
    let night = FakeRun::new(2);
    night.run("completed");
    night.trial(0, "passed");
    night.trial(1, "passed");
    let remote = night.start();
    let home = TestHome::with_remote(&remote);
    home.run("sync --full").expect_success();
    home.run("runs trial night t1").expect_success();
    night.remove_last_trial();
    let trials = home.run("runs trials night --fresh --quiet");
    assert_eq!(trials.expect_success(), "t0\n");
    for age in ["", "--fresh", "--offline"] {
        let gone = home.run(&format!("runs trial night t1 {age}"));
        assert_eq!(gone.code, Some(3), "{age}: {gone:?}");
    }
}
