//! The present state of objects, as events tell it.

use docks_proto::event::{EventQuery, MAX_RUNS_WITH_TRIALS, ObjectKind, ObjectState, Progress};
use docks_proto::object::{Lifecycle, RawObject, RunFields, lifecycle};
use docks_proto::routes::RunKind;
use rusqlite::{Connection, OptionalExtension, params};

use crate::history::events::{admits, end};
use crate::{StateSnapshot, StatusEvent, Subject};

/// Active runs that are told to whoever names none, per kind.
const MOST_ACTIVE: usize = 10_000;

/// Reads the objects that were asked for, and how far the history goes that led to them.
///
/// Named runs come whatever their status, with their trials where they are few; without names all
/// active runs do.
pub(crate) fn read(
    connection: &Connection,
    wanted: &EventQuery,
) -> rusqlite::Result<StateSnapshot> {
    let mut present = StateSnapshot {
        bounds: end(connection)?,
        ..StateSnapshot::default()
    };
    let wants = |kind: ObjectKind| wanted.kinds.is_empty() || wanted.kinds.contains(&kind);
    for kind in RunKind::ALL
        .into_iter()
        .filter(|kind| wants((*kind).into()))
    {
        if wanted.runs.is_empty() {
            present.objects.extend(active(connection, kind)?);
        }
        for run in &wanted.runs {
            present.objects.extend(one_run(connection, kind, run)?);
        }
    }
    if wants(ObjectKind::Trial) && wanted.runs.len() <= MAX_RUNS_WITH_TRIALS {
        for run in &wanted.runs {
            present.objects.extend(trials(connection, run)?);
        }
    }
    present
        .objects
        .retain(|o| admits(wanted, o.kind, &o.run_id, &o.status));
    for run in &wanted.runs {
        present.progress.extend(progress(connection, run)?);
    }
    Ok(present)
}

fn active(connection: &Connection, kind: RunKind) -> rusqlite::Result<Vec<ObjectState>> {
    let mut statement = connection.prepare_cached(
        "SELECT body FROM runs INDEXED BY runs_active
         WHERE kind = ?1 AND active = 1 AND gone_ms IS NULL
         ORDER BY created_ms, id LIMIT ?2",
    )?;
    let rows = statement.query_map(params![kind.name(), MOST_ACTIVE as i64], |row| {
        row.get::<_, String>(0)
    })?;
    let mut states = Vec::new();
    for body in rows {
        states.extend(parsed(&body?).map(|object| ObjectState::from_run(kind, &object)));
    }
    Ok(states)
}

fn one_run(
    connection: &Connection,
    kind: RunKind,
    id: &str,
) -> rusqlite::Result<Option<ObjectState>> {
    let body: Option<String> = connection
        .prepare_cached("SELECT body FROM runs WHERE kind = ?1 AND id = ?2 AND gone_ms IS NULL")?
        .query_row([kind.name(), id], |row| row.get(0))
        .optional()?;
    let object = body.and_then(|body| parsed(&body));
    Ok(object.map(|object| ObjectState::from_run(kind, &object)))
}

fn trials(connection: &Connection, run: &str) -> rusqlite::Result<Vec<ObjectState>> {
    let mut statement = connection.prepare_cached(
        "SELECT t.body FROM trial_list l JOIN trials t ON t.list = l.seq
         WHERE l.run = ?1 AND t.gone_ms IS NULL ORDER BY t.position",
    )?;
    let rows = statement.query_map([run], |row| row.get::<_, String>(0))?;
    let mut states = Vec::new();
    for body in rows {
        states.extend(parsed(&body?).map(|object| ObjectState::from_trial(run, &object)));
    }
    Ok(states)
}

/// Reads the object of a change as it is now, with the status of the change.
pub(crate) fn object(
    connection: &Connection,
    event: &StatusEvent,
) -> rusqlite::Result<ObjectState> {
    let body: Option<String> = match (event.subject, &event.trial) {
        (Subject::Run(kind), _) => connection
            .prepare_cached("SELECT body FROM runs WHERE kind = ?1 AND id = ?2")?
            .query_row([kind.name(), event.run.as_str()], |row| row.get(0))
            .optional()?,
        (Subject::Trial, trial) => connection
            .prepare_cached(
                "SELECT t.body FROM trial_list l JOIN trials t ON t.list = l.seq
                 WHERE l.run = ?1 AND t.id = ?2",
            )?
            .query_row(params![event.run, trial], |row| row.get(0))
            .optional()?,
    };
    let now = body
        .and_then(|body| parsed(&body))
        .map(|object| match event.subject {
            Subject::Run(kind) => ObjectState::from_run(kind, &object),
            Subject::Trial => ObjectState::from_trial(&event.run, &object),
        });
    let known = now.unwrap_or_else(|| ObjectState {
        kind: event.subject.into(),
        run_id: String::new(),
        trial_id: None,
        name: String::new(),
        status: String::new(),
        ended: false,
        started_at: None,
        completed_at: None,
        reward: None,
        error: None,
    });
    Ok(ObjectState {
        run_id: event.run.clone(),
        trial_id: event.trial.clone(),
        status: event.to.clone(),
        ended: lifecycle(&event.to) == Lifecycle::Terminal,
        ..known
    })
}

/// Counts what there is of a run, for each kind under which it is known.
pub(crate) fn progress(connection: &Connection, run: &str) -> rusqlite::Result<Vec<Progress>> {
    let mut found = Vec::new();
    for kind in RunKind::ALL {
        let row: Option<(String, bool, bool, bool, String)> = connection
            .prepare_cached(
                "SELECT status, active, trials_due, gone_ms IS NOT NULL, body
                 FROM runs WHERE kind = ?1 AND id = ?2",
            )?
            .query_row([kind.name(), run], |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                ))
            })
            .optional()?;
        let Some((status, active, due, gone, body)) = row else {
            continue;
        };
        let mut progress = Progress {
            kind: Some(kind.into()),
            run_id: run.to_owned(),
            ended: !active,
            settled: !active && !due,
            status,
            gone,
            ..Progress::default()
        };
        if kind == RunKind::Evaluation {
            count_trials(connection, run, &mut progress)?;
            if let Some(object) = parsed(&body) {
                progress.raise_to_counts_of(&RunFields::from_object(&object));
            }
        }
        found.push(progress);
    }
    Ok(found)
}

fn count_trials(
    connection: &Connection,
    run: &str,
    progress: &mut Progress,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT t.status, count(*), total(t.reward), count(t.reward)
         FROM trial_list l JOIN trials t ON t.list = l.seq
         WHERE l.run = ?1 AND t.gone_ms IS NULL GROUP BY t.status",
    )?;
    let mut rows = statement.query([run])?;
    let (mut sum, mut rewarded) = (0.0_f64, 0_i64);
    while let Some(row) = rows.next()? {
        let status: String = row.get(0)?;
        progress.add_trials(&status, row.get::<_, i64>(1)?.unsigned_abs());
        sum += row.get::<_, f64>(2)?;
        rewarded += row.get::<_, i64>(3)?;
    }
    progress.mean_reward = (rewarded > 0).then(|| sum / rewarded as f64);
    Ok(())
}

fn parsed(body: &str) -> Option<RawObject> {
    // What is stored was an object when it came.
    RawObject::parse(body).ok().flatten()
}
