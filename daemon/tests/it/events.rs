//! `GET /v1/events`, `/v1/history` and `/v1/changes` on a real socket.

use std::collections::HashMap;
use std::time::Duration;

use docks_proto::client::{Client, ClientError, Deadlines, EventStream, Transport, UnixTransport};
use docks_proto::event::{Change, Event, EventQuery};
use docks_proto::freshness::CachePolicy;
use docks_proto::history::{ChangesQuery, History};
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use http::HeaderMap;
use tokio::time::timeout;

use crate::test_daemon::{DEADLINE, TestDaemon, detail};
use docksd_testkit::fake_remote::{FakeRemote, RemoteData, TENANT};

fn client(daemon: &TestDaemon) -> Client {
    let deadlines = Deadlines {
        connect: DEADLINE,
        ..Deadlines::default()
    };
    let transport = UnixTransport::new(daemon.places().socket, deadlines);
    Client::new(Transport::Unix(transport), TENANT, HeaderMap::new()).unwrap()
}

fn of_run(run: &str) -> EventQuery {
    EventQuery {
        runs: vec![run.to_owned()],
        ..EventQuery::default()
    }
}

async fn next(events: &mut EventStream) -> Event {
    let told = timeout(DEADLINE, events.next()).await.expect("it goes on");
    told.unwrap().expect("it has not ended").event
}

/// Reads until `wanted` finds what it looks for.
async fn until<T>(events: &mut EventStream, wanted: impl Fn(&Event) -> Option<T>) -> T {
    loop {
        if let Some(found) = wanted(&next(events).await) {
            return found;
        }
    }
}

/// Reads to the end, before which the counts of what was heard may still come, but no change.
async fn end(events: &mut EventStream) {
    loop {
        let told = timeout(DEADLINE, events.next()).await.expect("it goes on");
        match told.unwrap().map(|told| told.event) {
            None => return,
            Some(Event::Change(change)) => panic!("nothing changed: {change:?}"),
            Some(_) => {}
        }
    }
}

fn ready(event: &Event) -> Option<String> {
    match event {
        Event::Ready(ready) => Some(ready.id.clone()),
        _ => None,
    }
}

fn ended(event: &Event) -> Option<Change> {
    match event {
        Event::Change(change) if change.object.ended => Some(change.clone()),
        _ => None,
    }
}

/// A remote with one evaluation run at work, and a daemon that knows it.
async fn both() -> (FakeRemote, TestDaemon) {
    let mut data = RemoteData::default();
    data.add_evaluation("night", "running");
    data.set(RunKind::Evaluation, "night", "total_trials", 3.into());
    for trial in ["t1", "t2", "t3"] {
        data.add_trial("night", trial, "running");
    }
    let remote = FakeRemote::start(data).await;
    let daemon = TestDaemon::start(&remote).await;
    daemon.get("/harbor/runs").await;
    daemon.get("/harbor/runs/night/trials").await;
    (remote, daemon)
}

async fn look(daemon: &TestDaemon) {
    let looked = daemon.get_as("/harbor/runs/night/trials", CachePolicy::NoCache);
    assert_eq!(looked.await.status, 200);
    let looked = daemon
        .get_as("/harbor/runs/night", CachePolicy::NoCache)
        .await;
    assert_eq!(looked.status, 200);
}

#[tokio::test]
async fn who_watches_hears_the_present_state_each_change_and_the_counts() {
    let (remote, daemon) = both().await;
    let mut events = client(&daemon).events(&of_run("nig"), None).await.unwrap();
    let mut present = HashMap::new();
    loop {
        match next(&mut events).await {
            Event::State(state) => drop(present.insert(state.trial_id, state.status)),
            Event::Ready(_) => break,
            _ => {}
        }
    }
    assert_eq!(present.len(), 4, "{present:?}");
    remote.with_data(|data| data.advance_trial("night", "t2", "failed"));
    // Nobody asks for the trials: whoever watches keeps them polled.
    let change = until(&mut events, ended).await;
    assert_eq!(change.object.trial_id.as_deref(), Some("t2"));
    assert_eq!(change.from.as_deref(), Some("running"));
    remote.with_data(|data| {
        data.advance_trial("night", "t1", "passed");
        data.advance_trial("night", "t3", "passed");
        data.advance(RunKind::Evaluation, "night", "completed");
    });
    let settled = until(&mut events, |event| match event {
        Event::Progress(progress) if progress.settled => Some(progress.clone()),
        _ => None,
    });
    let progress = settled.await;
    assert_eq!(
        (progress.total, progress.finished, progress.passed),
        (3, 3, 2)
    );
    assert_eq!(progress.by_status["failed"], 1);
    daemon.end().await;
}

#[tokio::test]
async fn a_watch_goes_on_at_the_next_daemon_without_a_gap_or_a_repetition() {
    let (remote, mut daemon) = both().await;
    let mut events = client(&daemon)
        .events(&of_run("night"), None)
        .await
        .unwrap();
    let mut place = until(&mut events, ready).await;
    for trial in ["t1", "t2", "t3"] {
        let home = daemon.end().await;
        end(&mut events).await;
        remote.with_data(|data| data.advance_trial("night", trial, "passed"));
        daemon = TestDaemon::start_in(home, |_| {}).await;
        look(&daemon).await;
        events = client(&daemon)
            .events(&of_run("night"), Some(&place))
            .await
            .unwrap();
        let change = until(&mut events, ended).await;
        assert_eq!(change.object.trial_id.as_deref(), Some(trial));
        place = change.id;
    }
    daemon.end().await;
}

#[tokio::test]
async fn a_thousand_watch_and_the_remote_does_not_notice() {
    docksd::limits::raise_open_file_limit();
    let (remote, daemon) = both().await;
    let client = client(&daemon);
    let mut watching = Vec::new();
    for _ in 0..1_000 {
        let mut events = client.events(&of_run("night"), None).await.unwrap();
        until(&mut events, ready).await;
        watching.push(events);
    }
    remote.take_log();
    remote.with_data(|data| data.advance_trial("night", "t1", "failed"));
    look(&daemon).await;
    let heard = watching.iter_mut().map(|events| until(events, ended));
    for change in futures_util::future::join_all(heard).await {
        assert_eq!(change.object.trial_id.as_deref(), Some("t1"));
    }
    assert!(remote.log().len() < 40, "{} requests", remote.log().len());
    // Others are answered all the same.
    assert_eq!(daemon.get("/harbor/runs").await.status, 200);
    drop(watching);
    daemon.end().await;
}

#[tokio::test]
async fn who_stops_reading_holds_up_nobody_and_misses_no_end() {
    let (remote, daemon) = both().await;
    let client = client(&daemon);
    let mut stalled = client.events(&EventQuery::default(), None).await.unwrap();
    let mut keen = client.events(&of_run("night"), None).await.unwrap();
    until(&mut keen, ready).await;
    // Far more than the buffers between the two hold.
    for round in 0..40 {
        remote.with_data(|data| {
            for number in 0..50 {
                data.add_evaluation(&format!("more-{round}-{number}"), "running");
            }
        });
        let looked = daemon.get_as("/harbor/runs", CachePolicy::NoCache).await;
        assert_eq!(looked.status, 200);
    }
    remote.with_data(|data| data.advance_trial("night", "t1", "failed"));
    look(&daemon).await;
    let change = until(&mut keen, ended).await;
    let late = until(&mut stalled, ended).await;
    assert_eq!((late.seq, late.object), (change.seq, change.object));
    daemon.end().await;
}

#[tokio::test]
async fn what_cannot_be_watched_is_refused() {
    let (_remote, daemon) = both().await;
    let refused = |run: &'static str, after: Option<&'static str>| {
        let client = client(&daemon);
        async move {
            match client.events(&of_run(run), after).await {
                Err(ClientError::Refused { status, .. }) => status,
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(refused("day", None).await, 404);
    assert_eq!(refused("night", Some("yesterday")).await, 400);
    let reply = daemon.get_with("/v1/events?kind=cat", &[]).await;
    assert_eq!(reply.status, 400);
    assert!(detail(&reply).message.contains("`cat`"));
    daemon.end().await;
}

#[tokio::test]
async fn the_history_tells_each_status_and_when_somebody_looked() {
    let (remote, daemon) = both().await;
    let began = UnixMs::now();
    remote.with_data(|data| data.advance_trial("night", "t1", "failed"));
    look(&daemon).await;
    let client = client(&daemon);
    let answer = client.history("nig", Some("t1")).await.unwrap();
    let history: History = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (history.run_id.as_str(), history.status.as_str()),
        ("night", "failed")
    );
    let steps: Vec<_> = (history.changes.iter())
        .map(|change| (change.from.as_deref(), change.to.as_str()))
        .collect();
    assert_eq!(steps, [(None, "running"), (Some("running"), "failed")]);
    assert_eq!(
        history.observation_windows.len(),
        1,
        "{:?}",
        history.observation_windows
    );
    let until = UnixMs::parse(&history.observation_windows[0].until).unwrap();
    assert!(until >= began);
    let answer = client.history("night", None).await.unwrap();
    let history: History = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        history.changes.len(),
        1,
        "trials have histories of their own"
    );
    daemon.end().await;
}

#[tokio::test]
async fn changes_are_those_since_a_time_and_not_what_was_met_for_the_first_time() {
    let mut data = RemoteData::sample(3, 2);
    data.add_evaluation("night", "running");
    let remote = FakeRemote::start(data).await;
    let daemon = TestDaemon::start(&remote).await;
    daemon.get("/harbor/runs").await;
    let client = client(&daemon);
    let since = UnixMs::now().minus(Duration::from_secs(1));
    remote.with_data(|data| data.advance(RunKind::Evaluation, "night", "failed"));
    assert_eq!(
        daemon
            .get_as("/harbor/runs/night", CachePolicy::NoCache)
            .await
            .status,
        200
    );
    let query = ChangesQuery {
        filter: of_run("night"),
        since: Some(since),
        ..ChangesQuery::default()
    };
    let answer = client.changes(&query).await.unwrap();
    let changes: Vec<Change> = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(changes.last().unwrap().object.status, "failed");
    assert!(answer.freshness.is_some());
    let later = ChangesQuery {
        since: Some(UnixMs::now().plus(Duration::from_secs(3_600))),
        ..query
    };
    assert_eq!(client.changes(&later).await.unwrap().body, "[]");
    daemon.end().await;
}
