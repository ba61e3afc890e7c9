//! Resolves an id, a prefix of an id, or a name to an object.

use docks_proto::error::Candidate;
use docks_proto::object::RunFields;
use docks_proto::repair;
use docks_proto::routes::RunKind;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use crate::digest::sound_text;

/// Candidates listed at most.
const MAX_CANDIDATES: i64 = 20;

/// What an id, prefix or name resolves to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// Exactly one object: its full id.
    Unique(String),
    /// Several objects; at most 20 of them are listed.
    Ambiguous(Vec<Candidate>),
    /// No object.
    NotFound,
}

/// Resolves a run: by full id, else by exact name, else by a prefix of its id. A run that is gone from
/// the remote is found by its full id only, and not if that is the name of a run that is there.
///
/// A name that several runs have is ambiguous, also if one of them has it as its id: the folder of a Harbor job
/// that has no id of its own.
pub(crate) fn resolve_run(
    connection: &Connection,
    kind: RunKind,
    input: &str,
) -> rusqlite::Result<Resolution> {
    if input.is_empty() {
        return Ok(Resolution::NotFound);
    }
    let is_there: Option<bool> = connection
        .prepare_cached("SELECT gone_ms IS NULL FROM runs WHERE kind = ?1 AND id = ?2")?
        .query_row([kind.name(), input], |row| row.get(0))
        .optional()?;
    let named = candidates(
        connection,
        "SELECT id, name, status FROM runs
         WHERE kind = ?1 AND name = ?2 AND name <> '' AND gone_ms IS NULL
         ORDER BY created_ms DESC, id LIMIT ?3",
        &kind.name(),
        input,
        |_| true,
    )?;
    // An id that is only its own run's name is not in doubt, and neither is one that is another run's.
    let is_shared = named.len() > 1 && named.iter().any(|run| run.id == input);
    if is_there == Some(true) && !is_shared {
        return Ok(Resolution::Unique(input.to_owned()));
    }
    if named.len() > 1 {
        return Ok(Resolution::Ambiguous(add_locations(
            connection, kind, named,
        )?));
    }
    if !named.is_empty() {
        return Ok(resolution(named));
    }
    if is_there == Some(false) {
        return Ok(Resolution::Unique(input.to_owned()));
    }
    candidates(
        connection,
        "SELECT id, name, status FROM runs
         WHERE kind = ?1 AND id >= ?2 AND gone_ms IS NULL ORDER BY id LIMIT ?3",
        &kind.name(),
        input,
        |id| id.starts_with(input),
    )
    .map(resolution)
}

/// Resolves a trial of a run in the same way.
pub(crate) fn resolve_trial(
    connection: &Connection,
    run: &str,
    input: &str,
) -> rusqlite::Result<Resolution> {
    if input.is_empty() {
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
        .query_row(params![list, input], |row| row.get(0))
        .optional()?;
    if let Some(id) = exact {
        return Ok(Resolution::Unique(id));
    }
    let named = candidates(
        connection,
        "SELECT id, name, status FROM trials
         WHERE list = ?1 AND name = ?2 AND gone_ms IS NULL ORDER BY position LIMIT ?3",
        &list,
        input,
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
        input,
        |id| id.starts_with(input),
    )
    .map(resolution)
}

/// Reads candidates up to the first whose id does not match; ids are in ascending order.
fn candidates(
    connection: &Connection,
    sql: &str,
    owner: &dyn ToSql,
    input: &str,
    matches: impl Fn(&str) -> bool,
) -> rusqlite::Result<Vec<Candidate>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![owner, input, MAX_CANDIDATES])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let candidate = candidate_from_row(row)?;
        if !matches(&candidate.id) {
            break;
        }
        found.push(candidate);
    }
    Ok(found)
}

/// Adds where each run is, which lets people tell runs of the same name apart.
fn add_locations(
    connection: &Connection,
    kind: RunKind,
    mut found: Vec<Candidate>,
) -> rusqlite::Result<Vec<Candidate>> {
    let mut statement =
        connection.prepare_cached("SELECT body, digest FROM runs WHERE kind = ?1 AND id = ?2")?;
    for candidate in &mut found {
        candidate.location = statement.query_row([kind.name(), &candidate.id], |row| {
            let fields: RunFields = repair::read(sound_text(row, 0)?);
            Ok(fields.remote_ref.text())
        })?;
    }
    Ok(found)
}

fn candidate_from_row(row: &Row<'_>) -> rusqlite::Result<Candidate> {
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
