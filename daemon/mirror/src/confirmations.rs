//! When the remote last confirmed a list, a run or the trials of a run.

use docks_proto::freshness::Validator;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::observation_groups::{advance, observation_at};
use crate::observation_window;
use crate::resource::{Confirmation, Resource};
use crate::trials::confirm_trial_list;

/// SQL for when the run `r` was confirmed: as part of a response, or by itself.
pub(crate) const RUN_CONFIRMED_MS: &str = "max(
    coalesce((SELECT o.at_ms FROM run_seen s JOIN observation o ON o.seq = s.observation
              WHERE s.run = r.seq), 0),
    coalesce((SELECT c.at_ms FROM confirmation c WHERE c.kind = r.kind AND c.id = r.id), 0))";

/// Reads when a resource was confirmed; `None` when it never was.
pub(crate) fn read(
    connection: &Connection,
    resource: &Resource,
) -> rusqlite::Result<Option<Confirmation>> {
    let from_row = |row: &Row<'_>| {
        let at: Option<i64> = row.get(0)?;
        let validator: Option<String> = row.get(1)?;
        let complete: bool = row.get(2)?;
        Ok(at.map(|at| Confirmation {
            at: UnixMs(at),
            validator: validator.map(Validator),
            complete,
        }))
    };
    let found = match resource {
        Resource::List(kind) => connection
            .prepare_cached(
                "SELECT at_ms, validator, whole FROM confirmation WHERE kind = ?1 AND id = ''",
            )?
            .query_row([kind.name()], from_row)
            .optional()?,
        Resource::Run(kind, id) => connection
            .prepare_cached(&format!(
                "SELECT nullif({RUN_CONFIRMED_MS}, 0),
                   (SELECT validator FROM confirmation c WHERE c.kind = r.kind AND c.id = r.id), 1
                 FROM runs r WHERE r.kind = ?1 AND r.id = ?2"
            ))?
            .query_row([kind.name(), id], from_row)
            .optional()?,
        Resource::Trials(run) => connection
            .prepare_cached("SELECT confirmed_ms, validator, 1 FROM trial_list WHERE run = ?1")?
            .query_row([run], from_row)
            .optional()?,
    };
    Ok(found.flatten())
}

/// Records that a resource was confirmed; one older than the stored confirmation changes nothing.
pub(crate) fn record(
    connection: &Connection,
    resource: &Resource,
    new: &Confirmation,
) -> rusqlite::Result<()> {
    match resource {
        Resource::List(kind) => {
            observation_window::record(connection, resource, new.at)?;
            record_list(connection, *kind, new)
        }
        Resource::Run(kind, id) => {
            observation_window::record(connection, resource, new.at)?;
            let reopening_pending: bool = connection
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM runs
                       WHERE kind = ?1 AND id = ?2 AND doubt_ms IS NOT NULL)",
                )?
                .query_row([kind.name(), id], |row| row.get(0))?;
            store(connection, *kind, id, new, reopening_pending, None)
        }
        // Records the observation window too.
        Resource::Trials(run) => {
            confirm_trial_list(connection, run, new.at.0, new.validator.as_ref(), false)
        }
    }
}

fn record_list(connection: &Connection, kind: RunKind, new: &Confirmation) -> rusqlite::Result<()> {
    let old: Option<(Option<String>, Option<i64>)> = connection
        .prepare_cached(
            "SELECT validator, observation FROM confirmation WHERE kind = ?1 AND id = ''",
        )?
        .query_row([kind.name()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let of_response = observation_at(connection, kind, new.at.0)?;
    let same_validator =
        matches!((&old, &new.validator), (Some((Some(old), _)), Some(new)) if *old == new.0);
    let observation = match (of_response, &old) {
        (Some(of_response), _) => Some(of_response),
        // "Not modified": the response that the validator came with holds again, with all its rows.
        (None, Some((_, Some(linked)))) if same_validator => {
            advance(connection, *linked, new.at.0)?;
            Some(*linked)
        }
        _ => None,
    };
    let reopening_pending: bool = connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM runs WHERE kind = ?1 AND doubt_ms IS NOT NULL)",
        )?
        .query_row([kind.name()], |row| row.get(0))?;
    store(connection, kind, "", new, reopening_pending, observation)
}

/// Writes a confirmation.
///
/// While a reopening is pending, the validator is left out: the remote must send the
/// whole response again, not "not modified".
fn store(
    connection: &Connection,
    kind: RunKind,
    id: &str,
    new: &Confirmation,
    reopening_pending: bool,
    observation: Option<i64>,
) -> rusqlite::Result<()> {
    let validator = new.validator.as_ref().filter(|_| !reopening_pending);
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
            validator.map(|v| &v.0),
            new.complete,
            observation
        ])
        .map(drop)
}
