//! What an id, a prefix of one, or a name stands for.

use docks_proto::error::Candidate;
use docks_proto::object::RunFields;
use docks_proto::routes::RunKind;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use crate::Resolution;

/// Candidates that are named at most.
const MOST: usize = 20;

/// Resolves a run: its full id, else its exact name, else a prefix of its id.
pub(crate) fn run(
    connection: &Connection,
    kind: RunKind,
    given: &str,
) -> rusqlite::Result<Resolution> {
    if given.is_empty() {
        return Ok(Resolution::NotFound);
    }
    let exact = connection
        .prepare_cached("SELECT id FROM runs WHERE kind = ?1 AND id = ?2")?
        .query_row([kind.name(), given], |row| row.get(0))
        .optional()?;
    if let Some(id) = exact {
        return Ok(Resolution::Unique(id));
    }
    let named = candidates(
        connection,
        "SELECT id, name, status FROM runs
         WHERE kind = ?1 AND name = ?2 AND name <> '' AND gone_ms IS NULL
         ORDER BY created_ms DESC, id LIMIT ?3",
        &kind.name(),
        given,
        |_| true,
    )?;
    if named.len() > 1 {
        return Ok(Resolution::Ambiguous(placed(connection, kind, named)?));
    }
    if !named.is_empty() {
        return Ok(resolution(named));
    }
    candidates(
        connection,
        "SELECT id, name, status FROM runs
         WHERE kind = ?1 AND id >= ?2 AND gone_ms IS NULL ORDER BY id LIMIT ?3",
        &kind.name(),
        given,
        |id| id.starts_with(given),
    )
    .map(resolution)
}

/// Resolves a trial of a run in the same way.
pub(crate) fn trial(
    connection: &Connection,
    run: &str,
    given: &str,
) -> rusqlite::Result<Resolution> {
    if given.is_empty() {
        return Ok(Resolution::NotFound);
    }
    let list: Option<i64> = connection
        .prepare_cached("SELECT seq FROM trial_list WHERE run = ?1")?
        .query_row([run], |row| row.get(0))
        .optional()?;
    let Some(list) = list else {
        return Ok(Resolution::NotFound);
    };
    let exact = connection
        .prepare_cached("SELECT id FROM trials WHERE list = ?1 AND id = ?2")?
        .query_row(params![list, given], |row| row.get(0))
        .optional()?;
    if let Some(id) = exact {
        return Ok(Resolution::Unique(id));
    }
    let named = candidates(
        connection,
        "SELECT id, name, status FROM trials
         WHERE list = ?1 AND name = ?2 AND gone_ms IS NULL ORDER BY position LIMIT ?3",
        &list,
        given,
        |_| true,
    )?;
    if !named.is_empty() {
        return Ok(resolution(named));
    }
    candidates(
        connection,
        "SELECT id, name, status FROM trials
         WHERE list = ?1 AND id >= ?2 AND gone_ms IS NULL ORDER BY id LIMIT ?3",
        &list,
        given,
        |id| id.starts_with(given),
    )
    .map(resolution)
}

/// Reads candidates while their id fits; ids come in order, so the first misfit is the end.
fn candidates(
    connection: &Connection,
    sql: &str,
    owner: &dyn ToSql,
    given: &str,
    fits: impl Fn(&str) -> bool,
) -> rusqlite::Result<Vec<Candidate>> {
    let most = i64::try_from(MOST).expect("it is small");
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![owner, given, most])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let candidate = candidate(row)?;
        if !fits(&candidate.id) {
            break;
        }
        found.push(candidate);
    }
    Ok(found)
}

/// Adds what tells runs of the same name apart for people.
fn placed(
    connection: &Connection,
    kind: RunKind,
    mut found: Vec<Candidate>,
) -> rusqlite::Result<Vec<Candidate>> {
    let mut statement =
        connection.prepare_cached("SELECT body FROM runs WHERE kind = ?1 AND id = ?2")?;
    for candidate in &mut found {
        let body: String = statement.query_row([kind.name(), &candidate.id], |row| row.get(0))?;
        let fields: RunFields = serde_json::from_str(&body).unwrap_or_default();
        candidate.location = fields.remote_ref.text();
    }
    Ok(found)
}

fn candidate(row: &Row<'_>) -> rusqlite::Result<Candidate> {
    let text = |column| {
        row.get::<_, String>(column)
            .map(|text| (!text.is_empty()).then_some(text))
    };
    Ok(Candidate {
        id: row.get(0)?,
        name: text(1)?,
        status: text(2)?,
        location: None,
    })
}

fn resolution(mut found: Vec<Candidate>) -> Resolution {
    match found.len() {
        0 => Resolution::NotFound,
        1 => Resolution::Unique(found.swap_remove(0).id),
        _ => Resolution::Ambiguous(found),
    }
}
