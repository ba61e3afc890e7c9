//! Rewrites `file://` URIs of the jobs directory to URLs that another machine can download.
//!
//! The mirror keeps objects unchanged. Only responses of the hub are rewritten, and of them only the
//! beginnings of these URIs; everything else stays the same byte for byte.

use std::borrow::Cow;
use std::path::Path;

use bytes::Bytes;
use docks_proto::routes::{RunKind, TenantRoutes};
use docks_proto::settings::LOCAL_TENANT;
use serde::Deserialize;
use serde_json::value::RawValue;

use docksd_harbor::file_uri;

/// The path segment between a run or trial and the path of a file.
pub(super) const ARTIFACTS: &str = "artifacts";

/// Before the URI of a job's own folder, which may be several levels below the directory.
const JOB_FOLDER: &str = "\"job_uri\":";

/// Rewrites the URIs of one jobs directory.
#[derive(Debug)]
pub(super) struct ArtifactUrls {
    /// `file:///the/jobs/`
    uri_prefix: String,
    /// The same at the beginning of a JSON string.
    quoted_prefix: String,
    routes: TenantRoutes,
}

/// The ids in an object.
#[derive(Deserialize)]
struct Ids<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    /// The run of a trial; absent in runs.
    #[serde(borrow, default)]
    run_id: Option<Cow<'a, str>>,
}

impl ArtifactUrls {
    /// Creates a rewriter for a jobs directory, resolved.
    pub(super) fn new(jobs: &Path) -> Self {
        let uri_prefix = format!("{}/", file_uri(jobs).trim_end_matches('/'));
        Self {
            quoted_prefix: format!("\"{uri_prefix}"),
            uri_prefix,
            routes: TenantRoutes::new(LOCAL_TENANT)
                .expect("our own tenant is a valid path segment"),
        }
    }

    /// Returns the `file://` URI that objects contain for a path below the jobs directory.
    pub(super) fn file_uri_below(&self, below: &Path) -> String {
        let below = file_uri(below);
        format!(
            "{}{}",
            self.uri_prefix,
            below.trim_start_matches("file://").trim_start_matches('/')
        )
    }

    /// Rewrites the URIs in a list or an object; `base` is the URL of the hub as the client knows it.
    pub(super) fn rewrite(&self, body: &Bytes, base: &str) -> Bytes {
        let Some(text) = std::str::from_utf8(body)
            .ok()
            .filter(|text| text.contains(&self.quoted_prefix))
        else {
            return body.clone();
        };
        let rewritten = if text.trim_start().starts_with('[') {
            self.rewrite_list(text, base)
        } else {
            Some(self.rewrite_object(text, base))
        };
        rewritten.map_or_else(|| body.clone(), Bytes::from)
    }

    fn rewrite_list(&self, text: &str, base: &str) -> Option<String> {
        let objects: Vec<&RawValue> = serde_json::from_str(text).ok()?;
        let mut out = String::with_capacity(text.len() + text.len() / 4);
        let mut rest = text;
        for object in objects {
            let object = object.get();
            // The text between the objects stays, too.
            let at = rest.find(object)?;
            out.push_str(&rest[..at]);
            out.push_str(&self.rewrite_object(object, base));
            rest = &rest[at + object.len()..];
        }
        out.push_str(rest);
        Some(out)
    }

    fn rewrite_object(&self, text: &str, base: &str) -> String {
        let Some(prefix) = self.artifacts_path(text) else {
            return text.to_owned();
        };
        let mut out = String::with_capacity(text.len() + text.len() / 4);
        let mut rest = text;
        while let Some(at) = rest.find(&self.quoted_prefix) {
            // A quote after a backslash is inside a string, such as an error message.
            let starts_string = !rest[..at].ends_with('\\');
            let is_folder = rest[..at].trim_end().ends_with(JOB_FOLDER);
            let (before, found) = rest.split_at(at);
            let below = &found[self.quoted_prefix.len()..];
            let uri = below.split('"').next().unwrap_or_default();
            out.push_str(before);
            if starts_string && !is_folder && is_file(uri) {
                out.push('"');
                out.push_str(base);
                out.push_str(&prefix);
            } else {
                out.push_str(&self.quoted_prefix);
            }
            rest = below;
        }
        out.push_str(rest);
        out
    }

    /// Returns the path below which the hub serves an object's artifacts.
    fn artifacts_path(&self, text: &str) -> Option<String> {
        let Ids { id, run_id } = serde_json::from_str(text).ok()?;
        let id = id?;
        let owner = match run_id {
            Some(run) => self.routes.trial(&run, &id),
            None => self.routes.run(RunKind::Evaluation, &id),
        };
        Some(format!("{}/{ARTIFACTS}/", owner.ok()?))
    }
}

/// Whether a URI is that of a file. The URI of a job's own folder, which cannot be downloaded, stays and
/// says where the job is on the hub's machine.
fn is_file(below: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~/%".contains(&b);
    below.contains('/') && !below.ends_with('/') && below.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str) -> String {
        let urls = ArtifactUrls::new(Path::new("/my jobs"));
        let body = urls.rewrite(&Bytes::copy_from_slice(text.as_bytes()), "https://hub:1");
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn only_the_beginnings_of_uris_are_rewritten() {
        let before = r#"{ "id":"t 1", "run_id" : "r/1","n":1.0,"logs_uri":"file:///my%20jobs/j/t%201/agent/a.txt","x":null }"#;
        let after = r#"{ "id":"t 1", "run_id" : "r/1","n":1.0,"logs_uri":"https://hub:1/tenants/local/harbor/runs/r%2F1/trials/t%201/artifacts/j/t%201/agent/a.txt","x":null }"#;
        assert_eq!(rewritten(before), after);
        let list = format!("[{before} ,\n{before}, {{\"id\":\"other\"}}]");
        assert_eq!(
            rewritten(&list),
            format!("[{after} ,\n{after}, {{\"id\":\"other\"}}]")
        );
    }

    #[test]
    fn files_of_a_run_are_below_the_run_and_its_folder_stays() {
        let run = r#"{"id":"r","harbor":{"job_uri":"file:///my%20jobs/j","logs_uri":"file:///my%20jobs/j/job.log"}}"#;
        assert_eq!(
            rewritten(run),
            r#"{"id":"r","harbor":{"job_uri":"file:///my%20jobs/j","logs_uri":"https://hub:1/tenants/local/harbor/runs/r/artifacts/j/job.log"}}"#
        );
    }

    #[test]
    fn the_folder_of_a_nested_job_stays() {
        let run = r#"{"id":"r","harbor":{"job_uri":"file:///my%20jobs/a/b/j","logs_uri":"file:///my%20jobs/a/b/j/job.log"}}"#;
        assert_eq!(
            rewritten(run),
            r#"{"id":"r","harbor":{"job_uri":"file:///my%20jobs/a/b/j","logs_uri":"https://hub:1/tenants/local/harbor/runs/r/artifacts/a/b/j/job.log"}}"#
        );
    }

    #[test]
    fn anything_but_a_uri_of_the_directory_stays() {
        for same in [
            r#"{"id":"t","run_id":"r","uri":"file:///elsewhere/j/a"}"#,
            r#"{"id":"t","run_id":"r","uri":"file:///my%20jobs2/j/a"}"#,
            r#"{"id":"t","run_id":"r","uri":"gs://bucket/a"}"#,
            r#"{"id":"t","run_id":"r","message":"no \"file:///my%20jobs/j/a\" there"}"#,
            r#"{"id":"t","run_id":"r","message":"see file:///my%20jobs/j/a"}"#,
            r#"{"id":"t","run_id":"r","odd":"file:///my%20jobs/j/a b"}"#,
            r#"{"no_id":"t","uri":"file:///my%20jobs/j/a"}"#,
            r#"{"id":"..","run_id":"r","uri":"file:///my%20jobs/j/a"}"#,
            "not JSON \"file:///my%20jobs/j/a\"",
        ] {
            assert_eq!(rewritten(same), same);
        }
    }

    #[test]
    fn a_path_has_the_uri_that_objects_contain() {
        let urls = ArtifactUrls::new(Path::new("/my jobs"));
        assert_eq!(
            urls.file_uri_below(Path::new("j/ü/a b.txt")),
            "file:///my%20jobs/j/%C3%BC/a%20b.txt"
        );
    }
}
