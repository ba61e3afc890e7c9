//! What the sync engine reads and writes.

use docks_proto::freshness::Validator;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docksd_mirror::{Confirmation, MirrorError, Provenance, Resource, Retention};

use crate::support::*;

const KIND: RunKind = RunKind::Evaluation;

fn created(id: &str, status: &str, second: u32) -> docks_proto::object::RawObject {
    run_object(
        id,
        status,
        &format!(r#","created_at":"2026-01-01T00:00:{second:02}Z""#),
    )
}

fn confirmation(at: i64, validator: &str) -> Confirmation {
    Confirmation {
        at: UnixMs(at),
        validator: Some(Validator(validator.into())),
        complete: true,
    }
}

async fn confirmed_at(mirror: &docksd_mirror::Mirror, id: &str) -> i64 {
    mirror.run(KIND, id).await.unwrap().unwrap().confirmed_at.0
}

#[tokio::test]
async fn a_sweep_lists_the_runs_it_did_not_see() {
    let files = TestMirror::new();
    let mirror = files.open();
    store_runs(
        &mirror,
        10,
        ["a", "b", "c"]
            .map(|id| run_object(id, "failed", ""))
            .into(),
    )
    .await;
    let sweep = mirror.begin_sweep(KIND).await.unwrap();
    let page = docksd_mirror::RunBatch {
        ..batch(KIND, 20, vec![run_object("a", "failed", "")])
    };
    mirror.upsert_runs(page).await.unwrap();
    store_runs(&mirror, 21, vec![run_object("d", "failed", "")]).await;
    assert_eq!(
        mirror.runs_missed_by_sweep(KIND, sweep).await.unwrap(),
        ["c", "b"]
    );
    let next = mirror.begin_sweep(KIND).await.unwrap();
    assert!(matches!(
        mirror.runs_missed_by_sweep(KIND, sweep).await,
        Err(MirrorError::NoSuchSweep(_))
    ));
    assert_eq!(
        mirror.runs_missed_by_sweep(KIND, next).await.unwrap().len(),
        4
    );
}

#[tokio::test]
async fn an_equal_response_confirms_all_its_rows_with_one_write() {
    let files = TestMirror::new();
    let mirror = files.open();
    let page = || {
        (0..50)
            .map(|i| run_object(&format!("r{i}"), "failed", ""))
            .collect::<Vec<_>>()
    };
    store_runs(&mirror, 10, page()).await;
    store_runs(&mirror, 20, page()).await;
    assert_eq!(confirmed_at(&mirror, "r7").await, 20);
    let groups: i64 = files
        .sqlite()
        .query_row("SELECT count(*) FROM observation", [], |row| row.get(0))
        .unwrap();
    assert_eq!(groups, 1);
    // "Not modified" confirms the rows of the response that the validator came with, and no others.
    mirror
        .record_confirmation(Resource::List(KIND), confirmation(20, "v"))
        .await
        .unwrap();
    store_runs(&mirror, 25, vec![run_object("deep", "failed", "")]).await;
    mirror
        .record_confirmation(Resource::List(KIND), confirmation(30, "v"))
        .await
        .unwrap();
    assert_eq!(
        (
            confirmed_at(&mirror, "r7").await,
            confirmed_at(&mirror, "deep").await
        ),
        (30, 25)
    );
    mirror
        .record_confirmation(Resource::List(KIND), confirmation(40, "w"))
        .await
        .unwrap();
    assert_eq!(confirmed_at(&mirror, "r7").await, 30);
    mirror
        .record_confirmation(Resource::Run(KIND, "r7".into()), confirmation(50, "x"))
        .await
        .unwrap();
    assert_eq!(
        (
            confirmed_at(&mirror, "r7").await,
            confirmed_at(&mirror, "r8").await
        ),
        (50, 30)
    );
    // A row that leaves the page leaves its observation.
    store_runs(&mirror, 60, page().split_off(1)).await;
    assert_eq!(
        (
            confirmed_at(&mirror, "r0").await,
            confirmed_at(&mirror, "r8").await
        ),
        (30, 60)
    );
}

#[tokio::test]
async fn confirmations_never_go_back() {
    let files = TestMirror::new();
    let mirror = files.open();
    let list = Resource::List(KIND);
    mirror
        .record_confirmation(list.clone(), confirmation(20, "v"))
        .await
        .unwrap();
    mirror
        .record_confirmation(list.clone(), confirmation(10, "u"))
        .await
        .unwrap();
    assert_eq!(
        mirror.confirmation(&list).await.unwrap(),
        Some(confirmation(20, "v"))
    );
    let never = Resource::Trials("r".into());
    assert_eq!(mirror.confirmation(&never).await.unwrap(), None);
}

#[tokio::test]
async fn the_summary_lists_active_runs_their_places_and_whose_trials_are_due() {
    let files = TestMirror::new();
    let mirror = files.open();
    store_runs(
        &mirror,
        10,
        vec![
            created("new", "completed", 50),
            created("mid", "warming-up", 40),
            created("old", "failed", 30),
            created("last", "running", 20),
            run_object("undated", "running", ""),
        ],
    )
    .await;
    let summary = mirror.summary(2, None).await.unwrap();
    let active: Vec<_> = summary
        .active
        .iter()
        .map(|a| (a.id.as_str(), a.newer_rows, a.confirmed_at.0))
        .collect();
    assert_eq!(
        active,
        [("mid", 1, 10), ("last", 3, 10), ("undated", 5, 10)]
    );
    assert_eq!((summary.lists[0].rows, summary.lists[1].rows), (0, 5));
    let due: Vec<_> = summary
        .trials_due
        .iter()
        .map(|d| (d.run.as_str(), d.ended))
        .collect();
    assert_eq!(due, [("new", true), ("mid", false)]);
    assert_eq!(summary.trials_due_total, 5);
    assert_eq!(mirror.stats().await.unwrap().rows.active, 3);
}

#[tokio::test]
async fn trials_are_due_again_when_their_run_ends_after_their_request_began() {
    let files = TestMirror::new();
    let mirror = files.open();
    let due = async || mirror.summary(9, None).await.unwrap().trials_due_total;
    store_runs(&mirror, 10, vec![run_object("r", "running", "")]).await;
    replace_trials(&mirror, 20, vec![run_object("t", "running", "")]).await;
    assert_eq!(due().await, 0);
    store_runs(&mirror, 30, vec![run_object("r", "running", r#","n":1"#)]).await;
    assert_eq!(due().await, 0);
    store_runs(&mirror, 40, vec![run_object("r", "completed", "")]).await;
    for at in [35, 40] {
        replace_trials(&mirror, at, vec![run_object("t", "running", "")]).await;
        assert_eq!(
            due().await,
            1,
            "which came first is not known of the same time"
        );
    }
    replace_trials(&mirror, 45, vec![run_object("t", "passed", "")]).await;
    assert_eq!(due().await, 0);
    replace_trials(&mirror, 46, vec![run_object("t", "passed", "")]).await;
    mirror
        .record_confirmation(Resource::Trials("r".into()), confirmation(50, "v"))
        .await
        .unwrap();
    store_runs(&mirror, 60, vec![run_object("r", "completed", r#","n":2"#)]).await;
    assert_eq!(due().await, 1);
    mirror
        .record_confirmation(Resource::Trials("r".into()), confirmation(70, "v"))
        .await
        .unwrap();
    assert_eq!(due().await, 0);
}

#[tokio::test]
async fn trials_that_are_reported_with_their_run_belong_to_it() {
    let files = TestMirror::new();
    let mirror = files.open();
    store_runs(&mirror, 10, vec![run_object("r", "completed", "")]).await;
    let trials = vec![run_object("t", "passed", "")];
    mirror
        .replace_trials("r", trials, UnixMs(10), None, Provenance::Event)
        .await
        .unwrap();
    assert_eq!(mirror.summary(9, None).await.unwrap().trials_due_total, 0);
}

#[tokio::test]
async fn trials_that_were_read_before_their_run_was_listed_are_due_if_it_has_ended_since() {
    for (status, listed_at, due) in [
        ("completed", 20, 1),
        ("running", 20, 0),
        // Within a millisecond, the trials may have been read first.
        ("completed", 10, 1),
        ("completed", 9, 0),
    ] {
        let files = TestMirror::new();
        let mirror = files.open();
        replace_trials(&mirror, 10, vec![run_object("t", "running", "")]).await;
        store_runs(&mirror, listed_at, vec![run_object("r", status, "")]).await;
        let summary = mirror.summary(9, None).await.unwrap();
        assert_eq!(summary.trials_due_total, due, "{status} at {listed_at}");
    }
}

#[tokio::test]
async fn upkeep_deletes_what_is_past_its_retention_and_keeps_the_rest() {
    let files = TestMirror::new();
    let mirror = files.open();
    store_runs(
        &mirror,
        10,
        vec![run_object("r", "failed", ""), run_object("s", "failed", "")],
    )
    .await;
    replace_trials(&mirror, 10, vec![run_object("t", "failed", "")]).await;
    mirror.tombstone_run(KIND, "r", UnixMs(20)).await.unwrap();
    mirror.write_note("a", "1").await.unwrap();
    let before = mirror.data_version();
    mirror
        .run_upkeep(UnixMs(1_000), Retention::default())
        .await
        .unwrap();
    assert!(mirror.run(KIND, "r").await.unwrap().is_some());
    let retention = Retention {
        history: std::time::Duration::ZERO,
        tombstones: std::time::Duration::ZERO,
    };
    mirror.run_upkeep(UnixMs(1_000), retention).await.unwrap();
    assert!(mirror.data_version() > before);
    assert!(mirror.run(KIND, "r").await.unwrap().is_none());
    assert!(mirror.trial("r", "t").await.unwrap().is_none());
    assert_eq!(mirror.events_after(0, 9).await.unwrap(), []);
    let rows = mirror.stats().await.unwrap().rows;
    assert_eq!(
        (rows.evaluation_runs, rows.trials, rows.tombstones),
        (1, 0, 0)
    );
    assert_eq!(mirror.read_note("a").await.unwrap().as_deref(), Some("1"));
    // Sequence numbers continue, so that a subscription that resumes misses nothing.
    store_runs(&mirror, 2_000, vec![run_object("u", "failed", "")]).await;
    assert_eq!(mirror.events_after(0, 9).await.unwrap()[0].seq, 4);
}

#[tokio::test]
async fn a_failed_write_in_a_shared_transaction_rolls_back_only_itself() {
    let files = TestMirror::new();
    let mirror = files.open();
    // A trigger makes the database refuse one row.
    files
        .sqlite()
        .execute_batch(
            "CREATE TRIGGER refuse BEFORE INSERT ON runs WHEN NEW.id = 'bad9'
             BEGIN SELECT raise(ABORT, 'refused'); END",
        )
        .unwrap();
    let writes = (0..20).map(|i| {
        let mirror = mirror.clone();
        let pair = vec![
            run_object(&format!("good{i}"), "failed", ""),
            run_object(&format!("bad{i}"), "failed", ""),
        ];
        tokio::spawn(async move { mirror.upsert_runs(batch(KIND, 1, pair)).await })
    });
    let writes: Vec<_> = writes.collect();
    let mut failed = Vec::new();
    for (i, write) in writes.into_iter().enumerate() {
        if write.await.unwrap().is_err() {
            failed.push(i);
        }
    }
    assert_eq!(failed, [9]);
    assert_eq!(
        mirror.list_runs(KIND, &everything()).await.unwrap().total,
        38
    );
    assert_eq!(mirror.events_after(0, 99).await.unwrap().len(), 38);
}

#[tokio::test]
async fn a_closed_mirror_returns_an_error() {
    let files = TestMirror::new();
    let mirror = files.open();
    let clone = mirror.clone();
    store_runs(&mirror, 1, vec![run_object("r", "failed", "")]).await;
    mirror.close().await;
    let put = clone.upsert_trial("r", run_object("t", "x", ""), UnixMs(1), Provenance::Polled);
    assert!(matches!(put.await, Err(MirrorError::Closed)));
    assert!(matches!(clone.stats().await, Err(MirrorError::Closed)));
    assert!(!files.path.with_file_name("mirror.db-wal").exists());
    assert_eq!(status(&files.open(), "r").await, "failed");
}

#[tokio::test]
async fn runs_are_delivered_once_they_are_mirrored_in_both_forms_with_their_trials() {
    let files = TestMirror::new();
    let mirror = files.open();
    for kind in RunKind::ALL {
        let runs = ["a", "b"].map(|id| run_object(id, "failed", ""));
        mirror
            .upsert_runs(batch(kind, 10, runs.into()))
            .await
            .unwrap();
    }
    let only_evaluation = batch(KIND, 10, vec![run_object("c", "failed", "")]);
    mirror.upsert_runs(only_evaluation).await.unwrap();
    for (run, validator) in [("a", Some("v")), ("b", None), ("c", Some("w"))] {
        let trials = vec![object(r#"{"id":"t","status":"failed"}"#)];
        let validator = validator.map(|text| Validator(text.into()));
        let stored = mirror.replace_trials(run, trials, UnixMs(20), validator, Provenance::Polled);
        stored.await.unwrap();
    }
    let delivered = mirror.delivered_runs().await.unwrap();
    let found: Vec<(&str, &str)> = delivered
        .iter()
        .map(|run| (run.id.as_str(), run.trials_validator.0.as_str()))
        .collect();
    assert_eq!(found, [("a", "v")]);
    // Its trials may have changed with it.
    let changed = batch(KIND, 30, vec![run_object("a", "failed", r#","n":1"#)]);
    mirror.upsert_runs(changed).await.unwrap();
    assert!(mirror.delivered_runs().await.unwrap().is_empty());
}
