//! When a row or a list was last confirmed by the remote.
//!
//! Runs that one answer confirmed share an *observation*. When the next answer
//! holds the same runs, only that one row moves on; a poll of ten thousand runs
//! that did not change writes one row.

use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::history::events::signed;
use crate::{Confirmation, Resource};
use docks_proto::freshness::Validator;

/// SQL for when a run was confirmed: through an answer it was in, or by itself.
pub(crate) const RUN_CONFIRMED: &str = "max(
    coalesce((SELECT o.at_ms FROM run_seen s JOIN observation o ON o.seq = s.observation
              WHERE s.run = r.seq), 0),
    coalesce((SELECT c.at_ms FROM confirmation c WHERE c.kind = r.kind AND c.id = r.id), 0))";

/// A row that an answer confirmed, and the observation it belonged to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sighting {
    pub(crate) run: i64,
    pub(crate) observation: Option<i64>,
}

/// Notes that one answer confirmed these rows.
pub(crate) fn regroup(
    connection: &Connection,
    kind: RunKind,
    at_ms: i64,
    sightings: &[Sighting],
) -> rusqlite::Result<()> {
    let Some(first) = sightings.first() else {
        return Ok(());
    };
    if let Some(group) = first.observation
        && sightings.iter().all(|s| s.observation == Some(group))
        && size(connection, group)? == Some(signed(sightings.len() as u64))
    {
        return advance(connection, group, at_ms);
    }
    connection
        .prepare_cached("INSERT INTO observation (kind, at_ms, rows) VALUES (?1, ?2, ?3)")?
        .execute(params![kind.name(), at_ms, signed(sightings.len() as u64)])?;
    let group = connection.last_insert_rowid();
    let mut join = connection
        .prepare_cached("INSERT OR REPLACE INTO run_seen (run, observation) VALUES (?1, ?2)")?;
    let mut left = std::collections::BTreeMap::<i64, i64>::new();
    for sighting in sightings {
        join.execute([sighting.run, group])?;
        if let Some(old) = sighting.observation {
            *left.entry(old).or_default() += 1;
        }
    }
    let mut shrink =
        connection.prepare_cached("UPDATE observation SET rows = rows - ?2 WHERE seq = ?1")?;
    let mut end =
        connection.prepare_cached("DELETE FROM observation WHERE seq = ?1 AND rows <= 0")?;
    for (old, rows) in left {
        shrink.execute([old, rows])?;
        end.execute([old])?;
    }
    Ok(())
}

fn size(connection: &Connection, group: i64) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT rows FROM observation WHERE seq = ?1")?
        .query_row([group], |row| row.get(0))
        .optional()
}

fn advance(connection: &Connection, group: i64, at_ms: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE observation SET at_ms = max(at_ms, ?2) WHERE seq = ?1")?
        .execute([group, at_ms])
        .map(drop)
}

/// Reads when a resource was confirmed.
pub(crate) fn confirmed(
    connection: &Connection,
    resource: &Resource,
) -> rusqlite::Result<Option<Confirmation>> {
    let read = |row: &Row<'_>| {
        let at: Option<i64> = row.get(0)?;
        let validator: Option<String> = row.get(1)?;
        let whole: bool = row.get(2)?;
        Ok(at.map(|at| Confirmation {
            at: UnixMs(at),
            validator: validator.map(Validator),
            complete: whole,
        }))
    };
    let found = match resource {
        Resource::List(kind) => connection
            .prepare_cached(
                "SELECT at_ms, validator, whole FROM confirmation WHERE kind = ?1 AND id = ''",
            )?
            .query_row([kind.name()], read)
            .optional()?,
        Resource::Run(kind, id) => connection
            .prepare_cached(&format!(
                "SELECT nullif({RUN_CONFIRMED}, 0),
                   (SELECT validator FROM confirmation c WHERE c.kind = r.kind AND c.id = r.id), 1
                 FROM runs r WHERE r.kind = ?1 AND r.id = ?2"
            ))?
            .query_row([kind.name(), id], read)
            .optional()?,
        Resource::Trials(run) => connection
            .prepare_cached("SELECT confirmed_ms, validator, 1 FROM trial_list WHERE run = ?1")?
            .query_row([run], read)
            .optional()?,
    };
    Ok(found.flatten())
}

/// Stores that a resource was confirmed; what is older than the stored state changes nothing.
pub(crate) fn confirm(
    connection: &Connection,
    resource: &Resource,
    new: &Confirmation,
) -> rusqlite::Result<()> {
    if !matches!(resource, Resource::Trials(_)) {
        crate::observation_window::note(connection, resource, new.at)?;
    }
    match resource {
        Resource::List(kind) => confirm_list(connection, *kind, new),
        Resource::Run(kind, id) => {
            let doubted: bool = connection
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM runs
                       WHERE kind = ?1 AND id = ?2 AND doubt_ms IS NOT NULL)",
                )?
                .query_row([kind.name(), id], |row| row.get(0))?;
            store(connection, *kind, id, new, doubted, None)
        }
        Resource::Trials(run) => {
            crate::trials::write::confirm(connection, run, new.at.0, new.validator.as_ref())
        }
    }
}

fn confirm_list(
    connection: &Connection,
    kind: RunKind,
    new: &Confirmation,
) -> rusqlite::Result<()> {
    let old: Option<(Option<String>, Option<i64>)> = connection
        .prepare_cached(
            "SELECT validator, observation FROM confirmation WHERE kind = ?1 AND id = ''",
        )?
        .query_row([kind.name()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let answer = answer_of(connection, kind, new.at.0)?;
    let same = matches!((&old, &new.validator), (Some((Some(old), _)), Some(new)) if *old == new.0);
    let observation = match (answer, &old) {
        (Some(answer), _) => Some(answer),
        // "As before": the answer that the validator stands for holds again, with all its rows.
        (None, Some((_, Some(linked)))) if same => {
            advance(connection, *linked, new.at.0)?;
            Some(*linked)
        }
        _ => None,
    };
    // Under a doubt the whole answer must come again, not "as before".
    let doubted: bool = connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM runs WHERE kind = ?1 AND doubt_ms IS NOT NULL)",
        )?
        .query_row([kind.name()], |row| row.get(0))?;
    store(connection, kind, "", new, doubted, observation)
}

/// Finds the observation of the answer that was asked for at that time, if only one was.
fn answer_of(connection: &Connection, kind: RunKind, at_ms: i64) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection
        .prepare_cached("SELECT seq FROM observation WHERE kind = ?1 AND at_ms = ?2 LIMIT 2")?;
    let found: Vec<i64> = statement
        .query_map(params![kind.name(), at_ms], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(match found[..] {
        [one] => Some(one),
        _ => None,
    })
}

fn store(
    connection: &Connection,
    kind: RunKind,
    id: &str,
    new: &Confirmation,
    doubted: bool,
    observation: Option<i64>,
) -> rusqlite::Result<()> {
    let validator = new.validator.as_ref().filter(|_| !doubted).map(|v| &v.0);
    connection
        .prepare_cached(
            "INSERT INTO confirmation VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET at_ms = excluded.at_ms, validator = excluded.validator,
               whole = excluded.whole, observation = excluded.observation
             WHERE excluded.at_ms >= at_ms",
        )?
        .execute(params![
            kind.name(),
            id,
            new.at.0,
            validator,
            new.complete,
            observation
        ])
        .map(drop)
}
