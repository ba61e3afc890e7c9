//! `docks runs failures`, with the real daemon.

use std::fs;
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use crate::remote::Remote;
use crate::sealed::check_needs_daemon;
use crate::test_home::TestHome;

fn report(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Class, cause and number of trials of each cluster.
fn clusters(report: &Value) -> Vec<String> {
    let clusters = report["clusters"].as_array().unwrap().iter();
    clusters
        .map(|cluster| {
            let text = |key: &str| cluster[key].as_str().unwrap().to_owned();
            format!("{} {} {}", cluster["trials"], text("class"), text("cause"))
        })
        .collect()
}

#[test]
fn real_jobs_are_sorted_and_their_logs_shown() {
    let home = TestHome::with_jobs();
    let found = home.run_jobs("runs failures nightly-mixed --format json --meta");
    let answer = report(&found.expect_success());
    assert_eq!(answer["source"], "mirror");
    assert!(answer["as_of"].is_string() && answer["incomplete"].is_null());
    let found = &answer["data"];
    assert_eq!(
        clusters(found),
        [
            "12 ability not solved",
            "4 infrastructure network",
            "4 grading no reward",
            "2 limits agent time-out"
        ]
    );
    // 24 trials, of which 4 never had a sandbox and 4 more no reward.
    let share = |rate: &str| {
        let rate = &found[rate];
        (rate["solved"].as_u64(), rate["attempts"].as_u64())
    };
    assert_eq!(share("rate"), (Some(2), Some(24)));
    assert_eq!(share("rate_without_infrastructure"), (Some(2), Some(20)));
    assert_eq!(share("rate_of_valid"), (Some(2), Some(16)));
    let network = &found["clusters"][1];
    assert_eq!(network["decided_by"], "unreachable");
    assert_eq!(network["errors"], json!(["RuntimeError"]));
    let log = network["examples"][0]["log"].as_array().unwrap();
    assert!(
        log.iter()
            .any(|line| line.as_str().unwrap().contains("package mirror")),
        "{log:?}"
    );
    let markdown = home.run_jobs("runs failures nightly-mixed --format markdown -n 2");
    let markdown = markdown.expect_success();
    assert!(
        markdown.starts_with("**nightly-mixed: 22 of 24 trials failed or have an error**\n"),
        "{markdown}"
    );
    assert!(markdown.contains("\n| 12 | ability | not solved |"));
    assert!(markdown.ends_with("\nThe biggest 2 of 4 clusters.\n"));
    // A terminal's summary goes to stderr in a pipe, where rows are data.
    let rows = home.run_jobs("runs failures nightly-mixed --format tsv -n 2");
    assert!(
        rows.stderr.contains("22 of 24 trials failed"),
        "{}",
        rows.stderr
    );
    assert!(
        rows.stderr.contains("the biggest 2 of 4 clusters"),
        "{}",
        rows.stderr
    );
    let rows = rows.expect_success();
    assert!(rows.starts_with("trials\tsolved\tclass\tcause\t"), "{rows}");
    assert_eq!(rows.lines().count(), 3);
}

#[test]
fn several_runs_all_runs_and_filters_agree_with_lists_of_trials() {
    let home = TestHome::with_jobs();
    let both =
        home.run_jobs("runs failures nightly-mixed killed-midway nightly-mixed --format json");
    let both = report(&both.expect_success());
    let names: Vec<&str> = both["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["nightly-mixed", "killed-midway"], "each once");
    let lost = ["infrastructure lost", "2 infrastructure lost"];
    assert!(
        clusters(&both)
            .iter()
            .any(|cluster| lost.contains(&cluster.as_str()))
    );
    for filter in [
        "",
        "--status error",
        "--error AgentTimeoutError",
        "--task slow-solve --reward 0",
        "--search no-rew",
        "--agent nobody",
        "--since 2025-01-01 --until 2026-01-01",
        "--error Lost",
    ] {
        let listed = home.run_jobs(&format!("runs trials --all-runs -n 0 -q {filter}"));
        let found = home.run_jobs(&format!("runs failures --all-runs --format json {filter}"));
        let found = report(&found.expect_success());
        let listed = listed.expect_success().lines().count();
        assert_eq!(found["trials"], listed, "{filter}");
    }
}

#[test]
fn rules_of_the_settings_come_first_and_wrong_ones_are_named() {
    let home = TestHome::with_jobs();
    let settings = home.path("docks/daemon.toml");
    let rule = "[[failure_rule]]\nclass = \"configuration\"\ncause = \"mirror\"\nwords = \"package mirror\"\n";
    fs::write(&settings, rule).unwrap();
    let found = home.run_jobs("runs failures nightly-mixed --format json");
    let found = report(&found.expect_success());
    assert!(clusters(&found).contains(&"4 configuration mirror".to_owned()));
    home.stop();
    fs::write(&settings, rule.replace("configuration", "bad luck")).unwrap();
    let refused = home.run_jobs("runs failures nightly-mixed");
    assert_ne!(refused.code, Some(0));
    let expected = "`failure_rule` in";
    assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("`class`: it must be one of"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_hostile_remote_has_no_file_read_and_no_text_obeyed() {
    let remote = Remote::with_trials(
        r#"{"id":"t-1","task_slug":"a","status":"failed","logs_uri":"file:///etc/passwd","result_data":{"reward":0}},
                   {"id":"t-2","task_slug":"a","status":"error","error_message":"\u001b]0;owned\u0007 HTTP 429","result_data":{}},
                   {"id":"t-3","task_slug":"b","status":"passed"},
                   {"id":"t-4","task_slug":"b","status":"completed"}"#,
    );
    let home = TestHome::with_remote(&remote);
    home.run("sync --full").expect_success();
    let text = home.run("runs failures n --format json").expect_success();
    let found = report(&text);
    assert_eq!(
        clusters(&found),
        ["1 ability not solved", "1 infrastructure rate limit"]
    );
    assert_eq!(found["clusters"][0]["examples"][0]["log"], Value::Null);
    assert!(!text.contains("root:"));
    // Of t-4 nothing says whether it solved its task.
    assert_eq!(
        (&found["undecided"], &found["ended"]),
        (&json!(1), &json!(4))
    );
    let rows = home.run("runs failures n").expect_success();
    assert!(!rows.contains(['\u{1b}', '\u{7}']), "{rows:?}");
}

#[test]
fn logs_that_are_cached_are_shown_and_others_are_not_asked_for() {
    let address = Arc::new(OnceLock::<String>::new());
    let known = Arc::clone(&address);
    let remote = Remote::start(move |asked| {
        let path = asked.split(['?', ' ']).nth(1).unwrap();
        let run =
            r#"{"id":"r-1","name":"n","status":"completed","created_at":"2026-01-01T00:00:00Z"}"#;
        let url = known.get().map_or("", String::as_str);
        match path.trim_start_matches("/tenants/ten/") {
            "harbor/runs" if asked.contains("offset=0") || !asked.contains("offset=") => {
                (200, format!("[{run}]"))
            }
            "runs" | "harbor/runs" => (200, "[]".to_owned()),
            "harbor/runs/r-1" => (200, run.to_owned()),
            "harbor/runs/r-1/trials" => (
                200,
                format!(
                    r#"[{{"id":"t-1","task_slug":"a","status":"failed","logs_uri":"{url}/log.txt","result_data":{{"reward":0}}}}]"#
                ),
            ),
            "/log.txt" => (200, "begun\nthe disk is full\n".to_owned()),
            _ => (404, r#"{"detail":"not found"}"#.to_owned()),
        }
    });
    address.set(remote.url()).unwrap();
    let home = TestHome::with_remote(&remote);
    home.run("sync --full").expect_success();
    let log = || {
        let text = home.run("runs failures n --format json").expect_success();
        report(&text)["clusters"][0]["examples"][0]["log"].clone()
    };
    assert_eq!(log(), Value::Null);
    let is_log = |asked: &String| asked.contains("/log.txt");
    assert!(!remote.requests().iter().any(is_log), "it was asked for");
    home.run("cache pull n").expect_success();
    assert_eq!(log(), json!(["begun", "the disk is full"]));
    assert_eq!(remote.requests().into_iter().filter(is_log).count(), 1);
}

#[test]
fn what_cannot_be_answered_says_what_to_do() {
    let home = TestHome::with_jobs();
    let unknown = home.run_jobs("runs failures nothing");
    assert_eq!(unknown.code, Some(3));
    assert!(
        unknown.stderr.contains("No evaluation run `nothing`"),
        "{}",
        unknown.stderr
    );
    let status = home.run_jobs("runs failures --all-runs --status bogus");
    assert_eq!(status.code, Some(2));
    assert!(
        status.stderr.contains("known statuses"),
        "{}",
        status.stderr
    );
    let reward = home.run_jobs("runs failures --all-runs --reward much");
    assert_eq!(reward.code, Some(2));
    check_needs_daemon("runs failures x");
}

#[test]
fn of_several_remotes_each_answers_for_its_runs() {
    let home = TestHome::with_jobs();
    let other = home.path("other");
    fs::create_dir(&other).unwrap();
    fs::rename(
        home.jobs().join("killed-midway"),
        other.join("killed-midway"),
    )
    .unwrap();
    let config = format!(
        "[a]\nharbor_jobs = \"{}\"\n\n[b]\nharbor_jobs = \"{}\"\n",
        home.jobs().display(),
        other.display()
    );
    home.write_settings(config);
    let found = home.run("-p a,b runs failures b:killed-midway --format json");
    assert_eq!(
        report(&found.expect_success())["runs"][0]["name"],
        "killed-midway"
    );
    // Over both, each remote's own, as two commands find them.
    let apart = home.run("-p a,b runs failures killed-midway nightly-mixed --format json");
    let merged = report(&apart.expect_success());
    let alone = |command: &str| report(&home.run(command).expect_success());
    let mut own = [
        alone("-p a runs failures nightly-mixed --format json"),
        alone("-p b runs failures killed-midway --format json"),
    ];
    for (at, remote) in ["a", "b"].into_iter().enumerate() {
        assert_eq!(merged["remotes"][at]["rate"], own[at]["rate"]);
        assert_eq!(merged["runs"][at]["remote"], remote);
        own[at]["runs"][0]["remote"] = remote.into();
        assert_eq!(merged["runs"][at], own[at]["runs"][0]);
    }
    let sum = |count: &str| {
        own.iter()
            .filter_map(|own| own[count].as_u64())
            .sum::<u64>()
    };
    for count in ["trials", "ended", "solved", "failures", "clusters_total"] {
        assert_eq!(merged[count], sum(count), "{count}");
    }
    let of_classes = merged["classes"].as_array().unwrap().iter();
    let of_classes: u64 = of_classes
        .filter_map(|class| class["trials"].as_u64())
        .sum();
    assert_eq!(merged["failures"], of_classes);
    assert_eq!(merged["rate"], Value::Null, "{merged}");
    let sizes: Vec<u64> = merged["clusters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cluster| cluster["trials"].as_u64().unwrap())
        .collect();
    assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
    let rows = home.run("-p a,b runs failures --all-runs -n 3 --format tsv");
    assert!(rows.stderr.contains("\nb: "), "{}", rows.stderr);
    let rows = rows.expect_success();
    assert_eq!(rows.lines().count(), 4);
    assert!(rows.lines().next().unwrap().ends_with("\tremote"), "{rows}");
    let markdown = home.run("-p a,b runs failures --all-runs --format markdown");
    let markdown = markdown.expect_success();
    assert!(markdown.contains("\n**b: killed-midway: "), "{markdown}");
    assert!(markdown.contains(" | remote |\n"), "{markdown}");
}

#[test]
fn a_remote_that_gives_no_answer_takes_nothing_from_the_others() {
    let home = TestHome::with_jobs();
    let config = format!(
        "[a]\nharbor_jobs = \"{}\"\n\n[down]\nharbor_server = \"http://127.0.0.1:1\"\n",
        home.jobs().display()
    );
    fs::write(home.path("docks/config.toml"), config).unwrap();
    let all = home.run("-p a,down runs failures --all-runs --format json --meta");
    assert_eq!(all.code, Some(1), "{}", all.stderr);
    let answer = report(&all.stdout);
    let alone = home.run("-p a runs failures --all-runs --format json");
    assert_eq!(
        answer["data"]["trials"],
        report(&alone.expect_success())["trials"]
    );
    assert!(answer["remotes"][1]["error"].is_string(), "{answer}");
    assert!(
        all.stderr.contains("1 of 2 remotes gave no answer"),
        "{}",
        all.stderr
    );
    // Which remote has the second run cannot be known; the first is told all the same.
    let named = home.run("-p a,down runs failures nightly-mixed down:x --format json");
    assert_eq!(named.code, Some(1), "{}", named.stderr);
    assert_eq!(report(&named.stdout)["failures"], 22);
    assert!(
        named.stderr.contains("1 of 2 runs could not be looked up"),
        "{}",
        named.stderr
    );
    let unknown = home.run("-p a runs failures nightly-mixed nothing");
    assert_eq!(unknown.code, Some(3));
}
