//! The Docks API as a remote: every fault for every request.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use docks_proto::client::{HttpsTransport, Limits, SendError};
use docks_proto::object::{RawObject, RunFields};
use docks_proto::routes::{Action, RunKind};
use docks_proto::secret::Token;
use docksd_remote::{
    DocksApi, FaultClass, Fetched, Page, PageRequest, Remote, RemoteError, Validator,
};
use futures_util::{StreamExt, stream};

use docksd_testkit::fake_remote::{FakeRemote, Fault, RemoteData, RetryAfter, TENANT};

const LIMITS: Limits = Limits {
    connect: Duration::from_secs(2),
    total: Duration::from_secs(5),
    window: Duration::from_secs(3),
    least_bytes: 64,
    body_bytes: 4 << 20,
    idle_connection: Duration::from_secs(90),
    insecure: false,
};

/// Faults tested at once; more would only wait for the processor.
const CONCURRENCY: usize = 4;

/// A timeout that must fire is short; any other is longer than a busy machine needs.
fn limits(fault: &Fault) -> Limits {
    let passes = matches!(
        fault,
        Fault::Silence | Fault::StallAfterHeaders | Fault::Drip
    );
    Limits {
        total: Duration::from_secs(if passes { 2 } else { 60 }),
        connect: Duration::from_secs(if passes { 2 } else { 60 }),
        ..LIMITS
    }
}

const PAGE: PageRequest = PageRequest {
    limit: Some(50),
    offset: 0,
    cursor: None,
};

fn api(remote: &FakeRemote) -> DocksApi {
    api_within(remote, LIMITS)
}

fn api_within(remote: &FakeRemote, limits: Limits) -> DocksApi {
    let transport = HttpsTransport::new(&remote.url(), None, limits).unwrap();
    DocksApi::new(transport, TENANT, Arc::new(|| Token::new("s3cret"))).unwrap()
}

/// The number of objects in a response, or the error.
type Outcome = Result<usize, RemoteError>;

/// Sends one of the six requests.
async fn ask(api: &DocksApi, question: &str, run: &str, evaluation: &str, trial: &str) -> Outcome {
    let page = |fetched: Fetched<Page>| match fetched {
        Fetched::New { value, .. } => value.objects.len(),
        Fetched::NotModified => panic!("nothing was known before"),
    };
    let one = |fetched: Fetched<RawObject>| match fetched {
        Fetched::New { .. } => 1,
        Fetched::NotModified => panic!("nothing was known before"),
    };
    match question {
        "runs" => api.list(RunKind::Run, &PAGE, None).await.map(page),
        "run" => api.run(RunKind::Run, run, None).await.map(one),
        "eval-list" => api.list(RunKind::Evaluation, &PAGE, None).await.map(page),
        "eval" => api
            .run(RunKind::Evaluation, evaluation, None)
            .await
            .map(one),
        "trials" => api.trials(evaluation, None).await.map(page),
        _ => api.trial(evaluation, trial).await.map(|_| 1),
    }
}

/// What a fault must lead to; `Good` is a usable response.
#[derive(Debug, PartialEq)]
enum Expected {
    Good,
    Class(FaultClass),
}

fn expected(fault: &Fault, list: bool) -> Expected {
    use Expected::{Class, Good};
    match fault {
        Fault::LongBody
        | Fault::NullFields
        | Fault::UnknownFields
        | Fault::Empty
        | Fault::Duplicates
        | Fault::PageDrift
        | Fault::ClockSkew(_)
        | Fault::StatusBackwards
        | Fault::InvalidUtf8 => Good,
        Fault::RepeatingCursor if list => Good,
        Fault::TooMany(_) => Class(FaultClass::RateLimited),
        Fault::Unauthorized | Fault::Forbidden => Class(FaultClass::Auth),
        Fault::NotFound => Class(FaultClass::NotFound),
        _ => Class(FaultClass::Outage),
    }
}

async fn check_fault(name: &str, fault: Fault) {
    let remote = FakeRemote::start(RemoteData::sample(5, 3)).await;
    let (run, evaluation, trial) = remote.with_data(|data| {
        let evaluation = data.evaluations[2].id.clone();
        let trial = data.trials[&evaluation][1].id.clone();
        (data.runs[2].id.clone(), evaluation, trial)
    });
    let api = api_within(&remote, limits(&fault));
    remote.fault(fault.clone());
    // At the same time, so that silent faults cost their timeout only once.
    let questions = ["runs", "run", "eval-list", "eval", "trials", "trial"];
    let sent = questions.map(|question| ask(&api, question, &run, &evaluation, &trial));
    let outcomes = futures_util::future::join_all(sent).await;
    for (question, outcome) in questions.into_iter().zip(outcomes) {
        let list = matches!(question, "runs" | "eval-list" | "trials");
        let became = match &outcome {
            Ok(_) => Expected::Good,
            Err(error) => Expected::Class(error.class()),
        };
        assert_eq!(
            became,
            expected(&fault, list),
            "{name} × {question}: {outcome:?}"
        );
    }
    remote.clear();
    let recovered = ask(&api, "runs", &run, &evaluation, &trial).await;
    assert!(
        matches!(recovered, Ok(5..)),
        "{name} does not recover: {recovered:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_gives_a_classified_error_or_a_usable_answer_for_every_request() {
    let checks = Fault::all()
        .into_iter()
        .map(|(name, fault)| async move { tokio::spawn(check_fault(name, fault)).await });
    let mut checks = stream::iter(checks).buffer_unordered(CONCURRENCY);
    while let Some(checked) = checks.next().await {
        checked.unwrap();
    }
}

#[tokio::test]
async fn an_unchanged_version_is_confirmed_and_a_changed_one_is_sent_again() {
    let remote = FakeRemote::start(RemoteData::sample(5, 0)).await;
    let api = api(&remote);
    let Fetched::New { validator, .. } = api.list(RunKind::Run, &PAGE, None).await.unwrap() else {
        panic!("nothing was known before");
    };
    let known = validator.unwrap();
    let again = api.list(RunKind::Run, &PAGE, Some(&known)).await.unwrap();
    assert!(matches!(again, Fetched::NotModified));
    assert_eq!(remote.log()[1].if_none_match.as_ref(), Some(&known.0));
    remote.with_data(|data| data.add_run("new", "pending"));
    let changed = api.list(RunKind::Run, &PAGE, Some(&known)).await.unwrap();
    let Fetched::New { value, validator } = changed else {
        panic!("a changed list is never confirmed");
    };
    assert_eq!(value.objects.len(), 6);
    assert_ne!(validator, Some(known));
}

#[tokio::test]
async fn a_304_is_accepted_only_for_the_requested_version() {
    let remote = FakeRemote::start(RemoteData::sample(5, 0)).await;
    let api = api(&remote);
    let known = Validator("\"mine\"".to_owned());
    remote.fault_times(Fault::NotModifiedOther, 1);
    let other = api.list(RunKind::Run, &PAGE, Some(&known)).await;
    assert!(matches!(other, Err(RemoteError::InvalidResponse { .. })));
    remote.fault_times(Fault::NotModifiedUnasked, 2);
    let unasked = api.list(RunKind::Run, &PAGE, None).await;
    assert!(matches!(unasked, Err(RemoteError::InvalidResponse { .. })));
    let bare = api.list(RunKind::Run, &PAGE, Some(&known)).await;
    assert!(
        matches!(bare, Ok(Fetched::NotModified)),
        "it names no other version"
    );
}

#[tokio::test]
async fn objects_arrive_byte_for_byte() {
    let text = r#"{ "id":"odd", "n": 1.50, "x":{"a":[ ]}, "id":"odd" }"#;
    let remote = FakeRemote::start(RemoteData::sample(1, 0)).await;
    remote.with_data(|data| {
        data.add_run("odd", "running");
        data.replace_text(RunKind::Run, "odd", text);
    });
    let api = api(&remote);
    let Ok(Fetched::New { value, .. }) = api.run(RunKind::Run, "odd", None).await else {
        panic!("it exists");
    };
    assert_eq!(value.text(), text);
    let Ok(Fetched::New { value, .. }) = api.list(RunKind::Run, &PAGE, None).await else {
        panic!("it exists");
    };
    assert_eq!(value.objects[0].text(), text);
}

#[tokio::test]
async fn actions_return_the_updated_run() {
    let remote = FakeRemote::start(RemoteData::sample(3, 0)).await;
    let api = api(&remote);
    let newest = remote.with_data(|data| (data.runs[2].id.clone(), data.evaluations[2].id.clone()));
    let status = |object: &RawObject| {
        RunFields::from_object(object)
            .status
            .text()
            .unwrap_or_default()
    };
    let stopped = api.act(Action::Stop, &newest.0).await.unwrap();
    assert_eq!(status(&stopped), "cancelled");
    let started = api.act(Action::Start, &newest.1).await.unwrap();
    assert_eq!(status(&started), "running");
    let cancelled = api.act(Action::Cancel, &newest.1).await.unwrap();
    assert_eq!(status(&cancelled), "cancelled");
    let again = api.act(Action::Cancel, &newest.1).await.unwrap_err();
    assert_eq!(again.class(), FaultClass::Rejected);
    assert!(again.to_string().contains("already cancelled"), "{again}");
}

#[tokio::test]
async fn a_new_login_takes_effect_at_the_next_request_and_so_does_a_logout() {
    let remote = FakeRemote::start(RemoteData::sample(1, 0)).await;
    remote.configure(|behaviour| behaviour.token = Some("second".to_owned()));
    let token = Arc::new(Mutex::new(Token::new("first")));
    let source = Arc::clone(&token);
    let transport = HttpsTransport::new(&remote.url(), None, LIMITS).unwrap();
    let source = move || source.lock().unwrap().clone();
    let api = DocksApi::new(transport, TENANT, Arc::new(source)).unwrap();
    let refused = api.list(RunKind::Run, &PAGE, None).await.unwrap_err();
    assert_eq!(refused.class(), FaultClass::Auth);
    *token.lock().unwrap() = Token::new("second");
    assert!(api.list(RunKind::Run, &PAGE, None).await.is_ok());
    *token.lock().unwrap() = None;
    let out = api.list(RunKind::Run, &PAGE, None).await.unwrap_err();
    assert!(matches!(out, RemoteError::NotSignedIn(_)));
    assert_eq!(remote.log().len(), 2, "no request is sent without a token");
}

#[tokio::test]
async fn retry_after_is_parsed_in_every_form_for_every_request() {
    let remote = FakeRemote::start(RemoteData::sample(2, 1)).await;
    let api = api(&remote);
    for (wait, least, most) in [
        (RetryAfter::Absent, None, None),
        (RetryAfter::Text("7"), Some(7), Some(7)),
        (RetryAfter::Text("-7"), None, None),
        (RetryAfter::Text("315360000"), Some(600), Some(600)),
        (RetryAfter::Date(30), Some(29), Some(31)),
        (RetryAfter::Date(-30), Some(0), Some(0)),
    ] {
        remote.clear();
        remote.fault(Fault::TooMany(wait));
        for question in ["runs", "run", "eval-list", "eval", "trials", "trial"] {
            let error = ask(&api, question, "a", "b", "c").await.unwrap_err();
            let seconds = error.retry_after().map(|wait| wait.as_secs());
            assert!(
                seconds >= least && seconds <= most,
                "{wait:?} × {question}: {seconds:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_id_is_sent_as_one_path_segment_or_not_at_all() {
    let remote = FakeRemote::start(RemoteData::sample(1, 0)).await;
    let api = api(&remote);
    for id in [
        "../../other/runs/x",
        "a?b=c",
        "a#b",
        "a/b",
        "%2e%2e",
        "é",
        "a b",
    ] {
        let outcome = api.run(RunKind::Run, id, None).await.unwrap_err();
        assert_eq!(outcome.class(), FaultClass::NotFound, "{id}");
    }
    for seen in remote.take_log() {
        let rest = seen.target.strip_prefix("/tenants/ten/runs/").unwrap();
        assert!(!rest.contains(['/', '?', '#']), "{}", seen.target);
    }
    for id in ["", ".", "..", "a\r\nHost: x", "a\0"] {
        let outcome = api.run(RunKind::Run, id, None).await;
        assert!(matches!(
            outcome,
            Err(RemoteError::Send(SendError::InvalidRequest(_)))
        ));
    }
    assert!(remote.log().is_empty());
}

#[tokio::test]
async fn a_fault_of_one_path_does_not_affect_other_paths() {
    let mut data = RemoteData::sample(2, 1);
    let evaluation = data.evaluations[0].id.clone();
    let trial = data.trials[&evaluation][0].id.clone();
    data.advance_trial(&evaluation, &trial, "error");
    let remote = FakeRemote::start(data).await;
    let api = api(&remote);
    remote.fault_at("/trials", Fault::ServerError);
    assert!(api.trials(&evaluation, None).await.is_err());
    let run = api.run(RunKind::Evaluation, &evaluation, None).await;
    assert!(run.is_ok());
    remote.with_data(|data| data.delete(RunKind::Evaluation, &evaluation));
    let gone = api.run(RunKind::Evaluation, &evaluation, None).await;
    assert_eq!(gone.unwrap_err().class(), FaultClass::NotFound);
}
