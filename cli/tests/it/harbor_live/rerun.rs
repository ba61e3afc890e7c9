//! What `docks runs rerun` prints is what Harbor runs.

use std::collections::BTreeMap;

use serde_json::Value;

use super::harbor::HarborHome;
use crate::test_home::eventually;

fn plan(home: &HarborHome, line: &str) -> Value {
    let text = home
        .docks
        .run_jobs(&format!("runs rerun {line} --format json"));
    serde_json::from_str(&text.expect_success()).unwrap()
}

/// How many trials of a job are at each task.
fn tasks(home: &HarborHome, name: &str) -> BTreeMap<String, usize> {
    let mut tasks = BTreeMap::new();
    for trial in home.trials(name).values() {
        let task = trial["task_slug"].as_str().unwrap();
        *tasks.entry(task.to_owned()).or_default() += 1;
    }
    tasks
}

#[test]
#[ignore = "needs Harbor: .ci/run harbor-live"]
fn a_config_runs_just_these_trials_and_a_resume_replaces_them() {
    let home = HarborHome::new();
    home.task("quick", "", "true", "1");
    home.task("wrong", "", "true", "0");
    home.task("broken", "exit 7", "true", "1");
    home.docks.run_jobs("runs list").expect_success();
    let mut harbor = home.start("whole", "-k 2 -n 3");
    assert_eq!(harbor.wait(), 0, "{}", home.log());
    eventually("it is shown as ended", || {
        home.shown("whole")["status"] == "completed"
    });
    // All that failed: two attempts at each of two tasks, in a job of their own.
    let failed = plan(&home, "whole --failed");
    assert_eq!(failed["trials"].as_array().unwrap().len(), 4, "{failed}");
    assert_eq!(failed["resume"], Value::Null, "{failed}");
    assert_eq!(
        failed["directory"].as_str(),
        home.docks
            .path("")
            .to_str()
            .map(|dir| dir.trim_end_matches('/'))
    );
    home.docks
        .run_jobs("runs rerun whole --failed --config again.json")
        .expect_success();
    let mut harbor = home.harbor(&[], "run --config again.json -y -q");
    assert_eq!(harbor.wait(), 0, "{}", home.log());
    eventually("the new job is shown as ended", || {
        home.shown("whole-rerun")["status"] == "completed"
    });
    let expected = BTreeMap::from([("broken".to_owned(), 2), ("wrong".to_owned(), 2)]);
    assert_eq!(tasks(&home, "whole-rerun"), expected);
    // What has an exception of its own: Harbor goes on with the job.
    let before = home.trials("whole");
    let broken = plan(&home, "whole --error any");
    let mut words = broken["resume"]["arguments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap());
    assert_eq!(words.next(), Some("harbor"));
    let line = words.collect::<Vec<_>>().join(" ");
    let mut harbor = home.harbor(&[], &line);
    assert_eq!(harbor.wait(), 0, "{}", home.log());
    let is_kept = |name: &str| before.contains_key(name);
    eventually("two trials were replaced", || {
        let after = home.trials("whole");
        let kept = after.keys().filter(|name| is_kept(name)).count();
        (after.len(), kept) == (6, 4) && home.shown("whole")["status"] == "completed"
    });
    let after = home.trials("whole");
    let replaced = after.iter().filter(|(name, _)| !is_kept(name));
    assert!(
        replaced
            .into_iter()
            .all(|(_, trial)| trial["task_slug"] == "broken"),
        "{after:?}"
    );
}
