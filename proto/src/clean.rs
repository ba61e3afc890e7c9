//! Makes untrusted text safe for a terminal.
//!
//! Escape sequences are removed as a whole, as are characters that reorder or hide text. Other
//! control characters are replaced by a visible one, line breaks and tabs by spaces. JSON output is
//! exact and does not use this.

use std::borrow::Cow;

/// Replaces a control character that is not part of an escape sequence.
const REPLACEMENT: char = '\u{fffd}';

/// Returns `text` as one line without control, bidirectional or invisible characters.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = split_first(rest) {
        rest = match first {
            '\u{1b}' => escape(after, &mut out),
            '\u{9b}' => control_sequence(after, &mut out),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => control_string(after, &mut out),
            '\r' if after.starts_with('\n') => after,
            '\n' | '\r' | '\t' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                out.push(' ');
                after
            }
            c if c.is_control() => {
                out.push(REPLACEMENT);
                after
            }
            c if is_deceptive(c) => after,
            c => {
                out.push(c);
                after
            }
        };
    }
    Cow::Owned(out)
}

/// Cleans a part of a longer text like [`line()`], but keeps its tabs.
#[must_use]
pub fn text_with_tabs(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let parts: Vec<_> = text.split('\t').map(line).collect();
    parts.join("\t")
}

/// Splits a text after its first character.
fn split_first(text: &str) -> Option<(char, &str)> {
    let mut chars = text.chars();
    chars.next().map(|first| (first, chars.as_str()))
}

/// Skips what follows an escape character.
fn escape<'a>(after: &'a str, out: &mut String) -> &'a str {
    match split_first(after) {
        Some(('[', rest)) => control_sequence(rest, out),
        Some((']' | 'P' | 'X' | '^' | '_', rest)) => control_string(rest, out),
        _ => {
            let rest = after.trim_start_matches(|c| (' '..='/').contains(&c));
            match split_first(rest) {
                Some(('0'..='~', rest)) => rest,
                _ => {
                    out.push(REPLACEMENT);
                    after
                }
            }
        }
    }
}

/// Skips parameters, intermediates and the final byte of a control sequence (ECMA-48 §5.4).
fn control_sequence<'a>(after: &'a str, out: &mut String) -> &'a str {
    let rest = after
        .trim_start_matches(|c| ('0'..='?').contains(&c))
        .trim_start_matches(|c| (' '..='/').contains(&c));
    match split_first(rest) {
        Some(('@'..='~', rest)) => rest,
        _ => {
            out.push(REPLACEMENT);
            rest
        }
    }
}

/// Skips a control string up to its terminator; without one, only its introducer is removed.
///
/// A terminal would swallow everything that follows; doing the same here would let a sender hide
/// the rest of a row.
fn control_string<'a>(after: &'a str, out: &mut String) -> &'a str {
    let terminators = ["\u{7}", "\u{9c}", "\u{1b}\\"];
    let rest = terminators
        .iter()
        .filter_map(|terminator| after.split_once(terminator).map(|(_, rest)| rest))
        .max_by_key(|rest| rest.len());
    match rest {
        Some(rest) => rest,
        None => {
            out.push(REPLACEMENT);
            after
        }
    }
}

/// Whether a character reorders its neighbours or is invisible.
#[must_use]
pub fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escape_sequences_are_removed_and_other_control_characters_made_visible() {
        for (given, wanted) in [
            ("plain", "plain"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{9b}31mred", "red"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}]8;;http://x\u{1b}\\link", "link"),
            ("\u{9d}52;c;AAAA\u{9c}z", "z"),
            ("\u{1b}Pq#0\u{1b}\\z", "z"),
            ("\u{1b}_apc\u{1b}\\z", "z"),
            ("\u{1b}]0;never ends", "\u{fffd}0;never ends"),
            ("\u{1b}(0box", "box"),
            ("\u{1b}cgone", "gone"),
            ("a\u{1b}", "a\u{fffd}"),
            ("a\u{0}b\u{7f}c", "a\u{fffd}b\u{fffd}c"),
            ("two\nlines\ttab\r\nend", "two lines tab end"),
            ("abc\u{202e}fed\u{2066}", "abcfed"),
            ("a\u{200b}b\u{feff}", "ab"),
            ("\u{1b}[31", "\u{fffd}"),
            ("名前", "名前"),
        ] {
            assert_eq!(line(given), wanted, "{given:?}");
        }
    }

    proptest! {
        #[test]
        fn a_cleaned_text_has_no_control_or_deceptive_character(text in "\\PC*|[\\x00-\\u{a0}\\[\\]PX^_\\\\;m\u{202e}]*") {
            let clean = line(&text);
            prop_assert!(!clean.chars().any(|c| c.is_control() || is_deceptive(c)));
            let again = line(&clean);
            prop_assert_eq!(again.as_ref(), clean.as_ref());
        }
    }
}
