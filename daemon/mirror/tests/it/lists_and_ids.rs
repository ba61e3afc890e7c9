//! Lists from the mirror equal those that `query::apply_query` makes of the same objects; and ids resolve.

use docks_proto::object::RawObject;
use docks_proto::query::{ListKind, ListQuery, Row, Sort, SortKey, TrialFilter, apply_query};
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docksd_mirror::{AgeOfTrials, Provenance, Resolution};
use proptest::prelude::*;

use crate::support::*;

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
    // As a last release has stored them.
    "\"running \\ud83d\"",
    "1e999",
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
    "started_at",
    "error_message",
    "logs_uri",
    "model",
    "unknown",
];

/// Members of `result_data`.
const RESULTS: &[&str] = &[
    "reward",
    "reward",
    "error_code",
    "error_code",
    "error",
    "cost_usd",
    "prompt_tokens",
    "completion_tokens",
    "tests_passed",
    "model",
];

/// Filters on trials, each one parameter.
const TRIAL_FILTERS: &[&str] = &[
    "agent=failed",
    "agent=A%25B_C",
    "model=7",
    "model=RUNNING",
    "task=failed",
    "task=no%20such",
    "error=any",
    "error=none",
    "error=failed",
    "error=unknown",
    "error=true",
    "reward=none",
    "reward=any",
    "reward=0",
    "reward=!=0.5",
    "reward=<1",
    "reward=>=0",
];

fn any_object() -> impl Strategy<Value = RawObject> {
    let field = (prop::sample::select(FIELDS), prop::sample::select(TEXTS));
    let id = prop::option::of(0..12u8);
    let result = (prop::sample::select(RESULTS), prop::sample::select(TEXTS));
    let results = (any::<bool>(), prop::collection::vec(result, 0..5));
    (id, results, prop::collection::vec(field, 0..6)).prop_map(
        |(id, (as_text, results), fields)| {
            let mut parts: Vec<String> = fields
                .iter()
                .map(|(key, value)| format!("\"{key}\":{value}"))
                .collect();
            parts.extend(id.map(|id| format!("\"id\":\"r{id}\"")));
            let results: Vec<String> = results
                .iter()
                .map(|(key, value)| format!("\"{key}\":{value}"))
                .collect();
            let mut results = format!("{{{}}}", results.join(","));
            if as_text {
                results = serde_json::to_string(&results).unwrap();
            }
            parts.push(format!("\"result_data\":{results}"));
            object(&format!("{{ {} }}", parts.join(" ,")))
        },
    )
}

fn any_query(list: ListKind) -> impl Strategy<Value = ListQuery> {
    let keys: Vec<SortKey> = SortKey::supported_by(list)
        .iter()
        .map(|(_, key)| *key)
        .collect();
    let statuses = prop::sample::select(&["failed", "Failed", "running", "7", "nothing"][..]);
    let needles = &["R1", "r", "%", "_", "", "\u{3a3}", "\u{e9}T", "L\0n", "~"][..];
    let at = prop::option::of(1_767_225_600_000i64 - 3..1_767_225_600_000 + 3);
    (
        (0u64..8, 0u64..4),
        prop::collection::vec(statuses, 0..3),
        prop::option::of(prop::sample::select(needles)),
        (at.clone(), at),
        prop::option::of((prop::sample::select(keys), any::<bool>())),
        prop::collection::vec(prop::sample::select(TRIAL_FILTERS), 0..3),
    )
        .prop_map(|(page, status, search, times, sort, filters)| ListQuery {
            trials: trial_filter(&filters.join("&")),
            limit: page.0,
            offset: page.1,
            status: status.into_iter().map(str::to_owned).collect(),
            search: search.map(str::to_owned),
            since: times.0.map(UnixMs),
            until: times.1.map(|at| UnixMs(at + 80_000_000)),
            sort: sort.map(|(key, reversed)| Sort { key, reversed }),
        })
}

fn trial_filter(filters: &str) -> TrialFilter {
    ListQuery::parse(ListKind::Trials, filters, 0)
        .unwrap()
        .trials
}

/// Returns the last of the objects with each key, which a mirror keeps.
fn last_of_each(list: ListKind, objects: &[RawObject]) -> Vec<RawObject> {
    let key = |object: &RawObject| match list {
        ListKind::Runs => Row::from_run(object).id,
        ListKind::Trials | ListKind::AllTrials => Row::from_trial(object).id,
    };
    let kept = |(index, object): &(usize, &RawObject)| {
        !objects[index + 1..].iter().any(|o| key(o) == key(object))
    };
    let kept = objects.iter().enumerate().filter(kept);
    kept.map(|(_, object)| object.clone()).collect()
}

/// Returns a run's trials as a list over all runs shows them.
fn marked(objects: &[RawObject], run: &str, name: &str) -> Vec<RawObject> {
    let kept = last_of_each(ListKind::Trials, objects).into_iter();
    kept.map(|trial| {
        object(&docks_proto::trial::add_run_reference(trial.text(), run, name).unwrap())
    })
    .collect()
}

fn joined(rows: &[RawObject]) -> String {
    let texts: Vec<&str> = rows.iter().map(RawObject::text).collect();
    format!("[{}]", texts.join(","))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lists_are_those_of_apply(
        objects in prop::collection::vec(any_object(), 0..24),
        of_runs in prop::collection::vec(any_query(ListKind::Runs), 8),
        of_trials in prop::collection::vec(any_query(ListKind::Trials), 8),
        more in prop::collection::vec(any_object(), 0..12),
        of_all in prop::collection::vec(any_query(ListKind::AllTrials), 8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let files = TestMirror::new();
        runtime.block_on(async {
            let mirror = files.open();
            store_runs(&mirror, 1_000, objects.clone()).await;
            replace_trials(&mirror, 1_000, objects.clone()).await;
            for query in of_runs {
                let listing = mirror.list_runs(RunKind::Evaluation, &query).await.unwrap();
                let (rows, total) =
                    apply_query(ListKind::Runs, last_of_each(ListKind::Runs, &objects), &query);
                prop_assert_eq!(body(&listing), joined(&rows), "{:?}", query);
                prop_assert_eq!((listing.total, listing.returned), (total, rows.len() as u64));
            }
            for query in of_trials {
                let listing = mirror.list_trials("r", &query).await.unwrap().unwrap();
                let (rows, total) =
                    apply_query(ListKind::Trials, last_of_each(ListKind::Trials, &objects), &query);
                prop_assert_eq!(body(&listing), joined(&rows), "{:?}", query);
                prop_assert_eq!((listing.total, listing.returned), (total, rows.len() as u64));
            }
            mirror.close().await;
            // An object without an id is identified by its text, which the reference to its run changes.
            let with_id = |objects: &[RawObject]| -> Vec<RawObject> {
                let with = objects.iter().filter(|o| !Row::from_trial(o).id.starts_with('~'));
                with.cloned().collect()
            };
            let (objects, more) = (with_id(&objects), with_id(&more));
            let files = TestMirror::new();
            let mirror = files.open();
            store_runs(&mirror, 1_000, vec![run_object("r", "failed", ""), run_object("other", "failed", "")]).await;
            replace_trials(&mirror, 1_000, objects.clone()).await;
            let other = mirror.replace_trials("other", more.clone(), UnixMs(1_000), None, Provenance::Polled);
            other.await.unwrap();
            let mut all = marked(&objects, "r", "");
            all.extend(marked(&more, "other", ""));
            for query in of_all {
                let listing = mirror.list_all_trials(&query, AgeOfTrials::Unsettled).await.unwrap();
                let (rows, total) = apply_query(ListKind::AllTrials, all.clone(), &query);
                prop_assert_eq!(body(&listing), joined(&rows), "{:?}", query);
                prop_assert_eq!((listing.total, listing.returned), (total, rows.len() as u64));
            }
            mirror.close().await;
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn texts_are_returned_byte_for_byte() {
    let (files, text) = (
        TestMirror::new(),
        "{ \"id\" : \"\\u0000\u{1f680}\", \"n\":1.50,\"n\":2 , \"x\":[ ] }",
    );
    let huge = format!(r#"{{"id":"{}"}}"#, "x".repeat(300_000));
    let mirror = files.open();
    store_runs(&mirror, 1, vec![object(text), object(&huge)]).await;
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
    assert_eq!(found, Resolution::Unique("x".repeat(300_000)));
    let listing = mirror
        .list_runs(RunKind::Evaluation, &everything())
        .await
        .unwrap();
    assert_eq!(body(&listing), format!("[{huge},{text}]"));
}

#[tokio::test]
async fn an_id_takes_precedence_over_a_name_and_a_name_over_a_prefix() {
    let files = TestMirror::new();
    let mirror = files.open();
    let named = |id: &str, name: &str| run_object(id, "failed", &format!(r#","name":"{name}""#));
    let runs = ["aa1 nightly", "aa2 aa", "ab1 twice", "ab2 twice", "aa aa1"];
    let objects = runs.iter().filter_map(|r| r.split_once(' '));
    store_runs(
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
            Resolution::Unique(id) => id,
            Resolution::Ambiguous(ids) => format!("{} of them", ids.len()),
            Resolution::NotFound => "nothing".into(),
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
    for id in ["aa1", "ab1"] {
        mirror
            .tombstone_run(RunKind::Evaluation, id, UnixMs(2))
            .await
            .unwrap();
    }
    assert_eq!(resolve("nightly").await, "nothing");
    assert_eq!(resolve("ab1").await, "ab1");
    // What is there has precedence over what is gone.
    assert_eq!(resolve("aa1").await, "aa");
    assert_eq!(resolve("twice").await, "ab2");
}

#[tokio::test]
async fn a_reader_never_sees_a_partial_version() {
    let files = TestMirror::new();
    let mirror = files.open();
    let version = |n: i64| {
        (0..300)
            .map(|i| run_object(&format!("t{i}"), "running", &format!(r#","v":{n}"#)))
            .collect::<Vec<_>>()
    };
    replace_trials(&mirror, 1, version(1)).await;
    let writer = mirror.clone();
    let writing = tokio::spawn(async move {
        for n in 2..40 {
            let objects = version(n);
            let trials = writer.replace_trials("r", objects, UnixMs(n), None, Provenance::Polled);
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

#[tokio::test]
async fn a_list_over_all_runs_names_them_and_leaves_out_tombstones() {
    let files = TestMirror::new();
    let mirror = files.open();
    let runs = [("r1", "nightly"), ("r2", "weekly"), ("r3", "")];
    let objects =
        runs.map(|(id, name)| run_object(id, "completed", &format!(r#","name":"{name}""#)));
    store_runs(&mirror, 1, objects.to_vec()).await;
    for (index, (id, _)) in runs.iter().enumerate() {
        let made = format!(r#","created_at":"2026-01-0{}T00:00:00Z""#, index + 1);
        let trials = vec![
            run_object("t", "passed", &made),
            run_object(id, "error", &made),
        ];
        let put = mirror.replace_trials(id, trials, UnixMs(2), None, Provenance::Polled);
        put.await.unwrap();
    }
    mirror
        .tombstone_run(RunKind::Evaluation, "r2", UnixMs(3))
        .await
        .unwrap();
    let ask = async |question: &str| {
        let query = ListQuery::parse(ListKind::AllTrials, question, 20).unwrap();
        let listing = mirror
            .list_all_trials(&query, AgeOfTrials::Unsettled)
            .await
            .unwrap();
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&listing.body).unwrap();
        let text = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap().to_owned();
        let names: Vec<String> = rows
            .iter()
            .map(|row| format!("{}/{}", text(&row["docks_run"], "name"), text(row, "id")))
            .collect();
        (names.join(" "), listing.total)
    };
    assert_eq!(ask("").await, ("/t /r3 nightly/t nightly/r1".into(), 4));
    assert_eq!(ask("limit=1&status=PASSED").await, ("/t".into(), 2));
    assert_eq!(ask("q=R1").await, ("nightly/r1".into(), 1));
    assert_eq!(ask("status=failed").await, (String::new(), 0));
}
