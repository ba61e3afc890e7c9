//! Whole lists from a remote whose paging is unknown.

use std::time::Duration;

use docks_proto::client::{
    Client, ClientError, HttpsTransport, Limits, Transport, list_all_runs, list_all_trials,
};
use docks_proto::freshness::CachePolicy;
use docks_proto::object::{RunFields, parse_list};
use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;
use http::HeaderMap;

use docksd_testkit::fake_remote::{
    Behaviour, FakeRemote, Fault, ListEnvelope, ListOrder, RemoteData, TENANT,
};

fn client(remote: &FakeRemote) -> Client {
    let limits = Limits {
        total: Duration::from_secs(10),
        ..Limits::default()
    };
    let transport = HttpsTransport::new(&remote.url(), None, limits).unwrap();
    Client::new(
        Transport::Https(Box::new(transport)),
        TENANT,
        HeaderMap::new(),
    )
    .unwrap()
}

async fn walked(remote: &FakeRemote) -> Vec<String> {
    let objects = list_all_runs(&client(remote), RunKind::Run, None)
        .await
        .unwrap();
    objects
        .iter()
        .map(|object| RunFields::from_object(object).id.text().unwrap())
        .collect()
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

#[tokio::test]
async fn five_hundred_runs_come_whole_whatever_the_habits() {
    let remote = FakeRemote::start(RemoteData::sample(500, 0)).await;
    let all = sorted(remote.with_data(|w| w.runs.iter().map(|item| item.id.clone()).collect()));
    for order in [ListOrder::Newest, ListOrder::Oldest, ListOrder::Shuffled] {
        for envelope in [ListEnvelope::Array, ListEnvelope::Items, ListEnvelope::Data] {
            for (offset, cap, refuses, cursor) in [
                (true, None, false, false),
                (true, Some(100), false, false),
                (true, Some(100), true, false),
                (true, Some(7), false, false),
                (false, None, false, false),
                (false, Some(1_000), true, false),
                (false, Some(100), false, true),
                (false, Some(100), true, true),
            ] {
                remote.configure(|behaviour| {
                    *behaviour = Behaviour {
                        order,
                        envelope,
                        offset,
                        cap,
                        refuses_above_cap: refuses,
                        cursor,
                        total: cursor,
                        ..Behaviour::default()
                    }
                });
                let case = format!("{order:?} {envelope:?} {offset} {cap:?} {refuses} {cursor}");
                assert_eq!(sorted(walked(&remote).await), all, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn what_cannot_be_paged_gives_the_most_there_is_and_ends() {
    let remote = FakeRemote::start(RemoteData::sample(500, 0)).await;
    remote.configure(|behaviour| (behaviour.offset, behaviour.cap) = (false, Some(100)));
    assert_eq!(walked(&remote).await.len(), 100);
    assert!(remote.take_log().len() <= 3);
    remote.configure(|behaviour| behaviour.refuses_above_cap = true);
    assert_eq!(walked(&remote).await.len(), 100);
    assert!(remote.take_log().len() <= 5);
}

#[tokio::test]
async fn repeating_cursors_and_drifting_pages_end_without_doubles() {
    let remote = FakeRemote::start(RemoteData::sample(120, 0)).await;
    remote.configure(|behaviour| behaviour.cap = Some(50));
    remote.fault(Fault::RepeatingCursor);
    assert_eq!(walked(&remote).await.len(), 50);
    assert!(remote.take_log().len() <= 3);
    remote.clear();
    remote.fault(Fault::PageDrift);
    let ids = walked(&remote).await;
    let mut once = sorted(ids.clone());
    once.dedup();
    assert_eq!(once.len(), ids.len());
    assert!(ids.len() >= 120);
    remote.clear();
    remote.fault(Fault::Duplicates);
    let doubled = walked(&remote).await;
    remote.clear();
    assert_eq!(sorted(doubled), sorted(walked(&remote).await));
}

#[tokio::test]
async fn a_walk_stops_at_what_was_asked_for() {
    let remote = FakeRemote::start(RemoteData::sample(120, 0)).await;
    let some = list_all_runs(&client(&remote), RunKind::Run, Some(20)).await;
    assert_eq!(some.unwrap().len(), 20);
    assert_eq!(remote.log().len(), 1);
}

#[tokio::test]
async fn a_request_that_fails_midway_fails_the_whole_list() {
    let remote = FakeRemote::start(RemoteData::sample(120, 0)).await;
    remote.configure(|behaviour| behaviour.cap = Some(50));
    // Pages of 50 overlap by 5.
    remote.fault_at("offset=90", Fault::ServerError);
    let cut = list_all_runs(&client(&remote), RunKind::Run, None).await;
    assert!(matches!(cut, Err(ClientError::Refused { status: 500, .. })));
}

#[tokio::test]
async fn without_a_daemon_lists_are_bare_arrays_of_the_same_bytes() {
    let remote = FakeRemote::start(RemoteData::sample(3, 4)).await;
    remote.configure(|behaviour| behaviour.envelope = ListEnvelope::Items);
    let client = client(&remote);
    let answer = client
        .list_runs(
            RunKind::Evaluation,
            &ListQuery::default(),
            CachePolicy::Default,
        )
        .await
        .unwrap();
    assert!(answer.body.starts_with(b"[") && answer.freshness.is_none());
    let list = parse_list(&answer.body).unwrap();
    let newest = remote.with_data(|data| data.evaluations[2].clone());
    assert_eq!(list.objects[0].text(), newest.text);
    let trials = list_all_trials(&client, &newest.id).await.unwrap();
    assert_eq!(trials.len(), 4);
    let one = client
        .run(RunKind::Evaluation, &newest.id, CachePolicy::Default)
        .await
        .unwrap();
    assert_eq!(one.body, newest.text.as_bytes());
    remote.fault(Fault::Portal);
    let portal = client
        .run(RunKind::Evaluation, &newest.id, CachePolicy::Default)
        .await;
    assert!(matches!(portal, Err(ClientError::InvalidReply(_))));
}
