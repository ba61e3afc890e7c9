//! The log of a running trial is followed, locally and through a hub.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;

use super::harbor::HarborHome;
use crate::hub::{Hub, sign_in};
use crate::test_home::{TestHome, eventually};

/// A command whose lines are collected while it runs; it is killed with the test.
struct Followed {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Followed {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let lines = Arc::new(Mutex::new(Vec::new()));
        let collected = Arc::clone(&lines);
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                collected.lock().unwrap().push(line);
            }
        });
        Self { child, lines }
    }

    fn has(&self, wanted: &str) -> bool {
        self.lines.lock().unwrap().iter().any(|line| line == wanted)
    }

    /// Returns the lines that the task wrote, after a successful exit.
    fn all(mut self) -> Vec<String> {
        let ended = self.child.wait().unwrap();
        assert!(ended.success(), "{ended}");
        eventually("its last line is read", || {
            Arc::strong_count(&self.lines) == 1
        });
        let lines = self.lines.lock().unwrap();
        let own = lines.iter().filter(|line| line.starts_with("line "));
        own.cloned().collect()
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
#[ignore = "needs Harbor: .ci/run harbor-live"]
fn the_log_of_a_running_trial_is_followed_locally_and_through_a_hub() {
    let home = HarborHome::new();
    let solve = "for n in $(seq 100); do echo line $n; sleep 0.1; done";
    home.task("slow", "", solve, "1");
    home.docks.run_jobs("runs list").expect_success();
    let hub = Hub::of(Rc::clone(&home.docks), "");
    let other = TestHome::new();
    assert_eq!(sign_in(&other, &hub, &hub.token(), "").code, Some(0));

    let mut harbor = home.start("live", "");
    eventually("the trial is at work", || {
        let shown = home.shown("live");
        shown["harbor"]["trials"]["running"] == 1
    });
    let (name, _) = home.trials("live").pop_first().unwrap();
    let line = format!("runs logs live {name} --follow");
    let here = Followed::start(home.docks.command_jobs(&line));
    let there = Followed::start(other.command(&format!("-p team {line} --grep ^line")));
    eventually("both show what it wrote", || {
        here.has("line 3") && there.has("line 3")
    });
    let unended = |what| assert_eq!(home.count_files("live").unwrap().unended, 1, "{what}");
    unended("it was shown while the trial ran");
    assert!(!here.has("line 100") && !there.has("line 100"));
    eventually("both go on", || here.has("line 40") && there.has("line 40"));
    unended("and went on while it ran");
    assert_eq!(harbor.wait(), 0, "{}", home.log());
    let expected: Vec<String> = (1..=100).map(|n| format!("line {n}")).collect();
    assert_eq!(here.all(), expected);
    assert_eq!(there.all(), expected);
}
