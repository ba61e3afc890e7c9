//! The main use: the bundled jobs through the real programs, and from the mirror once they are gone.

use std::fs;

use crate::test_home::TestHome;

const EVALUATIONS: &str = "\
64724927-b858-4858-94a9-d5d0d4090cd3\tkilled-midway\tfailed\t4/8\t0.5000\t2026-11-23T21:43:41.806659Z
079d98db-605d-4f2f-922f-c5a27696beb3\tinterrupted-midway\tcancelled\t6/8\t0.5000\t2026-11-23T21:43:33.664224Z
e8c003f5-a129-414b-9d33-4c12687eb455\tnightly-mixed\tcompleted\t24/24\t0.0833\t2026-11-23T21:43:21.553913Z
a621929a-2384-4dd8-9273-02077fd28dc0\t2026-11-23__16-43-17\tcompleted\t6/6\t1.0000\t2026-11-23T21:43:17.147773Z
";

const RUNS: &str = "\
64724927-b858-4858-94a9-d5d0d4090cd3\tkilled-midway\tfailed\t2026-11-23T21:43:41.806659Z
079d98db-605d-4f2f-922f-c5a27696beb3\tinterrupted-midway\tcancelled\t2026-11-23T21:43:33.664224Z
e8c003f5-a129-414b-9d33-4c12687eb455\tnightly-mixed\tcompleted\t2026-11-23T21:43:21.553913Z
a621929a-2384-4dd8-9273-02077fd28dc0\t2026-11-23__16-43-17\tcompleted\t2026-11-23T21:43:17.147773Z
";

const TRIALS: &str = "\
long-solve__TZ9TSsi\tlong-solve\toracle\t\terror\t\t\t\t\t\tLost
long-solve__epzrhRs\tlong-solve\toracle\t\terror\t\t\t\t\t\tLost
hello-file__BbP5baJ\thello-file\toracle\t\tpassed\t1\t\t1.393617\t\t\t
sum-orders__itdL3Bo\tsum-orders\toracle\t\tpassed\t1\t\t1.3369\t\t\t
wrong-answer__MnWYFeM\twrong-answer\toracle\t\tfailed\t0\t\t2.33612\t\t\t
hello-file__pzLJtct\thello-file\toracle\t\tpassed\t1\t\t1.324187\t\t\t
planned-0007\tsum-orders\toracle\t\tpending\t\t\t\t\t\tnever started: the job ended first
planned-0008\twrong-answer\toracle\t\tpending\t\t\t\t\t\tnever started: the job ended first
";

const FILTERED: &str = "\
2026-11-23__16-43-17\tfix-clamp\tscripted-coder\tacme/scripted-1\tpassed\t1\t0.01461\t7410
2026-11-23__16-43-17\tsum-orders\tscripted-coder\tacme/scripted-1\tpassed\t1\t0.007455\t2975
2026-11-23__16-43-17\thello-file\tscripted-coder\tacme/scripted-1\tpassed\t1\t0.007455\t2975
";

const ERRORS: &str = "\
nightly-mixed\tslow-solve__hKaEoZ9\toracle\tAgentTimeoutError
nightly-mixed\tslow-solve__qR4W482\toracle\tAgentTimeoutError
";

/// A command and its complete output.
const ANSWERS: &[(&str, &str)] = &[
    ("runs eval-list", EVALUATIONS),
    ("runs list", RUNS),
    ("runs trials killed-midway", TRIALS),
    (
        "runs trials --all-runs --model scripted-1 --reward >=1 --sort cost \
         --columns run,task,agent,model,status,reward,cost,tokens",
        FILTERED,
    ),
    (
        "runs trials --all-runs --error agenttimeouterror --sort id --columns run,id,agent,error",
        ERRORS,
    ),
    (
        "runs list --status failed -q",
        "64724927-b858-4858-94a9-d5d0d4090cd3\n",
    ),
    (
        "runs eval-list --search midway --sort name --columns name,status",
        "interrupted-midway\tcancelled\nkilled-midway\tfailed\n",
    ),
];

fn answers_all(home: &TestHome, options: &str) {
    for (line, expected) in ANSWERS {
        let ended = home.run_jobs(&format!("{line} {options}"));
        assert_eq!(
            ended.stdout, *expected,
            "{line} {options}: {}",
            ended.stderr
        );
        assert_eq!(ended.code, Some(0), "{line} {options}: {}", ended.stderr);
    }
}

#[test]
fn the_bundled_jobs_are_listed_and_shown_as_they_are() {
    let home = TestHome::with_jobs();
    answers_all(&home, "");
    let run = home.run_jobs("runs eval-get 64724927").expect_success();
    for line in [
        "Evaluation run: 64724927-b858-4858-94a9-d5d0d4090cd3\n",
        "  Name:          killed-midway\n",
        "  Status:        failed\n",
        "  Reason:        killed: the process ended without finishing; 2 trials were running, 2 never started\n",
        "  Total Trials:  8\n",
        "  Passed:        3\n",
        "    oracle   50.0%      8       4          1\n",
    ] {
        assert!(run.contains(line), "{run}");
    }
    assert!(
        home.run_jobs("runs get nightly-mixed")
            .expect_success()
            .contains("Status:        completed\n")
    );
    let trial = home
        .run_jobs("runs trial nightly-mixed bad-env__bj5fYwd")
        .expect_success();
    let cause = "RuntimeError: environment setup.sh exited with 7: package mirror unreachable";
    assert_eq!(trial.matches(cause).count(), 1, "said once: {trial}");
    assert!(trial.contains("  Status:    error\n"), "{trial}");
}

#[test]
fn a_path_that_is_not_a_jobs_directory_is_named_with_a_hint() {
    let home = TestHome::with_jobs();
    let table = [
        (
            home.jobs().join("nightly-mixed/job.log"),
            2,
            "not a directory",
        ),
        (home.path("nowhere"), 3, "No such file or directory"),
    ];
    for (path, code, said) in table {
        let ended = home.run(&format!("runs list --harbor {}", path.display()));
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
        assert!(
            ended
                .stderr
                .contains("hint: Name the directory that contains the jobs' folders."),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn artifacts_of_a_job_land_where_the_python_client_puts_them() {
    let home = TestHome::with_jobs();
    let out = home.path("out");
    let line = format!("runs artifacts killed-midway -o {}", out.display());
    let listed = home.run_jobs(&line).expect_success();
    let run = out.join("64724927-b85");
    let trial = run.join("hello-file_hello-file__BbP5baJ");
    let source = home
        .jobs()
        .join("killed-midway/hello-file__BbP5baJ/result.json");
    let copied = trial.join("result.json");
    assert!(
        listed.lines().any(|path| path == copied.to_str().unwrap()),
        "{listed}"
    );
    assert_eq!(fs::read(copied).unwrap(), fs::read(source).unwrap());
    for path in listed.lines() {
        assert!(fs::metadata(path).unwrap().is_file(), "{path}");
    }
    // Elsewhere: what is there already is not listed again.
    let elsewhere = home.path("elsewhere");
    let logs = format!(
        "runs artifacts killed-midway -o {} --type logs -t hello-file__BbP5baJ",
        elsewhere.display()
    );
    let logs = home.run_jobs(&logs).expect_success();
    let names: Vec<&str> = logs
        .lines()
        .map(|path| path.rsplit('/').next().unwrap())
        .collect();
    let expected = [
        "logs.txt",
        "logs-trial.log",
        "logs-verifier_test-stdout.txt",
    ];
    assert!(
        names.len() == 3 && expected.iter().all(|name| names.contains(name)),
        "{names:?}"
    );
    for (name, source) in [
        ("run/logs.log", "job.log"),
        ("run/result.json", "result.json"),
    ] {
        let source = home.jobs().join("killed-midway").join(source);
        assert_eq!(fs::read(run.join(name)).unwrap(), fs::read(source).unwrap());
    }
    assert_eq!(home.run_jobs(&format!("{line} --type diff")).code, Some(3));
}

#[test]
fn a_directory_that_is_gone_is_still_answered_from_its_mirror() {
    let home = TestHome::with_jobs();
    home.run_jobs("sync --full").expect_success();
    fs::rename(home.jobs(), home.path("elsewhere")).unwrap();
    answers_all(&home, "--offline");
    let meta = home
        .run_jobs("runs eval-list --offline --meta")
        .expect_success();
    assert!(
        meta.contains(r#""source":"mirror""#) && meta.contains(r#""as_of":""#),
        "{meta}"
    );
    // A new daemon knows nothing but the file.
    home.stop();
    answers_all(&home, "--offline");
    let ended = home.run_jobs("runs eval-list");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout, EVALUATIONS);
    let fresh = home.run_jobs("runs eval-list --fresh");
    assert_ne!(fresh.code, Some(0), "nobody can confirm it");
    assert_eq!(fresh.stdout, "");
}

#[test]
fn history_is_shown_by_run_and_by_time() {
    let home = TestHome::with_jobs();
    home.run_jobs("sync --full").expect_success();
    let history = home.run_jobs("runs history killed-midway").expect_success();
    let row: Vec<&str> = history.lines().next().unwrap().split('\t').collect();
    assert_eq!((row[1], row[2]), ("failed", ""), "{history}");
    let trial = "runs history nightly-mixed bad-env__bj5fYwd --format json";
    let trial: serde_json::Value =
        serde_json::from_str(&home.run_jobs(trial).expect_success()).unwrap();
    assert_eq!(trial["changes"][0]["to"], "error");
    assert_eq!(trial["looks"].as_array().unwrap().len(), 1);
    // The jobs ended long ago, though they were met just now.
    let quiet = home.run_jobs("runs changes --since 1h --kind run,evaluation");
    assert_eq!((quiet.stdout.as_str(), quiet.code), ("", Some(0)));
    let all = "runs changes --since 2026-11-23T00:00Z --until 2026-11-24T12:00Z -n 0";
    let all = format!("{all} --kind trial --status error");
    let errors = home.run_jobs(&all).expect_success();
    assert_eq!(errors.lines().count(), 10, "{errors}");
    assert!(errors.lines().is_sorted(), "by time: {errors}");
    assert_eq!(home.run_jobs("runs history no-such-run").code, Some(3));
    assert_eq!(home.run_jobs("runs changes --no-daemon").code, Some(2));
}
