//! Files of every earlier schema, with rows, as earlier releases would have left them.

use std::fs;
use std::path::Path;

use docks_proto::time::UnixMs;
use docksd_mirror::Mirror;

use super::database_files::{DatabaseFiles, open_soundly, rows_of};
use crate::support::IDENTITY;

/// The first schema as it landed.
const FIRST: &str = include_str!("../first_schema.sql");

const MIGRATIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");

/// What the migration with this number fills in Rust, taken from a file that was migrated by the code under test.
fn filled(number: usize) -> Option<&'static str> {
    match number {
        // Earlier releases filled columns here; today the seventh migration fills them.
        5 => Some(
            "UPDATE trials SET (model, error, cost_usd, tokens, tests_passed, artifacts) =
               (SELECT model, error, cost_usd, tokens, tests_passed, artifacts FROM migrated.trials m
                 WHERE m.seq = trials.seq);
             INSERT INTO trial_word SELECT * FROM migrated.trial_word;",
        ),
        7 => Some(
            "UPDATE runs SET digest = (SELECT digest FROM migrated.runs m WHERE m.seq = runs.seq);
             UPDATE trials SET digest = (SELECT digest FROM migrated.trials m WHERE m.seq = trials.seq);
             UPDATE status_event SET digest =
               (SELECT digest FROM migrated.status_event m WHERE m.seq = status_event.seq);
             UPDATE note SET digest = (SELECT digest FROM migrated.note m WHERE m.key = note.key);
             UPDATE identity SET digest = (SELECT digest FROM migrated.identity);",
        ),
        _ => None,
    }
}

const RUNS: &str = r#"
INSERT INTO identity VALUES ('https://api.example/tenants/t', 1);
INSERT INTO note VALUES ('k', 'v');
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
INSERT INTO runs (kind, id, name, status, created_ms, active, trials_due, changed_ms, gone_ms, body)
  SELECT iif(i % 2, 'evaluation', 'run'), 'r' || i, 'n' || i, 'failed', i, 0, i % 3 = 0, 7,
    iif(i % 10 = 0, 8, NULL),
    '{"id":"r' || i || '","name":"n' || i || '","status":"failed","text":"' || hex(zeroblob(200)) || '"}' FROM n;
INSERT INTO observation (kind, at_ms, rows) VALUES ('evaluation', 7, 20), ('run', 7, 20);
INSERT INTO run_seen SELECT seq, iif(kind = 'run', 2, 1) FROM runs;
"#;

const TRIALS: &str = r#"
INSERT INTO trial_list (seq, run, confirmed_ms, rows) VALUES (1, 'r1', 9, 80), (2, 'r3', 9, 80);
INSERT INTO trial_status VALUES ('error'), ('passed');
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $TRIALS)
INSERT INTO trials (list, id, position, name, task, agent, status, reward, observed_ms, gone_ms, body)
  SELECT 1 + i % 2, 't' || i, i, '', 'sum', 'coder', iif(i % 4, 'passed', 'error'), 0.5, 8,
    iif(i % 20 = 0, 8, NULL),
    '{"id":"t' || i || '","task_slug":"sum","agent_variant":"coder","status":"' || iif(i % 4, 'passed', 'error') || '","harbor":{"model":"acme/m' || (i % 7)
    || '"},"result_data":{"reward":0.5,"cost_usd":0.25},"text":"' || hex(zeroblob(150)) || '"}' FROM n;
"#;

const HISTORY: &str = "
INSERT INTO status_event (kind, run_id, to_status, at_ms, observed_ms, learned)
  SELECT kind, id, status, 7, 7, 'polled' FROM runs;
";

/// Returns the number of schemas.
pub(super) fn schema_count() -> usize {
    let entries = fs::read_dir(MIGRATIONS).unwrap();
    entries
        .filter(|e| e.as_ref().unwrap().path().is_dir())
        .count()
}

/// So many trials that SQLite can keep all pages that a migration changes in memory until it commits.
pub(super) const FEW: u32 = 160;

/// So many that it cannot.
pub(super) const MANY: u32 = 9_000;

/// Makes a closed file of schema `version` with so many trials; 0 is an empty file.
pub(super) async fn file_of_schema(version: usize, trials: u32) -> DatabaseFiles {
    let trials = TRIALS.replace("$TRIALS", &trials.to_string());
    let files = DatabaseFiles::new();
    let connection = open_soundly(&files.path);
    let mut folders: Vec<_> = fs::read_dir(MIGRATIONS)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    if version > 0 {
        let wal = connection.query_row("PRAGMA journal_mode = wal", [], |row| {
            row.get::<_, String>(0)
        });
        assert_eq!(wal.unwrap(), "wal");
    }
    for number in 1..=version {
        let sql = match number {
            1 => FIRST.to_owned(),
            _ => fs::read_to_string(folders[number - 1].join("up.sql")).unwrap(),
        };
        let rows = match number {
            1 => RUNS,
            2 => &trials,
            3 => HISTORY,
            _ => "",
        };
        if let Some(filled) = filled(number) {
            let migrated = migrated_copy(&files).await;
            let attach = "ATTACH ?1 AS migrated";
            let path = migrated.path.to_str().unwrap();
            connection.execute(attach, [path]).unwrap();
            connection.execute_batch(&sql).unwrap();
            connection.execute_batch(filled).unwrap();
            connection.execute_batch("DETACH migrated").unwrap();
        } else {
            connection.execute_batch(&sql).unwrap();
        }
        connection
            .execute_batch(&format!("{rows};PRAGMA user_version = {number}"))
            .unwrap();
    }
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    connection.query_row(checkpoint, [], |_| Ok(())).unwrap();
    files
}

async fn migrated_copy(files: &DatabaseFiles) -> DatabaseFiles {
    let copy = DatabaseFiles::copy_of(&files.path);
    let (mirror, _) = Mirror::open(&copy.path, IDENTITY, UnixMs(1_000)).unwrap();
    mirror.close().await;
    copy
}

/// Returns the rows of schema `version` that migrations must keep, from a file of that or a later one.
pub(super) fn kept_rows(path: &Path, version: usize) -> Vec<String> {
    let connection = open_soundly(path);
    let mut rows = Vec::new();
    for (since, sql) in [
        (1, "SELECT key, value FROM note"),
        (1, "SELECT remote FROM identity"),
        (
            1,
            "SELECT seq, kind, id, name, status, active, trials_due, gone_ms, body FROM runs",
        ),
        (1, "SELECT * FROM run_seen"),
        (1, "SELECT kind, status, rows, due FROM tally"),
        (2, "SELECT seq, run, confirmed_ms, rows FROM trial_list"),
        (
            2,
            "SELECT seq, list, id, position, task, agent, status, reward, gone_ms, body FROM trials",
        ),
        (3, "SELECT seq, kind, run_id, to_status FROM status_event"),
    ] {
        if version >= since {
            rows.extend(rows_of(&connection, sql).unwrap());
        }
    }
    rows
}
