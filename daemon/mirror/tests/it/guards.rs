//! What may replace what, and what is remembered of it.

use docks_proto::freshness::Validator;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docksd_mirror::{Confirmation, Provenance, Resource, RunBatch, StatusScope, Subject};

use crate::support::*;

const KIND: RunKind = RunKind::Evaluation;

#[tokio::test]
async fn each_change_of_a_status_is_a_row_of_history() {
    let place = Place::new();
    let mirror = place.open();
    let started = r#","started_at":"1970-01-01T00:00:00.005Z""#;
    put(&mirror, 10, vec![run("r", "pending", "")]).await;
    put(&mirror, 20, vec![run("r", "running", started)]).await;
    put(&mirror, 30, vec![run("r", "running", r#","n":1"#)]).await;
    let own = RunBatch {
        provenance: Provenance::OwnAction,
        ..batch(KIND, 25, vec![run("r", "cancelled", "")])
    };
    assert_eq!(mirror.upsert_runs(own).await.unwrap().events, 1);
    replace_trials(&mirror, 40, vec![run("t", "success", "")]).await;
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
async fn an_answer_older_than_the_stored_one_changes_nothing() {
    let place = Place::new();
    let mirror = place.open();
    put(&mirror, 20, vec![run("r", "completed", "")]).await;
    assert_eq!(
        put(&mirror, 10, vec![run("r", "failed", "")])
            .await
            .unchanged,
        1
    );
    assert_eq!(status(&mirror, "r").await, "completed");
    replace_trials(
        &mirror,
        20,
        vec![run("t", "passed", ""), run("u", "passed", "")],
    )
    .await;
    assert_eq!(
        replace_trials(&mirror, 10, vec![run("t", "failed", "")])
            .await
            .unchanged,
        1
    );
    assert_eq!(mirror.stats().await.unwrap().rows.trials, 2);
    // The answer to an action of ours counts, however long ago it was asked for.
    let own = RunBatch {
        provenance: Provenance::OwnAction,
        ..batch(KIND, 15, vec![run("r", "cancelled", "")])
    };
    mirror.upsert_runs(own).await.unwrap();
    let stored = mirror.run(KIND, "r").await.unwrap().unwrap();
    assert_eq!(
        (stored.status.as_str(), stored.confirmed_at.0),
        ("cancelled", 20)
    );
}

#[tokio::test]
async fn a_replica_that_lags_behind_does_not_take_back_an_end() {
    let place = Place::new();
    let mirror = place.open();
    let lagging = || vec![run("r", "running", "")];
    put(&mirror, 10, vec![run("r", "completed", "")]).await;
    assert_eq!(put(&mirror, 20, lagging()).await.deferred, 1);
    assert_eq!(status(&mirror, "r").await, "completed");
    // The validator of that answer would make the next one "as before".
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
    // Agreement with what is stored ends the doubt; then two answers are needed again.
    put(&mirror, 30, vec![run("r", "completed", "")]).await;
    assert_eq!(put(&mirror, 40, lagging()).await.deferred, 1);
    assert_eq!(put(&mirror, 50, lagging()).await.updated, 1);
    assert_eq!(status(&mirror, "r").await, "running");
    replace_trials(&mirror, 10, vec![run("t", "passed", "")]).await;
    assert_eq!(
        replace_trials(&mirror, 20, vec![run("t", "running", "")])
            .await
            .deferred,
        1
    );
    assert_eq!(
        replace_trials(&mirror, 30, vec![run("t", "running", "")])
            .await
            .updated,
        1
    );
}

#[tokio::test]
async fn a_tombstone_is_left_out_and_comes_back_when_it_is_seen() {
    let place = Place::new();
    let mirror = place.open();
    put(
        &mirror,
        10,
        vec![run("r", "failed", ""), run("s", "failed", "")],
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
        put(&mirror, 15, vec![run("r", "failed", "")])
            .await
            .unchanged,
        1
    );
    assert_eq!(
        put(&mirror, 30, vec![run("r", "failed", "")]).await.updated,
        1
    );
    assert_eq!(
        mirror.list_runs(KIND, &everything()).await.unwrap().total,
        2
    );
}

#[tokio::test]
async fn an_empty_answer_removes_no_trials_and_a_shorter_one_does() {
    let place = Place::new();
    let mirror = place.open();
    let all = || vec![run("t", "passed", ""), run("u", "passed", "")];
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
        replace_trials(&mirror, 30, vec![run("u", "passed", "")])
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
    assert!(!put_trials_of_nobody(&mirror).await);
}

/// An empty answer for a run without trials is an answer like any other.
async fn put_trials_of_nobody(mirror: &docksd_mirror::Mirror) -> bool {
    let put = mirror.replace_trials("n", vec![], UnixMs(1), None, Provenance::Polled);
    let suspicious = put.await.unwrap().ignored_empty_list;
    let listing = mirror.list_trials("n", &everything()).await.unwrap();
    assert_eq!(body(&listing.unwrap()), "[]");
    suspicious
}

#[tokio::test]
async fn one_trial_by_itself_joins_the_list_and_is_no_list() {
    let place = Place::new();
    let mirror = place.open();
    let one = run("t", "running", "");
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
    // A list that was asked for before knows nothing of it.
    replace_trials(&mirror, 40, vec![run("u", "running", "")]).await;
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
