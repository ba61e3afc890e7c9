//! Leaves out changes that a slow subscriber does not need; pure.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use docks_proto::event::ObjectKind;

use super::sse_frame::{EncodedChange, encode_change};

type ObjectKey<'a> = (ObjectKind, &'a str, Option<&'a str>);

fn object_key(change: &EncodedChange) -> ObjectKey<'_> {
    let object = &change.change.object;
    (object.kind, &object.run_id, object.trial_id.as_deref())
}

/// Keeps each end and the last change of every object, in their order.
///
/// A kept change starts from the status before the changes left out, and says how many those were,
/// so that the changes of an object still join up.
pub(super) fn coalesce(changes: &[Arc<EncodedChange>]) -> Vec<Bytes> {
    let mut last_index = HashMap::new();
    for (index, change) in changes.iter().enumerate() {
        last_index.insert(object_key(change), index);
    }
    // Status before the changes left out, and their number.
    let mut left_out: HashMap<ObjectKey<'_>, (Option<&str>, u64)> = HashMap::new();
    let mut frames = Vec::with_capacity(last_index.len());
    for (index, encoded) in changes.iter().enumerate() {
        let change = &encoded.change;
        let key = object_key(encoded);
        if !change.object.ended && last_index.get(&key) != Some(&index) {
            let first = (change.from.as_deref(), 0);
            left_out.entry(key).or_insert(first).1 += 1;
            continue;
        }
        let Some((from, count)) = left_out.remove(&key) else {
            frames.push(encoded.frame.clone());
            continue;
        };
        // A change and its reversal cancel out.
        if change.object.ended || from != Some(change.object.status.as_str()) {
            let mut change = change.clone();
            change.from = from.map(str::to_owned);
            change.left_out = count;
            frames.push(encode_change(&change));
        }
    }
    frames
}
