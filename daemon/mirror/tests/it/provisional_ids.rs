//! A Harbor job has its name as id until it has a UUID: its row and its history go on under that one.

use docks_proto::error::Candidate;
use docks_proto::object::RawObject;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docksd_mirror::{Confirmation, Mirror, Provenance, Rename, Resolution, Resource};

use crate::support::{TestMirror, object, run_object, store_runs};

const KIND: RunKind = RunKind::Evaluation;
const UUID: &str = "e8c003f5-a129-414b-9d33-4c12687eb455";

/// A job in a folder, with its name as id or, once it has one, its UUID.
fn job(id: &str, folder: &str, status: &str) -> RawObject {
    let name = folder.rsplit('/').next().unwrap();
    let uuid = match id == UUID {
        true => format!(r#""{UUID}""#),
        false => "null".to_owned(),
    };
    object(&format!(
        r#"{{"id":"{id}","name":"{name}","status":"{status}","remote_ref":"{folder}",
            "created_at":"2026-01-01T00:00:00Z","harbor":{{"job_id":{uuid}}}}}"#
    ))
}

async fn is_stored(mirror: &Mirror, id: &str) -> bool {
    mirror.run(KIND, id).await.unwrap().is_some()
}

async fn store_trials(mirror: &Mirror, run: &str, at: i64, status: &str) {
    let trials = vec![run_object("planned-0001", status, "")];
    mirror
        .replace_trials(run, trials, UnixMs(at), None, Provenance::Event)
        .await
        .unwrap();
}

#[tokio::test]
async fn notes_about_a_job_follow_it() {
    let file = TestMirror::new();
    let mirror = file.open();
    store_runs(
        &mirror,
        1,
        vec![
            job("big", "/jobs/big", "pending"),
            job("too big", "/jobs/too big", "pending"),
        ],
    )
    .await;
    for (topic, run) in [("rule 1", "big"), ("rule 2", "big"), ("rule", "too big")] {
        mirror.write_run_note(topic, run, "done").await.unwrap();
    }
    mirror
        .write_run_note("rule 2", UUID, "newer")
        .await
        .unwrap();
    store_runs(&mirror, 2, vec![job(UUID, "/jobs/big", "running")]).await;
    // What was under way when it got its id.
    mirror
        .write_run_note("rule 3", "big", "late")
        .await
        .unwrap();
    let note = async |topic: &str, run: &str| mirror.read_run_note(topic, run).await.unwrap();
    assert_eq!(note("rule 1", UUID).await.as_deref(), Some("done"));
    assert_eq!(note("rule 2", UUID).await.as_deref(), Some("newer"));
    assert_eq!(note("rule 3", UUID).await.as_deref(), Some("late"));
    for topic in ["rule 1", "rule 2", "rule 3"] {
        assert_eq!(note(topic, "big").await, None);
    }
    assert_eq!(note("rule", "too big").await.as_deref(), Some("done"));
}

#[tokio::test]
async fn a_job_that_gets_its_uuid_leaves_nothing_under_its_name() {
    let file = TestMirror::new();
    let mirror = file.open();
    store_runs(&mirror, 1, vec![job("big", "/jobs/big", "pending")]).await;
    store_trials(&mirror, "big", 1, "pending").await;
    let confirmation = |at| Confirmation {
        at: UnixMs(at),
        validator: None,
        complete: true,
    };
    let under_name = Resource::Run(KIND, "big".to_owned());
    mirror
        .record_confirmation(under_name.clone(), confirmation(1))
        .await
        .unwrap();
    store_runs(&mirror, 2, vec![job(UUID, "/jobs/big", "running")]).await;
    mirror.tombstone_run(KIND, "big", UnixMs(3)).await.unwrap();
    // Answers to what was asked under the name arrive late.
    store_trials(&mirror, "big", 4, "running").await;
    mirror
        .record_confirmation(under_name, confirmation(4))
        .await
        .unwrap();

    assert!(!is_stored(&mirror, "big").await);
    assert_eq!(mirror.stats().await.unwrap().rows.tombstones, 0);
    let resolved = mirror.resolve_run(KIND, "big").await.unwrap();
    assert_eq!(resolved, Resolution::Unique(UUID.to_owned()));
    let (events, _) = mirror.run_history(KIND, UUID, None, 10).await.unwrap();
    let statuses: Vec<&str> = events.iter().map(|event| event.to.as_str()).collect();
    assert_eq!(statuses, ["pending", "running"]);
    let trial = Some("planned-0001");
    let (events, _) = mirror.run_history(KIND, UUID, trial, 10).await.unwrap();
    assert_eq!(events.len(), 2, "{events:?}");
    let sqlite = file.sqlite();
    for (table, column) in [
        ("runs", "id"),
        ("trial_list", "run"),
        ("status_event", "run_id"),
        ("confirmation", "id"),
        ("look", "id"),
    ] {
        let sql = format!("SELECT count(*) FROM {table} WHERE {column} = 'big'");
        let left: i64 = sqlite.query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0, "{table}");
    }
    let rename = Rename {
        kind: KIND,
        from: "big".to_owned(),
        to: UUID.to_owned(),
    };
    assert_eq!(mirror.renames_after(0), [rename]);
}

#[tokio::test]
async fn only_the_job_in_the_same_folder_takes_over_what_is_stored_under_a_name() {
    let mirror = TestMirror::new();
    let mirror = mirror.open();
    store_runs(&mirror, 1, vec![job("big", "/other/big", "pending")]).await;
    store_runs(&mirror, 2, vec![job(UUID, "/jobs/big", "running")]).await;
    assert!(is_stored(&mirror, "big").await && is_stored(&mirror, UUID).await);
    // One that was gone before the job began was another one.
    let mirror = TestMirror::new();
    let mirror = mirror.open();
    store_runs(&mirror, 1, vec![job("big", "/jobs/big", "failed")]).await;
    mirror.tombstone_run(KIND, "big", UnixMs(3)).await.unwrap();
    store_runs(&mirror, 4, vec![job(UUID, "/jobs/big", "running")]).await;
    let gone = mirror.run(KIND, "big").await.unwrap().unwrap();
    assert_eq!(gone.gone_at, Some(UnixMs(3)));
    let (events, _) = mirror.run_history(KIND, UUID, None, 10).await.unwrap();
    assert_eq!(events.len(), 1);
}

#[tokio::test]
async fn a_name_of_several_runs_is_ambiguous_also_as_the_id_of_one() {
    let mirror = TestMirror::new();
    let mirror = mirror.open();
    let jobs = vec![
        job("big", "/other/big", "failed"),
        job(UUID, "/jobs/big", "running"),
    ];
    store_runs(&mirror, 1, jobs).await;
    let Resolution::Ambiguous(candidates) = mirror.resolve_run(KIND, "big").await.unwrap() else {
        panic!("it is ambiguous");
    };
    let place = |candidate: &Candidate| candidate.location.clone().unwrap();
    let mut places: Vec<String> = candidates.iter().map(place).collect();
    places.sort_unstable();
    assert_eq!(places, ["/jobs/big", "/other/big"]);
    let by_id = mirror.resolve_run(KIND, UUID).await.unwrap();
    assert_eq!(by_id, Resolution::Unique(UUID.to_owned()));
    // What is the id of one run and only the name of another one is the id.
    let named = vec![
        run_object("night", "running", r#","name":"own""#),
        run_object("r2", "running", r#","name":"night""#),
    ];
    store_runs(&mirror, 2, named).await;
    let by_id = mirror.resolve_run(KIND, "night").await.unwrap();
    assert_eq!(by_id, Resolution::Unique("night".to_owned()));
}
