//! Changes of JSON that leave it valid: another value, a member less, more elements.

use serde_json::Value;

/// Texts of values that readers may not expect where they stand.
pub(crate) const ODD_VALUES: &[&str] = &[
    "null",
    "true",
    "{}",
    "[]",
    "[{}]",
    "[[]]",
    "{\"\":{}}",
    "\"\"",
    "\"x\"",
    "0",
    "-1",
    "0.5",
    "1e308",
    "-1e308",
    "18446744073709551615",
    "-9223372036854775808",
    "9007199254740993",
    "\"NaN\"",
    "\"\\u001b[31mred\\u0000\\u202e\"",
    "\"é名🧪\\u0301\\n\\t\"",
    "\"2026-02-30T25:61:61Z\"",
    "\"9999-12-31T23:59:59.999999999+23:59\"",
    "\"file:///../../etc/passwd\"",
    "\"{\\\"reward\\\":{}}\"",
];

/// What happens to one value of a text.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ValueChange {
    /// It becomes one of [`ODD_VALUES`].
    Odd(usize),
    /// It becomes a copy of another value of the text.
    Copy(usize),
    /// It becomes a list of itself, this often.
    Repeat(usize),
    /// It becomes a list in lists, this deep.
    Deep(usize),
    /// It is removed from its object or list.
    Remove,
}

/// Changes the value at a place, counted from the start of the text; `None` if the bytes are not JSON.
pub(crate) fn change(bytes: &[u8], place: usize, change: ValueChange) -> Option<Vec<u8>> {
    let mut whole: Value = serde_json::from_slice(bytes).ok()?;
    let count = count(&whole);
    let value = match change {
        ValueChange::Odd(at) => serde_json::from_str(ODD_VALUES[at % ODD_VALUES.len()]).ok(),
        ValueChange::Copy(at) => nth(&mut whole, &mut (at % count)).cloned(),
        ValueChange::Repeat(times) => {
            let one = nth(&mut whole, &mut (place % count)).cloned();
            one.map(|one| Value::Array(vec![one; times]))
        }
        ValueChange::Deep(levels) => {
            Some((0..levels).fold(Value::Null, |inner, _| Value::Array(vec![inner])))
        }
        ValueChange::Remove => None,
    };
    match (value, place % count) {
        (Some(value), mut left) => *nth(&mut whole, &mut left)? = value,
        // Nothing contains the outermost one.
        (None, 0) => {}
        (None, mut left) => drop(remove(&mut whole, &mut left)),
    }
    serde_json::to_vec(&whole).ok()
}

/// Returns how many values there are, with those inside.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// Returns the value after `left` others, an outer one before those in it.
fn nth<'a>(value: &'a mut Value, left: &mut usize) -> Option<&'a mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, left)),
        Value::Object(members) => members.values_mut().find_map(|member| nth(member, left)),
        _ => None,
    }
}

/// Removes the value after `left` others from what contains it; whether it was there.
fn remove(value: &mut Value, left: &mut usize) -> bool {
    match value {
        Value::Array(items) => {
            for at in 0..items.len() {
                *left -= 1;
                if *left == 0 {
                    items.remove(at);
                    return true;
                }
                if remove(&mut items[at], left) {
                    return true;
                }
            }
            false
        }
        Value::Object(members) => {
            let keys: Vec<String> = members.keys().cloned().collect();
            keys.iter().any(|key| {
                *left -= 1;
                if *left == 0 {
                    return members.remove(key).is_some();
                }
                members
                    .get_mut(key)
                    .is_some_and(|member| remove(member, left))
            })
        }
        _ => false,
    }
}
