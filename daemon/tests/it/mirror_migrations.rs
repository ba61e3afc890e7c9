//! A file of the first schema, upgraded, equals a fresh one, old rows included.

use rusqlite::Connection;

use docks_proto::routes::RunKind;

use crate::mirror_support::*;

/// The first schema as it landed. Never edited: it stands for files on people's machines.
const FIRST: &str = include_str!("mirror_first_schema.sql");

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
async fn an_upgraded_first_file_equals_a_fresh_one() {
    let (old, fresh) = (Place::new(), Place::new());
    std::fs::create_dir_all(old.path.parent().unwrap()).unwrap();
    old.sqlite()
        .execute_batch(&format!("{FIRST};{ROWS}"))
        .unwrap();
    let (mirror, opened) = old.try_open().unwrap();
    assert!(!opened.fresh && opened.set_aside.is_none());
    let stored = mirror
        .run(RunKind::Evaluation, "old")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored.text, r#"{"id":"old","status":"failed"}"#);
    assert_eq!(stored.confirmed_at.0, 7);
    assert_eq!(mirror.note("k").await.unwrap().as_deref(), Some("v"));
    assert_eq!(mirror.summary(9).await.unwrap().trials_due_total, 1);
    let page = vec![run("old", "failed", ""), run("new", "running", "")];
    put(&mirror, 20, page).await;
    assert_eq!(mirror.stats().await.unwrap().rows.evaluation_runs, 2);
    mirror.close().await;
    fresh.open().close().await;
    assert_eq!(schema(&old.sqlite()), schema(&fresh.sqlite()));
}
