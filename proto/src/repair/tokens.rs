//! Splits JSON into tokens without parsing values.

/// Calls back with each token: a bracket, a comma, a colon, a string or a bare word.
///
/// Whitespace is left out. A text that is not JSON is split as well as it can be.
pub fn for_each_token<'a>(text: &'a str, callback: &mut dyn FnMut(&'a str)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let from = at;
        at += 1;
        match bytes[from] {
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            b'"' => {
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at = (at + 1).min(bytes.len());
            }
            b'{' | b'}' | b'[' | b']' | b',' | b':' => {}
            _ => {
                while at < bytes.len() && !ends_word(bytes[at]) {
                    at += 1;
                }
            }
        }
        callback(&text[from..at]);
    }
}

/// Whether a byte outside strings ends a number or another bare word.
pub(super) fn ends_word(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'\t' | b'\r' | b'\n' | b'{' | b'}' | b'[' | b']' | b',' | b':' | b'"'
    )
}
