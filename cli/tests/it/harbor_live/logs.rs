//! The log of a trial that runs is shown while it runs, here and through a hub.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;

use super::harbor::Stage;
use crate::hub::{Hub, sign_in};
use crate::real::{Real, eventually};

/// A command whose lines are collected while it runs; killed with its test.
struct Shown {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Shown {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let lines = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&lines);
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                heard.lock().unwrap().push(line);
            }
        });
        Self { child, lines }
    }

    fn has(&self, wanted: &str) -> bool {
        self.lines.lock().unwrap().iter().any(|line| line == wanted)
    }

    /// Returns the lines that the task wrote, after a good end.
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

impl Drop for Shown {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
#[ignore = "needs Harbor: .ci/run harbor-live"]
fn the_log_of_a_running_trial_is_followed_to_its_end_here_and_through_a_hub() {
    let stage = Stage::new();
    let solve = "for n in $(seq 100); do echo line $n; sleep 0.1; done";
    stage.task("slow", "", solve, "1");
    stage.docks.run_jobs("runs list").good();
    let hub = Hub::of(Rc::clone(&stage.docks), "");
    let other = Real::new();
    assert_eq!(sign_in(&other, &hub, &hub.token(), "").code, Some(0));

    let mut harbor = stage.start("live", "");
    eventually("the trial is at work", || {
        let shown = stage.shown("live");
        shown["harbor"]["trials"]["running"] == 1
    });
    let (name, _) = stage.trials("live").pop_first().unwrap();
    let line = format!("runs logs live {name} --follow");
    let here = Shown::start(stage.docks.command_jobs(&line));
    let there = Shown::start(other.command(&format!("-p team {line} --grep ^line")));
    eventually("both show what it wrote", || {
        here.has("line 3") && there.has("line 3")
    });
    let unended = |what| assert_eq!(stage.truth("live").unwrap().unended, 1, "{what}");
    unended("it was shown while the trial ran");
    assert!(!here.has("line 100") && !there.has("line 100"));
    eventually("both go on", || here.has("line 40") && there.has("line 40"));
    unended("and went on while it ran");
    assert_eq!(harbor.wait(), 0, "{}", stage.said());
    let expected: Vec<String> = (1..=100).map(|n| format!("line {n}")).collect();
    assert_eq!(here.all(), expected);
    assert_eq!(there.all(), expected);
}
