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

fn run_filter(run: &str) -> EventQuery {
    EventQuery {
        runs: vec![run.to_owned()],
        ..EventQuery::default()
    }
}

async fn next(events: &mut EventStream) -> Event {
    let received = timeout(DEADLINE, events.next())
        .await
        .expect("the stream continues");
    received.unwrap().expect("the stream has not ended").event
}

/// Reads until `select` returns something.
async fn until<T>(events: &mut EventStream, select: impl Fn(&Event) -> Option<T>) -> T {
    loop {
        if let Some(found) = select(&next(events).await) {
            return found;
        }
    }
}

/// Reads to the end of the stream. The counts of earlier changes may still arrive, but no change.
async fn read_to_end(events: &mut EventStream) {
    loop {
        let received = timeout(DEADLINE, events.next())
            .await
            .expect("the stream continues");
        match received.unwrap().map(|received| received.event) {
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

/// A remote with one active evaluation run, and a daemon that mirrors it.
async fn remote_and_daemon() -> (FakeRemote, TestDaemon) {
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

async fn fetch_again(daemon: &TestDaemon) {
    let fetched = daemon.get_as("/harbor/runs/night/trials", CachePolicy::NoCache);
    assert_eq!(fetched.await.status, 200);
    let fetched = daemon
        .get_as("/harbor/runs/night", CachePolicy::NoCache)
        .await;
    assert_eq!(fetched.status, 200);
}

#[tokio::test]
async fn a_watch_gets_the_current_state_every_change_and_the_counts() {
    let (remote, daemon) = remote_and_daemon().await;
    let mut events = client(&daemon)
        .events(&run_filter("nig"), None)
        .await
        .unwrap();
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
    // No client requests the trials; the watch keeps them polled.
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
async fn a_watch_continues_with_the_next_daemon_without_gap_or_repetition() {
    let (remote, mut daemon) = remote_and_daemon().await;
    let mut events = client(&daemon)
        .events(&run_filter("night"), None)
        .await
        .unwrap();
    let mut position = until(&mut events, ready).await;
    for trial in ["t1", "t2", "t3"] {
        let home = daemon.end().await;
        read_to_end(&mut events).await;
        remote.with_data(|data| data.advance_trial("night", trial, "passed"));
        daemon = TestDaemon::start_in(home, |_| {}).await;
        fetch_again(&daemon).await;
        events = client(&daemon)
            .events(&run_filter("night"), Some(&position))
            .await
            .unwrap();
        let change = until(&mut events, ended).await;
        assert_eq!(change.object.trial_id.as_deref(), Some(trial));
        position = change.id;
    }
    daemon.end().await;
}

#[tokio::test]
async fn a_thousand_watches_cost_the_remote_nothing_extra() {
    docksd::limits::raise_open_file_limit();
    let (remote, daemon) = remote_and_daemon().await;
    let client = client(&daemon);
    let mut watching = Vec::new();
    for _ in 0..1_000 {
        let mut events = client.events(&run_filter("night"), None).await.unwrap();
        until(&mut events, ready).await;
        watching.push(events);
    }
    remote.take_log();
    remote.with_data(|data| data.advance_trial("night", "t1", "failed"));
    fetch_again(&daemon).await;
    let changes = watching.iter_mut().map(|events| until(events, ended));
    for change in futures_util::future::join_all(changes).await {
        assert_eq!(change.object.trial_id.as_deref(), Some("t1"));
    }
    assert!(remote.log().len() < 40, "{} requests", remote.log().len());
    // Other requests are answered as usual.
    assert_eq!(daemon.get("/harbor/runs").await.status, 200);
    drop(watching);
    daemon.end().await;
}

#[tokio::test]
async fn a_client_that_stops_reading_delays_no_other_and_misses_no_end() {
    let (remote, daemon) = remote_and_daemon().await;
    let client = client(&daemon);
    let mut stalled = client.events(&EventQuery::default(), None).await.unwrap();
    let mut reading = client.events(&run_filter("night"), None).await.unwrap();
    until(&mut reading, ready).await;
    // Far more than the buffers between client and daemon hold.
    for round in 0..40 {
        remote.with_data(|data| {
            for number in 0..50 {
                data.add_evaluation(&format!("more-{round}-{number}"), "running");
            }
        });
        let fetched = daemon.get_as("/harbor/runs", CachePolicy::NoCache).await;
        assert_eq!(fetched.status, 200);
    }
    remote.with_data(|data| data.advance_trial("night", "t1", "failed"));
    fetch_again(&daemon).await;
    let change = until(&mut reading, ended).await;
    let late = until(&mut stalled, ended).await;
    assert_eq!((late.seq, late.object), (change.seq, change.object));
    daemon.end().await;
}

#[tokio::test]
async fn an_invalid_watch_is_refused() {
    let (_remote, daemon) = remote_and_daemon().await;
    let refused = |run: &'static str, after: Option<&'static str>| {
        let client = client(&daemon);
        async move {
            match client.events(&run_filter(run), after).await {
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
async fn the_history_has_every_status_and_the_times_of_observation() {
    let (remote, daemon) = remote_and_daemon().await;
    let began = UnixMs::now();
    remote.with_data(|data| data.advance_trial("night", "t1", "failed"));
    fetch_again(&daemon).await;
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
async fn changes_are_limited_by_time_and_leave_out_first_sightings() {
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
        filter: run_filter("night"),
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
