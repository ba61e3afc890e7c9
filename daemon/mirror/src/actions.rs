//! What others have done to runs through this daemon: who asked for it, and when.
//!
//! Each run's actions are one note, so they are checked, salvaged and kept like the other facts that
//! the remote cannot give back.

use docks_proto::history::RunAction;
use docks_proto::time::UnixMs;
use rusqlite::Connection;

use crate::Mirror;
use crate::error::MirrorError;
use crate::notes;
use crate::reader_pool::Lane;

/// First part of the keys.
const PREFIX: &str = "actions/";

/// The character after the last one of [`PREFIX`] ends the range of its keys.
const AFTER_PREFIX: &str = "actions0";

/// Most actions that are kept of one run, the newest.
const MAX_ACTIONS: usize = 50;

impl Mirror {
    /// Records an action on a run.
    ///
    /// # Errors
    ///
    /// As [`Mirror::upsert_runs`].
    pub async fn record_action(&self, run: &str, action: RunAction) -> Result<(), MirrorError> {
        let mut run = run.to_owned();
        self.write("record an action", move |context| {
            context.use_current_id(&mut run)?;
            let connection = &context.connection;
            let mut actions = read(connection, &run)?;
            actions.push(action);
            write(connection, &run, &actions)
        })
        .await
    }

    /// Returns the recorded actions on a run, oldest first.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn actions(&self, run: &str) -> Result<Vec<RunAction>, MirrorError> {
        let run = run.to_owned();
        self.read_in(Lane::Engine, "read actions", move |c| read(c, &run))
            .await
    }
}

fn read(connection: &Connection, run: &str) -> rusqlite::Result<Vec<RunAction>> {
    let note = notes::read(connection, &format!("{PREFIX}{run}"))?;
    let actions = note.and_then(|text| serde_json::from_str(&text).ok());
    Ok(actions.unwrap_or_default())
}

fn write(connection: &Connection, run: &str, actions: &[RunAction]) -> rusqlite::Result<()> {
    let key = format!("{PREFIX}{run}");
    if actions.is_empty() {
        return notes::remove(connection, &key);
    }
    let newest = &actions[actions.len().saturating_sub(MAX_ACTIONS)..];
    let text = serde_json::to_string(newest).expect("it contains only text");
    notes::write(connection, &key, &text)
}

/// Gives the actions of a run its new id.
pub(crate) fn rename_run(connection: &Connection, old: &str, new: &str) -> rusqlite::Result<()> {
    let moved = read(connection, old)?;
    if moved.is_empty() {
        return Ok(());
    }
    let mut actions = read(connection, new)?;
    actions.splice(0..0, moved);
    write(connection, new, &actions)?;
    write(connection, old, &[])
}

/// Removes actions from before `until`.
pub(crate) fn prune(connection: &Connection, until: UnixMs) -> rusqlite::Result<()> {
    let keys: Vec<String> = connection
        .prepare_cached("SELECT key FROM note WHERE key >= ?1 AND key < ?2")?
        .query_map([PREFIX, AFTER_PREFIX], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for key in keys {
        let run = key.strip_prefix(PREFIX).unwrap_or_default();
        let mut actions = read(connection, run)?;
        actions.retain(|action| UnixMs::parse(&action.at).is_none_or(|at| at >= until));
        write(connection, run, &actions)?;
    }
    Ok(())
}
