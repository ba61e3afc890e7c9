//! The addresses of files in an object, or in a list of files.
//!
//! Only the fields that list files count. Every other string of an object is what an agent, a verifier or a person
//! wrote, and may look like an address, too.

use std::borrow::Cow;

use serde::Deserialize;

/// The files that an object, or a list of files, names.
#[derive(Deserialize)]
struct NamedFiles<'a> {
    // The first file of each type, of a trial.
    #[serde(borrow, default)]
    logs_uri: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    trajectory_uri: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    diff_uri: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    result_uri: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    harbor: Option<OfHarbor<'a>>,
    #[serde(borrow, default)]
    files: Option<Vec<NamedFile<'a>>>,
}

#[derive(Deserialize)]
struct OfHarbor<'a> {
    // The own files of a job.
    #[serde(borrow, default)]
    logs_uri: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    result_uri: Option<Cow<'a, str>>,
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

/// Whether an object or a list of files lists an address as that of a file.
pub(super) fn lists_uri(text: &str, uri: &str) -> bool {
    let Ok(named) = serde_json::from_str::<NamedFiles<'_>>(text) else {
        return false;
    };
    let of_trial = [
        named.logs_uri,
        named.trajectory_uri,
        named.diff_uri,
        named.result_uri,
    ];
    let (of_job, artifacts) = match named.harbor {
        Some(harbor) => ([harbor.logs_uri, harbor.result_uri], harbor.artifacts),
        None => ([None, None], None),
    };
    let files = artifacts.into_iter().chain(named.files).flatten();
    let main = of_trial.into_iter().chain(of_job).flatten();
    main.chain(files.map(|file| file.uri))
        .any(|listed| listed == uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_fields_of_files_list_them() {
        for listed in [
            r#"{"logs_uri":"file:///j/a"}"#,
            r#"{"harbor":{"result_uri":"file:\/\/\/j/a","x":1}}"#,
            r#"{"harbor":{"artifacts":[{"type":"logs","path":"a","uri":"file:///j/a"}]}}"#,
            r#"{"files":[{"path":"a","uri":"file:///j/a","size_bytes":1}],"left_out":[]}"#,
        ] {
            assert!(lists_uri(listed, "file:///j/a"), "{listed}");
            assert!(!lists_uri(listed, "file:///j/"), "{listed}");
        }
        for not_listed in [
            r#"{"error_code":"file:///j/a"}"#,
            r#"{"u":"no \"file:///j/a\" there"}"#,
            r#"{"harbor":{"job_uri":"file:///j/a","exceptions":["file:///j/a"]}}"#,
            r#"{"steps":[{"logs_uri":"file:///j/a"}]}"#,
            r#"{"harbor":{"artifacts":[{"path":"file:///j/a","uri":"u"}]}}"#,
            r#"{"logs_uri":"x","logs_uri":"file:///j/a"}"#,
            "not JSON file:///j/a",
        ] {
            assert!(!lists_uri(not_listed, "file:///j/a"), "{not_listed}");
        }
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
