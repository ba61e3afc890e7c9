//! `docks runs watch`, through real programs, from the first line to the exit code.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Output};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::remote::Remote;
use crate::sealed::CommandResult;
use crate::test_home::{TestHome, eventually, signal};

/// A fake evaluation run and its trials, whose statuses a test changes.
#[derive(Clone)]
pub(crate) struct FakeRun(Arc<Mutex<(String, Vec<String>)>>);

impl FakeRun {
    pub(crate) fn new(trials: usize) -> Self {
        let trials = vec!["running".to_owned(); trials];
        Self(Arc::new(Mutex::new(("running".to_owned(), trials))))
    }

    pub(crate) fn run(&self, status: &str) {
        self.0.lock().unwrap().0 = status.to_owned();
    }

    pub(crate) fn trial(&self, number: usize, status: &str) {
        self.0.lock().unwrap().1[number] = status.to_owned();
    }

    pub(crate) fn remove_last_trial(&self) {
        self.0.lock().unwrap().1.pop();
    }

    pub(crate) fn start(&self) -> Remote {
        let night = self.clone();
        Remote::start(move |asked| night.answer(asked))
    }

    pub(crate) fn answer(&self, asked: &str) -> (u16, String) {
        let night = self.0.lock().unwrap();
        let path = asked.split([' ', '?']).nth(1).unwrap();
        let run = format!(
            r#"{{"id":"n1","name":"night","status":"{}","total_trials":{},"created_at":"2026-01-01T00:00:00Z","started_at":"2026-01-01T00:00:01Z"}}"#,
            night.0,
            night.1.len()
        );
        let trial = |(number, status): (usize, &String)| {
            format!(r#"{{"id":"t{number}","task_slug":"task-{number}","status":"{status}"}}"#)
        };
        let trials: Vec<_> = night.1.iter().enumerate().map(trial).collect();
        match path.trim_start_matches("/tenants/ten") {
            "/harbor/runs" => (200, format!("[{run}]")),
            "/harbor/runs/n1" => (200, run),
            "/harbor/runs/n1/trials" => (200, format!("[{}]", trials.join(","))),
            "/runs" => (200, "[]".to_owned()),
            rest => {
                let number = rest.strip_prefix("/harbor/runs/n1/trials/t");
                let number = number.and_then(|number| number.parse::<usize>().ok());
                match number.and_then(|number| trials.get(number)) {
                    Some(trial) => (200, trial.clone()),
                    None => (404, r#"{"detail":"not found"}"#.to_owned()),
                }
            }
        }
    }
}

/// A running `docks runs watch`, read line by line.
pub(crate) struct Watch {
    pub(crate) child: Child,
    lines: BufReader<ChildStdout>,
    seen: Vec<String>,
}

impl Watch {
    pub(crate) fn start(home: &TestHome, line: &str) -> Self {
        Self::of(&mut home.command(line))
    }

    /// Starts a command that watches.
    pub(crate) fn of(command: &mut std::process::Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            lines,
            seen: Vec::new(),
        }
    }

    /// Reads lines until one contains `part`.
    pub(crate) fn until(&mut self, part: &str) {
        loop {
            let mut line = String::new();
            assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "no `{part}`");
            self.seen.push(line.trim_end_matches('\n').to_owned());
            if line.contains(part) {
                return;
            }
        }
    }

    /// Waits for its end; returns the exit code and every line.
    pub(crate) fn end(mut self) -> (Option<i32>, Vec<String>, String) {
        let rest = self.lines.by_ref().lines().map(Result::unwrap);
        self.seen.extend(rest);
        let mut stderr = Vec::new();
        if let Some(mut errors) = self.child.stderr.take() {
            errors.read_to_end(&mut stderr).unwrap();
        }
        let ended = CommandResult::new(Output {
            status: self.child.wait().unwrap(),
            stdout: Vec::new(),
            stderr,
        });
        (ended.code, std::mem::take(&mut self.seen), ended.stderr)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A failed test must not leave a watch behind.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Returns the lines without their times.
pub(crate) fn changes(lines: &[String]) -> Vec<String> {
    let rest = |line: &String| line.split_once('\t').unwrap().1.replace('\t', " ");
    lines
        .iter()
        .map(rest)
        .map(|l| l.trim_end().to_owned())
        .collect()
}

/// Reads the JSON of a watch to its end: each of the trials, and their run, ended once.
pub(crate) fn expect_each_end_once(watch: Watch, trials: usize) {
    let (code, lines, errors) = watch.end();
    assert_eq!(code, Some(0), "{errors}");
    let mut ended = Vec::new();
    for line in &lines {
        let event: Value = serde_json::from_str(line).unwrap();
        if event["ended"] == true && event["event"] != "progress" {
            assert_eq!(event["event"], "change", "{line}");
            ended.push(event["trial_id"].as_str().unwrap_or("run").to_owned());
        }
    }
    ended.sort();
    let trials = (0..trials).map(|trial| format!("t{trial}"));
    let expected: Vec<_> = std::iter::once("run".to_owned()).chain(trials).collect();
    assert_eq!(ended, expected, "{lines:#?}");
}

#[test]
fn a_watch_prints_each_change_once_and_ends_with_the_run() {
    let night = FakeRun::new(2);
    let remote = night.start();
    let home = TestHome::with_remote(&remote);
    // The trials are known to the daemon, so that each change is one from what they were. On a busy
    // machine the first answer may come from the remote.
    home.run("runs trials night").expect_success();
    eventually("the trials are mirrored", || {
        home.run("runs trials night --offline").code == Some(0)
    });
    let mut watch = Watch::start(&home, "runs watch night --exit-status");
    watch.until("running");
    night.trial(0, "failed");
    watch.until("failed");
    night.trial(1, "passed");
    night.run("failed");
    let (code, lines, errors) = watch.end();
    assert_eq!(code, Some(10), "{errors}");
    let mut said = changes(&lines);
    assert_eq!(said.remove(0), "night   running");
    assert_eq!(said.remove(0), "night t0 running failed");
    said.sort();
    assert_eq!(said, ["night  running failed", "night t1 running passed"]);
    assert!(errors.contains("night: failed"), "{errors}");
    // A run that has ended before is reported at once.
    let again = home.run("runs watch n1 --exit-status");
    assert_eq!(
        (again.code, again.stdout.lines().count()),
        (Some(10), 1),
        "{again:?}"
    );
    assert_eq!(home.run("runs watch n1").code, Some(0));
    night.run("cancelled");
    home.run("runs eval-get n1 --fresh").expect_success();
    assert_eq!(home.run("runs watch --latest --exit-status").code, Some(11));
}

#[test]
fn a_watch_ends_early_when_an_option_or_a_signal_says_so() {
    let night = FakeRun::new(2);
    let remote = night.start();
    let home = TestHome::with_remote(&remote);
    let late = home.run("runs watch --all-active --timeout 1s");
    assert_eq!(late.code, Some(8), "{}", late.stderr);
    assert!(
        late.stderr.contains("night is still active"),
        "{}",
        late.stderr
    );
    let mut watch = Watch::start(&home, "runs watch night --fail-fast");
    watch.until("running");
    night.trial(1, "error");
    let (code, lines, _) = watch.end();
    assert_eq!(code, Some(10));
    assert!(lines.last().unwrap().contains("\tt1\t"), "{lines:?}");
    let mut watch = Watch::start(&home, "runs watch --status running");
    watch.until("running");
    signal(watch.child.id(), "INT");
    let (code, _, errors) = watch.end();
    assert_eq!(code, Some(130));
    assert!(
        errors.contains("stopped watching; night is still active"),
        "{errors}"
    );
    assert_eq!(home.run("runs watch nobody").code, Some(3));
    assert_eq!(home.run("runs watch").code, Some(2));
    assert_eq!(home.run("runs watch night --format json").code, Some(2));
}

#[test]
fn events_are_printed_as_lines_of_json() {
    let night = FakeRun::new(1);
    let remote = night.start();
    let home = TestHome::with_remote(&remote);
    let mut watch = Watch::start(&home, "runs watch night --format jsonl");
    watch.until(r#""trial_id":"t0""#);
    night.trial(0, "passed");
    night.run("completed");
    let (code, lines, _) = watch.end();
    assert_eq!(code, Some(0));
    let read = |line: &String| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let events: Vec<_> = lines.iter().map(read).collect();
    let changes = events.iter().filter(|event| event["from"].is_string());
    assert_eq!(changes.count(), 2, "{events:#?}");
    assert_eq!(events.last().unwrap()["settled"], true);
}

#[test]
fn without_a_daemon_the_remote_itself_is_watched() {
    let night = FakeRun::new(1);
    let remote = night.start();
    let home = TestHome::with_remote(&remote);
    let mut watch = Watch::start(&home, "runs watch night --no-daemon --exit-status");
    watch.until("running");
    let again = |asked: &String| asked.ends_with("/harbor/runs/n1");
    eventually("the run is asked for after its trials were", || {
        let asked = remote.requests();
        let trials = asked.iter().position(|line| line.contains("/trials"));
        trials.is_some_and(|at| asked[at..].iter().any(again))
    });
    night.trial(0, "passed");
    night.run("completed");
    let (code, lines, errors) = watch.end();
    assert_eq!(code, Some(0), "{errors}");
    let mut said = changes(&lines);
    said.sort();
    let expected = [
        "night   running",
        "night  running completed",
        "night t0 running passed",
    ];
    assert_eq!(said, expected);
    assert!(home.daemons().is_empty());
}

/// `DOCKS_KILLS=100 DOCKS_WATCHERS=20` for the long form.
#[test]
fn a_daemon_that_is_killed_again_and_again_costs_no_watcher_a_change() {
    let number = |name: &str, usual: usize| {
        let said = std::env::var(name).ok().and_then(|text| text.parse().ok());
        said.unwrap_or(usual)
    };
    let kills = number("DOCKS_KILLS", 5);
    let night = FakeRun::new(kills);
    let remote = night.start();
    let home = TestHome::with_remote(&remote);
    let mut watches: Vec<Watch> = (0..number("DOCKS_WATCHERS", 4))
        .map(|_| Watch::start(&home, "runs watch night --exit-status"))
        .collect();
    let mut json = Watch::start(&home, "runs watch night --exit-status --format jsonl");
    for watch in &mut watches {
        watch.until("running");
    }
    json.until(r#""event":"ready""#);
    for trial in 0..kills {
        night.trial(trial, "passed");
        eventually("there is a daemon to kill", || !home.daemons().is_empty());
        home.daemons()
            .into_iter()
            .for_each(|pid| signal(pid, "KILL"));
        for watch in &mut watches {
            watch.until(&format!("\tt{trial}\t"));
        }
        json.until(&format!(r#""trial_id":"t{trial}""#));
    }
    night.run("completed");
    expect_each_end_once(json, kills);
    for watch in watches {
        let (code, lines, errors) = watch.end();
        assert_eq!(code, Some(0), "{errors}");
        // The run, each trial, and the run's end: nothing twice, nothing left out.
        assert_eq!(lines.len(), kills + 2, "{lines:#?}");
    }
}

#[test]
fn a_command_receives_the_end_on_its_standard_input() {
    let night = FakeRun::new(1);
    let remote = night.start();
    let home = TestHome::with_remote(&remote);
    night.trial(0, "passed");
    night.run("completed");
    let told = home.path("told");
    let mut command = home.command("runs watch night --exec");
    command.arg(format!("cat >> {}; echo noise; exit 3", told.display()));
    let ended = CommandResult::new(command.output().unwrap());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("noise") && !ended.stdout.contains("noise"));
    assert!(
        ended.stderr.contains("--exec exited with exit status: 3"),
        "{}",
        ended.stderr
    );
    let text = std::fs::read_to_string(told).unwrap();
    let event: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(event["event"], "ended");
    assert_eq!(event["run"]["status"], "completed");
    assert_eq!(event["progress"]["passed"], 1);
    assert_eq!(home.run("runs eval-list --watch").code, Some(2));
}

#[test]
fn a_watch_ends_when_nobody_reads_it_any_more() {
    let night = FakeRun::new(1);
    let remote = night.start();
    let home = TestHome::with_remote(&remote);
    home.run("runs trials night").expect_success();
    for line in [
        "runs watch night",
        "runs watch night --format jsonl",
        "--no-daemon runs watch night",
    ] {
        let mut child = home.command(line).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        // As `head -1` does, which has what it wants; nothing changes meanwhile.
        drop(lines);
        eventually("the watch has ended", || {
            child.try_wait().unwrap().is_some()
        });
    }
}

#[test]
fn a_job_that_starts_between_two_requests_is_watched_with_its_trials() {
    for selection in ["n1", "--latest"] {
        let night = FakeRun::new(1);
        night.run("completed");
        night.trial(0, "passed");
        let has_started = std::sync::atomic::AtomicBool::new(false);
        let remote = Remote::start(move |asked| {
            // It is in both lists, as a Harbor job is, but was not when the first one was read.
            let path = asked.split([' ', '?']).nth(1).unwrap();
            if let Some(rest) = path.strip_prefix("/tenants/ten/runs") {
                has_started.store(true, std::sync::atomic::Ordering::Relaxed);
                return night.answer(&format!("GET /tenants/ten/harbor/runs{rest}"));
            }
            match has_started.load(std::sync::atomic::Ordering::Relaxed) {
                true => night.answer(asked),
                false if path.ends_with("/harbor/runs") => (200, "[]".to_owned()),
                false => (404, r#"{"detail":"not found"}"#.to_owned()),
            }
        });
        let home = TestHome::with_remote(&remote);
        let line = format!("--no-daemon runs watch {selection} --format jsonl");
        let shown = home.run(&line).expect_success();
        assert!(shown.contains(r#""kind":"evaluation""#), "{shown}");
        assert!(!shown.contains(r#""kind":"run""#), "{shown}");
    }
}
