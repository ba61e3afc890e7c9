//! Paths as `file://` URIs.

use std::path::Path;

use docks_proto::path_encoding::encode_path;

/// Returns a path as `file://` URI, percent-encoded.
pub fn file_uri(path: &Path) -> String {
    format!("file://{}", encode_path(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_can_hold_any_path() {
        assert_eq!(
            file_uri(Path::new("/a b/ü%#?.txt")),
            "file:///a%20b/%C3%BC%25%23%3F.txt"
        );
    }
}
