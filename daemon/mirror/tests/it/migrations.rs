//! A file of the first schema, upgraded, equals a new one, and keeps its rows.

use rusqlite::Connection;

use docks_proto::query::{ListKind, ListQuery};
use docks_proto::routes::RunKind;

use crate::support::*;

/// The first schema as it landed. Never edited: users have such files.
const FIRST: &str = include_str!("first_schema.sql");

/// Rows as the first release wrote them.
const ROWS: &str = r#"
INSERT INTO identity VALUES ('https://api.example/tenants/t', 1);
INSERT INTO note VALUES ('k', 'v');
INSERT INTO runs (kind, id, name, status, created_ms, active, trials_due, changed_ms, body)
  VALUES ('evaluation', 'old', 'n', 'failed', 5, 0, 1, 7, '{"id":"old","status":"failed"}');
INSERT INTO observation (kind, at_ms, rows) VALUES ('evaluation', 7, 1);
INSERT INTO run_seen VALUES (1, 1);
PRAGMA user_version = 1;
"#;

/// The second and third migration as they landed.
const SECOND: &str = include_str!("../../../../migrations/02-trials/up.sql");
const THIRD: &str = include_str!("../../../../migrations/03-history/up.sql");

/// Trials as releases before the fifth migration wrote them.
const TRIALS: &str = r#"
INSERT INTO trial_list (seq, run, confirmed_ms, rows) VALUES (1, 'old', 9, 2);
INSERT INTO trial_status VALUES ('error'), ('passed');
INSERT INTO trials (list, id, position, name, task, agent, status, reward, observed_ms, gone_ms, body) VALUES
  (1, 'a', 1, '', 'sum', 'coder', 'error', 0.5, 8, NULL,
   '{"id":"a","task_slug":"sum","agent_variant":"coder","status":"error","logs_uri":"gs://b/l","harbor":{"model":"acme/m"},"result_data":"{\"reward\":0.5,\"error_code\":\"AgentTimeoutError\",\"cost_usd\":0.25,\"prompt_tokens\":3,\"tests_passed\":1}"}'),
  (1, 'b', 2, '', 'sum', 'coder', 'passed', 1.0, 8, NULL,
   '{"id":"b","task_slug":"sum","agent_variant":"coder","status":"passed","result_data":{"reward":1}}'),
  (1, 'c', 3, '', 'sum', 'coder', 'passed', NULL, 8, 8, '{"id":"c"}');
PRAGMA user_version = 3;
"#;

fn schema(connection: &Connection) -> Vec<(String, String)> {
    let mut statement = connection
        .prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name")
        .unwrap();
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    rows.map(Result::unwrap).collect()
}

#[tokio::test]
async fn an_upgraded_file_of_the_first_schema_equals_a_new_one() {
    let (old, fresh) = (TestMirror::new(), TestMirror::new());
    std::fs::create_dir_all(old.path.parent().unwrap()).unwrap();
    old.sqlite()
        .execute_batch(&format!("{FIRST};{ROWS}"))
        .unwrap();
    let (mirror, opened) = old.try_open().unwrap();
    assert!(!opened.created && opened.set_aside.is_none());
    let stored = mirror
        .run(RunKind::Evaluation, "old")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored.text, r#"{"id":"old","status":"failed"}"#);
    assert_eq!(stored.confirmed_at.0, 7);
    assert_eq!(mirror.read_note("k").await.unwrap().as_deref(), Some("v"));
    assert_eq!(mirror.summary(9, None).await.unwrap().trials_due_total, 1);
    let page = vec![
        run_object("old", "failed", ""),
        run_object("new", "running", ""),
    ];
    store_runs(&mirror, 20, page).await;
    assert_eq!(mirror.stats().await.unwrap().rows.evaluation_runs, 2);
    mirror.close().await;
    fresh.open().close().await;
    assert_eq!(schema(&old.sqlite()), schema(&fresh.sqlite()));
}

#[tokio::test]
async fn columns_that_an_earlier_release_could_not_read_are_filled() {
    let old = TestMirror::new();
    std::fs::create_dir_all(old.path.parent().unwrap()).unwrap();
    // Half a surrogate pair emptied the columns of its row.
    let odd = r#"
INSERT INTO runs (kind, id, name, status, active, trials_due, changed_ms, body)
  VALUES ('run', 'odd', '', '', 0, 0, 7, '{"id":"odd","name":"half \ud83d","status":"failed"}');"#;
    old.sqlite()
        .execute_batch(&[FIRST, ROWS, odd, "PRAGMA user_version = 1"].join(";"))
        .unwrap();
    let (mirror, _) = old.try_open().unwrap();
    let query = ListQuery::parse(ListKind::Runs, "status=failed", 0).unwrap();
    let listing = mirror.list_runs(RunKind::Run, &query).await.unwrap();
    assert_eq!((listing.total, listing.returned), (1, 1));
    mirror.verify().await.unwrap();
    mirror.close().await;
}

#[tokio::test]
async fn new_columns_of_old_trials_are_filled_from_their_texts() {
    let (old, fresh) = (TestMirror::new(), TestMirror::new());
    std::fs::create_dir_all(old.path.parent().unwrap()).unwrap();
    old.sqlite()
        .execute_batch(&[FIRST, ROWS, SECOND, THIRD, TRIALS].join(";"))
        .unwrap();
    let (mirror, _) = old.try_open().unwrap();
    let ids = async |question: &str| {
        let query = ListQuery::parse(ListKind::Trials, question, 0).unwrap();
        let listing = mirror.list_trials("old", &query).await.unwrap().unwrap();
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&listing.body).unwrap();
        let ids = rows.iter().map(|row| row["id"].as_str().unwrap());
        ids.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(ids("").await, "a b");
    assert_eq!(ids("error=agenttimeouterror&model=M").await, "a");
    assert_eq!(ids("agent=CODER&reward=1").await, "b");
    for key in ["cost", "tokens", "tests", "artifacts"] {
        assert_eq!(ids(&format!("sort={key}")).await, "a b", "{key}");
    }
    let run = docksd_mirror::FactsSelection::Ids(vec!["old".to_owned()]);
    let (facts, _) = mirror.trial_facts(run).await.unwrap();
    let costs: Vec<Option<f64>> = facts.trials().map(|(_, trial)| trial.cost_usd).collect();
    assert_eq!(costs, [Some(0.25), None]);
    mirror.close().await;
    fresh.open().close().await;
    assert_eq!(schema(&old.sqlite()), schema(&fresh.sqlite()));
}
