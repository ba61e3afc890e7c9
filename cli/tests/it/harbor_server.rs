//! `docks --harbor-server`: which server is asked, with which key, and what its refusals say.

use docksd_testkit::fake_harbor::{FakeAttempt, FakeHarbor};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::remote::Remote;
use crate::sealed::CommandResult;
use crate::test_home::{TestHome, eventually};

/// A fake server, and a home whose commands ask it.
pub(crate) struct Served {
    pub(crate) home: TestHome,
    pub(crate) server: FakeHarbor,
    // After the server: its tasks run here.
    pub(crate) runtime: Runtime,
}

/// The id of the job of a new server.
pub(crate) const NIGHTLY: &str = "11111111-0000-4000-8000-000000000000";

impl Served {
    pub(crate) fn start() -> Self {
        Self::start_with(TestHome::new())
    }

    /// Starts a server with one running job, for a home.
    pub(crate) fn start_with(home: TestHome) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let server = runtime.block_on(FakeHarbor::start());
        server.with(|data| {
            data.job(NIGHTLY, "nightly", "running");
            data.attempt(NIGHTLY, &attempt("a", "running"));
        });
        Self {
            home,
            server,
            runtime,
        }
    }

    pub(crate) fn run(&self, line: &str) -> CommandResult {
        self.home
            .run(&format!("--harbor-server {} {line}", self.server.url()))
    }

    /// Lets the trial of the job end well.
    pub(crate) fn finish(&self) {
        self.server.with(|data| {
            let solved = FakeAttempt {
                reward: Some(1.0),
                ..attempt("a", "finished")
            };
            data.attempt(NIGHTLY, &solved);
            data.job(NIGHTLY, "nightly", "finished");
        });
    }

    pub(crate) fn json(&self, line: &str) -> Value {
        let text = self.run(&format!("{line} --format json")).expect_success();
        serde_json::from_str(&text).unwrap()
    }
}

pub(crate) fn attempt(id: &str, state: &'static str) -> FakeAttempt {
    FakeAttempt {
        id: format!("{id}{id}{id}{id}{id}{id}{id}{id}-0000-4000-8000-000000000000"),
        state,
        ..FakeAttempt::default()
    }
}

fn run_with(home: &TestHome, line: &str, variables: &[(&str, &str)]) -> CommandResult {
    let mut command = home.command(line);
    command.envs(variables.iter().copied());
    CommandResult::new(command.output().unwrap())
}

#[test]
fn a_server_is_listed_followed_and_its_retries_keep_their_trial() {
    let served = Served::start();
    let job = "11111111-0000-4000-8000-000000000000";
    let listed = served.json("runs eval-list");
    assert_eq!(
        (&listed[0]["id"], &listed[0]["status"]),
        (&job.into(), &"running".into())
    );
    served.server.with(|data| {
        let failed = FakeAttempt {
            error: Some(("ApiError", "no answer")),
            ..attempt("a", "finished")
        };
        data.attempt(job, &failed);
        data.job(job, "nightly", "finished");
    });
    eventually("the end is followed", || {
        served.json("runs trials nightly")[0]["error_message"] == "ApiError: no answer"
    });
    served.run("runs retry nightly --force").expect_success();
    let trial = &served.json("runs trials nightly")[0];
    let id = attempt("a", "finished").id;
    assert_eq!(
        (&trial["id"], &trial["status"]),
        (&id.into(), &"pending".into())
    );
    let newest = trial["harbor"]["attempts"][0].as_str().unwrap();
    let by_attempt = served.json(&format!("runs trial nightly {newest}"));
    assert_eq!(&by_attempt["id"], &trial["id"]);
    let paused = served.run("runs pause nightly");
    assert!(
        paused.stdout.contains("nightly") || paused.code == Some(0),
        "{}",
        paused.stderr
    );
    let reason = served.json("runs eval-get nightly")["status_reason"].clone();
    assert!(
        reason.as_str().unwrap_or_default().contains("runs resume"),
        "{reason}"
    );
    let stopped = served.run("runs stop nightly --force").expect_success();
    assert!(stopped.contains("cancelled"), "{stopped}");
    drop(served.runtime);
}

#[test]
fn files_come_through_the_download_route_under_their_names() {
    let served = Served::start();
    served.finish();
    let printed = served.run("runs artifacts nightly -o out").expect_success();
    for name in ["logs.txt", "logs-trial.log", "result.json"] {
        assert!(printed.contains(name), "{name}: {printed}");
    }
    let log = served.run("runs logs nightly aaaaaaaa").expect_success();
    assert!(log.contains("content of coder.txt"), "{log}");
    let listed = served
        .run("runs files nightly --format tsv")
        .expect_success();
    for row in [
        "lock.json\t\tconfig\t\t",
        "config.json\t\tconfig\taaaaaaaa",
        "agent/sessions/1.jsonl\t\tsession\taaaaaaaa",
    ] {
        assert!(listed.contains(row), "{row}: {listed}");
    }
    let config = served.run("runs cat nightly aaaaaaaa config.json");
    assert_eq!(config.expect_success(), "content of config.json\n");
    let all = served
        .run("runs artifacts nightly -o all --type all")
        .expect_success();
    assert_eq!(all.lines().count(), 6, "{all}");
}

#[test]
fn one_trial_is_retried_however_it_ended() {
    let served = Served::start();
    served.finish();
    served.server.with(|data| {
        data.attempt(NIGHTLY, &attempt("b", "finished"));
    });
    let whole = served.run("runs retry nightly --force");
    assert_eq!(whole.code, Some(1), "{}", whole.stderr);
    served
        .run("runs retry nightly aaaaaaaa --force")
        .expect_success();
    let trials = served.json("runs trials nightly");
    let attempts = |name: char| {
        let mut trials = trials.as_array().unwrap().iter();
        let trial = trials.find(|trial| trial["id"].as_str().unwrap().starts_with(name));
        trial.unwrap()["harbor"]["attempts"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!((attempts('a'), attempts('b')), (2, 1));
    let missing = served.run("runs retry nightly zzz --force");
    assert_eq!(missing.code, Some(3), "{}", missing.stderr);
    let asked = served.run("runs retry nightly aaaaaaaa");
    assert_eq!(asked.code, Some(2), "{}", asked.stderr);
    let jobs = TestHome::with_jobs();
    let trial = jobs
        .run_jobs("runs trials nightly-mixed -q -n 1")
        .expect_success();
    let line = format!("runs retry nightly-mixed {} --force", trial.trim());
    let refused = jobs.run_jobs(&line);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("harbor serve"),
        "{}",
        refused.stderr
    );
}

#[test]
fn the_key_goes_to_the_server_that_the_user_named_and_to_nobody_else() {
    let served = Served::start();
    served
        .server
        .with(|data| data.key = Some("right".to_owned()));
    let url = served.server.url();
    let home = &served.home;
    let list = "runs list --quiet";
    let missing = served.run(list);
    assert_eq!(missing.code, Some(4), "{}", missing.stderr);
    assert!(
        missing.stderr.contains("HARBOR_API_KEY"),
        "{}",
        missing.stderr
    );
    let option = format!("--harbor-server {url} {list}");
    let wrong = run_with(home, &option, &[("HARBOR_API_KEY", "wrong")]);
    assert_eq!(wrong.code, Some(4), "{}", wrong.stderr);
    // A token of the Docks API is not the server's.
    let other = run_with(home, &option, &[("DOCKS_TOKEN", "right")]);
    assert_eq!(other.code, Some(4), "{}", other.stderr);
    let key = ("HARBOR_API_KEY", "right");
    for (line, variables) in [
        (option.as_str(), vec![key]),
        (list, vec![key, ("DOCKS_HARBOR_SERVER", &*url)]),
    ] {
        let listed = run_with(home, line, &variables).expect_success();
        assert!(listed.starts_with("11111111"), "{listed}");
    }
    let added = run_with(
        home,
        &format!("profile add serve --harbor-server {url}"),
        &[],
    );
    added.expect_success();
    let listed = run_with(home, &format!("-p serve {list}"), &[key]).expect_success();
    assert!(listed.starts_with("11111111"), "{listed}");
    // A Docks API never gets it.
    let api = Remote::start(|_| (200, "[]".to_owned()));
    home.profile(&api.url(), "canary-token");
    run_with(home, "runs list", &[key]).expect_success();
    let sent = format!("{:?}", api.take_requests());
    assert!(
        sent.contains("canary-token") && !sent.contains("right"),
        "{sent}"
    );
}

#[test]
fn what_cannot_be_asked_says_what_to_do() {
    let served = Served::start();
    let nobody = served
        .home
        .run("--harbor-server http://127.0.0.1:9 runs list");
    assert_eq!(nobody.code, Some(5), "{}", nobody.stderr);
    assert!(
        nobody.stderr.contains("Start `harbor serve`"),
        "{}",
        nobody.stderr
    );
    served
        .server
        .with(|data| data.version = "2031-01-01".to_owned());
    let newer = served.run("runs list");
    assert!(newer.stderr.contains("2031-01-01"), "{}", newer.stderr);
    let plain = served
        .home
        .run("--harbor-server http://10.0.0.1:8390 runs list");
    assert_eq!(plain.code, Some(2), "{}", plain.stderr);
    let both = served.run("-p serve auth status");
    assert_eq!(both.code, Some(2), "{}", both.stderr);
    let without = served.run("--no-daemon runs list");
    assert_eq!(without.code, Some(2), "{}", without.stderr);
}

#[test]
fn other_remotes_say_that_they_cannot_pause() {
    let home = TestHome::with_jobs();
    for verb in ["pause", "resume", "retry --force"] {
        let refused = home.run_jobs(&format!("runs {verb} nightly-mixed"));
        assert_eq!(refused.code, Some(1), "{verb}: {}", refused.stderr);
        assert!(
            refused.stderr.contains("harbor job resume"),
            "{}",
            refused.stderr
        );
    }
    let api = Remote::start(|_| (200, r#"{"id":"r","status":"running"}"#.to_owned()));
    let home = TestHome::with_remote(&api);
    let refused = home.run("runs pause r");
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("cannot pause"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_servers_data_directory_names_the_option() {
    let home = TestHome::new();
    let data = home.path("data");
    std::fs::create_dir_all(data.join("files/rollouts")).unwrap();
    std::fs::write(data.join("harbor.sqlite3"), "").unwrap();
    let listed = home.run(&format!("--harbor {} runs list", data.display()));
    assert!(
        listed.stderr.contains("--harbor-server"),
        "{}",
        listed.stderr
    );
}
