//! `pull` in `daemon.toml` with the real docksd: what a store does not give is tried again, over
//! restarts, and a run that takes long does not hold up the others.

mod store;

use std::future::Future;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use docks_artifacts::ArtifactType;
use docks_artifacts::cache::Cache;
use docks_proto::client::Limits;
use docks_proto::freshness::CachePolicy;
use docks_proto::routes::RunKind;
use docks_proto::status::PrefetchStatus;
use docks_proto::time::UnixMs;
use docksd::config::ArtifactPrefetch;
use docksd_stores::StoreVariables;
use serde_json::json;
use tokio::time::{Instant, sleep};

use self::store::{Answer, Store};
use crate::pull::waits_for_ends;
use crate::upstream_support::{Site, everything};
use docksd_testkit::fake_remote::{FakeRemote, RemoteData};

/// Longest wait for a state that the daemon must reach, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// Waits until `state` holds; fails after [`DEADLINE`].
async fn eventually<F: Future<Output = bool>>(what: &str, state: impl Fn() -> F) {
    let deadline = Instant::now() + DEADLINE;
    while !state().await {
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// A remote, a store, and a home for the docksd that prefetches.
struct Prefetching {
    site: Site,
    store: Store,
    docksd: Option<Child>,
    /// What the daemons log, to be shown if the test fails.
    log: tempfile::NamedTempFile,
}

impl Prefetching {
    /// Starts with running runs, each with the trials whose ids are given.
    async fn start(store: Store, runs: &[(&str, &[&str])], settings: &str) -> Self {
        let mut started = Self::with_runs(store, runs).await;
        let settings = format!(
            "pull = \"logs\"\nactive_interval = \"1s\"\nidle_interval = \"1s\"\n\
             budget_per_minute = 60000\n{settings}"
        );
        std::fs::write(started.site.places().daemon_file(), settings).unwrap();
        started.start_docksd().await;
        started.wait_until_polling(runs).await;
        started
    }

    /// The same in this process, so that its clock can be set forward.
    async fn start_here(store: Store, runs: &[(&str, &[&str])]) -> Self {
        let mut started = Self::with_runs(store, runs).await;
        let url = started.store.url.clone();
        started.site.prefetch = ArtifactPrefetch {
            kinds: vec![ArtifactType::Logs],
            variables: StoreVariables::read(|name| {
                (name == "STORAGE_EMULATOR_HOST").then(|| url.clone().into())
            }),
        };
        started.site.start(None).await;
        started.wait_until_polling(runs).await;
        started
    }

    async fn with_runs(store: Store, runs: &[(&str, &[&str])]) -> Self {
        let mut data = RemoteData::default();
        for (run, trials) in runs {
            data.add_evaluation(run, "running");
            for trial in *trials {
                data.add_trial(run, trial, "running");
            }
        }
        Self {
            site: Site::new(data, None, Limits::default()).await,
            store,
            docksd: None,
            log: tempfile::NamedTempFile::new().unwrap(),
        }
    }

    async fn start_docksd(&mut self) {
        let log = std::fs::File::options().append(true).open(self.log.path());
        let log = log.unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_docksd"));
        command
            .arg("--home")
            .arg(self.site.places().home)
            .args(["--foreground", "--log-level", "debug"])
            .env_clear()
            .env("DOCKS_USE_KEYRING", "false")
            .env("STORAGE_EMULATOR_HOST", &self.store.url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(log));
        self.docksd = Some(command.spawn().unwrap());
        eventually("docksd answers", || async {
            self.site.client().status().await.is_ok()
        })
        .await;
    }

    fn kill_docksd(&mut self) {
        let mut docksd = self.docksd.take().unwrap();
        docksd.kill().unwrap();
        docksd.wait().unwrap();
    }

    /// Waits until the runs are mirrored and the position in the history is stored; an earlier end
    /// would not count.
    async fn wait_until_polling(&self, runs: &[(&str, &[&str])]) {
        let client = self.site.client();
        for (run, _) in runs {
            let all = everything();
            let trials = client.trials(run, &all, CachePolicy::Default).await;
            trials.unwrap();
        }
        eventually("docksd waits for ends", || async {
            waits_for_ends(&self.site.places().cache_dir())
        })
        .await;
    }

    /// Ends a run and its trials.
    fn end(&self, run: &str) {
        self.site.remote.with_data(|data| {
            let trials = data.trials[run].iter().map(|trial| trial.id.clone());
            for trial in trials.collect::<Vec<_>>() {
                data.advance_trial(run, &trial, "success");
            }
            data.advance(RunKind::Evaluation, run, "completed");
        });
    }

    fn cache(&self) -> Cache {
        let root = self.site.places().cache_dir().join("artifacts");
        Cache::new(root, 1_000_000, UnixMs(0))
    }

    async fn wait_for_logs(&self, count: u64) {
        eventually(&format!("{count} logs are cached"), || async {
            self.cache()
                .usage()
                .is_ok_and(|usage| usage.objects == count)
        })
        .await;
    }

    /// Returns what the daemon's status says; `None` if nothing is left and nothing was given up.
    async fn status(&self) -> Option<PrefetchStatus> {
        let status = self.site.client().status().await.ok()?;
        status
            .remotes
            .into_iter()
            .find_map(|remote| remote.prefetch)
    }

    /// Waits until the status says that nothing is left.
    async fn wait_until_nothing_is_left(&self) {
        eventually("nothing is left to fetch", || async {
            self.status().await.is_none_or(|status| status.pending == 0)
        })
        .await;
    }
}

impl Drop for Prefetching {
    #[expect(clippy::print_stderr, reason = "a failed test shows what happened")]
    fn drop(&mut self) {
        if let Some(mut docksd) = self.docksd.take() {
            // It may have exited already.
            docksd.kill().ok();
            docksd.wait().ok();
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.log.path()).unwrap_or_default();
            eprintln!("docksd's log:\n{log}");
        }
    }
}

/// Gives a run the id that it has in the place of its provisional one, as a Harbor job gets when it writes its UUID.
fn give_real_id(remote: &FakeRemote, provisional: &str, id: &str) {
    remote.with_data(|data| {
        let kind = RunKind::Evaluation;
        data.set(kind, provisional, "harbor", json!({ "job_id": id }));
        data.set(kind, provisional, "id", json!(id));
        let run = data
            .evaluations
            .iter_mut()
            .find(|run| run.id == provisional);
        id.clone_into(&mut run.unwrap().id);
        let trials = data.trials.remove(provisional).unwrap();
        data.trials.insert(id.to_owned(), trials);
    });
}

#[tokio::test]
async fn a_run_that_gets_its_real_id_while_it_waits_is_fetched_under_that_one() {
    const UUID: &str = "e8c003f5-a129-414b-9d33-4c12687eb455";
    for is_killed in [false, true] {
        let store = Store::start(|_| Answer::Nothing);
        let mut prefetching =
            Prefetching::start(store.clone(), &[("big", &["t1", "t2"])], "").await;
        prefetching.site.remote.with_data(|data| {
            let kind = RunKind::Evaluation;
            data.set(kind, "big", "name", json!("big"));
            data.set(kind, "big", "harbor", json!({ "job_id": null }));
        });
        prefetching.end("big");
        eventually("the failure is stored", || async {
            let status = prefetching.status().await;
            status.is_some_and(|status| status.pending == 1 && status.last_error.is_some())
        })
        .await;
        give_real_id(&prefetching.site.remote, "big", UUID);
        let client = prefetching.site.client();
        eventually("the mirror knows its real id", || async {
            let run = RunKind::Evaluation;
            let found = client.run(run, UUID, CachePolicy::OnlyIfCached).await;
            found.is_ok()
        })
        .await;
        if is_killed {
            prefetching.kill_docksd();
            store.set(|_| Answer::Log);
            prefetching.start_docksd().await;
        } else {
            store.set(|_| Answer::Log);
        }
        prefetching.wait_for_logs(2).await;
        prefetching.wait_until_nothing_is_left().await;
        assert_eq!(prefetching.status().await, None, "nothing was given up");
    }
}

#[tokio::test]
async fn what_a_store_that_was_down_did_not_give_is_fetched_by_the_next_docksd() {
    let down = |trial: &str| match trial {
        "t1" => Answer::Log,
        _ => Answer::Nothing,
    };
    let store = Store::start(down);
    let mut prefetching =
        Prefetching::start(store.clone(), &[("run", &["t1", "t2", "t3"])], "").await;
    prefetching.end("run");
    eventually("the failure is stored", || async {
        let status = prefetching.status().await;
        status.is_some_and(|status| status.pending == 1 && status.last_error.is_some())
    })
    .await;
    prefetching.wait_for_logs(1).await;
    prefetching.kill_docksd();
    prefetching.start_docksd().await;
    let asked = store.requests("t2");
    eventually("the next docksd tries again", || async {
        store.requests("t2") > asked
    })
    .await;
    prefetching.kill_docksd();
    store.set(|_| Answer::Log);
    prefetching.start_docksd().await;
    prefetching.wait_for_logs(3).await;
    prefetching.wait_until_nothing_is_left().await;
    assert_eq!(
        store.requests("t1"),
        1,
        "what is cached is not fetched again"
    );
    assert_eq!(prefetching.status().await, None, "nothing was given up");
}

#[tokio::test]
async fn a_docksd_that_is_killed_while_it_fetches_leaves_the_rest_to_the_next() {
    let store = Store::start(|trial| match trial {
        "t1" => Answer::Log,
        _ => Answer::Slowly,
    });
    let mut prefetching = Prefetching::start(store.clone(), &[("run", &["t1", "t2"])], "").await;
    prefetching.end("run");
    prefetching.wait_for_logs(1).await;
    eventually("the other is being fetched", || async {
        store.requests("t2") == 1
    })
    .await;
    prefetching.kill_docksd();
    store.set(|_| Answer::Log);
    prefetching.start_docksd().await;
    prefetching.wait_for_logs(2).await;
    prefetching.wait_until_nothing_is_left().await;
    assert_eq!(
        store.requests("t1"),
        1,
        "what is cached is not fetched again"
    );
}

#[tokio::test]
async fn a_large_run_holds_up_neither_the_artifacts_of_others_nor_rules() {
    let large: Vec<String> = (0..8).map(|number| format!("l{number}")).collect();
    let large: Vec<&str> = large.iter().map(String::as_str).collect();
    let store = Store::start(|trial| match trial.starts_with('l') {
        true => Answer::Slowly,
        false => Answer::Log,
    });
    let ends = tempfile::tempdir().unwrap();
    let rule = format!(
        "[[on_end]]\nexec = [\"/bin/sh\", \"-c\", \"cat >> {}/ends\"]\n",
        ends.path().display()
    );
    let runs: [(&str, &[&str]); 2] = [("large", &large), ("small", &["s"])];
    let prefetching = Prefetching::start(store.clone(), &runs, &rule).await;
    prefetching.end("large");
    eventually("the large run is being fetched", || async {
        store.requests("l") > 0
    })
    .await;
    prefetching.end("small");
    prefetching.wait_for_logs(1).await;
    assert_eq!(store.requests("s"), 1);
    let asked = store.requests("l");
    assert!(asked < large.len(), "it went on beside the large one");
    eventually("the rule has seen both ends", || async {
        let text = std::fs::read_to_string(ends.path().join("ends")).unwrap_or_default();
        ["large", "small"]
            .iter()
            .all(|run| text.contains(&format!(r#""run_id":"{run}""#)))
    })
    .await;
    store.set(|_| Answer::Log);
    prefetching.wait_for_logs(9).await;
    prefetching.wait_until_nothing_is_left().await;
    assert_eq!(store.requests("l"), large.len(), "it was not interrupted");
}

#[tokio::test]
async fn a_cache_that_could_not_be_written_is_tried_again() {
    let store = Store::start(|_| Answer::Log);
    let prefetching = Prefetching::start(store, &[("run", &["t1"])], "").await;
    let root = prefetching.site.places().cache_dir().join("artifacts");
    assert!(!root.exists(), "nothing is cached yet");
    std::fs::write(&root, "not a directory").unwrap();
    prefetching.end("run");
    eventually("the failure is stored", || async {
        let status = prefetching.status().await;
        status.is_some_and(|status| {
            status
                .last_error
                .is_some_and(|error| error.contains("cache"))
        })
    })
    .await;
    std::fs::remove_file(&root).unwrap();
    prefetching.wait_for_logs(1).await;
    prefetching.wait_until_nothing_is_left().await;
}

#[tokio::test]
async fn artifacts_that_the_store_does_not_have_are_given_up_and_that_is_said() {
    let store = Store::start(|trial| match trial {
        "t1" => Answer::Log,
        _ => Answer::Missing,
    });
    let mut prefetching = Prefetching::start_here(store.clone(), &[("run", &["t1", "t2"])]).await;
    prefetching.end("run");
    eventually("it is given up", || async {
        prefetching.site.advance(Duration::from_secs(10));
        let status = prefetching.status().await;
        status.is_some_and(|status| status.given_up == 1)
    })
    .await;
    let status = prefetching.status().await.unwrap();
    assert_eq!(status.pending, 0);
    let last = status.last_given_up.unwrap();
    assert_eq!(last.run, "run");
    assert!(last.reason.contains("no such object"), "{}", last.reason);
    let asked = store.requests("t2");
    assert_eq!(asked, 5, "it may be uploaded after the end");
    assert_eq!(
        store.requests("t1"),
        1,
        "what is cached is not fetched again"
    );
    prefetching.site.stop().await;
}

#[tokio::test]
async fn as_many_large_runs_as_are_fetched_at_once_do_not_hold_up_another() {
    let large = ["l1", "l2", "l3", "l4"];
    let store = Store::start(|trial| match trial.starts_with('l') {
        true => Answer::Slowly,
        false => Answer::Log,
    });
    let runs: [(&str, &[&str]); 5] = [
        ("large-1", &["l1"]),
        ("large-2", &["l2"]),
        ("large-3", &["l3"]),
        ("large-4", &["l4"]),
        ("small", &["s"]),
    ];
    let mut prefetching = Prefetching::start_here(store.clone(), &runs).await;
    for (run, _) in &runs[..4] {
        prefetching.end(run);
    }
    eventually("all large runs are being fetched", || async {
        prefetching.site.advance(Duration::from_secs(1));
        large.iter().all(|trial| store.requests(trial) > 0)
    })
    .await;
    prefetching.end("small");
    eventually("the small run gets a turn", || async {
        prefetching.site.advance(Duration::from_secs(1));
        prefetching
            .cache()
            .usage()
            .is_ok_and(|usage| usage.objects == 1)
    })
    .await;
    assert_eq!(store.requests("s"), 1);
    store.set(|_| Answer::Log);
    prefetching.wait_for_logs(5).await;
    prefetching.wait_until_nothing_is_left().await;
    assert_eq!(prefetching.status().await, None, "none has failed");
    prefetching.site.stop().await;
}
