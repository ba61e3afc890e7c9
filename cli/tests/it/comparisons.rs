//! `docks runs compare` and `docks runs gate`: verdicts, exit codes and forms, on made-up Harbor jobs.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::remote::Remote;
use crate::test_home::TestHome;

/// A trial: its reward, `None` if the verifier gave none, and its cost.
type Trial = (Option<f64>, Option<f64>);

/// Writes a finished job with some attempts at each task.
fn write_job(home: &TestHome, name: &str, tasks: &[(&str, Vec<Trial>)]) {
    let job = home.jobs().join(name);
    fs::create_dir_all(&job).unwrap();
    let write =
        |path: std::path::PathBuf, value: Value| fs::write(path, value.to_string()).unwrap();
    write(
        job.join("config.json"),
        json!({"job_name": name, "agents": [{"name": "acme"}]}),
    );
    let mut count = 0;
    for (task, trials) in tasks {
        for (reward, cost) in trials {
            count += 1;
            let trial = format!("{task}__{count:07}");
            let folder = job.join(&trial);
            fs::create_dir(&folder).unwrap();
            let config = json!({"task": {"path": format!("tasks/{task}")}, "trial_name": trial, "agent": {"name": "acme"}});
            let rewards = reward.map(|reward| json!({"rewards": {"reward": reward}}));
            let result = json!({
                "id": format!("00000000-0000-4000-8000-{count:012}"), "task_name": task, "trial_name": trial, "config": config,
                "agent_info": {"name": "acme", "version": "1"}, "agent_result": {"cost_usd": cost},
                "verifier_result": rewards, "started_at": "2026-02-10T15:00:00Z", "finished_at": "2026-02-10T15:01:00Z"
            });
            write(folder.join("config.json"), config);
            write(folder.join("result.json"), result);
        }
    }
    let result = json!({
        "id": format!("11111111-0000-4000-8000-{:012}", name.len()), "started_at": "2026-02-10T15:00:00Z",
        "finished_at": "2026-02-10T15:10:00Z", "n_total_trials": count, "stats": {"n_trials": count, "evals": {}}
    });
    write(job.join("result.json"), result);
}

/// Five attempts, of which so many solved the task.
fn five(solved: usize) -> Vec<Trial> {
    (0..5)
        .map(|at| (Some(if at < solved { 1.0 } else { 0.0 }), None))
        .collect()
}

/// Jobs of an agent that solves half, one that is the same, and one that solves much less.
fn home() -> TestHome {
    let home = TestHome::new();
    let names: Vec<String> = (0..24).map(|n| format!("task-{n:02}")).collect();
    let with = |solved: &dyn Fn(usize) -> usize| -> Vec<(&str, Vec<Trial>)> {
        let names = names.iter().enumerate();
        names
            .map(|(at, name)| (name.as_str(), five(solved(at))))
            .collect()
    };
    write_job(&home, "base", &with(&|at| 1 + at % 4));
    write_job(&home, "again", &with(&|at| 1 + (at + at / 4) % 4));
    write_job(&home, "broken", &with(&|at| usize::from(at % 4 == 0)));
    write_job(&home, "elsewhere", &[("other-task", five(5))]);
    home
}

fn compare(home: &TestHome, line: &str) -> Value {
    let found = home.run_jobs(&format!("runs compare {line} --format json"));
    serde_json::from_str(&found.expect_success()).unwrap()
}

#[test]
fn the_verdict_comes_first_and_tasks_that_differ_by_chance_are_not_claimed() {
    let home = home();
    let found = compare(&home, "base broken");
    let delta = &found["summary"]["delta"];
    assert_eq!(delta["verdict"], "worse");
    assert_eq!(
        (&delta["metric"], &delta["n_tasks"]),
        (&json!("solved"), &json!(24))
    );
    let number = |key: &str| delta[key].as_f64().unwrap();
    assert!(number("low") < number("value") && number("value") < number("high"));
    assert!(number("high") < 0.0 && number("p") < 0.001, "{delta}");
    // 4 of 5 against 0 of 5 is p = 0.048 for one task, and nothing for 24.
    assert_eq!(found["worse"], json!([]));
    assert!(found["unclear"].as_array().unwrap().len() >= 12);
    let same = compare(&home, "base again");
    assert_ne!(same["summary"]["delta"]["verdict"], "worse");
    assert_ne!(same["summary"]["delta"]["verdict"], "better");
    let shown = home.run_jobs("runs compare base broken");
    let first = shown.stderr.lines().next().unwrap();
    assert!(
        first.starts_with("broken is worse than base: solved -"),
        "{first}"
    );
    assert_eq!(shown.stdout.lines().count(), 48);
    let here = home.run_jobs("runs compare base broken --on-these-tasks --format json");
    let here: Value = serde_json::from_str(&here.expect_success()).unwrap();
    let text = here["summary"]["text"][0].as_str().unwrap();
    assert!(text.contains("on these 24 tasks that both tried"), "{text}");
    let on_these = &here["summary"]["delta"];
    assert_eq!(on_these["value"], delta["value"]);
    assert_eq!(
        (&on_these["n_repeated"], &on_these["interval"]),
        (&json!(24), &json!("attempts_jeffreys"))
    );
    assert_eq!(delta["n_repeated"], Value::Null);
}

#[test]
fn rows_are_filtered_and_put_together_by_agent() {
    let home = home();
    let all = compare(&home, "base broken");
    let changed = compare(&home, "base broken --changed");
    let rows = |found: &Value| found["tasks"].as_array().unwrap().clone();
    assert_eq!(rows(&all).len(), 24);
    assert!(rows(&changed).len() < 24);
    assert!(rows(&changed).iter().all(|row| row["change"] != "same"));
    assert!(rows(&compare(&home, "base broken --only better")).is_empty());
    let by_agent = compare(&home, "base broken --by agent");
    assert_eq!(by_agent["groups"][0]["name"], "acme");
    assert_eq!(by_agent["groups"][0]["delta"]["verdict"], "worse");
    let together = compare(&home, "--a base,again --b broken");
    assert_eq!(together["runs"][0]["attempts"], 240);
    assert_eq!(together["runs"][0]["name"], "base,again");
    let best = compare(&home, "--a base,again --b broken --best");
    assert_eq!(best["runs"][0]["attempts"], 120);
    let three = compare(&home, "base again broken");
    assert_eq!(three["summary"]["deltas"].as_array().unwrap().len(), 2);
}

#[test]
fn runs_without_a_common_task_and_figures_that_are_not_known_are_told_so() {
    let home = home();
    let found = home.run_jobs("runs compare base elsewhere");
    assert!(
        found.stderr.contains("no task in common"),
        "{}",
        found.stderr
    );
    write_job(
        &home,
        "dear",
        &[("t", vec![(Some(1.0), Some(0.015)), (Some(0.0), None)])],
    );
    // The daemon follows the directory; this waits until it has the new job.
    home.run_jobs("runs eval-list --fresh").expect_success();
    let dear = home.run_jobs("runs compare dear dear");
    assert!(dear.stderr.contains("$0.015 (1/2)"), "{}", dear.stderr);
    let costs = compare(&home, "dear dear --metric cost");
    assert_eq!(costs["summary"]["delta"]["n_tasks"], 1);
    assert_eq!(costs["summary"]["delta"]["scale"], "ratio");
}

#[test]
fn a_gate_holds_drops_or_cannot_tell() {
    let home = home();
    for (line, code, word) in [
        ("base --baseline base --max-drop 30%", 0, "held"),
        ("broken --baseline base", 13, "dropped"),
        ("again --baseline base --max-drop 0%", 14, "cannot tell"),
        (
            "again --baseline base --max-drop 0% --strict",
            13,
            "--strict",
        ),
        (
            "base --baseline base --max-drop 30% --min-n 25",
            14,
            "only 24 common tasks of 25",
        ),
        ("elsewhere --baseline base", 14, "nothing in common"),
        ("nope --baseline base", 3, "nope"),
        ("base", 2, "--baseline"),
        ("base --baseline base --max-drop 200%", 2, "at most 100%"),
        ("base --baseline no-such-file.json", 3, "there is no file"),
    ] {
        let found = home.run_jobs(&format!("runs gate {line}"));
        assert_eq!(found.code, Some(code), "{line}: {found:?}");
        let said = format!("{}{}", found.stdout, found.stderr);
        assert!(said.contains(word), "{line}: {said}");
    }
}

#[test]
fn a_saved_run_is_a_baseline_without_the_job() {
    let home = home();
    let saved = home.run_jobs("runs gate base --save base.json");
    assert_eq!(saved.code, Some(0), "{saved:?}");
    let run = home.run_jobs("runs gate broken --baseline base --format json");
    fs::remove_dir_all(home.jobs().join("base")).unwrap();
    let file = home.run_jobs("runs gate broken --baseline base.json --format json");
    assert_eq!((run.code, file.code), (Some(13), Some(13)));
    let delta =
        |text: &str| serde_json::from_str::<Value>(text).unwrap()["summary"]["delta"].clone();
    assert_eq!(delta(&run.stdout), delta(&file.stdout));
    // A candidate that dropped does not become the baseline.
    let dropped = home.run_jobs("runs gate broken --baseline base.json --save base.json");
    assert_eq!(dropped.code, Some(13));
    let kept = fs::read_to_string(home.path("base.json")).unwrap();
    assert!(kept.contains(r#""name":"base""#), "{kept}");
    fs::write(home.path("broken.json"), "{").unwrap();
    let broken = home.run_jobs("runs gate broken --baseline broken.json");
    assert_eq!(broken.code, Some(2), "{broken:?}");
    assert!(broken.stderr.contains("--save"), "{}", broken.stderr);
}

#[test]
fn a_gate_writes_a_comment_for_a_pull_request() {
    let home = home();
    let found = home.run_jobs("runs gate broken --baseline base --format markdown");
    for part in [
        "### Gate: dropped",
        "broken is worse than base",
        "| run | id | solved |",
        "Tasks that fell:",
        "| task-03 | 4/5 | 0/5 | within noise |",
    ] {
        assert!(found.stdout.contains(part), "{part}: {}", found.stdout);
    }
    let other = home.run_jobs("runs eval-list --format markdown");
    assert_eq!(other.code, Some(2), "{other:?}");
}

#[test]
fn without_a_daemon_a_comparison_says_that_it_needs_one() {
    let home = home();
    for line in ["runs compare base again", "runs gate again --baseline base"] {
        let found = home.run_jobs(&format!("--no-daemon {line}"));
        assert_eq!(found.code, Some(2), "{found:?}");
        assert!(
            found.stderr.contains("only the daemon can do this"),
            "{found:?}"
        );
    }
}

#[test]
fn every_command_gives_the_same_figures_of_a_job() {
    let home = TestHome::with_jobs();
    let list = home.run_jobs("runs eval-list --columns name,pass-rate --format tsv");
    let list = list.expect_success();
    let mut jobs = 0;
    for line in list.lines().skip(1) {
        let (job, share) = line.split_once('\t').unwrap();
        jobs += 1;
        let side = compare(&home, &format!("{job} {job}"))["runs"][0].clone();
        let rate = side["rate"]["value"].as_f64().unwrap();
        assert_eq!(share, format!("{rate:.4}"), "{job}");
        let shown = home.run_jobs(&format!("runs eval-get {job} --format json"));
        let shown: Value = serde_json::from_str(&shown.expect_success()).unwrap();
        let counts = &shown["harbor"]["trials"];
        for (of_side, of_job) in [
            ("passed", "passed"),
            ("errored", "errored"),
            ("lost", "lost"),
        ] {
            assert_eq!(side[of_side], counts[of_job], "{job}: {of_side}");
        }
        let number = |value: &Value| value.as_u64().unwrap();
        let ended = number(&counts["ended"]) + number(&counts["lost"]);
        assert_eq!(number(&side["ended"]), ended, "{job}");
        // The Python client's leaderboard: shares of agents, weighted, are that of the job.
        let lines = shown["leaderboard"].as_array().unwrap();
        let solved: f64 = lines
            .iter()
            .map(|line| {
                let share = line["avg_pass_rate"].as_f64().unwrap_or(0.0);
                let pending = counts["pending"].as_u64().unwrap_or(0) as f64;
                share * (number(&line["trial_count"]) as f64 - pending / lines.len() as f64)
            })
            .sum();
        assert!(
            (solved - number(&side["passed"]) as f64).abs() < 1e-6,
            "{job}: {solved}"
        );
        let watched = home.run_jobs(&format!("runs watch {job} --format jsonl"));
        let events = watched.stdout.lines();
        let mut events = events.map(|line| serde_json::from_str::<Value>(line).unwrap());
        let is_of_job =
            |event: &Value| event["event"] == "progress" && event["kind"] == "evaluation";
        let progress = events.find(is_of_job).unwrap();
        assert_eq!(progress["passed"], side["passed"], "{job}");
        let means = [&progress["mean_reward"], &side["reward"]].map(|mean| mean.as_f64());
        let is_same = match means {
            [Some(a), Some(b)] => (a - b).abs() < 1e-9,
            means => means[0] == means[1],
        };
        assert!(is_same, "{job}: {means:?}");
        // Cost and tokens, and of how many trials they are known, in list, detail, comparison and watch.
        for key in ["cost_usd", "cost_n"] {
            assert_eq!(progress[key], side[key], "{job}: {key}");
            assert_eq!(shown["harbor"][key], side[key], "{job}: {key}");
        }
        let row = home.run_jobs(&format!(
            "runs eval-list --search {job} --columns cost --format tsv"
        ));
        let cost = side["cost_usd"].as_f64().map(|cost| cost.to_string());
        let cost = cost.unwrap_or_default();
        assert!(
            row.stdout.starts_with(&format!("COST\n{cost}")),
            "{job}: {row:?}"
        );
        let is_known_of_all = side["cost_n"] == shown["harbor"]["trials"]["ended"];
        assert_eq!(
            row.stdout.contains('('),
            !cost.is_empty() && !is_known_of_all,
            "{job}: {row:?}"
        );
    }
    assert_eq!(jobs, 4);
}

#[test]
fn a_fresh_comparison_shows_what_has_become_of_the_runs() {
    let ended = Arc::new(AtomicBool::new(false));
    let has_ended = Arc::clone(&ended);
    let remote = Remote::start(move |asked| {
        let status = match has_ended.load(Ordering::SeqCst) {
            true => "failed",
            false => "running",
        };
        let run = |id: &str| {
            json!({"id": id, "status": status, "created_at": "2026-01-01T00:00:00Z"}).to_string()
        };
        // A list that the daemon polls meanwhile has nothing new: the answer must be asked for.
        let list = |id: &str| run(id).replace("failed", "running");
        let path = asked.split('?').next().unwrap();
        match path.trim_start_matches("GET /tenants/ten/") {
            "harbor/runs" if asked.contains("offset=0") || !asked.contains("offset=") => {
                (200, format!("[{},{}]", list("r-1"), list("r-2")))
            }
            "runs" | "harbor/runs" => (200, "[]".to_owned()),
            "harbor/runs/r-1" => (200, run("r-1")),
            "harbor/runs/r-2" => (200, run("r-2")),
            path if path.ends_with("/trials") => (
                200,
                r#"[{"id":"t-1","task_slug":"a","status":"passed"}]"#.to_owned(),
            ),
            _ => (404, r#"{"detail":"not found"}"#.to_owned()),
        }
    });
    let home = TestHome::with_remote(&remote);
    home.run("sync --full").expect_success();
    let statuses = |command: &str| -> Vec<String> {
        let answer: Value = serde_json::from_str(&home.run(command).expect_success()).unwrap();
        let runs = answer["runs"].as_array().unwrap().iter();
        runs.map(|run| run["status"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        statuses("runs compare r-1 r-2 --format json"),
        ["running", "running"]
    );
    ended.store(true, Ordering::SeqCst);
    for command in ["compare", "failures"] {
        let fresh = statuses(&format!("runs {command} r-1 r-2 --fresh --format json"));
        assert_eq!(fresh, ["failed", "failed"], "{command}");
    }
}
