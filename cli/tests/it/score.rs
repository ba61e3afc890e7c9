//! `docks runs score`, with the real daemon.

use std::fs;

use serde_json::{Value, json};

use crate::remote::Remote;
use crate::sealed::check_needs_daemon;
use crate::test_home::TestHome;

fn board(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_scoreboard_of_real_jobs_agrees_with_each_job() {
    let home = TestHome::with_jobs();
    let answer = home.run_jobs("runs score --by run --format json --meta");
    let answer = board(&answer.expect_success());
    assert!(answer["as_of"].is_string() && answer["incomplete"].is_null());
    let rows = answer["data"]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        let id = row["run_id"].as_str().unwrap();
        let job = home.run_jobs(&format!("runs eval-get {id} --format json"));
        let job = board(&job.expect_success());
        // What is lost ended, too; Harbor does not count it.
        let ended =
            job["completed_trials"].as_u64().unwrap() + job["lost_trials"].as_u64().unwrap();
        assert_eq!(row["ended"], ended, "{id}");
        assert_eq!(row["rate"]["attempts"], ended, "{id}");
        assert_eq!(row["trials"], job["total_trials"], "{id}");
        let listed = home.run_jobs(&format!("runs failures {id} --format json"));
        let failures = board(&listed.expect_success());
        for figure in ["rate", "rate_of_valid"] {
            assert_eq!(row[figure], failures[figure], "{id} {figure}");
        }
        let classes = failures["classes"].as_array().unwrap().iter();
        let infrastructure: u64 = classes
            .filter(|class| class["class"] == "infrastructure")
            .map(|class| class["trials"].as_u64().unwrap())
            .sum();
        assert_eq!(row["infrastructure"], infrastructure, "{id}");
    }
    let mixed = rows
        .iter()
        .find(|row| row["run"] == "nightly-mixed")
        .unwrap();
    assert_eq!(mixed["cost_usd"], json!({"value": null, "n": 0, "of": 24}));
    assert_eq!(mixed["frontier"], Value::Null);
}

#[test]
fn rows_are_of_agents_and_models_in_every_format() {
    let home = TestHome::with_jobs();
    let score = |line: &str| {
        home.run_jobs(&format!("runs score {line}"))
            .expect_success()
    };
    let csv = score("--format csv");
    let lines: Vec<&str> = csv.lines().collect();
    assert!(
        lines[0].starts_with("agent,model,dataset,run,run_id,runs,"),
        "{csv}"
    );
    assert!(
        lines[1].starts_with("scripted-coder,acme/scripted-1,,,,1,3,3,3,3,1,"),
        "{csv}"
    );
    assert!(lines[2].starts_with("oracle,,,,,4,31,27,27,11,"), "{csv}");
    assert_eq!(lines.len(), 4);
    let tsv = score("--format tsv");
    assert_eq!(tsv, csv.replace(',', "\t"));
    let markdown = score("--format markdown");
    assert!(
        markdown.contains("| 40.7 % \u{b1}31.8 (11/27) |"),
        "{markdown}"
    );
    assert!(
        markdown.contains("| 57.9 % \u{b1}"),
        "of valid rewards: {markdown}"
    );
    let latex = score("--format latex");
    assert!(latex.starts_with("\\begin{tabular}{l") && latex.contains("40.7 \\% $\\pm$31.8"));
    let rows = score("--format jsonl --by agent --agent nop");
    let row = board(&rows);
    assert_eq!(
        (&row["agent"], &row["model"]),
        (&json!("nop"), &Value::Null)
    );
    let matrix = score("nightly-mixed 2026-11-23__16-43-17 --matrix --format tsv");
    let hello = matrix.lines().find(|line| line.starts_with("hello-file"));
    assert_eq!(
        hello,
        Some("hello-file\t1/1\t3/3\t0/2\tscripted-coder acme/scripted-1, oracle")
    );
    let none = home.run_jobs("runs score --dataset nothing --format csv");
    assert_eq!(none.expect_success().lines().count(), 1);
    let two = board(&score(
        "nightly-mixed nightly-mixed --dataset TASKS --format json",
    ));
    assert_eq!(two["runs"][0]["trials"], 24);
    assert_eq!(two["runs"].as_array().unwrap().len(), 1, "each once");
}

#[test]
fn what_cannot_be_scored_says_what_to_do() {
    let home = TestHome::with_jobs();
    let unknown = home.run_jobs("runs score nothing");
    assert_eq!(unknown.code, Some(3));
    let by = home.run_jobs("runs score --by task");
    assert_eq!(by.code, Some(2));
    assert!(
        by.stderr.contains("agent, model, dataset, run"),
        "{}",
        by.stderr
    );
    let other = home.run_jobs("runs list --format csv");
    assert_eq!(other.code, Some(2));
    assert!(
        other.stderr.contains("`docks runs score`"),
        "{}",
        other.stderr
    );
    let meta = home.run_jobs("runs score --format latex --meta");
    assert_eq!(meta.code, Some(2));
    check_needs_daemon("runs score");
    let config = format!(
        "[a]\nharbor_jobs = \"{0}\"\n\n[b]\nharbor_jobs = \"{0}/nightly-mixed\"\n",
        home.jobs().display()
    );
    fs::write(home.path("docks/config.toml"), config).unwrap();
    let all = home.run("-p a,b runs score");
    assert_eq!(all.code, Some(2));
    assert!(all.stderr.contains("-p NAME"), "{}", all.stderr);
    let one = home.run("-p a,b runs score a:nightly-mixed --by agent --format jsonl");
    assert_eq!(one.expect_success().lines().count(), 2);
}

#[test]
fn a_running_remote_is_scored_with_what_it_says_and_no_text_of_it_obeyed() {
    let remote = Remote::with_trials(
        r#"{"id":"t-1","task_slug":"a","status":"passed","variant_name":"x,\"y\"","result_data":{"cost_usd":0.5}},
                   {"id":"t-2","task_slug":"b","status":"failed","variant_name":"x,\"y\"","result_data":{}},
                   {"id":"t-3","task_slug":"a","status":"failed","variant_name":"\u001b]0;owned\u0007|","result_data":{"cost_usd":0.1,"reward":0}},
                   {"id":"t-4","task_slug":"b","status":"running","variant_name":"\u001b]0;owned\u0007|"}"#,
    );
    let home = TestHome::with_remote(&remote);
    home.run("sync --full").expect_success();
    let csv = home.run("runs score n --format csv").expect_success();
    assert!(csv.contains("\n\"x,\"\"y\"\"\","), "{csv}");
    assert!(!csv.contains(['\u{1b}', '\u{7}']), "{csv:?}");
    let markdown = home.run("runs score n --format markdown").expect_success();
    let ones = markdown.lines().map(|line| line.matches(" | ").count());
    let ones: Vec<usize> = ones.collect();
    assert!(ones.iter().all(|count| *count == ones[0]), "{markdown}");
    // One of two costs is known.
    assert!(markdown.contains("$0.500 (1/2)"), "{markdown}");
    let rows = home.run("runs score n --format json").expect_success();
    let rows = board(&rows)["rows"].clone();
    assert_eq!(rows[0]["leads"], 1);
    assert_eq!(
        (&rows[1]["ended"], &rows[1]["trials"]),
        (&json!(1), &json!(2))
    );
}
