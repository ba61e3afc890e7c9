//! Repairs JSON that common programs write and strict parsers refuse, so that one bad value spoils
//! only itself.
//!
//! Nothing here runs before a parser has failed, except where a text comes from a remote: there
//! its objects are searched for what parsers skip over and readers stumble on later.
//!
//! A value that was repaired is recognisable: U+FFFD for half of a surrogate pair, one of
//! [`NOT_NUMBERS`] as a string, [`TOO_DEEP`]. [`odd_values()`] finds them, and also those that need no
//! repair: repeated keys, and numbers that no float can hold.

mod odd_values;
mod repairer;
mod tokens;

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

pub use odd_values::{OddValue, odd_values};
pub use repairer::{NOT_NUMBERS, Repairer};
pub use tokens::for_each_token;

/// Number of levels of an object that are kept. Parsers, ours among them, accept 127; a list and
/// what is around it need some of them.
pub const MAX_DEPTH: usize = 120;

/// What stands, as JSON, for an array or object below [`MAX_DEPTH`] levels.
pub const TOO_DEEP: &str = "\"(nested too deeply)\"";

/// Mends half surrogate pairs, `NaN` and `Infinity`, and control characters in strings.
///
/// A text that is valid, or broken in another way, is returned unchanged.
#[must_use]
pub fn repaired(text: &str) -> Cow<'_, str> {
    let mut repairer = Repairer::default();
    let mut out = Vec::with_capacity(text.len());
    repairer.push(text.as_bytes(), &mut out);
    repairer.finish(&mut out);
    match String::from_utf8(out) {
        Ok(out) if repairer.changed() => Cow::Owned(out),
        _ => Cow::Borrowed(text),
    }
}

/// Reads a value from JSON, repaired if need be; `None` if it cannot be read even so.
#[must_use]
pub fn parse<T: DeserializeOwned>(text: &str) -> Option<T> {
    match serde_json::from_str(text) {
        Ok(value) => Some(value),
        Err(error) if error.is_syntax() => serde_json::from_str(&readable(text)?).ok(),
        // It is of another type, or cut off.
        Err(_) => None,
    }
}

/// As [`parse`], with the default for what cannot be read.
#[must_use]
pub fn read<T: DeserializeOwned + Default>(text: &str) -> T {
    parse(text).unwrap_or_default()
}

/// Returns the JSON that readers of values accept; `None` if the text is not JSON even when mended.
fn readable(text: &str) -> Option<String> {
    let text = repaired(text);
    let whole: &RawValue = serde_json::from_str(&text).ok()?;
    Some(flattened(whole.get()))
}

/// Returns the text to store instead of `object`, a JSON object from a remote; `None` if it is
/// fine.
///
/// Parsers that skip over values accept half surrogate pairs and any depth, which spoil the object
/// for those who read it later.
#[cfg(any(feature = "client", test))]
pub(crate) fn storable(object: &str) -> Option<String> {
    let mut changed = None;
    if object.contains("\\ud") || object.contains("\\uD") {
        changed = match repaired(object) {
            Cow::Owned(text) => Some(text),
            Cow::Borrowed(_) => None,
        };
    }
    let brackets = object.bytes().filter(|byte| matches!(byte, b'{' | b'['));
    if brackets.count() > MAX_DEPTH {
        let text = changed.as_deref().unwrap_or(object);
        if depth(text) > MAX_DEPTH {
            changed = Some(flattened(text));
        }
    }
    changed
}

#[cfg(any(feature = "client", test))]
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for_each_token(text, &mut |token| match token {
        "{" | "[" => {
            depth += 1;
            deepest = deepest.max(depth);
        }
        "}" | "]" => depth = depth.saturating_sub(1),
        _ => {}
    });
    deepest
}

/// Writes valid JSON again without values below [`MAX_DEPTH`] and with huge numbers as strings.
fn flattened(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut depth = 0_usize;
    for_each_token(text, &mut |token| match token {
        "{" | "[" => {
            match depth {
                0..MAX_DEPTH => out.push_str(token),
                MAX_DEPTH => out.push_str(TOO_DEEP),
                _ => {}
            }
            depth += 1;
        }
        "}" | "]" => {
            depth = depth.saturating_sub(1);
            if depth < MAX_DEPTH {
                out.push_str(token);
            }
        }
        _ if depth > MAX_DEPTH => {}
        _ if is_huge(token) => {
            out.push('"');
            out.push_str(token);
            out.push('"');
        }
        _ => out.push_str(token),
    });
    out
}

/// Whether a token is a number that no float can hold.
fn is_huge(token: &str) -> bool {
    token.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && token.parse().is_ok_and(f64::is_infinite)
}

#[cfg(test)]
mod tests;
