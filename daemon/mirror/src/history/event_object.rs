//! Reads the object that an event is about.

use docks_proto::event::ObjectState;
use docks_proto::object::{Lifecycle, lifecycle};
use rusqlite::{Connection, OptionalExtension, params};

use super::event::{EventWithObject, StatusEvent, Subject};
use crate::digest::sound_text;
use crate::stored_object::parse_stored_text;

/// Adds the object as it is now, with the status of the event.
///
/// An object that is no longer stored has empty fields.
pub(super) fn with_object(
    connection: &Connection,
    event: StatusEvent,
) -> rusqlite::Result<EventWithObject> {
    let text: Option<String> = match (event.subject, &event.trial) {
        (Subject::Run(kind), _) => connection
            .prepare_cached("SELECT body, digest FROM runs WHERE kind = ?1 AND id = ?2")?
            .query_row([kind.name(), event.run.as_str()], |row| {
                sound_text(row, 0).map(str::to_owned)
            })
            .optional()?,
        (Subject::Trial, trial) => connection
            .prepare_cached(
                "SELECT t.body, t.digest FROM trial_list l JOIN trials t ON t.list = l.seq
                 WHERE l.run = ?1 AND t.id = ?2",
            )?
            .query_row(params![event.run, trial], |row| {
                sound_text(row, 0).map(str::to_owned)
            })
            .optional()?,
    };
    let current = text
        .and_then(|text| parse_stored_text(&text))
        .map(|object| match event.subject {
            Subject::Run(kind) => ObjectState::from_run(kind, &object),
            Subject::Trial => ObjectState::from_trial(&event.run, &object),
        });
    let current = current.unwrap_or_else(|| ObjectState {
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
    let object = ObjectState {
        run_id: event.run.clone(),
        trial_id: event.trial.clone(),
        status: event.to.clone(),
        ended: lifecycle(&event.to) == Lifecycle::Terminal,
        ..current
    };
    Ok(EventWithObject { event, object })
}
