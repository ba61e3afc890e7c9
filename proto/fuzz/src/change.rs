//! The changes that make an input from a seed file.

use proptest::prelude::*;

use crate::corpus::tokens;
use crate::json::{self, ValueChange};

/// Pieces that confuse parsers, terminals, file systems or people; several are no valid UTF-8 or JSON.
const PIECES: &[&[u8]] = &[
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"99999999999999999999",
    b"-0",
    b"\\ud83d",
    b"\\",
    b"\"",
    b"\x1b[31m",
    b"\x1b]0;t\x07",
    b"\x9b",
    b"\0",
    b"\r\n",
    b"\n\n",
    b"\xff\xfe",
    b"\xc3",
    b"\xef\xbb\xbf",
    "\u{85}\u{2028}\u{202e}\u{200b}".as_bytes(),
    "é名🧪e\u{301}".as_bytes(),
    b"%00%zz%",
    b"%2e%2e%2f",
    b"../..",
    b"file:///",
    b"&&==",
    b"data: ",
    b": ",
    b"[[",
    b"{{",
    b"]}",
    b"COM1.",
    b"~",
];

/// Longest input in bytes that repetition makes; it costs time and finds nothing that a shorter one does not.
const MAX_BYTES: usize = 64 * 1024;

/// One change. Places are reduced to what the text has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    /// A value of JSON; in another text, a token becomes a piece.
    Value(usize, ValueChange),
    /// A token becomes a word of the corpus.
    Word(usize, usize),
    /// A piece is put before a token.
    Piece(usize, usize),
    /// Tokens are removed.
    Remove(usize, usize),
    /// Tokens are repeated.
    Repeat(usize, usize, usize),
    /// A token goes to another place.
    Move(usize, usize),
    /// A byte becomes another one.
    Byte(usize, u8),
    /// What follows is cut off.
    Cut(usize),
}

/// Makes changes; the first ones are the plainest, so that a failing input becomes plainer.
pub(crate) fn strategy() -> impl Strategy<Value = Change> {
    let place = || 0_usize..4_096;
    let value = prop_oneof![
        6 => (0..json::ODD_VALUES.len()).prop_map(ValueChange::Odd),
        2 => Just(ValueChange::Remove),
        2 => place().prop_map(ValueChange::Copy),
        1 => prop_oneof![Just(2_usize), Just(300)].prop_map(ValueChange::Repeat),
        1 => prop_oneof![Just(1_usize), Just(119), Just(126)].prop_map(ValueChange::Deep),
    ];
    prop_oneof![
        8 => (place(), value).prop_map(|(at, change)| Change::Value(at, change)),
        4 => (place(), place()).prop_map(|(at, word)| Change::Word(at, word)),
        3 => (place(), 0..PIECES.len()).prop_map(|(at, piece)| Change::Piece(at, piece)),
        2 => (place(), 1_usize..8).prop_map(|(at, count)| Change::Remove(at, count)),
        1 => (place(), 1_usize..16, prop_oneof![Just(1_usize), Just(500)])
            .prop_map(|(at, count, times)| Change::Repeat(at, count, times)),
        1 => (place(), place()).prop_map(|(from, to)| Change::Move(from, to)),
        1 => (place(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        1 => place().prop_map(Change::Cut),
    ]
}

/// Makes a change; `words` are those of the corpus.
pub(crate) fn apply(change: &Change, bytes: &[u8], words: &[Vec<u8>]) -> Vec<u8> {
    if let Change::Value(at, value_change) = change
        && let Some(changed) = json::change(bytes, *at, *value_change)
    {
        return changed;
    }
    let mut parts = tokens(bytes);
    let count = parts.len();
    if count == 0 {
        return match *change {
            Change::Piece(_, piece) => PIECES[piece].to_vec(),
            _ => Vec::new(),
        };
    }
    let place = |at: usize| at % count;
    match *change {
        Change::Value(at, _) => parts[place(at)] = PIECES[at % PIECES.len()],
        Change::Word(at, word) => parts[place(at)] = &words[word % words.len()],
        Change::Piece(at, piece) => parts.insert(place(at), PIECES[piece]),
        Change::Remove(at, length) => {
            let from = place(at);
            parts.drain(from..(from + length).min(count));
        }
        Change::Repeat(at, length, times) => {
            let from = place(at);
            let end = (from + length).min(count);
            let repeated = parts[from..end].repeat(times);
            parts.splice(end..end, repeated);
        }
        Change::Move(from, to) => {
            let part = parts.remove(place(from));
            parts.insert(to % count, part);
        }
        Change::Byte(at, byte) => {
            let mut changed = bytes.to_vec();
            changed[at % bytes.len()] = byte;
            return changed;
        }
        Change::Cut(at) => return bytes[..at % bytes.len()].to_vec(),
    }
    let mut changed = parts.concat();
    changed.truncate(MAX_BYTES);
    changed
}
