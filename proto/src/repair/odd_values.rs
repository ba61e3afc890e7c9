//! Finds the values that are shown as something else than a strict reader would expect.

use std::borrow::Cow;

use super::tokens::for_each_token;
use super::{MAX_DEPTH, NOT_NUMBERS, TOO_DEEP, is_huge, repaired};

/// Keys of an object that are compared with each other, so that a hostile one costs little.
const MAX_KEYS: usize = 256;

/// What is odd about a text in which half of a surrogate pair was.
const HALF_CHARACTER: &str = "has half a character, shown as U+FFFD";

/// Levels that are named in a path.
const MAX_PATH: usize = 8;

/// A value that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OddValue {
    /// Where it is: keys and indices, as in `result_data.rewards[2]`; deep ones are cut.
    pub path: String,
    /// What is odd about it, as the end of a sentence.
    pub what: &'static str,
}

/// An object or array that is being read.
struct Level<'a> {
    is_object: bool,
    at_key: bool,
    index: usize,
    key: &'a str,
    keys: Vec<&'a str>,
}

impl<'a> Level<'a> {
    /// Takes a key; returns what is odd about it.
    fn take_key(&mut self, token: &'a str) -> Option<&'static str> {
        self.key = token.trim_matches('"');
        if self.keys.contains(&self.key) {
            return Some("is there twice; the last one counts");
        }
        if self.keys.len() < MAX_KEYS {
            self.keys.push(self.key);
        }
        has_half_character(token).then_some(HALF_CHARACTER)
    }
}

/// Returns the first `max` odd values of a JSON text, whether it was repaired before or not.
#[must_use]
pub fn odd_values(text: &str, max: usize) -> Vec<OddValue> {
    let mut found = Vec::new();
    let mut levels: Vec<Level<'_>> = Vec::new();
    for_each_token(text, &mut |token| {
        if found.len() >= max {
            return;
        }
        let mut what = None;
        match token {
            "{" | "[" => {
                if levels.len() == MAX_DEPTH {
                    what = Some("is nested too deeply");
                }
            }
            "}" | "]" => drop(levels.pop()),
            "," => {
                if let Some(level) = levels.last_mut() {
                    level.at_key = level.is_object;
                    level.index += 1;
                }
            }
            ":" => {
                if let Some(level) = levels.last_mut() {
                    level.at_key = false;
                }
            }
            _ => {
                what = match levels.last_mut() {
                    Some(level) if level.at_key => level.take_key(token),
                    _ => oddity(token),
                };
            }
        }
        if let Some(what) = what {
            let path = path(&levels);
            found.push(OddValue { path, what });
        }
        if matches!(token, "{" | "[") {
            levels.push(Level {
                is_object: token == "{",
                at_key: token == "{",
                index: 0,
                key: "",
                keys: Vec::new(),
            });
        }
    });
    found
}

/// Returns what is odd about a string or a bare word.
fn oddity(token: &str) -> Option<&'static str> {
    if token == TOO_DEEP {
        Some("was nested too deeply")
    } else if NOT_NUMBERS.contains(&token.trim_matches('"')) {
        Some("is no number in JSON, and shown as text")
    } else if has_half_character(token) {
        Some(HALF_CHARACTER)
    } else if is_huge(token) {
        Some("is too large for a number, and shown as text")
    } else {
        None
    }
}

fn has_half_character(token: &str) -> bool {
    token.contains("\\ufffd")
        || token.contains('\u{fffd}')
        || token.contains("\\u") && matches!(repaired(token), Cow::Owned(_))
}

fn path(levels: &[Level<'_>]) -> String {
    let mut path = String::new();
    for (depth, level) in levels.iter().enumerate() {
        if depth == MAX_PATH {
            path.push('…');
            break;
        }
        if !level.is_object {
            path.push_str(&format!("[{}]", level.index));
            continue;
        }
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(level.key);
    }
    path
}
