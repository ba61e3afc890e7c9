//! One bad value spoils only itself: half a surrogate pair, `NaN`, too deep nesting, a repeated key.

use std::fs;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use crate::hub::{Hub, sign_in};
use crate::remote::{Remote, query_number};
use crate::test_home::{TestHome, eventually};

/// A value that no parser of ours descends into.
fn deep() -> String {
    format!("{}1{}", "[".repeat(300), "]".repeat(300))
}

/// The trials of run `r-1`, each with one odd value, between two ordinary ones.
fn trials(url: &str) -> Vec<(&'static str, String)> {
    let trial = |id: &'static str, more: &str| {
        let text = format!(
            r#"{{"id":"{id}","task_slug":"sum","agent_variant":"coder","status":"error","duration_seconds":3,{more}}}"#
        );
        (id, text)
    };
    vec![
        trial("t-first", r#""error_message":"plain""#),
        trial(
            "t-half",
            r#""error_message":"cut \ud83d","result_data":{"reward":0.25}"#,
        ),
        trial(
            "t-nan",
            r#""error_message":"plain","result_data":{"reward":NaN,"tests_passed":2,"cost_usd":-Infinity}"#,
        ),
        trial(
            "t-deep",
            &format!(
                r#""error_message":"plain","result_data":{{"reward":0.5}},"more":{}"#,
                deep()
            ),
        ),
        trial(
            "t-twice",
            r#""error_message":"no","error_message":"plain","result_data":{"reward":0.1},"result_data":{"reward":0.75}"#,
        ),
        trial(
            "t-huge",
            r#""error_message":"plain","result_data":{"reward":1e999,"tests_passed":4}"#,
        ),
        trial(
            "t-last",
            &format!(
                r#""error_message":"plain 😀 \ud83d\ude00","trajectory_uri":"{url}/t.json","result_uri":"{url}/r.json","diff_uri":"{url}/d.patch""#
            ),
        ),
    ]
}

const TRAJECTORY: &str = r#"{"steps":[
    {"step_id":1,"source":"user","message":"begin \ud83d"},
    {"step_id":2,"source":"agent","message":"second","metrics":{"cost_usd":NaN}},
    {"step_id":3,"source":"agent","message":"third"}
],"final_metrics":{"total_steps":3,"total_cost_usd":Infinity}}"#;

const RESULT: &str = r#"{"verifier_result":{"rewards":{"reward":NaN,"speed":0.5}},
    "exception_info":{"exception_type":"Late","exception_message":"too late \udc00"}}"#;

fn remote() -> Remote {
    let own = Arc::new(OnceLock::<String>::new());
    let address = Arc::clone(&own);
    let remote = Remote::start(move |request| {
        let path = request.split([' ', '?']).nth(1).unwrap();
        let trials = trials(address.get().map_or("", String::as_str));
        let run = |id: &str, more: &str| {
            format!(r#"{{"id":"{id}","name":"night","status":"completed",{more}}}"#)
        };
        let runs = [
            run(
                "r-1",
                r#""created_at":"2026-01-03T00:00:00Z","score":NaN,"status_reason":"half \ud83d""#,
            ),
            run("r-2", r#""created_at":"2026-01-02T00:00:00Z""#),
        ];
        let path = path.trim_start_matches("/tenants/ten/");
        match path.trim_start_matches("harbor/") {
            "runs" => (200, format!("[{}]", runs.join(","))),
            "runs/r-1" => (200, runs[0].clone()),
            "runs/r-2" => (200, runs[1].clone()),
            "runs/r-1/trials" => {
                let all: Vec<_> = trials.into_iter().map(|(_, text)| text).collect();
                (200, format!("[{}]", all.join(",\n")))
            }
            "runs/r-2/trials" => (200, "[]".to_owned()),
            "/t.json" => (200, TRAJECTORY.to_owned()),
            "/r.json" => (200, RESULT.to_owned()),
            "/d.patch" => (200, "+NaN\n".to_owned()),
            other => match trials
                .iter()
                .find(|(id, _)| other == format!("runs/r-1/trials/{id}"))
            {
                Some((_, text)) => (200, text.clone()),
                None => (404, r#"{"detail":"Not Found \ud83d"}"#.to_owned()),
            },
        }
    });
    own.set(remote.url()).unwrap();
    remote
}

/// Parses JSON as strict parsers do: without lone surrogates, `NaN` and unbounded depth. A number that is too
/// large for a float is valid, and stays what it is.
fn json(text: &str) -> Value {
    serde_json::from_str(&text.replace("1e999", "\"1e999\""))
        .unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The ways in which a question is answered; each begins where the one before has ended.
fn in_every_way(check: impl Fn(&TestHome, &str)) {
    let remote = remote();
    let home = TestHome::with_remote(&remote);
    check(&home, "--no-daemon");
    home.run("daemon start").expect_success();
    home.run("runs trials r-1 --fresh").expect_success();
    home.run("sync").expect_success();
    check(&home, "");
    check(&home, "--offline");
}

#[test]
fn a_trial_with_an_odd_value_keeps_its_columns_in_every_way() {
    in_every_way(|home, way| {
        let columns = "id,task,agent,status,reward,tests,duration,cost,message";
        let table = home
            .run(&format!(
                "runs trials r-1 -s error --columns {columns} --format tsv {way}"
            ))
            .expect_success();
        let rows: Vec<Vec<&str>> = table
            .lines()
            .skip(1)
            .map(|line| line.split('\t').collect())
            .collect();
        let rest = ["sum", "coder", "error"];
        let expected: [[&str; 6]; 7] = [
            ["t-first", "", "", "3", "", "plain"],
            ["t-half", "0.25", "", "3", "", "cut \u{fffd}"],
            ["t-nan", "NaN", "2", "3", "-Infinity", "plain"],
            ["t-deep", "0.5", "", "3", "", "plain"],
            ["t-twice", "0.75", "", "3", "", "plain"],
            ["t-huge", "1e999", "4", "3", "", "plain"],
            ["t-last", "", "", "3", "", "plain 😀 😀"],
        ];
        assert_eq!(rows.len(), expected.len(), "{way}: {table}");
        for (row, expected) in rows.iter().zip(expected) {
            let [id, others @ ..] = expected;
            let whole: Vec<&str> = [id].into_iter().chain(rest).chain(others).collect();
            assert_eq!(*row, whole, "{way}");
        }
        for id in expected.map(|row| row[0]) {
            let shown = home
                .run(&format!("runs trial r-1 {id} {way}"))
                .expect_success();
            for part in [id, "sum", "coder", "error", "3"] {
                assert!(shown.contains(part), "{way} {id}: {shown}");
            }
        }
    });
}

#[test]
fn lists_and_objects_stay_valid_json_and_filters_find_them() {
    in_every_way(|home, way| {
        let run = |line: &str| home.run(&format!("{line} {way}")).expect_success();
        let trials = json(&run("runs trials r-1 --format json"));
        assert_eq!(trials.as_array().unwrap().len(), 7, "{way}");
        assert_eq!(trials[1]["error_message"], "cut \u{fffd}", "{way}");
        assert_eq!(trials[2]["result_data"]["reward"], "NaN", "{way}");
        assert_eq!(trials[2]["result_data"]["cost_usd"], "-Infinity", "{way}");
        assert_eq!(trials[5]["result_data"]["reward"], "1e999", "{way}");
        for line in run("runs trials r-1 --format jsonl").lines() {
            json(line);
        }
        let found = run("runs trials r-1 --search half --format json");
        assert_eq!(json(&found).as_array().unwrap().len(), 1, "{way}");
        assert_eq!(
            json(&run("runs trial r-1 t-half --format json"))["task_slug"],
            "sum"
        );
        for kind in ["list", "eval-list"] {
            let runs = json(&run(&format!("runs {kind} --format json")));
            assert_eq!(runs[0]["score"], "NaN", "{way} {kind}");
            assert_eq!(run(&format!("runs {kind} -s completed -q")), "r-1\nr-2\n");
        }
        assert!(run("runs eval-get r-1").contains("half \u{fffd}"));
        // Only the daemon compares.
        if way != "--no-daemon" {
            assert!(run("runs compare r-1 r-1 ").contains("sum"));
        }
    });
}

#[test]
fn verbose_says_where_an_odd_value_was() {
    in_every_way(|home, way| {
        for format in ["json", "tsv"] {
            let ended = home.run(&format!("-v runs trials r-1 --format {format} {way}"));
            for part in [
                "`t-half`: error_message",
                "`t-nan`: result_data.reward",
                "`t-nan`: result_data.cost_usd",
                "`t-deep`: more",
                "`t-twice`: error_message",
                "`t-huge`: result_data.reward",
            ] {
                assert!(
                    ended.stderr.contains(part),
                    "{way} {part}: {}",
                    ended.stderr
                );
            }
            assert!(!ended.stderr.contains("t-last"), "{}", ended.stderr);
            ended.expect_success();
        }
        let quiet = home.run(&format!("runs trials r-1 {way}"));
        assert!(!quiet.stderr.contains("t-half"), "{}", quiet.stderr);
        let one = home.run(&format!("-v runs trial r-1 t-half {way}"));
        assert!(
            one.stderr.contains("`t-half`: error_message"),
            "{}",
            one.stderr
        );
    });
}

#[test]
fn a_trajectory_and_a_result_are_shown_to_their_end() {
    in_every_way(|home, way| {
        let run = |line: &str| {
            home.run(&format!("{line} r-1 t-last {way}"))
                .expect_success()
        };
        let shown = run("runs trajectory");
        for part in ["begin \u{fffd}", "second", "third", "3 steps"] {
            assert!(shown.contains(part), "{way}: {shown}");
        }
        let steps = run("runs trajectory --format jsonl");
        let steps: Vec<Value> = steps.lines().map(json).collect();
        assert_eq!(steps.len(), 3);
        assert_eq!(steps[1]["metrics"]["cost_usd"], "NaN");
        let whole = json(&run("runs trajectory --format json"));
        assert_eq!(whole["final_metrics"]["total_cost_usd"], "Infinity");
        let shown = run("runs result");
        for part in ["reward  NaN", "speed   0.5", "Late: too late \u{fffd}"] {
            assert!(shown.contains(part), "{way}: {shown}");
        }
        let whole = json(&run("runs result --format json"));
        assert_eq!(whole["verifier_result"]["rewards"]["reward"], "NaN");
        assert_eq!(run("runs diff"), "+NaN\n");
        let verbose = home.run(&format!("-v runs trajectory r-1 t-last {way}"));
        for part in ["step 1: message", "step 2: metrics.cost_usd"] {
            assert!(verbose.stderr.contains(part), "{way}: {}", verbose.stderr);
        }
        let verbose = home.run(&format!("-v runs result r-1 t-last {way}"));
        let part = "verifier_result.rewards.reward";
        assert!(verbose.stderr.contains(part), "{way}: {}", verbose.stderr);
    });
}

/// The bundled job whose trials all ended, and one of them.
const JOB: &str = "2026-11-23__16-43-17";
const TRIAL: &str = "sum-orders__CoNtWEA";

/// Puts odd values into the files of a job.
fn spoil(home: &TestHome) {
    let path = |file: &str| home.jobs().join(JOB).join(file);
    let change = |file: &str, change: &dyn Fn(&mut Value)| {
        let mut value = json(&fs::read_to_string(path(file)).unwrap());
        change(&mut value);
        let text = value.to_string().replace("\"@nan@\"", "NaN");
        fs::write(path(file), text.replace("@half@", r"\ud83d")).unwrap();
    };
    change(&format!("{TRIAL}/result.json"), &|result| {
        result["verifier_result"] = serde_json::json!({"rewards": {"reward": "@nan@"}});
        result["agent_info"]["version"] = "1.0 @half@".into();
        result["note@half@"] = 1.into();
    });
    for file in ["result.json", "config.json", "lock.json"] {
        change(file, &|value| {
            value["odd"] = "@nan@".into();
            value["odd@half@"] = "@half@".into();
        });
    }
    change(&format!("{TRIAL}/config.json"), &|value| {
        value["odd"] = "@nan@".into()
    });
}

#[test]
fn a_job_with_odd_values_in_its_files_has_its_status_and_figures() {
    let home = TestHome::with_jobs();
    let line = format!("runs trials {JOB} --columns id,status,task,agent --format tsv");
    let before = home.run_jobs(&line).expect_success();
    let job = home
        .run_jobs(&format!("runs eval-get {JOB} --format json"))
        .expect_success();
    home.stop();
    fs::remove_dir_all(home.path("docks")).unwrap();
    let home = {
        let spoilt = TestHome::with_jobs();
        spoil(&spoilt);
        spoilt
    };
    let after = home.run_jobs(&line).expect_success();
    let without = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with(TRIAL));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(without(&after), without(&before));
    assert!(
        after.contains(&format!("{TRIAL}\tcompleted\tsum-orders")),
        "{after}"
    );
    let spoilt = json(
        &home
            .run_jobs(&format!("runs eval-get {JOB} --format json"))
            .expect_success(),
    );
    for key in [
        "name",
        "status",
        "total_trials",
        "completed_trials",
        "started_at",
    ] {
        assert_eq!(spoilt[key], json(&job)[key], "{key}");
    }
    for way in ["", "--offline"] {
        let trial = home.run_jobs(&format!("-v runs trial {JOB} {TRIAL} --format json {way}"));
        let part = "result_data.reward";
        assert!(trial.stderr.contains(part), "{way}: {}", trial.stderr);
        let trial = json(&trial.expect_success());
        assert_eq!(trial["result_data"]["reward"], "NaN");
        assert_eq!(trial["harbor"]["agent_version"], "1.0 \u{fffd}");
    }
}

#[test]
fn a_torn_file_is_not_repaired() {
    let home = TestHome::with_jobs();
    let path = home.jobs().join(JOB).join(TRIAL).join("result.json");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        format!("{{\"odd\":NaN,{}", &whole[1..whole.len() / 2]),
    )
    .unwrap();
    let line = format!("runs trial {JOB} {TRIAL} --format json");
    let torn = json(&home.run_jobs(&line).expect_success());
    assert_eq!(torn["harbor"]["agent_version"], Value::Null, "{torn}");
    fs::write(&path, format!("{{\"odd\":NaN,{}", &whole[1..])).unwrap();
    eventually("the whole file is read", || {
        let shown = json(&home.run_jobs(&format!("{line} --fresh")).expect_success());
        shown["harbor"]["agent_version"] != Value::Null
    });
}

#[test]
fn a_hub_passes_odd_values_on_as_what_they_are() {
    let shared = TestHome::with_jobs();
    spoil(&shared);
    let mut hub = Hub::of(shared.into(), "");
    let other = TestHome::new();
    assert_eq!(sign_in(&other, &hub, &hub.token(), "").code, Some(0));
    for way in ["--no-daemon", ""] {
        let line = format!("-p team runs trials {JOB} --format json {way}");
        let trials = json(&other.run(&line).expect_success());
        let trials = trials.as_array().unwrap();
        let odd = trials.iter().find(|trial| trial["id"] == TRIAL).unwrap();
        assert_eq!(odd["result_data"]["reward"], "NaN", "{way}");
        assert_eq!(odd["status"], "completed", "{way}");
    }
    hub.end();
}

#[test]
fn rows_that_are_too_large_together_come_in_smaller_pages() {
    // 12 rows of 6 MB: a page with all of them is larger than the 64 MB that an answer may have.
    let padding = "x".repeat(6 << 20);
    let remote = Remote::start(move |request| {
        let (path, query) = request.split_once('?').unwrap_or((request, ""));
        let number = |name: &str, usual| query_number(query, name, usual);
        let (offset, limit) = (number("offset", 0), number("limit", 50));
        let rows = (0..12).skip(offset).take(limit).map(|row| {
            format!(r#"{{"id":"r-{row}","status":"failed","created_at":"2026-01-{:02}T00:00:00Z","log":"{padding}"}}"#, 20 - row)
        });
        match path {
            "GET /tenants/ten/runs" => (200, format!("[{}]", rows.collect::<Vec<_>>().join(","))),
            _ => (404, "{}".to_owned()),
        }
    });
    let home = TestHome::with_remote(&remote);
    let expected: String = (0..12).map(|row| format!("r-{row}\n")).collect();
    let line = "runs list -n 0 -s failed -q";
    assert_eq!(
        home.run(&format!("{line} --no-daemon")).expect_success(),
        expected
    );
}
