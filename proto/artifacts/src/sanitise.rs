//! Turns names from the remote into single, safe path segments.
//!
//! A segment can neither leave its directory nor confuse another program: it has no separators and
//! no control or invisible characters, is not hidden, does not look like an option, and is not a
//! reserved device name on any file system.

use std::borrow::Cow;

use docks_proto::clean::is_deceptive;
use docks_proto::hash::fnv1a_64;

/// Longest segment in bytes; two of them with a separator fit the usual limit of 255.
pub(crate) const MAX_SEGMENT_BYTES: usize = 100;

/// Longest file suffix in bytes, with its dot; anything longer is not treated as a suffix.
const MAX_SUFFIX_BYTES: usize = 16;

/// Turns any text into one safe segment; `otherwise` stands for an empty one.
///
/// Different texts can give the same segment. To keep them distinct, compare their
/// [`collision_key`]s and append a [`short_hash`].
#[must_use]
pub fn safe_segment(text: &str, fallback: &str) -> String {
    let mut safe: String = text.chars().map(harmless).collect();
    if safe.is_empty() {
        safe = fallback.to_owned();
    }
    // Windows drops trailing dots and spaces, which would merge two names.
    let kept = safe.trim_end_matches(['.', ' ']).len();
    // They take a byte each.
    let cut = safe.len() - kept;
    safe.truncate(kept);
    safe.extend(std::iter::repeat_n('_', cut.min(3)));
    if safe.starts_with(['.', '-', '~', ' ']) {
        safe.replace_range(..1, "_");
    }
    if is_device(&safe) {
        safe.insert(0, '_');
    }
    shorten(safe, text)
}

/// Returns the first 12 characters, as listings show them.
#[must_use]
pub fn short_id(text: &str) -> &str {
    let end = text.char_indices().nth(12).map(|(end, _)| end);
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// Returns a key that is equal for names that some file system treats as the same.
///
/// Beyond ASCII the rules differ (case, composition), so all words with such characters count as
/// equal; at worst, two names get a hash that they do not need.
#[must_use]
pub fn collision_key(segment: &str) -> String {
    let mut folded = String::new();
    let mut word = String::new();
    for c in segment.chars().chain(std::iter::once('\0')) {
        if c.is_ascii_alphabetic() || !c.is_ascii() {
            word.push(c.to_ascii_lowercase());
            continue;
        }
        if word.is_ascii() {
            folded.push_str(&word);
        } else {
            folded.push('\u{fffd}');
        }
        word.clear();
        folded.push(c);
    }
    folded
}

/// Returns a hash of eight hexadecimal digits; it must not change between releases.
#[must_use]
pub fn short_hash(text: &str) -> String {
    let hash = fnv1a_64(text);
    format!("{:08x}", (hash >> 32) ^ (hash & 0xffff_ffff))
}

/// Returns the last segment of an address's path; empty when it ends with a slash or has no path.
#[must_use]
pub fn last_segment(uri: &str) -> &str {
    let (scheme, rest) = uri.split_once("://").unwrap_or(("", uri));
    // In the name of an object or a file, `?` and `#` are ordinary characters.
    let path = if scheme.to_ascii_lowercase().starts_with("http") {
        rest.split(['?', '#']).next().unwrap_or(rest)
    } else {
        rest
    };
    match path.rsplit_once('/') {
        Some((_, last)) => last,
        None => "",
    }
}

/// Returns the name of the file at an address: its last segment, or that of the address that a download route is asked
/// for.
#[must_use]
pub fn source_name(uri: &str) -> Cow<'_, str> {
    match downloaded_address(uri) {
        Some(address) => Cow::Owned(last_segment(&address).to_owned()),
        None => Cow::Borrowed(last_segment(uri)),
    }
}

/// Returns the address that the download route of a `harbor serve` is asked for: the only parameter, `uri`, of
/// `…/download`. It names the file; the address of the route does not.
#[must_use]
pub fn downloaded_address(uri: &str) -> Option<String> {
    let is_http = uri.starts_with("http://") || uri.starts_with("https://");
    let (route, query) = uri.split_once('?').filter(|_| is_http)?;
    let encoded = query
        .strip_prefix("uri=")
        .filter(|_| route.ends_with("/download"))?;
    if encoded.contains(['&', '#']) {
        return None;
    }
    let address = percent_encoding::percent_decode_str(encoded)
        .decode_utf8()
        .ok()?;
    address.contains("://").then(|| address.into_owned())
}

/// Returns the file suffix of an address with its dot, or `.json` if there is none.
#[must_use]
pub fn file_suffix(uri: &str) -> String {
    let last = source_name(uri);
    let safe = |suffix: &str| {
        !suffix.is_empty()
            && suffix.len() < MAX_SUFFIX_BYTES
            && suffix.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    match last.rsplit_once('.') {
        Some((stem, suffix)) if !stem.is_empty() && safe(suffix) => format!(".{suffix}"),
        _ => ".json".to_owned(),
    }
}

fn harmless(c: char) -> char {
    let unsafe_somewhere = matches!(
        c,
        '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' | '\u{2028}' | '\u{2029}'
    );
    if c.is_control() || unsafe_somewhere || is_deceptive(c) {
        '_'
    } else {
        c
    }
}

/// Returns whether Windows reserves a name for a device, whatever follows the first dot.
///
/// The numbers of ports may be superscripts: `COM¹` is `COM1`, as these three are digits of Latin-1
/// ("Naming Files, Paths, and Namespaces" in Microsoft's documentation).
fn is_device(segment: &str) -> bool {
    const NAMES: [&str; 7] = ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$"];
    let stem = segment.split('.').next().unwrap_or(segment);
    let stem = stem.trim_end().to_ascii_lowercase();
    let port = stem.strip_prefix("com").or(stem.strip_prefix("lpt"));
    let port = port.map(|number| number.chars().collect::<Vec<char>>());
    NAMES.contains(&stem.as_str())
        || matches!(
            port.as_deref(),
            Some(['0'..='9' | '\u{b9}' | '\u{b2}' | '\u{b3}'])
        )
}

fn shorten(segment: String, original: &str) -> String {
    if segment.len() <= MAX_SEGMENT_BYTES {
        return segment;
    }
    let max_bytes = MAX_SEGMENT_BYTES - 9;
    let start = segment.get(..segment.floor_char_boundary(max_bytes));
    format!("{}~{}", start.unwrap_or_default(), short_hash(original))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hostile_names_become_one_harmless_segment() {
        for (text, expected) in [
            ("../../etc/passwd", "_._.._etc_passwd"),
            ("..", "__"),
            (".", "_"),
            ("", "unknown"),
            ("-rf", "_rf"),
            ("~root", "_root"),
            (".ssh", "_ssh"),
            ("a\0b\nc\u{1b}[2J", "a_b_c_[2J"),
            ("C:\\x", "C__x"),
            ("con.txt", "_con.txt"),
            ("Lpt1", "_Lpt1"),
            ("COM\u{b9}", "_COM\u{b9}"),
            ("com\u{b3}.log", "_com\u{b3}.log"),
            ("lPt\u{b2} .tar.gz", "_lPt\u{b2} .tar.gz"),
            ("CONIN$", "_CONIN$"),
            ("conout$.txt", "_conout$.txt"),
            ("Clock$ .x", "_Clock$ .x"),
            ("nul .txt", "_nul .txt"),
            ("AUX.", "AUX_"),
            ("con\u{200b}", "con_"),
            ("com10", "com10"),
            ("com\u{2074}", "com\u{2074}"),
            ("conin", "conin"),
            ("console.log", "console.log"),
            ("name. .", "name___"),
            ("evil\u{202e}gpj.exe", "evil_gpj.exe"),
            ("fix-clamp", "fix-clamp"),
            ("größe", "größe"),
        ] {
            assert_eq!(safe_segment(text, "unknown"), expected, "{text:?}");
        }
    }

    #[test]
    fn long_names_are_shortened_and_stay_distinct() {
        let a = safe_segment(&format!("{}a", "x".repeat(500)), "unknown");
        let b = safe_segment(&format!("{}b", "x".repeat(500)), "unknown");
        assert!(a.len() <= MAX_SEGMENT_BYTES && a != b, "{a} {b}");
        assert!(safe_segment(&"é".repeat(500), "unknown").len() <= MAX_SEGMENT_BYTES);
    }

    #[test]
    fn names_that_some_file_system_merges_have_the_same_collision_key() {
        assert_eq!(collision_key("Task"), collision_key("tASK"));
        assert_eq!(
            collision_key("gr\u{f6}\u{df}e-1"),
            collision_key("gro\u{308}SSE-1")
        );
        assert_ne!(
            collision_key("gr\u{f6}\u{df}e-1"),
            collision_key("gr\u{f6}\u{df}e-2")
        );
        assert_ne!(collision_key("a"), collision_key("b"));
    }

    #[test]
    fn the_suffix_is_that_of_the_last_path_segment() {
        for (uri, expected) in [
            ("gs://b/trials/t/logs.txt", ".txt"),
            ("https://h/a/trajectory.json?sig=x.y/z.exe", ".json"),
            ("https://h/a/x.tar.gz#part.1", ".gz"),
            ("https://example.com", ".json"),
            ("file:///a/b/.hidden", ".json"),
            ("gs://b/diff.patch", ".patch"),
            ("gs://b/x.", ".json"),
            ("gs://b/x.a/../b", ".json"),
            ("gs://b/x.e\u{301}", ".json"),
            ("nonsense", ".json"),
        ] {
            assert_eq!(file_suffix(uri), expected, "{uri}");
        }
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_segment_inside_its_directory(text in any::<String>()) {
            let safe = safe_segment(&text, "unknown");
            prop_assert!(!safe.is_empty() && safe.len() <= MAX_SEGMENT_BYTES);
            prop_assert!(!safe.contains(['/', '\\', '\0']));
            prop_assert!(!safe.starts_with(['.', '-']) && !safe.ends_with(['.', ' ']));
            prop_assert!(!safe.chars().any(char::is_control));
            prop_assert!(!is_device(&safe));
            prop_assert_eq!(std::path::Path::new(&safe).components().count(), 1);
        }
    }
}
