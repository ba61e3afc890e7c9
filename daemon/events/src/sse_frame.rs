//! Events as the bytes that are sent.

use bytes::Bytes;
use docks_proto::event::{Change, Event, Position};

use docksd_mirror::EventWithObject;

/// A change, and its bytes, which all readers share.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) change: Change,
    pub(super) frame: Bytes,
}

impl Item {
    /// Writes a change of a history.
    pub(super) fn of(history: u64, told: &EventWithObject) -> Self {
        let event = &told.event;
        let position = Position {
            history,
            seq: event.seq,
        };
        let change = Change {
            id: position.to_string(),
            seq: event.seq,
            from: event.from.clone(),
            at: event.at.rfc3339(),
            observed_at: event.observed.rfc3339(),
            learned: event.provenance.name().to_owned(),
            left_out: 0,
            object: told.object.clone(),
        };
        let frame = change_frame(&change);
        Self { change, frame }
    }
}

/// Writes a change.
pub(super) fn change_frame(change: &Change) -> Bytes {
    frame(&Event::Change(change.clone()), Some(&change.id))
}

/// Writes an event in the form of server-sent events.
pub(super) fn frame(event: &Event, id: Option<&str>) -> Bytes {
    let name = match event {
        Event::State(_) => "state",
        Event::Change(_) => "change",
        Event::Progress(_) => "progress",
        Event::Connection(_) => "source",
        Event::Ready(_) => "ready",
        Event::Resync(_) => "resync",
        Event::Unknown => "unknown",
    };
    let data = serde_json::to_string(event).expect("events hold only texts and numbers");
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    // JSON has no raw line ends, so one data line holds it.
    format!("{id}event: {name}\ndata: {data}\n\n").into()
}
