//! `[[on_limit]]` rules of `daemon.toml`, with the real daemon.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::provisional_ids::{StartingJob, UUID, wait_for_id};
use crate::remote::Remote;
use crate::sealed::CommandResult;
use crate::test_home::{TestHome, eventually};

/// A run of [`Bills`].
#[derive(Debug, Clone)]
struct BilledRun {
    /// The only token that sees it.
    token: &'static str,
    status: &'static str,
    /// Of each trial that has ended, its cost and its error.
    trials: Vec<(Option<f64>, Option<&'static str>)>,
}

/// A Docks API whose runs cost money.
#[derive(Clone, Default)]
struct Bills {
    runs: Arc<Mutex<BTreeMap<String, BilledRun>>>,
    /// The requests to cancel a run, and the token that came with each.
    cancels: Arc<Mutex<Vec<(String, String)>>>,
    /// Whether these are answered with 503.
    is_down: Arc<Mutex<bool>>,
}

const TOKEN: &str = "canary-token";

impl Bills {
    fn add(
        &self,
        id: &'static str,
        status: &'static str,
        trials: &[(Option<f64>, Option<&'static str>)],
    ) {
        self.add_of(TOKEN, id, status, trials);
    }

    fn add_of(
        &self,
        token: &'static str,
        id: &'static str,
        status: &'static str,
        trials: &[(Option<f64>, Option<&'static str>)],
    ) {
        let trials = trials.to_vec();
        let run = BilledRun {
            token,
            status,
            trials,
        };
        self.runs.lock().unwrap().insert(id.to_owned(), run);
    }

    fn start(&self) -> Remote {
        let bills = self.clone();
        Remote::start_for_tokens(move |asked, token| bills.answer(asked, token.unwrap_or("")))
    }

    fn cancelled(&self) -> Vec<String> {
        let cancels = self.cancels.lock().unwrap();
        cancels.iter().map(|(run, _)| run.clone()).collect()
    }

    fn answer(&self, asked: &str, token: &str) -> (u16, String) {
        let path = asked.split([' ', '?']).nth(1).unwrap();
        let mut runs = self.runs.lock().unwrap();
        let rest = path.trim_start_matches("/tenants/ten/harbor/runs");
        let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
        let run = |id: &str, run: &BilledRun| {
            json!({"id": id, "name": format!("{id}-name"), "status": run.status, "total_trials": 5,
                "created_at": "2026-01-01T00:00:00Z", "started_at": "2026-01-01T00:00:01Z"})
        };
        match (path, &parts[..]) {
            ("/tenants/ten/runs", _) => (200, "[]".to_owned()),
            (_, []) => {
                let mine = runs.iter().filter(|(_, run)| run.token == token);
                (
                    200,
                    json!(mine.map(|(id, of)| run(id, of)).collect::<Vec<_>>()).to_string(),
                )
            }
            (_, [id, rest @ ..]) => {
                let Some(found) = runs.get_mut(*id).filter(|run| run.token == token) else {
                    return (404, r#"{"detail":"not found"}"#.to_owned());
                };
                match rest {
                    [] => (200, run(id, found).to_string()),
                    ["trials"] => {
                        let trials = found.trials.iter().enumerate().map(|(at, (cost, error))| {
                            let status = if error.is_some() { "error" } else { "passed" };
                            json!({"id": format!("{id}-{at}"), "task_slug": format!("task-{at}"),
                                "status": status, "error_message": error,
                                "result_data": {"reward": 1.0, "cost_usd": cost}})
                        });
                        (200, json!(trials.collect::<Vec<_>>()).to_string())
                    }
                    ["cancel"] => {
                        let cancel = ((*id).to_owned(), token.to_owned());
                        self.cancels.lock().unwrap().push(cancel);
                        if *self.is_down.lock().unwrap() {
                            return (503, r#"{"detail":"down"}"#.to_owned());
                        }
                        found.status = "cancelled";
                        (200, run(id, found).to_string())
                    }
                    _ => (404, r#"{"detail":"not found"}"#.to_owned()),
                }
            }
        }
    }
}

/// Writes rules, and starts a daemon with them.
fn start(home: &TestHome, rules: &str) {
    let keys = ["active_interval", "watched_interval", "idle_interval"];
    let settings = keys.map(|key| format!("{key} = \"1s\"\n")).concat() + rules;
    fs::write(home.path("docks/daemon.toml"), settings).unwrap();
    home.run("daemon start").expect_success();
}

/// Returns a rule that appends its reports to a file.
fn rule(file: &Path, keys: &str) -> String {
    let file = file.display();
    format!("[[on_limit]]\nexec = [\"/bin/sh\", \"-c\", \"cat >> {file}\"]\n{keys}\n")
}

/// Returns the reports in a file; the last line may still be written.
fn reports(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let lines = whole.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Returns the ids of the runs that are reported in a file.
fn runs(file: &Path) -> Vec<String> {
    let reports = reports(file).into_iter();
    let mut runs: Vec<String> = reports
        .map(|report| report["run"]["run_id"].as_str().unwrap().to_owned())
        .collect();
    runs.sort();
    runs
}

#[test]
fn a_run_over_a_limit_is_reported_and_stopped_once_also_by_the_next_daemon() {
    let bills = Bills::default();
    let cheap = [(Some(1.0), None), (None, None)];
    bills.add("over", "running", &cheap);
    bills.add("late", "running", &cheap);
    bills.add("early", "running", &[(Some(9.0), None)]);
    bills.add("ended", "failed", &[(Some(9.0), None)]);
    bills.add("broken", "running", &cheap);
    let remote = bills.start();
    let home = TestHome::with_remote(&remote);
    let [stopped, told, broken, long] =
        ["stopped", "told", "broken", "long"].map(|name| home.path(name));
    let rules = [
        rule(
            &stopped,
            "cost = 2\nprofile = \"default\"\nname = \"over-*\"\nstop = true",
        ),
        rule(&told, "cost = 2"),
        rule(&broken, "infrastructure = \"40%\"\nmin_trials = 4"),
        rule(&long, "duration = \"1h\"\nname = \"broken\""),
    ]
    .concat();
    start(&home, &rules);
    // It was over the limit before there was a rule, and runs still; another one has ended long ago.
    eventually("what runs and costs too much is reported", || {
        runs(&told) == ["early"]
    });
    eventually("so is what runs for too long", || runs(&long) == ["broken"]);
    assert!(runs(&stopped).is_empty() && bills.cancelled().is_empty());

    let more = [(Some(1.0), None), (Some(1.5), None), (None, None)];
    bills.add("over", "running", &more);
    eventually("it is stopped", || bills.cancelled() == ["over"]);
    eventually("both rules report it", || {
        runs(&stopped) == ["over"] && runs(&told) == ["early", "over"]
    });
    let report = &reports(&stopped)[0];
    assert_eq!(
        (&report["event"], &report["stop"]),
        (&json!("limit"), &json!(true))
    );
    let limit = json!({"of": "cost", "limit": 2.0, "value": 2.5, "n": 2, "n_of": 3});
    assert_eq!(report["limit"], limit);
    assert_eq!(report["progress"]["cost_n"], 2);
    assert_eq!(report["profiles"], json!(["default"]));
    let history = home.run("runs history over").expect_success();
    assert!(history.contains("cancel by on_limit"), "{history}");

    home.stop();
    start(&home, &rules);
    bills.add("late", "running", &more);
    let failed = (None, Some("docker: the container is gone"));
    bills.add(
        "broken",
        "running",
        &[failed, failed, (None, None), (None, None)],
    );
    eventually("the next daemon reports what is new", || {
        runs(&told) == ["early", "late", "over"] && runs(&broken) == ["broken"]
    });
    let limit = &reports(&broken)[0]["limit"];
    assert_eq!(
        (&limit["value"], &limit["n"], &limit["n_of"]),
        (&json!(0.5), &json!(2), &json!(4))
    );
    // A run that exceeds the limit with its last trial is reported at its end, and not stopped.
    bills.add("early", "completed", &[(Some(9.0), None)]);
    bills.add("over-2", "running", &cheap);
    eventually("the new run is mirrored", || {
        home.run("runs eval-list -q --offline")
            .stdout
            .contains("over-2")
    });
    bills.add("over-2", "completed", &more);
    eventually("its end is looked at by both rules", || {
        runs(&stopped) == ["over", "over-2"] && runs(&told).len() == 4
    });
    assert_eq!(reports(&stopped)[1]["stop"], false);
    assert_eq!(
        bills.cancelled(),
        ["over"],
        "a rule without `stop` stops nothing"
    );
    assert_eq!(runs(&told), ["early", "late", "over", "over-2"]);
    assert_eq!(runs(&long), ["broken"]);
}

#[test]
fn stopping_is_tried_again_by_the_next_daemon_and_nothing_else_is() {
    let bills = Bills::default();
    bills.add("over", "running", &[(Some(3.0), None)]);
    *bills.is_down.lock().unwrap() = true;
    let remote = bills.start();
    let home = TestHome::with_remote(&remote);
    let file = home.path("reports");
    let rules = rule(&file, "cost = 2\nprofile = \"default\"\nstop = true");
    start(&home, &rules);
    eventually("the remote was asked, and the run is reported", || {
        !bills.cancelled().is_empty() && runs(&file) == ["over"]
    });
    home.stop();
    *bills.is_down.lock().unwrap() = false;
    bills.cancels.lock().unwrap().clear();
    start(&home, &rules);
    eventually("it is stopped", || bills.cancelled() == ["over"]);
    home.stop();
    // A remote that shows it as running again does not make a rule apply twice.
    bills.add("over", "running", &[(Some(3.0), None)]);
    bills.add("new", "running", &[(Some(3.0), None)]);
    start(&home, &rules);
    eventually("another run is stopped and reported", || {
        bills.cancelled() == ["over", "new"] && runs(&file).len() == 2
    });
    assert_eq!(runs(&file), ["new", "over"]);
}

#[test]
fn a_rule_of_a_profile_leaves_the_runs_of_another_token_alone() {
    let bills = Bills::default();
    let much = [(Some(3.0), None)];
    bills.add_of("guest", "theirs", "running", &much);
    let remote = bills.start();
    let home = TestHome::with_remote(&remote);
    let file = home.path("reports");
    start(
        &home,
        &rule(&file, "cost = 2\nprofile = \"default\"\nstop = true"),
    );
    let mut command = home.command("runs trials theirs -q --fresh");
    let listed = CommandResult::new(command.env("DOCKS_TOKEN", "guest").output().unwrap());
    assert_eq!(listed.expect_success().lines().count(), 1);
    bills.add("mine", "running", &much);
    eventually("the profile's run is stopped", || {
        bills.cancelled() == ["mine"]
    });
    bills.add("mine-2", "running", &much);
    eventually("so is the next one", || {
        bills.cancelled() == ["mine", "mine-2"] && runs(&file) == ["mine", "mine-2"]
    });
    let cancels = bills.cancels.lock().unwrap();
    assert!(
        cancels.iter().all(|(_, token)| token == TOKEN),
        "{cancels:?}"
    );
}

/// Writes a trial that has ended and cost three dollars.
fn write_trial(job: &Path, trial: &str) {
    let folder = job.join(trial);
    fs::create_dir_all(&folder).unwrap();
    let config =
        json!({"task": {"path": "tasks/t"}, "trial_name": trial, "agent": {"name": "acme"}});
    let result = json!({
        "id": "00000000-0000-4000-8000-000000000001", "task_name": "t", "trial_name": trial, "config": config,
        "agent_info": {"name": "acme", "version": "1"}, "agent_result": {"cost_usd": 3.0},
        "verifier_result": {"rewards": {"reward": 1.0}},
        "started_at": "2026-11-23T16:43:30", "finished_at": "2026-11-23T16:43:40"
    });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    fs::write(folder.join("result.json"), result.to_string()).unwrap();
}

#[test]
fn a_job_that_gets_its_uuid_is_not_reported_again() {
    let home = TestHome::with_jobs();
    let file = home.path("reports");
    let rules = rule(&file, "cost = 2\nname = \"*big\"");
    start(&home, &rules);
    let here = format!("--harbor {}", home.jobs().display());
    let big = StartingJob::create(home.jobs().join("big"));
    write_trial(&home.jobs().join("big"), "t__aaaaaaa");
    wait_for_id(&home, &here, "big");
    eventually("it is reported under its name", || runs(&file) == ["big"]);
    big.write_result("null");
    wait_for_id(&home, &format!("{here} --fresh"), UUID);
    // Each of these shows that a later look at all jobs is over.
    let _second = StartingJob::create(home.jobs().join("second-big"));
    write_trial(&home.jobs().join("second-big"), "t__bbbbbbb");
    eventually("another job is reported", || runs(&file).len() == 2);
    home.stop();
    start(&home, &rules);
    home.run(&format!("runs eval-list {here} --fresh"))
        .expect_success();
    let _third = StartingJob::create(home.jobs().join("third-big"));
    write_trial(&home.jobs().join("third-big"), "t__ccccccc");
    eventually("the next daemon reports a new one", || {
        runs(&file).contains(&"third-big".to_owned())
    });
    assert_eq!(runs(&file), ["big", "second-big", "third-big"]);
}
