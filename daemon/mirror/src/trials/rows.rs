//! The rows of trials: how they are found, added and replaced.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use docks_proto::object::RawObject;
use docks_proto::query::Row as Columns;
use rusqlite::types::{ToSql, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use crate::merge_policy::{Known, Times};
use crate::trials::positions::place;
use crate::trials::vocabulary::Words;
use crate::trials::write::TrialBatch;

/// An object that arrived, with what is read from it.
pub(crate) struct Arrival {
    pub(crate) object: RawObject,
    pub(crate) columns: Columns,
    pub(crate) times: Times,
    pub(crate) found: Option<Found>,
}

impl Arrival {
    fn of(object: RawObject) -> Self {
        let columns = Columns::from_trial(&object);
        let times = Times {
            created: columns.created.map(|at| at.0),
            started: columns.started.map(|at| at.0),
            updated: None,
            completed: columns.completed.map(|at| at.0),
        };
        Self {
            object,
            columns,
            times,
            found: None,
        }
    }
}

/// The stored row of an object that arrived.
pub(crate) struct Found {
    pub(crate) seq: i64,
    pub(crate) position: i64,
    pub(crate) known: Known,
}

const FOUND: &str = "seq, id, position, status, created_ms, started_ms, completed_ms, \
                     observed_ms, gone_ms, doubt_ms, body";

fn found(row: &Row<'_>, text: &str) -> rusqlite::Result<Found> {
    Ok(Found {
        seq: row.get(0)?,
        position: row.get(2)?,
        known: Known {
            status: row.get(3)?,
            times: Times {
                created: row.get(4)?,
                started: row.get(5)?,
                updated: None,
                completed: row.get(6)?,
            },
            confirmed_ms: row.get(7)?,
            gone_ms: row.get(8)?,
            doubt_ms: row.get(9)?,
            same_text: row.get_ref(10)?.as_bytes()? == text.as_bytes(),
        },
    })
}

/// Finds the stored row of one arrival.
pub(crate) fn find(
    connection: &Connection,
    list: i64,
    arrival: &Arrival,
) -> rusqlite::Result<Option<Found>> {
    connection
        .prepare_cached(&format!(
            "SELECT {FOUND} FROM trials WHERE list = ?1 AND id = ?2"
        ))?
        .query_row(params![list, arrival.columns.id], |row| {
            found(row, arrival.object.text())
        })
        .optional()
}

/// The parent row of a run's trials.
pub(crate) struct List {
    pub(crate) seq: i64,
    pub(crate) confirmed_ms: Option<i64>,
    pub(crate) rows: i64,
}

/// Columns that are written of every arrival, in the order of [`values`].
const WRITTEN: [&str; 17] = [
    "position",
    "name",
    "task",
    "agent",
    "model",
    "status",
    "error",
    "created_ms",
    "started_ms",
    "completed_ms",
    "reward",
    "duration_s",
    "cost_usd",
    "tokens",
    "tests_passed",
    "artifacts",
    "body",
];

static INSERT: LazyLock<String> = LazyLock::new(|| {
    let columns = WRITTEN.join(", ");
    let places = ", ?".repeat(WRITTEN.len());
    format!("INSERT INTO trials (list, id, observed_ms, {columns}) VALUES (?, ?, ?{places})")
});

static UPDATE: LazyLock<String> = LazyLock::new(|| {
    let columns = WRITTEN.map(|column| format!("{column} = ?")).join(", ");
    format!(
        "UPDATE trials SET observed_ms = max(observed_ms, ?), {columns}, gone_ms = NULL,
           doubt_ms = NULL WHERE seq = ?"
    )
});

fn values<'a>(
    arrival: &'a Arrival,
    position: &'a i64,
    text: &'a &str,
) -> [&'a dyn ToSql; WRITTEN.len()] {
    let (columns, times) = (&arrival.columns, &arrival.times);
    [
        position,
        &columns.name,
        &columns.task,
        &columns.agent,
        &columns.model,
        &columns.status,
        &columns.error,
        &times.created,
        &times.started,
        &times.completed,
        &columns.reward,
        &columns.duration_s,
        &columns.cost_usd,
        &columns.tokens,
        &columns.tests_passed,
        &columns.artifacts,
        text,
    ]
}

pub(crate) fn insert(
    connection: &Connection,
    list: i64,
    batch: &TrialBatch,
    arrival: &Arrival,
    position: i64,
) -> rusqlite::Result<()> {
    let key: [&dyn ToSql; 3] = [&list, &arrival.columns.id, &batch.at.0];
    let text = arrival.object.text();
    let values = values(arrival, &position, &text);
    connection
        .prepare_cached(&INSERT)?
        .execute(params_from_iter(key.into_iter().chain(values)))
        .map(drop)
}

pub(crate) fn update(
    connection: &Connection,
    batch: &TrialBatch,
    arrival: &Arrival,
    found: &Found,
    position: i64,
) -> rusqlite::Result<()> {
    let observed: &dyn ToSql = &batch.at.0;
    let seq: &dyn ToSql = &found.seq;
    let text = arrival.object.text();
    let values = values(arrival, &position, &text);
    let all = [observed].into_iter().chain(values).chain([seq]);
    connection
        .prepare_cached(&UPDATE)?
        .execute(params_from_iter(all))
        .map(drop)
}

/// Reads the columns that the fifth migration added out of every stored text.
///
/// The migration's own SQL cannot: what a text says is decided in one place, which is not SQL.
pub(crate) fn read_again(connection: &Connection) -> rusqlite::Result<()> {
    let mut write = connection.prepare(
        "UPDATE trials SET model = ?2, error = ?3, cost_usd = ?4, tokens = ?5, tests_passed = ?6,
           artifacts = ?7 WHERE seq = ?1",
    )?;
    let mut words = Words::default();
    let mut after = i64::MIN;
    loop {
        // By portions: an update under a walk of the same table could meet its own rows.
        let rows: Vec<(i64, String)> = connection
            .prepare_cached("SELECT seq, body FROM trials WHERE seq > ?1 ORDER BY seq LIMIT 1000")?
            .query_map([after], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let Some((last, _)) = rows.last() else {
            return words.remember(connection);
        };
        after = *last;
        for (seq, text) in &rows {
            let Ok(Some(object)) = RawObject::parse(text) else {
                continue;
            };
            let columns = Columns::from_trial(&object);
            words.note(&columns);
            write.execute(params![
                seq,
                columns.model,
                columns.error,
                columns.cost_usd,
                columns.tokens,
                columns.tests_passed,
                columns.artifacts,
            ])?;
        }
    }
}

/// Reads the objects; of several with one id, the last one counts.
pub(crate) fn last_of_each(objects: Vec<RawObject>) -> Vec<Arrival> {
    let mut arrivals: Vec<Arrival> = objects.into_iter().map(Arrival::of).collect();
    let last: HashMap<&str, usize> = arrivals
        .iter()
        .enumerate()
        .map(|(place, arrival)| (arrival.columns.id.as_str(), place))
        .collect();
    if last.len() < arrivals.len() {
        let kept: HashSet<usize> = last.into_values().collect();
        let mut place = 0..;
        arrivals.retain(|_| place.next().is_some_and(|place| kept.contains(&place)));
    }
    arrivals
}

/// Finds the stored row of each arrival in one walk; returns the live rows of no arrival.
pub(crate) fn match_stored(
    connection: &Connection,
    list: i64,
    arrivals: &mut [Arrival],
) -> rusqlite::Result<Vec<i64>> {
    let mut missing = Vec::new();
    let mut matched = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut statement =
        connection.prepare_cached(&format!("SELECT {FOUND} FROM trials WHERE list = ?1"))?;
    let mut rows = statement.query([list])?;
    while let Some(row) = rows.next()? {
        // Not before there is a row: most lists come for the first time.
        if places.is_empty() {
            let ids = arrivals.iter().map(|arrival| arrival.columns.id.as_str());
            places = ids.zip(0..).collect();
        }
        match places.get(row.get_ref(1)?.as_str()?) {
            Some(&place) => matched.push((place, found(row, arrivals[place].object.text())?)),
            None if row.get_ref(8)? == ValueRef::Null => missing.push(row.get(0)?),
            None => {}
        }
    }
    for (place, found) in matched {
        arrivals[place].found = Some(found);
    }
    Ok(missing)
}

pub(crate) fn list(connection: &Connection, run: &str) -> rusqlite::Result<List> {
    let found = connection
        .prepare_cached("SELECT seq, confirmed_ms, rows FROM trial_list WHERE run = ?1")?
        .query_row([run], |row| {
            Ok(List {
                seq: row.get(0)?,
                confirmed_ms: row.get(1)?,
                rows: row.get(2)?,
            })
        })
        .optional()?;
    if let Some(found) = found {
        return Ok(found);
    }
    connection
        .prepare_cached("INSERT INTO trial_list (run) VALUES (?1)")?
        .execute([run])?;
    Ok(List {
        seq: connection.last_insert_rowid(),
        confirmed_ms: None,
        rows: 0,
    })
}

pub(crate) fn last_position(connection: &Connection, list: i64) -> rusqlite::Result<i64> {
    let last: Option<i64> = connection
        .prepare_cached("SELECT max(position) FROM trials WHERE list = ?1")?
        .query_row([list], |row| row.get(0))?;
    Ok(*place(&[last, None]).last().expect("two rows were placed"))
}

pub(crate) fn grow(connection: &Connection, list: i64, by: i64) -> rusqlite::Result<()> {
    if by == 0 {
        return Ok(());
    }
    connection
        .prepare_cached("UPDATE trial_list SET rows = rows + ?2 WHERE seq = ?1")?
        .execute([list, by])
        .map(drop)
}
