//! Leaves out what a slow reader need not know: pure.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use docks_proto::event::ObjectKind;

use super::sse_frame::{Item, change_frame};

type Key<'a> = (ObjectKind, &'a str, Option<&'a str>);

fn key(item: &Item) -> Key<'_> {
    let object = &item.change.object;
    (object.kind, &object.run_id, object.trial_id.as_deref())
}

/// Keeps each end and the last change of every object, in their order.
///
/// What stays says the status before what was left out, and how much that was, so that the changes
/// of an object still join on to each other.
pub(super) fn coalesce(items: &[Arc<Item>]) -> Vec<Bytes> {
    let mut last = HashMap::new();
    for (place, item) in items.iter().enumerate() {
        last.insert(key(item), place);
    }
    let mut skipped: HashMap<Key<'_>, (Option<&str>, u64)> = HashMap::new();
    let mut frames = Vec::with_capacity(last.len());
    for (place, item) in items.iter().enumerate() {
        let change = &item.change;
        if !change.object.ended && last.get(&key(item)) != Some(&place) {
            let first = (change.from.as_deref(), 0);
            skipped.entry(key(item)).or_insert(first).1 += 1;
            continue;
        }
        let Some((from, left_out)) = skipped.remove(&key(item)) else {
            frames.push(item.frame.clone());
            continue;
        };
        // There and back again is no change.
        if change.object.ended || from != Some(change.object.status.as_str()) {
            let mut change = change.clone();
            change.from = from.map(str::to_owned);
            change.left_out = left_out;
            frames.push(change_frame(&change));
        }
    }
    frames
}
