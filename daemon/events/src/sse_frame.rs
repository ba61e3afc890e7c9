//! Encodes events in the format of server-sent events.

use bytes::Bytes;
use docks_proto::event::{Change, Event, Position};
use docksd_mirror::EventWithObject;

/// A change and its encoding, which all subscriptions share.
#[derive(Debug)]
pub(super) struct EncodedChange {
    pub(super) change: Change,
    pub(super) frame: Bytes,
}

impl EncodedChange {
    /// Encodes an event of a history.
    pub(super) fn new(history_id: u64, with_object: &EventWithObject) -> Self {
        let event = &with_object.event;
        let position = Position {
            history: history_id,
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
            object: with_object.object.clone(),
        };
        let frame = encode_change(&change);
        Self { change, frame }
    }
}

/// Encodes a change.
pub(super) fn encode_change(change: &Change) -> Bytes {
    encode_event(&Event::Change(change.clone()), Some(&change.id))
}

/// Encodes an event; `id` becomes the reader's `Last-Event-ID`.
pub(super) fn encode_event(event: &Event, id: Option<&str>) -> Bytes {
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
    // JSON contains no raw line breaks, so it fits on one data line.
    format!("{id}event: {name}\ndata: {data}\n\n").into()
}
