//! The addresses of files in an object, or in a list of files.

use std::borrow::Cow;

use serde::Deserialize;

/// The files that an object, or a list of files, names.
#[derive(Deserialize)]
struct NamedFiles<'a> {
    #[serde(borrow, default)]
    harbor: Option<NamedArtifacts<'a>>,
    #[serde(borrow, default)]
    files: Option<Vec<NamedFile<'a>>>,
}

#[derive(Deserialize)]
struct NamedArtifacts<'a> {
    #[serde(borrow, default)]
    artifacts: Option<Vec<NamedFile<'a>>>,
}

#[derive(Deserialize)]
struct NamedFile<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(borrow)]
    uri: Cow<'a, str>,
}

/// Returns the files that an object or a list of files names, each as path and address.
pub(super) fn named_files(text: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let named: Option<NamedFiles<'_>> = serde_json::from_str(text).ok();
    let (artifacts, files) = match named {
        Some(named) => (named.harbor.and_then(|it| it.artifacts), named.files),
        None => (None, None),
    };
    let all = artifacts.into_iter().chain(files).flatten();
    all.map(|file| (file.path, file.uri))
}

/// Whether an object has a quoted text as a whole value.
pub(super) fn contains_value(object: &[u8], quoted: &[u8]) -> bool {
    object
        .windows(quoted.len())
        .enumerate()
        .any(|(at, window)| window == quoted && (at == 0 || object[at - 1] != b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_inside_a_message_is_not_a_value() {
        let quoted = b"\"file:///j/a\"";
        assert!(contains_value(br#"{"u":"file:///j/a"}"#, quoted));
        assert!(!contains_value(
            br#"{"u":"no \"file:///j/a\" there"}"#,
            quoted
        ));
        assert!(!contains_value(br#"{"u":"file:///j/ab"}"#, quoted));
    }

    #[test]
    fn an_object_and_a_list_name_their_files_alike() {
        for text in [
            r#"{"harbor":null,"files":[{"path":"a","uri":"u","size_bytes":null}]}"#,
            r#"{"harbor":{"state":"x","artifacts":[{"type":"logs","path":"a","uri":"u"}]}}"#,
        ] {
            let named: Vec<_> = named_files(text).collect();
            assert_eq!(named, [("a".into(), "u".into())], "{text}");
        }
    }
}
