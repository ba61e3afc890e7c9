//! Which object may replace which, and what the history records.

use docks_proto::freshness::Validator;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docksd_mirror::{Confirmation, Provenance, Resource, RunBatch, StatusScope, Subject};

use crate::support::*;

const KIND: RunKind = RunKind::Evaluation;

#[tokio::test]
async fn each_change_of_a_status_is_a_row_of_the_history() {
    let files = TestMirror::new();
    let mirror = files.open();
    let started = r#","started_at":"1970-01-01T00:00:00.005Z""#;
    store_runs(&mirror, 10, vec![run_object("r", "pending", "")]).await;
    store_runs(&mirror, 20, vec![run_object("r", "running", started)]).await;
    store_runs(&mirror, 30, vec![run_object("r", "running", r#","n":1"#)]).await;
    let own = RunBatch {
        provenance: Provenance::OwnAction,
        ..batch(KIND, 25, vec![run_object("r", "cancelled", "")])
    };
    assert_eq!(mirror.upsert_runs(own).await.unwrap().events, 1);
    replace_trials(&mirror, 40, vec![run_object("t", "success", "")]).await;
    let events = mirror.events_after(0, 100).await.unwrap();
    let short: Vec<_> = events
        .iter()
        .map(|e| {
            (
                e.seq,
                e.from.as_deref(),
                e.to.as_str(),
                e.at.0,
                e.observed.0,
            )
        })
        .collect();
    assert_eq!(
        short,
        [
            (1, None, "pending", 10, 10),
            (2, Some("pending"), "running", 5, 20),
            (3, Some("running"), "cancelled", 25, 25),
            (4, None, "success", 40, 40),
        ]
    );
    assert_eq!(events[2].provenance, Provenance::OwnAction);
    assert_eq!(
        (events[3].subject, events[3].trial.as_deref()),
        (Subject::Trial, Some("t"))
    );
    assert_eq!(mirror.events_after(3, 1).await.unwrap(), events[3..]);
    assert_eq!(
        mirror
            .seen_statuses(StatusScope::Runs(KIND))
            .await
            .unwrap()
            .len(),
        3
    );
    assert_eq!(
        mirror.seen_statuses(StatusScope::Trials).await.unwrap(),
        ["success"]
    );
}

#[tokio::test]
async fn a_response_older_than_the_stored_one_changes_nothing() {
    let files = TestMirror::new();
    let mirror = files.open();
    store_runs(&mirror, 20, vec![run_object("r", "completed", "")]).await;
    assert_eq!(
        store_runs(&mirror, 10, vec![run_object("r", "failed", "")])
            .await
            .unchanged,
        1
    );
    assert_eq!(status(&mirror, "r").await, "completed");
    replace_trials(
        &mirror,
        20,
        vec![run_object("t", "passed", ""), run_object("u", "passed", "")],
    )
    .await;
    assert_eq!(
        replace_trials(&mirror, 10, vec![run_object("t", "failed", "")])
            .await
            .unchanged,
        1
    );
    assert_eq!(mirror.stats().await.unwrap().rows.trials, 2);
    // The response to an action of ours counts, however long ago its request began.
    let own = RunBatch {
        provenance: Provenance::OwnAction,
        ..batch(KIND, 15, vec![run_object("r", "cancelled", "")])
    };
    mirror.upsert_runs(own).await.unwrap();
    let stored = mirror.run(KIND, "r").await.unwrap().unwrap();
    assert_eq!(
        (stored.status.as_str(), stored.confirmed_at.0),
        ("cancelled", 20)
    );
}

#[tokio::test]
async fn a_replica_that_lags_behind_does_not_reopen_an_ended_run() {
    let files = TestMirror::new();
    let mirror = files.open();
    let lagging = || vec![run_object("r", "running", "")];
    store_runs(&mirror, 10, vec![run_object("r", "completed", "")]).await;
    assert_eq!(store_runs(&mirror, 20, lagging()).await.deferred, 1);
    assert_eq!(status(&mirror, "r").await, "completed");
    // With the validator of that response, the next one would be "not modified".
    let confirmed = Confirmation {
        at: UnixMs(20),
        validator: Some(Validator("e".into())),
        complete: true,
    };
    mirror
        .record_confirmation(Resource::List(KIND), confirmed)
        .await
        .unwrap();
    let list = mirror
        .confirmation(&Resource::List(KIND))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(list.validator, None);
    // Agreement with what is stored cancels the reopening; then two responses are needed again.
    store_runs(&mirror, 30, vec![run_object("r", "completed", "")]).await;
    assert_eq!(store_runs(&mirror, 40, lagging()).await.deferred, 1);
    assert_eq!(store_runs(&mirror, 50, lagging()).await.updated, 1);
    assert_eq!(status(&mirror, "r").await, "running");
    replace_trials(&mirror, 10, vec![run_object("t", "passed", "")]).await;
    assert_eq!(
        replace_trials(&mirror, 20, vec![run_object("t", "running", "")])
            .await
            .deferred,
        1
    );
    assert_eq!(
        replace_trials(&mirror, 30, vec![run_object("t", "running", "")])
            .await
            .updated,
        1
    );
}

#[tokio::test]
async fn a_tombstone_is_left_out_of_lists_and_revived_when_it_is_seen() {
    let files = TestMirror::new();
    let mirror = files.open();
    store_runs(
        &mirror,
        10,
        vec![run_object("r", "failed", ""), run_object("s", "failed", "")],
    )
    .await;
    mirror.tombstone_run(KIND, "r", UnixMs(9)).await.unwrap();
    assert_eq!(mirror.run(KIND, "r").await.unwrap().unwrap().gone_at, None);
    mirror.tombstone_run(KIND, "r", UnixMs(20)).await.unwrap();
    let listing = mirror.list_runs(KIND, &everything()).await.unwrap();
    assert_eq!((listing.total, listing.returned), (1, 1));
    assert_eq!(
        mirror.run(KIND, "r").await.unwrap().unwrap().gone_at,
        Some(UnixMs(20))
    );
    assert_eq!(mirror.stats().await.unwrap().rows.tombstones, 1);
    assert_eq!(
        store_runs(&mirror, 15, vec![run_object("r", "failed", "")])
            .await
            .unchanged,
        1
    );
    assert_eq!(
        store_runs(&mirror, 30, vec![run_object("r", "failed", "")])
            .await
            .updated,
        1
    );
    assert_eq!(
        mirror.list_runs(KIND, &everything()).await.unwrap().total,
        2
    );
}

#[tokio::test]
async fn an_empty_response_removes_no_trials_and_a_shorter_one_does() {
    let files = TestMirror::new();
    let mirror = files.open();
    let all = || vec![run_object("t", "passed", ""), run_object("u", "passed", "")];
    assert!(
        mirror
            .list_trials("r", &everything())
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(replace_trials(&mirror, 10, all()).await.inserted, 2);
    let empty = replace_trials(&mirror, 20, vec![]).await;
    assert!(empty.ignored_empty_list && empty.removed == 0);
    let listing = mirror
        .list_trials("r", &everything())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (listing.total, listing.confirmation.unwrap().at),
        (2, UnixMs(10))
    );
    assert_eq!(
        replace_trials(&mirror, 30, vec![run_object("u", "passed", "")])
            .await
            .removed,
        1
    );
    assert!(
        mirror
            .trial("r", "t")
            .await
            .unwrap()
            .unwrap()
            .gone_at
            .is_some()
    );
    let back = replace_trials(&mirror, 40, all()).await;
    assert_eq!((back.updated, back.unchanged), (1, 1));
    let listing = mirror
        .list_trials("r", &everything())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((listing.total, listing.returned), (2, 2));
    assert!(!empty_list_is_ignored_for_a_new_run(&mirror).await);
}

/// Stores an empty list for a run without trials, which is a list like any other; returns whether it
/// was ignored.
async fn empty_list_is_ignored_for_a_new_run(mirror: &docksd_mirror::Mirror) -> bool {
    let put = mirror.replace_trials("n", vec![], UnixMs(1), None, Provenance::Polled);
    let ignored = put.await.unwrap().ignored_empty_list;
    let listing = mirror.list_trials("n", &everything()).await.unwrap();
    assert_eq!(body(&listing.unwrap()), "[]");
    ignored
}

#[tokio::test]
async fn a_single_trial_joins_the_list_but_does_not_make_it_complete() {
    let files = TestMirror::new();
    let mirror = files.open();
    let one = run_object("t", "running", "");
    mirror
        .upsert_trial("r", one.clone(), UnixMs(50), Provenance::Polled)
        .await
        .unwrap();
    assert!(
        mirror
            .list_trials("r", &everything())
            .await
            .unwrap()
            .is_none()
    );
    // A list whose request began earlier does not contain it.
    replace_trials(&mirror, 40, vec![run_object("u", "running", "")]).await;
    let listing = mirror
        .list_trials("r", &everything())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(listing.total, 2);
    let same = mirror
        .upsert_trial("r", one, UnixMs(60), Provenance::Polled)
        .await
        .unwrap();
    assert_eq!(same.unchanged, 1);
    let stored = mirror.trial("r", "t").await.unwrap().unwrap();
    assert_eq!(stored.confirmed_at, UnixMs(60));
}

#[tokio::test]
async fn trials_are_not_confirmed_while_a_reopening_is_pending() {
    let files = TestMirror::new();
    let mirror = files.open();
    let trials = Resource::Trials("r".to_owned());
    let confirmed = async || mirror.confirmation(&trials).await.unwrap().unwrap().at.0;
    replace_trials(&mirror, 10, vec![run_object("t", "passed", "")]).await;
    let seen = replace_trials(&mirror, 20, vec![run_object("t", "running", "")]).await;
    assert_eq!((seen.deferred, confirmed().await), (1, 10));
    replace_trials(&mirror, 30, vec![run_object("t", "running", "")]).await;
    assert_eq!(confirmed().await, 30);
}
