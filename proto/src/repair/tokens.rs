//! Splits JSON into tokens without parsing values.

/// Calls back with each token: a bracket, a comma, a colon, a string or a bare word.
///
/// Whitespace is left out. A text that is not JSON is split as well as it can be.
pub fn for_each_token<'a>(text: &'a str, callback: &mut dyn FnMut(&'a str)) {
    let mut rest = text;
    while let Some(first) = rest.as_bytes().first() {
        let length = match first {
            b' ' | b'\t' | b'\r' | b'\n' => {
                rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
                continue;
            }
            b'"' => string_length(rest),
            b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
            _ => {
                let end = rest.bytes().position(ends_word);
                end.unwrap_or(rest.len())
            }
        };
        // A token ends before or after an ASCII character, or with the text.
        let Some((token, after)) = rest.split_at_checked(length) else {
            return;
        };
        callback(token);
        rest = after;
    }
}

/// Returns the length of the string with which a text begins, with its quotes.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    // One quote is left out by `skip`, and the other is counted as well.
    end.map_or(text.len(), |end| end + 2)
}

/// Whether a byte outside strings ends a number or another bare word.
pub(super) fn ends_word(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'\t' | b'\r' | b'\n' | b'{' | b'}' | b'[' | b']' | b',' | b':' | b'"'
    )
}
