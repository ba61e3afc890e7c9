//! Paths on disk as text for headers and URIs: percent-encoded, since a path need not be UTF-8.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

/// RFC 3986's unreserved characters and the slash stay as they are.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

/// Encodes a path; the result is ASCII and has no comma.
#[must_use]
pub fn encode_path(path: &Path) -> String {
    percent_encode(path.as_os_str().as_bytes(), PATH).to_string()
}

/// Decodes what [`encode_path`] returns.
#[must_use]
pub fn decode_path(text: &str) -> PathBuf {
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    PathBuf::from(OsStr::from_bytes(&bytes))
}

/// Encodes several paths with commas between them, as [`HARBOR_JOBS`](crate::routes::HARBOR_JOBS)
/// carries them.
#[must_use]
pub fn encode_paths(paths: &[PathBuf]) -> String {
    let encoded: Vec<String> = paths.iter().map(|path| encode_path(path)).collect();
    encoded.join(",")
}

/// Decodes what [`encode_paths`] returns.
#[must_use]
pub fn decode_paths(text: &str) -> Vec<PathBuf> {
    text.split(',').map(decode_path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_any_bytes_survive_their_encoding() {
        let paths = [
            PathBuf::from("/a b/c,d-e_f.~"),
            PathBuf::from(OsStr::from_bytes(b"/\xff%")),
        ];
        let text = encode_paths(&paths);
        assert_eq!(text, "/a%20b/c%2Cd-e_f.~,/%FF%25");
        assert_eq!(decode_paths(&text), paths);
    }
}
