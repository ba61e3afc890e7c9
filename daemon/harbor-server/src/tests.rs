//! The remote beside a fake server.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use docks_proto::client::Limits;
use docks_proto::object::RawObject;
use docks_proto::routes::{Action, RunKind};
use docks_proto::secret::Token;
use docksd_remote::{DeliveredRun, Fetched, PageRequest, Remote, RemoteError};
use docksd_testkit::fake_harbor::{FakeAttempt, FakeHarbor};
use serde_json::Value;

use crate::{Archive, HarborServer};

/// A mirror of another process.
#[derive(Default)]
struct Kept {
    trials: Vec<RawObject>,
}

#[async_trait]
impl Archive for Kept {
    async fn trials(&self, _run: &str) -> Vec<RawObject> {
        self.trials.clone()
    }
}

fn remote_with(fake: &FakeHarbor, key: Option<&str>, kept: Kept) -> HarborServer {
    let key = key.and_then(Token::new);
    let tokens = Arc::new(move || key.clone());
    HarborServer::new(
        &fake.url(),
        Limits::default(),
        tokens,
        docks_proto::settings::TrustSettings::default,
        Arc::new(kept),
    )
    .unwrap()
}

fn remote(fake: &FakeHarbor) -> HarborServer {
    remote_with(fake, None, Kept::default())
}

fn attempt(id: &str, state: &'static str) -> FakeAttempt {
    FakeAttempt {
        id: id.to_owned(),
        state,
        started: state != "queued",
        ..FakeAttempt::default()
    }
}

fn parsed(object: &RawObject) -> Value {
    serde_json::from_str(object.text()).unwrap()
}

fn new<T>(fetched: Fetched<T>) -> T {
    match fetched {
        Fetched::New { value, .. } => value,
        Fetched::NotModified => panic!("it was modified"),
    }
}

async fn evaluations(remote: &HarborServer) -> Vec<Value> {
    let page = remote
        .list(RunKind::Evaluation, &PageRequest::default(), None)
        .await;
    new(page.unwrap()).objects.iter().map(parsed).collect()
}

async fn trials(remote: &HarborServer, run: &str) -> Vec<Value> {
    let page = new(remote.trials(run, None).await.unwrap());
    page.objects.iter().map(parsed).collect()
}

fn two_attempts(fake: &FakeHarbor) {
    fake.with(|data| {
        data.job("j", "nightly", "finished");
        data.attempt(
            "j",
            &FakeAttempt {
                error: Some(("ApiError", "no answer")),
                ..attempt("a", "finished")
            },
        );
        data.attempt(
            "j",
            &FakeAttempt {
                before: vec!["a".into()],
                reward: Some(1.0),
                ..attempt("b", "finished")
            },
        );
    });
}

#[tokio::test]
async fn a_job_is_an_evaluation_run_and_a_chain_of_retries_one_trial() {
    let fake = FakeHarbor::start().await;
    two_attempts(&fake);
    let remote = remote(&fake);
    let listed = evaluations(&remote).await;
    assert_eq!(listed[0]["id"], "j");
    assert_eq!(
        (&listed[0]["total_trials"], &listed[0]["passed_trials"]),
        (&1.into(), &1.into())
    );
    assert_eq!(listed[0]["harbor"]["n_retries"], 1);
    let trials = trials(&remote, "nightly").await;
    assert_eq!(trials.len(), 1);
    assert_eq!(
        (&trials[0]["id"], &trials[0]["status"]),
        (&"a".into(), &"passed".into())
    );
    assert_eq!(trials[0]["harbor"]["task_name"], "tiny/hello");
    assert_eq!(trials[0]["harbor"]["phase_seconds"]["agent_execution"], 1.5);
    for id in ["a", "b"] {
        let trial = remote.trial("j", id).await.unwrap();
        assert_eq!(parsed(&trial)["id"], "a", "{id}");
    }
    let missing = remote.trial("j", "c").await.unwrap_err();
    assert!(
        matches!(missing, RemoteError::Status { status: 404, .. }),
        "{missing}"
    );
}

#[tokio::test]
async fn a_poll_is_one_request_while_nothing_changes() {
    let fake = FakeHarbor::start().await;
    two_attempts(&fake);
    let remote = remote(&fake);
    evaluations(&remote).await;
    remote.take_changes().await.unwrap();
    let before = fake.requests().len();
    evaluations(&remote).await;
    assert_eq!(fake.requests()[before..], ["POST /query"]);
}

#[tokio::test]
async fn a_change_is_delivered_once_with_all_trials() {
    let fake = FakeHarbor::start().await;
    fake.with(|data| {
        data.job("j", "nightly", "running");
        data.attempt("j", &attempt("a", "running"));
        data.attempt("j", &attempt("b", "queued"));
    });
    let remote = remote(&fake);
    evaluations(&remote).await;
    remote.take_changes().await.unwrap();
    fake.with(|data| {
        let ended = FakeAttempt {
            error: Some(("ApiError", "no answer")),
            ..attempt("a", "finished")
        };
        data.attempt("j", &ended);
    });
    evaluations(&remote).await;
    let woken = tokio::time::timeout(Duration::from_secs(10), remote.wait_for_changes());
    woken.await.expect("the poll announces the change");
    let changes = remote.take_changes().await.unwrap();
    assert_eq!(changes.runs.len(), 1);
    let trials: Vec<Value> = changes.runs[0].trials.objects().map(parsed).collect();
    let messages: Vec<&Value> = trials.iter().map(|trial| &trial["error_message"]).collect();
    assert_eq!(
        messages,
        [&Value::from("ApiError: no answer"), &Value::Null]
    );
    assert!(remote.take_changes().await.unwrap().runs.is_empty());
}

#[tokio::test]
async fn what_is_mirrored_is_not_asked_for_again_after_a_restart() {
    let fake = FakeHarbor::start().await;
    two_attempts(&fake);
    let first = remote(&fake);
    evaluations(&first).await;
    let mut changes = first.take_changes().await.unwrap();
    let run = changes.runs.pop().unwrap();
    let restarted = || {
        let kept = Kept {
            trials: run.trials.objects().cloned().collect(),
        };
        let remote = remote_with(&fake, None, kept);
        remote.resume(vec![DeliveredRun {
            id: run.id.clone(),
            run: run.run.clone(),
            evaluation: run.evaluation.clone(),
            trials_validator: run.validator.clone(),
        }]);
        remote
    };
    let second = restarted();
    let before = fake.requests().len();
    assert_eq!(evaluations(&second).await, [parsed(&run.evaluation)]);
    let unchanged = second.trials("j", Some(&run.validator)).await.unwrap();
    assert!(matches!(unchanged, Fetched::NotModified));
    assert_eq!(
        fake.requests()[before..],
        ["GET /openapi.json", "POST /query", "POST /query"]
    );
    // A finished job runs again, and only what is new is read of it.
    let third = restarted();
    fake.with(|data| {
        let next = FakeAttempt {
            before: vec!["a".into(), "b".into()],
            ..attempt("c", "queued")
        };
        data.attempt("j", &next);
        data.attempt(
            "j",
            &FakeAttempt {
                reward: Some(0.0),
                ..attempt("d", "finished")
            },
        );
        data.job("j", "nightly", "running");
    });
    let before = fake.requests().len();
    let trials = trials(&third, "j").await;
    let statuses: Vec<&Value> = trials.iter().map(|trial| &trial["status"]).collect();
    assert_eq!(statuses, ["failed", "pending"]);
    let details = fake.requests()[before..]
        .iter()
        .filter(|request| request.starts_with("GET /rollouts/"))
        .cloned()
        .collect::<Vec<_>>();
    assert_eq!(details, ["GET /rollouts/d"]);
}

#[tokio::test]
async fn only_the_trials_of_one_ended_job_are_kept_while_results_are_read() {
    let fake = FakeHarbor::start().await;
    fake.with(|data| {
        for job in ["a", "b", "c"] {
            data.job(job, job, "finished");
            for number in 0..3 {
                data.attempt(job, &attempt(&format!("{job}{number}"), "finished"));
            }
            data.delay_of_results = Duration::from_millis(400);
        }
    });
    let remote = remote(&fake);
    let mut complete = std::collections::BTreeSet::new();
    for _ in 0..60 {
        evaluations(&remote).await;
        for run in remote.take_changes().await.unwrap().runs {
            let run_is_complete = parsed(&run.evaluation)["harbor"]["complete"] == true;
            complete.extend(run_is_complete.then_some(run.id));
        }
        let state = remote.0.state.lock().await;
        let kept = state.jobs.values().filter(|job| job.attempts.is_some());
        assert!(kept.count() <= 1);
        drop(state);
        if complete.len() == 3 {
            break;
        }
    }
    assert_eq!(complete.len(), 3, "{complete:?}");
    // Of each trial once.
    let details = fake.requests().into_iter();
    let details = details.filter(|request| request.starts_with("GET /rollouts/"));
    assert_eq!(details.count(), 9);
}

#[tokio::test]
async fn another_data_directory_at_the_same_address_is_another_world() {
    let fake = FakeHarbor::start().await;
    two_attempts(&fake);
    let remote = remote(&fake);
    evaluations(&remote).await;
    let address = fake.address();
    drop(fake);
    let gone = remote.run(RunKind::Run, "j", None).await.unwrap_err();
    assert!(
        matches!(gone, RemoteError::NoServer { .. } | RemoteError::Send(_)),
        "an outage proves nothing: {gone}"
    );
    let fake = FakeHarbor::start_on(address).await.unwrap();
    fake.with(|data| data.job("other", "other", "queued"));
    let listed = evaluations(&remote).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["id"], "other");
    let gone = remote.run(RunKind::Run, "j", None).await.unwrap_err();
    assert!(
        matches!(gone, RemoteError::Status { status: 404, .. }),
        "{gone}"
    );
}

#[tokio::test]
async fn a_clock_that_steps_back_hides_no_end() {
    let fake = FakeHarbor::start().await;
    fake.with(|data| {
        // More than the overlap of two polls.
        data.advance_clock(Duration::from_secs(3_600));
        data.job("j", "nightly", "running");
        data.attempt("j", &attempt("a", "running"));
    });
    let remote = remote(&fake);
    evaluations(&remote).await;
    fake.with(|data| {
        data.set_clock_back();
        data.attempt("j", &attempt("a", "finished"));
        data.job("j", "nightly", "finished");
    });
    assert_eq!(evaluations(&remote).await[0]["status"], "completed");
    assert_eq!(trials(&remote, "j").await[0]["status"], "completed");
}

#[tokio::test]
async fn phases_are_asked_for_while_somebody_looks() {
    let fake = FakeHarbor::start().await;
    fake.with(|data| {
        data.job("j", "nightly", "running");
        data.attempt("j", &attempt("a", "running"));
        data.phase("a", "agent_setup");
    });
    let remote = remote(&fake);
    assert_eq!(evaluations(&remote).await[0]["status"], "running");
    assert_eq!(trials(&remote, "j").await[0]["harbor"]["phase"], "setup");
    assert_eq!(evaluations(&remote).await[0]["status"], "provisioning");
    fake.with(|data| data.phase("a", "verifier"));
    assert_eq!(trials(&remote, "j").await[0]["harbor"]["phase"], "verifier");
}

#[tokio::test]
async fn the_cost_of_a_running_trial_follows_the_server_even_if_nothing_else_changes() {
    let fake = FakeHarbor::start().await;
    fake.with(|data| {
        data.job("j", "nightly", "running");
        data.attempt("j", &attempt("a", "running"));
        data.phase("a", "agent_execution");
        data.usage("a", 7, 0.25);
    });
    let remote = remote(&fake);
    let shown = trials(&remote, "j").await;
    assert_eq!(shown[0]["harbor"]["usage_so_far"]["cost_usd"], 0.25);
    drop(remote.take_changes().await.unwrap());
    fake.with(|data| data.usage("a", 7, 0.5));
    evaluations(&remote).await;
    let delivered = remote.take_changes().await.unwrap();
    let trial = parsed(delivered.runs[0].trials.objects().next().unwrap());
    assert_eq!(trial["harbor"]["usage_so_far"]["cost_usd"], 0.5);
}

#[tokio::test]
async fn a_job_is_paused_resumed_cancelled_and_retried() {
    let fake = FakeHarbor::start().await;
    fake.with(|data| {
        data.job("j", "nightly", "queued");
        data.attempt("j", &attempt("a", "queued"));
    });
    let remote = remote(&fake);
    let state = |object: RawObject| parsed(&object)["harbor"]["state"].clone();
    assert_eq!(
        state(remote.act(Action::Pause, "j").await.unwrap()),
        "paused"
    );
    assert_eq!(
        state(remote.act(Action::Resume, "j").await.unwrap()),
        "queued"
    );
    let nothing = remote.act(Action::Retry, "j").await.unwrap_err();
    assert!(
        matches!(nothing, RemoteError::NotPossible { .. }),
        "{nothing}"
    );
    let cancelled = remote.act(Action::Stop, "nightly").await.unwrap();
    assert_eq!(parsed(&cancelled)["status"], "cancelled");
    let retried = remote.act(Action::Retry, "j").await.unwrap();
    assert_eq!(parsed(&retried)["status"], "pending");
    assert_eq!(trials(&remote, "j").await[0]["harbor"]["attempt"], 2);
    let unknown = remote.act(Action::Pause, "k").await.unwrap_err();
    assert!(
        matches!(unknown, RemoteError::Status { status: 404, .. }),
        "{unknown}"
    );
}

#[tokio::test]
async fn another_version_is_refused_with_both_named() {
    let fake = FakeHarbor::start().await;
    fake.with(|data| data.version = "2027-01-01".to_owned());
    let refused = remote(&fake)
        .list(RunKind::Run, &PageRequest::default(), None)
        .await;
    let text = refused.unwrap_err().to_string();
    assert!(
        text.contains("2027-01-01") && text.contains("2026-10-30"),
        "{text}"
    );
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let fake = FakeHarbor::start().await;
    fake.with(|data| data.key = Some("right".to_owned()));
    let hint_of = |error: RemoteError| match error {
        RemoteError::Status { body, .. } => body.hint.unwrap_or_default(),
        other => panic!("{other}"),
    };
    let list = async |key| {
        let remote = remote_with(&fake, key, Kept::default());
        let listed = remote
            .list(RunKind::Run, &PageRequest::default(), None)
            .await;
        listed.map(drop)
    };
    assert!(hint_of(list(None).await.unwrap_err()).contains("HARBOR_API_KEY"));
    assert!(hint_of(list(Some("wrong")).await.unwrap_err()).contains("not the server's"));
    list(Some("right")).await.unwrap();
    fake.with(|data| data.refuses_with = Some(403));
    assert!(hint_of(list(Some("right")).await.unwrap_err()).contains("127.0.0.1"));
    fake.with(|data| data.refuses_with = Some(503));
    assert!(hint_of(list(Some("right")).await.unwrap_err()).contains("start `harbor serve`"));
}
