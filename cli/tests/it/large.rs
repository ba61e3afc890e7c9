//! Files that are larger than the memory limit of a command.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::sealed::EnvironmentOf;
use crate::test_home::{TestHome, eventually};

/// Size of each file.
const FILE_BYTES: u64 = 48 << 20;

/// Memory limit of a command in KiB, as `ulimit -d` takes it; half of a file.
const MEMORY_KIB: u64 = 24 << 10;

const JOB: &str = "2026-11-23__16-43-17";
const TRIAL: &str = "hello-file__PJUAFm8";

/// A trial whose files the tests replace, and a daemon, which has no memory limit.
fn home() -> (TestHome, PathBuf) {
    let home = TestHome::with_jobs();
    let trial = home.jobs().join(JOB).join(TRIAL);
    (home, trial)
}

/// Fills a file with numbered pieces between a first and a last one; returns their number.
fn fill(path: &Path, first: &str, piece: impl Fn(u64) -> String, last: &str) -> u64 {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = BufWriter::new(File::create(path).unwrap());
    file.write_all(first.as_bytes()).unwrap();
    let (mut number, mut written) = (0, 0);
    while written < FILE_BYTES {
        number += 1;
        let piece = piece(number);
        file.write_all(piece.as_bytes()).unwrap();
        written += piece.len() as u64;
    }
    file.write_all(last.as_bytes()).unwrap();
    file.flush().unwrap();
    number
}

/// Runs a command with the memory limit; returns the number of its lines and the last one that is
/// not empty.
fn run(home: &TestHome, line: &str) -> (u64, String) {
    let docks = home.command_jobs(line);
    let mut limited = Command::new("sh");
    limited
        .args([
            "-c",
            &format!("ulimit -d {MEMORY_KIB} && exec \"$@\""),
            "sh",
        ])
        .arg(docks.get_program())
        .args(docks.get_args())
        .environment_of(&docks)
        .current_dir(docks.get_current_dir().unwrap())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = limited.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let (mut count, mut last, mut line_bytes) = (0, String::new(), Vec::new());
    loop {
        line_bytes.clear();
        if lines.read_until(b'\n', &mut line_bytes).unwrap() == 0 {
            break;
        }
        count += 1;
        let text = String::from_utf8_lossy(&line_bytes);
        if !text.trim().is_empty() {
            last = text.trim_end().to_owned();
        }
    }
    let ended = child.wait().unwrap();
    assert!(ended.success(), "{line}: {ended}");
    (count, last)
}

#[test]
fn a_log_larger_than_memory_is_shown_searched_and_tailed() {
    let (home, trial) = home();
    for folder in ["agent", "verifier"] {
        std::fs::remove_dir_all(trial.join(folder)).unwrap();
    }
    let log = trial.join("trial.log");
    let padding = "x".repeat(2_000);
    let lines = fill(
        &log,
        "",
        |number| format!("{number} {padding}\n"),
        "the end\n",
    );
    eventually("the daemon answers", || {
        home.run_jobs("runs list").code == Some(0)
    });
    let logs = format!("runs logs {JOB} {TRIAL}");
    assert_eq!(run(&home, &logs), (lines + 1, "the end".to_owned()));
    let (found, _) = run(&home, &format!("{logs} --grep ^[0-9]*0\\x20"));
    assert_eq!(found, lines / 10);
    let found = run(&home, &format!("{logs} --grep end"));
    assert_eq!(found, (1, "the end".to_owned()));
    let (found, _) = run(&home, &format!("{logs} --tail 2000"));
    assert_eq!(found, 2_000);
}

#[test]
fn a_trajectory_and_a_diff_larger_than_memory_are_shown() {
    let (home, trial) = home();
    let text = "y".repeat(20_000);
    let step = |number: u64| {
        let comma = if number > 1 { "," } else { "" };
        format!("{comma}\n{{\"step_id\":{number},\"source\":\"agent\",\"message\":\"{text}\"}}")
    };
    let trajectory = trial.join("agent/trajectory.json");
    let end = "],\n\"final_metrics\":{\"total_steps\":7}}\n";
    let steps = fill(&trajectory, "{\"steps\":[", step, end);
    let diff = trial.join("artifacts/changes.patch");
    let lines = fill(&diff, "", |number| format!("+{number} {text}\n"), "-end\n");
    eventually("the daemon answers", || {
        home.run_jobs("runs list").code == Some(0)
    });
    let line = format!("runs trajectory {JOB} {TRIAL}");
    assert!(run(&home, &line).0 > steps);
    assert_eq!(run(&home, &format!("{line} --format jsonl")).0, steps);
    let (_, last) = run(&home, &format!("{line} --format json"));
    assert_eq!(last, "\"final_metrics\":{\"total_steps\":7}}");
    let shown = run(&home, &format!("runs diff {JOB} {TRIAL}"));
    assert_eq!(shown, (lines + 1, "-end".to_owned()));
}
