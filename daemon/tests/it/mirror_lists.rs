//! Lists from the mirror are those that `query::apply` makes of the same objects.

use docks_proto::object::RawObject;
use docks_proto::query::{ListOf, ListQuery, Row, Sort, SortKey, apply};
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docksd::mirror::{Learned, Resolution};
use proptest::prelude::*;

use crate::mirror_support::*;

const TEXTS: &[&str] = &[
    "null",
    "7",
    "-1.5",
    "true",
    "[1]",
    "{\"a\":1}",
    "\"\"",
    "\"failed\"",
    "\"FAILED\"",
    "\"running\"",
    "\"a%b_c\"",
    "\"\u{391}\u{3a3}\"",
    "\"\u{c9}t\u{e9} \u{130}\"",
    "\"nul\\u0000nul\"",
    "\"2026-01-01T00:00:00Z\"",
    "\"2026-01-02T00:00:00+02:00\"",
    "\"0.5\"",
    "-0.0",
    "0",
    "9007199254740993",
];

const FIELDS: &[&str] = &[
    "name",
    "template_name",
    "status",
    "status",
    "created_at",
    "created_at",
    "task_slug",
    "agent_variant",
    "variant_name",
    "duration_seconds",
    "unknown",
];

fn an_object() -> impl Strategy<Value = RawObject> {
    let field = (prop::sample::select(FIELDS), prop::sample::select(TEXTS));
    let id = prop::option::of(0..12u8);
    let reward = prop::option::of(prop::sample::select(TEXTS));
    (id, reward, prop::collection::vec(field, 0..6)).prop_map(|(id, reward, fields)| {
        let mut parts: Vec<String> = fields
            .iter()
            .map(|(key, value)| format!("\"{key}\":{value}"))
            .collect();
        parts.extend(id.map(|id| format!("\"id\":\"r{id}\"")));
        parts.extend(reward.map(|r| format!("\"result_data\":{{\"reward\":{r}}}")));
        object(&format!("{{ {} }}", parts.join(" ,")))
    })
}

fn a_query(list: ListOf) -> impl Strategy<Value = ListQuery> {
    let keys: Vec<SortKey> = SortKey::known(list).iter().map(|(_, key)| *key).collect();
    let statuses = prop::sample::select(&["failed", "Failed", "running", "7", "nothing"][..]);
    let needles = &["R1", "r", "%", "_", "", "\u{3a3}", "\u{e9}T", "L\0n", "~"][..];
    let at = prop::option::of(1_767_225_600_000i64 - 3..1_767_225_600_000 + 3);
    (
        (0u64..8, 0u64..4),
        prop::collection::vec(statuses, 0..3),
        prop::option::of(prop::sample::select(needles)),
        (at.clone(), at),
        prop::option::of((prop::sample::select(keys), any::<bool>())),
    )
        .prop_map(|(cut, status, search, times, sort)| ListQuery {
            limit: cut.0,
            offset: cut.1,
            status: status.into_iter().map(str::to_owned).collect(),
            search: search.map(str::to_owned),
            since: times.0.map(UnixMs),
            until: times.1.map(|at| UnixMs(at + 80_000_000)),
            sort: sort.map(|(key, reversed)| Sort { key, reversed }),
        })
}

/// What a mirror keeps of objects with one key: the last.
fn last_of_each(list: ListOf, objects: &[RawObject]) -> Vec<RawObject> {
    let key = |object: &RawObject| match list {
        ListOf::Runs => Row::of_run(object).id,
        ListOf::Trials => Row::of_trial(object).id,
    };
    let kept = |(place, object): &(usize, &RawObject)| {
        !objects[place + 1..].iter().any(|o| key(o) == key(object))
    };
    let kept = objects.iter().enumerate().filter(kept);
    kept.map(|(_, object)| object.clone()).collect()
}

fn joined(rows: &[RawObject]) -> String {
    let texts: Vec<&str> = rows.iter().map(RawObject::text).collect();
    format!("[{}]", texts.join(","))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lists_are_those_of_apply(
        objects in prop::collection::vec(an_object(), 0..24),
        of_runs in prop::collection::vec(a_query(ListOf::Runs), 8),
        of_trials in prop::collection::vec(a_query(ListOf::Trials), 8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let place = Place::new();
        runtime.block_on(async {
            let mirror = place.open();
            put(&mirror, 1_000, objects.clone()).await;
            put_trials(&mirror, 1_000, objects.clone()).await;
            for query in of_runs {
                let listing = mirror.list_runs(RunKind::Evaluation, &query).await.unwrap();
                let (rows, total) =
                    apply(ListOf::Runs, last_of_each(ListOf::Runs, &objects), &query);
                prop_assert_eq!(body(&listing), joined(&rows), "{:?}", query);
                prop_assert_eq!((listing.total, listing.returned), (total, rows.len() as u64));
            }
            for query in of_trials {
                let listing = mirror.list_trials("r", &query).await.unwrap().unwrap();
                let (rows, total) =
                    apply(ListOf::Trials, last_of_each(ListOf::Trials, &objects), &query);
                prop_assert_eq!(body(&listing), joined(&rows), "{:?}", query);
                prop_assert_eq!((listing.total, listing.returned), (total, rows.len() as u64));
            }
            mirror.close().await;
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn texts_come_back_to_the_byte() {
    let (place, text) = (
        Place::new(),
        "{ \"id\" : \"\\u0000\u{1f680}\", \"n\":1.50,\"n\":2 , \"x\":[ ] }",
    );
    let huge = format!(r#"{{"id":"{}"}}"#, "x".repeat(300_000));
    let mirror = place.open();
    put(&mirror, 1, vec![object(text), object(&huge)]).await;
    let stored = mirror
        .run(RunKind::Evaluation, "\0\u{1f680}")
        .await
        .unwrap();
    assert_eq!(stored.unwrap().text, text);
    let prefix = "x".repeat(500);
    let found = mirror
        .resolve_run(RunKind::Evaluation, &prefix)
        .await
        .unwrap();
    assert_eq!(found, Resolution::One("x".repeat(300_000)));
    let listing = mirror
        .list_runs(RunKind::Evaluation, &everything())
        .await
        .unwrap();
    assert_eq!(body(&listing), format!("[{huge},{text}]"));
}

#[tokio::test]
async fn an_id_goes_before_a_name_and_a_name_before_a_prefix() {
    let place = Place::new();
    let mirror = place.open();
    let named = |id: &str, name: &str| run(id, "failed", &format!(r#","name":"{name}""#));
    let runs = ["aa1 nightly", "aa2 aa", "ab1 twice", "ab2 twice", "aa aa1"];
    let objects = runs.iter().filter_map(|r| r.split_once(' '));
    put(
        &mirror,
        1,
        objects.map(|(id, name)| named(id, name)).collect(),
    )
    .await;
    let resolve = async |given: &str| {
        let found = mirror
            .resolve_run(RunKind::Evaluation, given)
            .await
            .unwrap();
        match found {
            Resolution::One(id) => id,
            Resolution::Several(ids) => format!("{} of them", ids.len()),
            Resolution::Nothing => "nothing".into(),
        }
    };
    assert_eq!(resolve("aa1").await, "aa1");
    assert_eq!(resolve("aa").await, "aa");
    assert_eq!(resolve("nightly").await, "aa1");
    assert_eq!(resolve("twice").await, "2 of them");
    assert_eq!(resolve("ab").await, "2 of them");
    assert_eq!(resolve("ab2").await, "ab2");
    for given in ["", "%", "a_1", "ac", "night"] {
        assert_eq!(resolve(given).await, "nothing", "{given}");
    }
    mirror
        .entomb(RunKind::Evaluation, "aa1", UnixMs(2))
        .await
        .unwrap();
    assert_eq!(resolve("nightly").await, "nothing");
    assert_eq!(resolve("aa1").await, "aa1");
}

#[tokio::test]
async fn a_reader_never_sees_half_of_a_version() {
    let place = Place::new();
    let mirror = place.open();
    let version = |n: i64| {
        (0..300)
            .map(|i| run(&format!("t{i}"), "running", &format!(r#","v":{n}"#)))
            .collect::<Vec<_>>()
    };
    put_trials(&mirror, 1, version(1)).await;
    let writer = mirror.clone();
    let writing = tokio::spawn(async move {
        for n in 2..40 {
            let objects = version(n);
            let trials = writer.put_trials("r", objects, UnixMs(n), None, Learned::Polled);
            trials.await.unwrap();
        }
    });
    while !writing.is_finished() {
        let seen = mirror.data_version();
        let listing = mirror
            .list_trials("r", &everything())
            .await
            .unwrap()
            .unwrap();
        let values: Vec<serde_json::Value> = serde_json::from_slice(&listing.body).unwrap();
        assert_eq!((values.len(), listing.total), (300, 300));
        assert!(values.iter().all(|v| v["v"] == values[0]["v"]));
        assert!(mirror.data_version() >= seen);
    }
    writing.await.unwrap();
}
