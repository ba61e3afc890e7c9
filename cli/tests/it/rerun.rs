//! `docks runs rerun`, with the real daemon.

use std::fs;

use serde_json::{Value, json};

use crate::harbor_server::{NIGHTLY, Served, attempt};
use crate::remote::Remote;
use crate::sealed::check_needs_daemon;
use crate::terminal::at_terminal;
use crate::test_home::TestHome;

fn plan(home: &TestHome, line: &str) -> Value {
    let text = home.run_jobs(&format!("runs rerun {line} --format json"));
    serde_json::from_str(&text.expect_success()).unwrap()
}

/// What a config runs: its name, tasks, agents and attempts.
fn job(config: &Value) -> String {
    let config = &config["config"];
    let list = |key: &str, name: &str| {
        let items = config[key].as_array().unwrap().iter();
        let names: Vec<&str> = items.map(|item| item[name].as_str().unwrap()).collect();
        names.join(",")
    };
    format!(
        "{}: {} by {} x {}",
        config["job_name"].as_str().unwrap(),
        list("tasks", "path"),
        list("agents", "name"),
        config["n_attempts"]
    )
}

#[test]
fn trials_are_selected_by_why_they_failed_and_every_way_is_exact() {
    let home = TestHome::with_jobs();
    let infra = plan(&home, "nightly-mixed --infra");
    assert_eq!(
        (&infra["of"], &infra["selected_by"]),
        (&json!(24), &json!(["infra"]))
    );
    let trials = infra["trials"].as_array().unwrap();
    assert_eq!(trials.len(), 4);
    assert_eq!(trials[0]["task"], "bad-env");
    assert_eq!(
        trials[0]["reason"],
        json!({"class": "infrastructure", "cause": "network", "decided_by": "unreachable"})
    );
    // All with this type of exception, so that Harbor can go on with the job.
    assert_eq!(
        infra["resume"],
        json!({
            "arguments": ["harbor", "job", "resume", "--job-path", "jobs/nightly-mixed",
                          "--filter-error-type", "RuntimeError"],
            "replaces": 4, "starts": 0
        })
    );
    let ran_in = home.jobs().parent().unwrap().to_owned();
    assert_eq!(infra["directory"].as_str(), ran_in.to_str());
    let configs = infra["configs"].as_array().unwrap();
    assert_eq!(configs.len(), 1);
    assert_eq!(
        job(&configs[0]),
        "nightly-mixed-rerun: tasks/bad-env by nop,oracle x 2"
    );
    let config = &configs[0]["config"];
    assert_eq!(config["jobs_dir"].as_str(), home.jobs().to_str());
    assert_eq!(config["n_concurrent_trials"], 3, "as the job had it");
    assert_eq!(
        config["environment"]["import_path"],
        "local_env:LocalProcessEnvironment"
    );
    assert_eq!(config["tasks"][0]["source"], "tasks");
    assert!(config["datasets"].is_null());
    // By the same type, given by name.
    let by_type = plan(&home, "nightly-mixed --error runtimeerror");
    assert_eq!(by_type["configs"], infra["configs"]);
    // One agent of two: the other's trials would be removed, too.
    let one = plan(&home, "nightly-mixed --infra --agent nop");
    assert_eq!(
        (one["trials"].as_array().unwrap().len(), &one["of"]),
        (2, &json!(12))
    );
    assert_eq!(one["resume"], Value::Null);
    assert_eq!(
        job(&one["configs"][0]),
        "nightly-mixed-rerun: tasks/bad-env by nop x 2"
    );
}

#[test]
fn without_a_reason_all_is_run_again_that_did_not_end_with_a_valid_reward_of_one() {
    let home = TestHome::with_jobs();
    let all = plan(&home, "nightly-mixed");
    assert_eq!(all["selected_by"], json!(["failed", "lost", "unclear"]));
    assert_eq!(
        all["trials"].as_array().unwrap().len(),
        22,
        "2 of 24 are solved"
    );
    assert_eq!(
        all["resume"],
        Value::Null,
        "it removes no trial that was graded"
    );
    let configs = all["configs"].as_array().unwrap();
    let jobs: Vec<String> = configs.iter().map(job).collect();
    // The solved ones are of one agent only.
    assert_eq!(jobs.len(), 2, "{jobs:?}");
    let total: u64 = configs
        .iter()
        .map(|config| config["trials"].as_u64().unwrap())
        .sum();
    assert_eq!(total, 22);
    let of_oracle = jobs.iter().find(|job| job.contains("by oracle")).unwrap();
    assert!(!of_oracle.contains("hello-file"), "{of_oracle}");
    let unclear = plan(&home, "nightly-mixed --unclear");
    let unclear = unclear["trials"].as_array().unwrap();
    assert_eq!(unclear.len(), 4);
    assert!(
        unclear.iter().all(|trial| trial["task"] == "no-reward"),
        "{unclear:?}"
    );
    // The union of two, each trial once.
    let both = plan(&home, "nightly-mixed --unclear --infra --error any");
    assert_eq!(both["trials"].as_array().unwrap().len(), 10);
    let killed = plan(&home, "killed-midway --lost");
    let ids: Vec<&str> = killed["trials"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trial| trial["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        ids,
        [
            "long-solve__TZ9TSsi",
            "long-solve__epzrhRs",
            "planned-0007",
            "planned-0008"
        ]
    );
    assert_eq!(
        killed["resume"],
        json!({"arguments": ["harbor", "job", "resume", "--job-path", "jobs/killed-midway"],
               "replaces": 2, "starts": 2})
    );
    // Two attempts at one task; one more at each of two.
    let jobs: Vec<String> = killed["configs"]
        .as_array()
        .unwrap()
        .iter()
        .map(job)
        .collect();
    assert_eq!(
        jobs,
        [
            "killed-midway-rerun: tasks/sum-orders,tasks/wrong-answer by oracle x 1",
            "killed-midway-rerun-2: tasks/long-solve by oracle x 2",
        ]
    );
    let none = plan(&home, "2026-11-23__16-43-17");
    assert_eq!(
        (&none["trials"], &none["configs"]),
        (&json!([]), &json!([]))
    );
}

#[test]
fn configs_are_written_once_and_the_commands_name_them() {
    let home = TestHome::with_jobs();
    let lost = home.run_jobs("runs rerun killed-midway --lost --config again.json --format tsv");
    let said = lost.stderr.clone();
    let rows = lost.expect_success();
    assert!(
        rows.starts_with("id\ttask\tagent\tstatus\tselected_by\tclass\t"),
        "{rows}"
    );
    assert_eq!(rows.lines().count(), 5);
    for (file, tasks) in [("again.json", 2), ("again-2.json", 1)] {
        let text = fs::read_to_string(home.path(file)).unwrap();
        let config: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(config["tasks"].as_array().unwrap().len(), tasks, "{text}");
        let run = format!("harbor run --config {}", home.path(file).display());
        assert!(said.contains(&run), "{said}");
    }
    assert!(
        said.contains("harbor job resume --job-path jobs/killed-midway)"),
        "{said}"
    );
    // Neither is written again, not even if the first one is free.
    fs::remove_file(home.path("again.json")).unwrap();
    let again = home.run_jobs("runs rerun killed-midway --lost --config again.json");
    assert_eq!(again.code, Some(1));
    assert!(
        again.stderr.contains("again-2.json is there already"),
        "{}",
        again.stderr
    );
    assert!(!home.path("again.json").exists());
    let nothing = home.run_jobs("runs rerun 2026-11-23__16-43-17 --config none.json");
    assert_eq!(nothing.code, Some(1));
    assert!(
        nothing.stderr.contains("nothing to run again"),
        "{}",
        nothing.stderr
    );
    let ids = home.run_jobs("runs rerun killed-midway --lost --task long-solve --quiet");
    assert_eq!(
        ids.expect_success(),
        "long-solve__TZ9TSsi\nlong-solve__epzrhRs\n"
    );
}

#[test]
fn a_terminal_shows_the_trials_and_commands_to_paste() {
    let home = TestHome::with_jobs();
    let command = home.command_jobs("runs rerun nightly-mixed --infra");
    let (code, screen) = at_terminal(command, 200, "");
    assert_eq!(code, Some(0), "{screen}");
    for part in [
        "nightly-mixed: 4 of 24 trials to run again (infra)",
        "infrastructure / network",
        "harbor job resume --job-path jobs/nightly-mixed --filter-error-type RuntimeError)",
        "runs rerun nightly-mixed --infra --config nightly-mixed-rerun.json",
        "harbor run --config ",
    ] {
        assert!(screen.contains(part), "{part}: {screen}");
    }
    // What is shown writes the file that the next command names.
    let line = screen
        .lines()
        .find(|line| line.contains("--config nightly-mixed-rerun.json"))
        .unwrap();
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    home.run(&words.join(" ")).expect_success();
    assert!(home.path("nightly-mixed-rerun.json").exists());
}

#[test]
fn other_remotes_get_what_they_understand() {
    let served = Served::start();
    served.server.with(|data| {
        data.attempt(NIGHTLY, &attempt("a", "cancelled"));
        data.job(NIGHTLY, "nightly", "cancelled");
    });
    served.run("sync --full").expect_success();
    let found = served.json("runs rerun nightly");
    let trial = found["trials"][0]["id"].as_str().unwrap();
    assert_eq!(
        found["retries"],
        json!([["docks", "runs", "retry", NIGHTLY, trial]])
    );
    assert_eq!(
        (&found["resume"], &found["configs"]),
        (&Value::Null, &json!([]))
    );

    let remote = Remote::with_trials(
        r#"{"id":"t-1","task_slug":"a","status":"passed"},{"id":"t-2","task_slug":"b","status":"failed"},
                   {"id":"t-3","task_slug":"\u001b]0;owned\u0007","status":"completed"},
                   {"id":"t-4","task_slug":"b","status":"passed","result_data":{"reward":0}}"#,
    );
    let home = TestHome::with_remote(&remote);
    home.run("sync --full").expect_success();
    let ids = home.run("runs rerun n --quiet").expect_success();
    assert_eq!(ids, "t-2\nt-3\nt-4\n");
    let rows = home.run("runs rerun n").expect_success();
    assert!(!rows.contains(['\u{1b}', '\u{7}']), "{rows:?}");
    let config = home.run("runs rerun n --config x.json");
    assert_eq!(config.code, Some(1));
    assert!(
        config.stderr.contains("known by their ids"),
        "{}",
        config.stderr
    );
    let asked = remote.requests();
    assert!(
        asked.iter().all(|request| request.starts_with("GET ")),
        "{asked:?}"
    );
}

#[test]
fn what_cannot_be_said_tells_what_to_do() {
    let home = TestHome::with_jobs();
    assert_eq!(home.run_jobs("runs rerun nothing").code, Some(3));
    assert_eq!(
        home.run_jobs("runs rerun nightly-mixed -q --config x").code,
        Some(2)
    );
    // The config of one trial is torn.
    let torn = home.jobs().join("nightly-mixed/bad-env__EjwzeTT");
    fs::write(torn.join("config.json"), "{").unwrap();
    let found = plan(&home, "nightly-mixed --infra");
    assert_eq!(found["trials"].as_array().unwrap().len(), 4);
    assert_eq!(found["left_out"], json!([]), "its result has a copy");
    check_needs_daemon("runs rerun x");
}
