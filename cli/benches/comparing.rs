//! How long a comparison of two runs takes, why all trials failed, how long their facts take to read, and how long
//! reports over all of them take.
//!
//! `cargo bench -p docks --bench comparing [-- TRIALS RUNS]`: trials of each run, runs in the mirror.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark stops at the step that fails"
)]
#![expect(clippy::print_stdout, reason = "its figures are its output")]

#[expect(dead_code, reason = "other benchmarks use the rest")]
mod bench_home;

use std::cell::Cell;
use std::time::Instant;

use bench_home::{BenchHome, Runner, compare, grouped, median, program, time};
use docks_proto::object::RawObject;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docks_statistics::failures::{RuleSet, report};
use docks_statistics::figures::Figures;
use docksd_mirror::{FactsSelection, Mirror, Provenance, RunBatch};

const ROUNDS: usize = 30;
const ATTEMPTS: u64 = 5;

fn object(text: &str) -> RawObject {
    RawObject::parse(text).unwrap().unwrap()
}

fn trial(run: u64, n: u64) -> RawObject {
    let task = n / ATTEMPTS;
    // Some tasks are easy, some hard, and attempts vary.
    let solved = (n * 7919 + run * 104_729) % 97 < task % 97;
    let reward = u8::from(solved);
    let status = if solved { "passed" } else { "failed" };
    // One in eight has an error, each with words of its own.
    let error = match n % 24 {
        7 => format!(r#""Agent execution timed out after {n}.0 seconds in /jobs/{run}/{n}""#),
        15 => format!(
            r#""docker: container {run:08x}{n:08x} is not running (exit code {})""#,
            n % 200
        ),
        23 => format!(
            r#""POST https://api.example/v1/{n}: 429 too many requests, request req_{n:08x}""#
        ),
        _ => "null".to_owned(),
    };
    object(&format!(
        r#"{{"id":"{run:08x}-7c1e-4b61-9a53-{n:012x}","task_slug":"task-{task}","agent_variant":"coder","status":"{status}","error_message":{error},"duration_seconds":{}.5,"created_at":"2026-01-01T00:00:00Z","completed_at":"2026-01-01T00:10:00Z","logs_uri":"gs://bucket/trials/{n}/logs.txt","result_data":{{"reward":{reward},"rewards":{{"reward":{reward}}},"prompt_tokens":120345,"completion_tokens":2345,"cost_usd":0.{}}},"more":"{}"}}"#,
        n % 600,
        1 + n % 9,
        "x".repeat(1_500)
    ))
}

async fn fill(mirror: &Mirror, runs: u64, trials: u64) {
    let run = |n: u64| {
        object(&format!(
            r#"{{"id":"run-{n}","name":"nightly-{n}","status":"completed","created_at":"2026-01-01T00:00:00Z","completed_at":"2026-01-01T01:00:00Z"}}"#
        ))
    };
    let batch = RunBatch {
        kind: RunKind::Evaluation,
        objects: (0..runs).map(run).collect(),
        observed_at: UnixMs::now(),
        provenance: Provenance::Polled,
    };
    mirror.upsert_runs(batch).await.unwrap();
    for run in 0..runs {
        let trials = (0..trials).map(|n| trial(run, n)).collect();
        let id = format!("run-{run}");
        let stored = mirror.replace_trials(&id, trials, UnixMs::now(), None, Provenance::Polled);
        stored.await.unwrap();
    }
}

/// Times reading the facts of all trials, and computing their figures.
async fn measure_facts(mirror: &Mirror, runs: u64, trials: u64) {
    let rules = RuleSet::with_built_in(Vec::new());
    let [mut reads, mut both, mut sorted, mut progress] = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let (facts, _) = mirror.trial_facts(FactsSelection::All).await.unwrap();
        reads.push(began.elapsed());
        let all: Vec<_> = facts.trials().map(|(_, trial)| trial).collect();
        let figures = Figures::from_trials(all.iter());
        both.push(began.elapsed());
        assert_eq!(figures.counts.trials, runs * trials);
        let began = Instant::now();
        let found = report(&facts, &rules, 20);
        sorted.push(began.elapsed());
        assert_eq!(found.trials, runs * trials);
        let began = Instant::now();
        mirror.progress(vec!["run-0".to_owned()]).await.unwrap();
        progress.push(began.elapsed());
    }
    let count = grouped(runs * trials);
    println!("\n| {count} trials of {runs} runs | took |\n| --- | --- |");
    for (what, times) in [
        ("their facts are read", reads),
        ("and their figures computed", both),
        ("their failures are sorted", sorted),
        ("the progress of one of the runs", progress),
    ] {
        println!("| {what} | {:.1} ms |", median(times).as_secs_f64() * 1e3);
    }
}

fn main() {
    let given: Vec<u64> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let [trials, runs] = match given[..] {
        [trials, runs] => [trials, runs],
        _ => [2_000, 50],
    };
    let mut home = BenchHome::new(1, async |mirror: &Mirror| {
        fill(mirror, runs, trials).await;
        measure_facts(mirror, runs, trials).await;
    });
    home.start();
    let docks = program("docks");
    let once = |line: &'static str| {
        let home = &home;
        let docks = docks.clone();
        let words: Vec<&str> = line.split(' ').collect();
        Box::new(move || time(&mut home.command(&docks, &words)))
    };
    let title = format!("two runs of {} trials, whole process", grouped(trials));
    let mut runners = [
        Runner {
            name: "`docks runs compare`",
            once: once("runs compare run-0 run-1"),
        },
        Runner {
            name: "the same, cost",
            once: once("runs compare run-0 run-1 --metric cost"),
        },
        Runner {
            name: "the same, as JSON",
            once: once("runs compare run-0 run-1 --format json"),
        },
        Runner {
            name: "`docks runs list`",
            once: once("runs list"),
        },
    ];
    compare(&title, ROUNDS, &mut runners);
    let title = format!("{} trials, whole process", grouped(trials * runs));
    // Of another number of clusters each time: that is another answer, which the daemon has not kept.
    let limit = Cell::new(20);
    let anew = || {
        limit.set(limit.get() + 1);
        let limit = limit.get().to_string();
        time(&mut home.command(&docks, &["runs", "failures", "--all-runs", "-n", &limit]))
    };
    let mut runners = [
        Runner {
            name: "`docks runs failures --all-runs`",
            once: once("runs failures --all-runs"),
        },
        Runner {
            name: "the same, computed anew",
            once: Box::new(anew),
        },
    ];
    compare(&title, ROUNDS, &mut runners);
    let title = format!("all {} trials, whole process", grouped(runs * trials));
    let mut runners = [
        Runner {
            name: "`docks tasks history TASK`",
            once: once("tasks history task-7"),
        },
        Runner {
            name: "`docks tasks list`",
            once: once("tasks list --sort flakiness"),
        },
        Runner {
            name: "`docks runs score`",
            once: once("runs score"),
        },
        Runner {
            name: "`docks runs list`",
            once: once("runs list"),
        },
    ];
    compare(&title, ROUNDS, &mut runners);
    // The daemon keeps answers until the mirror changes: each of these is computed.
    let title = format!(
        "all {} trials, computed, whole process",
        grouped(runs * trials)
    );
    let computed = |name: &'static str, line: &'static str| {
        let (home, docks) = (&home, docks.clone());
        let mut limit = 1_000;
        let once = move || {
            // More rows than there are, and each time another question.
            limit += 1;
            let limit = limit.to_string();
            let mut words: Vec<&str> = line.split(' ').collect();
            words.extend(["-n", &limit]);
            time(&mut home.command(&docks, &words))
        };
        Runner {
            name,
            once: Box::new(once),
        }
    };
    let mut runners = [
        computed("`docks tasks history TASK`", "tasks history task-7"),
        computed("`docks tasks list`", "tasks list"),
    ];
    compare(&title, ROUNDS, &mut runners);
}
