//! The figures of `docks` are those that Harbor itself wrote, by the rules of its own version.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::harbor::{HarborHome, json};
use crate::test_home::eventually;

/// Compares a job that has ended with its own `result.json`.
pub(super) fn compare(home: &HarborHome, name: &str) {
    let truth = json(&home.job(name).join("result.json")).unwrap();
    let stats = &truth["stats"];
    eventually("docks has the last result", || {
        home.shown(name)["completed_trials"] == stats["n_completed_trials"]
    });
    let shown = home.shown(name);
    let inside = &shown["harbor"];
    let all = || format!("{truth:#}\n{shown:#}");
    assert_eq!(shown["total_trials"], truth["n_total_trials"], "{}", all());
    assert_eq!(
        inside["trials"]["errored"],
        stats["n_errored_trials"],
        "{}",
        all()
    );
    assert_eq!(
        inside["trials"]["cancelled"],
        stats["n_cancelled_trials"],
        "{}",
        all()
    );
    assert_eq!(inside["n_retries"], stats["n_retries"], "{}", all());
    let evals = stats["evals"].as_object().unwrap();
    let groups = inside["groups"].as_array().unwrap();
    assert_eq!((evals.len(), groups.len()), (1, 1), "{}", all());
    let (eval, group) = (evals.values().next().unwrap(), &groups[0]);
    let number = |value: &Value| value.as_f64().unwrap();
    for metric in eval["metrics"].as_array().unwrap() {
        for (key, value) in metric.as_object().unwrap() {
            let ours = number(&group["mean_rewards"][key]);
            assert!((ours - number(value)).abs() < 1e-9, "{key}: {}", all());
        }
    }
    for (k, value) in eval["pass_at_k"].as_object().into_iter().flatten() {
        let ours = number(&group["pass_at_k"][k]);
        assert!((ours - number(value)).abs() < 1e-9, "pass@{k}: {}", all());
    }
    for (kind, trials) in eval["exception_stats"].as_object().unwrap() {
        let count = trials.as_array().unwrap().len();
        assert_eq!(group["errors"][kind], count, "{kind}: {}", all());
    }
}

#[test]
#[ignore = "needs Harbor: .ci/run harbor-live"]
fn a_timeout_in_a_step_counts_as_in_harbor_and_every_file_of_the_steps_is_listed() {
    let home = HarborHome::new();
    home.task("plain", "", "true", "1");
    home.steps(
        "stepped",
        &[
            ("first", "echo one > /logs/artifacts/one.txt", "1"),
            ("second", "echo begun; sleep 60", "0.5"),
        ],
    );
    home.docks.run_jobs("runs list").expect_success();
    let mut harbor = home.start("stepped", "-k 2 -n 4");
    harbor.wait();
    compare(&home, "stepped");
    let trials = home.trials("stepped");
    let (name, trial) = trials
        .iter()
        .find(|(name, _)| name.starts_with("stepped"))
        .unwrap();
    let steps = trial["harbor"]["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 2, "{trial}");
    assert_eq!(steps[1]["error_code"], "AgentTimeoutError", "{trial}");
    let json = home
        .docks
        .run_jobs(&format!("runs files stepped {name} --format json"));
    let listed: Vec<Value> = serde_json::from_str(&json.expect_success()).unwrap();
    let listed: BTreeSet<&str> = listed
        .iter()
        .map(|row| row["path"].as_str().unwrap())
        .collect();
    assert!(
        listed
            .iter()
            .any(|path| path.starts_with("steps/first/artifacts/")),
        "{listed:?}"
    );
    for path in &listed {
        let file = home.job("stepped").join(name).join(path);
        assert!(fs::metadata(file).unwrap().is_file(), "{path}");
    }
}
