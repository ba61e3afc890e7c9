//! Mends the tokens of JSON that strict parsers refuse, byte by byte.

use super::tokens::ends_word;

/// Words that Python's `json` writes and reads, and JSON lacks.
pub const NOT_NUMBERS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// What half of a surrogate pair becomes: U+FFFD, which is as long.
const REPLACEMENT: &[u8; 6] = b"\\ufffd";

/// Longest word or escape that may have to be changed when its end is known: two escapes.
const MAX_HELD: usize = 12;

/// Mends JSON that arrives in pieces.
///
/// Half of a surrogate pair becomes U+FFFD, [`NOT_NUMBERS`] become strings, and control characters
/// in strings are escaped. Everything else is passed on unchanged, whether it is JSON or not.
#[derive(Debug, Default)]
pub struct Repairer {
    in_string: bool,
    /// Length of what the output ends with and may still change: a word or escapes.
    held: usize,
    changed: bool,
}

impl Repairer {
    /// Whether anything was changed.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.changed
    }

    /// Appends a piece to `out`, mended.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        for &byte in piece {
            if self.in_string {
                self.push_in_string(byte, out);
            } else if ends_word(byte) {
                self.finish(out);
                self.in_string = byte == b'"';
                out.push(byte);
            } else {
                self.held += 1;
                out.push(byte);
            }
        }
    }

    /// Ends the text.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let is_held = |word: &&&str| self.held == word.len() && out.ends_with(word.as_bytes());
        if let Some(word) = NOT_NUMBERS.iter().find(is_held)
            && !self.in_string
        {
            out.truncate(out.len() - word.len());
            out.push(b'"');
            out.extend_from_slice(word.as_bytes());
            out.push(b'"');
            self.changed = true;
        }
        self.held = 0;
    }

    /// Returns how many bytes of `out` will not change any more.
    #[must_use]
    pub fn settled(&self, out: &[u8]) -> usize {
        match self.held {
            0..=MAX_HELD => out.len() - self.held,
            // A word as long as this is none of ours.
            _ => out.len(),
        }
    }

    fn push_in_string(&mut self, byte: u8, out: &mut Vec<u8>) {
        let goes_on = match self.held {
            0 => false,
            1 | 7 => byte == b'u',
            6 => byte == b'\\',
            _ => byte.is_ascii_hexdigit(),
        };
        if goes_on {
            out.push(byte);
            self.held += 1;
            self.end_escape(out);
            return;
        }
        if self.held >= 6 {
            self.replace(out);
        }
        // After a backslash every character is part of an escape, even a quote.
        let escaped = matches!(self.held, 1 | 7);
        self.held = 0;
        match byte {
            b'"' if !escaped => self.in_string = false,
            b'\\' if !escaped => self.held = 1,
            0..=0x1f if !escaped => {
                self.changed = true;
                out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                return;
            }
            _ => {}
        }
        out.push(byte);
    }

    /// Judges an escape with four digits that is complete.
    fn end_escape(&mut self, out: &mut [u8]) {
        if !matches!(self.held, 6 | 12) {
            return;
        }
        let digits = out.last_chunk::<4>().into_iter().flatten();
        let code = digits.fold(0, |code, digit| {
            code * 16 + char::from(*digit).to_digit(16).unwrap_or_default()
        });
        let is_low = (0xdc00..0xe000).contains(&code);
        if self.held == 12 && !is_low {
            self.replace(out);
            self.held = 6;
        }
        if self.held == 6 && is_low {
            self.replace(out);
        }
        // The first half of a pair waits for the second.
        if !(0xd800..0xdc00).contains(&code) {
            self.held = 0;
        }
    }

    /// Replaces the first escape of what is held.
    fn replace(&mut self, out: &mut [u8]) {
        let held = out.len().checked_sub(self.held);
        let held = held.and_then(|start| out.get_mut(start..));
        if let Some(escape) = held.and_then(|held| held.first_chunk_mut()) {
            *escape = *REPLACEMENT;
            self.changed = true;
        }
    }
}
