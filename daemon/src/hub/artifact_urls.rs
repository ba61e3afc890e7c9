//! Rewrites `file://` URIs of the jobs directories, and URLs of a remote that is mirrored, to URLs that
//! another machine can download from this hub. What a `harbor serve` has is named by its path in its trial.
//!
//! The mirror keeps objects unchanged. Only responses of the hub are rewritten, and of them only the
//! beginnings of these URIs; everything else stays the same byte for byte.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use docks_proto::path_encoding::encode_path;
use docks_proto::routes::{RunKind, TenantRoutes};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::named_files::{lists_uri, named_files};
use docksd_harbor::file_uri;

/// The path segment between a run or trial and the path of a file.
pub(super) const ARTIFACTS: &str = "artifacts";

/// Before the URI of a job's own folder, which may be several levels below the directory.
const JOB_FOLDER: &str = "\"job_uri\":";

/// Rewrites the URIs of one tenant of a hub.
#[derive(Debug)]
pub(super) struct ArtifactUrls {
    /// Of directories the longest first, since they may be inside each other.
    prefixes: Vec<Prefix>,
    routes: TenantRoutes,
}

/// The beginning of addresses that are rewritten.
#[derive(Debug)]
struct Prefix {
    /// `file:///the/jobs/`, or `https://remote/tenants/its/harbor/runs/`.
    uri: String,
    /// The same at the beginning of a JSON string.
    quoted: String,
    form: Form,
}

/// What the address of a file says after its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The path below a jobs directory.
    Path,
    /// Run, trial and path, as in the addresses of another hub.
    OwnerAndPath,
    /// Nothing that a path could be made of; the object lists the path beside the address.
    Listed,
}

impl Prefix {
    fn new(uri: String, form: Form) -> Self {
        Self {
            quoted: format!("\"{uri}"),
            uri,
            form,
        }
    }
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
    /// Creates a rewriter for jobs directories, resolved.
    pub(super) fn of_directories(tenant: &str, dirs: &[PathBuf]) -> Self {
        let prefix = |dir: &PathBuf| Prefix::new(uri_of_directory(dir), Form::Path);
        let mut prefixes: Vec<Prefix> = dirs.iter().map(prefix).collect();
        prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.uri.len()));
        Self {
            prefixes,
            routes: routes_of(tenant),
        }
    }

    /// Creates a rewriter for what a remote serves itself, as another hub does.
    pub(super) fn of_remote(tenant: &str, api_url: &str, remote_tenant: &str) -> Self {
        let runs = routes_of(remote_tenant).runs(RunKind::Evaluation);
        let runs = format!("{}{runs}/", api_url.trim_end_matches('/'));
        Self {
            prefixes: vec![Prefix::new(runs, Form::OwnerAndPath)],
            routes: routes_of(tenant),
        }
    }

    /// Creates a rewriter for what a `harbor serve` has: at its download route, or while a trial runs in its folder.
    pub(super) fn of_server(tenant: &str, url: &str) -> Self {
        let download = format!("{}/download?", url.trim_end_matches('/'));
        Self {
            prefixes: vec![
                Prefix::new(download, Form::Listed),
                Prefix::new("file:///".to_owned(), Form::Listed),
            ],
            routes: routes_of(tenant),
        }
    }

    /// Returns the `file://` URI that objects contain for a path below a jobs directory.
    pub(super) fn file_uri_below(dir: &Path, below: &Path) -> String {
        let below = file_uri(below);
        format!(
            "{}{}",
            uri_of_directory(dir),
            below.trim_start_matches("file://").trim_start_matches('/')
        )
    }

    /// Returns the address that an object or a list of files of the remote has for a file. `below_runs` is what follows
    /// `…/harbor/runs/` in the path of a request, and `path` that of the file in it.
    pub(super) fn remote_uri(&self, text: &str, below_runs: &str, path: &Path) -> Option<String> {
        let prefix = self.prefixes.first()?;
        if prefix.form == Form::Listed {
            let is_served = |uri: &str| {
                self.prefixes
                    .iter()
                    .any(|prefix| uri.starts_with(&prefix.uri))
            };
            let mut files = named_files(text);
            let found = files.find(|(known, _)| Path::new(&**known) == path);
            return found
                .map(|(_, uri)| uri.into_owned())
                .filter(|uri| is_served(uri));
        }
        let uri = format!("{}{below_runs}", prefix.uri);
        lists_uri(text, &uri).then_some(uri)
    }

    /// Rewrites the URIs in a list or an object; `base` is the URL of the hub as the client knows it.
    pub(super) fn rewrite(&self, body: &Bytes, base: &str) -> Bytes {
        let Some(text) = std::str::from_utf8(body)
            .ok()
            .filter(|text| self.prefixes.iter().any(|it| text.contains(&it.quoted)))
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
        let Some(artifacts) = self.artifacts_path(text) else {
            return text.to_owned();
        };
        let to = format!("{base}{artifacts}");
        let mut rewritten = Cow::Borrowed(text);
        for prefix in &self.prefixes {
            let new = match prefix.form {
                Form::Path => rewrite_prefix(&rewritten, prefix, &to),
                Form::OwnerAndPath => {
                    let to = format!("{base}{}/", self.routes.runs(RunKind::Evaluation));
                    rewrite_prefix(&rewritten, prefix, &to)
                }
                Form::Listed => rewrite_listed(&rewritten, prefix, &to, text),
            };
            rewritten = Cow::Owned(new);
        }
        rewritten.into_owned()
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

/// Returns the beginning of the URIs of files below a directory.
fn uri_of_directory(dir: &Path) -> String {
    format!("{}/", file_uri(dir).trim_end_matches('/'))
}

fn routes_of(tenant: &str) -> TenantRoutes {
    TenantRoutes::new(tenant).expect("tenants are checked when they are configured")
}

/// Replaces the beginnings of addresses in a text.
fn rewrite_prefix(text: &str, prefix: &Prefix, to: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    let mut rest = text;
    while let Some(at) = rest.find(&prefix.quoted) {
        // A quote after a backslash is inside a string, such as an error message.
        let starts_string = !rest[..at].ends_with('\\');
        let is_folder = rest[..at].trim_end().ends_with(JOB_FOLDER);
        let (before, found) = rest.split_at(at);
        let below = &found[prefix.quoted.len()..];
        let uri = below.split('"').next().unwrap_or_default();
        out.push_str(before);
        let is_served = match prefix.form {
            Form::OwnerAndPath => is_file(uri) && uri.contains("/artifacts/"),
            Form::Path | Form::Listed => is_file(uri),
        };
        if starts_string && !is_folder && is_served {
            out.push('"');
            out.push_str(to);
        } else {
            out.push_str(&prefix.quoted);
        }
        rest = below;
    }
    out.push_str(rest);
    out
}

/// Replaces the addresses in a text that begin with a prefix by `to` and the path that `object` lists with each.
fn rewrite_listed(text: &str, prefix: &Prefix, to: &str, object: &str) -> String {
    if !text.contains(&prefix.quoted) {
        return text.to_owned();
    }
    let paths: HashMap<Cow<'_, str>, Cow<'_, str>> =
        named_files(object).map(|(path, uri)| (uri, path)).collect();
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    let mut rest = text;
    while let Some(at) = rest.find(&prefix.quoted) {
        let (before, found) = rest.split_at(at);
        let uri = found[1..].split('"').next().unwrap_or_default();
        let starts_string = !before.ends_with('\\');
        out.push_str(before);
        match paths.get(uri).filter(|_| starts_string) {
            Some(path) => {
                let path = encode_path(Path::new(&**path));
                out.push_str(&format!("\"{to}{path}"));
            }
            None => out.push_str(&found[..=uri.len()]),
        }
        rest = &found[1 + uri.len()..];
    }
    out.push_str(rest);
    out
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
        let urls = ArtifactUrls::of_directories("local", &["/my jobs".into()]);
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
        assert_eq!(
            ArtifactUrls::file_uri_below(Path::new("/my jobs"), Path::new("j/ü/a b.txt")),
            "file:///my%20jobs/j/%C3%BC/a%20b.txt"
        );
    }

    #[test]
    fn every_directory_and_what_another_hub_serves_is_rewritten() {
        let dirs = ["/a".into(), "/a/inner".into()];
        let urls = ArtifactUrls::of_directories("local", &dirs);
        let text = r#"{"id":"t","run_id":"r","u":"file:///a/j/x","v":"file:///a/inner/j/y"}"#;
        let body = urls.rewrite(&Bytes::from_static(text.as_bytes()), "https://h");
        let base = "https://h/tenants/local/harbor/runs/r/trials/t/artifacts/j";
        let expected = format!(r#"{{"id":"t","run_id":"r","u":"{base}/x","v":"{base}/y"}}"#);
        assert_eq!(body, expected);
        let urls = ArtifactUrls::of_remote("lab", "https://far:1", "local");
        let far = "https://far:1/tenants/local/harbor/runs/r/trials/t";
        let text = format!(r#"{{"id":"t","run_id":"r","u":"{far}/artifacts/j/x","v":"{far}"}}"#);
        let body = urls.rewrite(&Bytes::from(text), "https://h");
        let near = "https://h/tenants/lab/harbor/runs/r/trials/t/artifacts/j/x";
        let expected = format!(r#"{{"id":"t","run_id":"r","u":"{near}","v":"{far}"}}"#);
        assert_eq!(body, expected);
        let below = "r/trials/t/artifacts/j/x";
        let uri = |text: &str| urls.remote_uri(text, below, Path::new("j/x"));
        let known = format!("{far}/artifacts/j/x");
        assert_eq!(uri(&format!(r#"{{"error_code":"{known}"}}"#)), None);
        assert_eq!(uri(&format!(r#"{{"logs_uri":"{known}"}}"#)), Some(known));
        assert_eq!(uri(r#"{"u":"https://far:1/x"}"#), None);
    }

    #[test]
    fn what_a_server_has_is_named_by_its_path() {
        let urls = ArtifactUrls::of_server("serve", "http://127.0.0.1:8390");
        let far = "http://127.0.0.1:8390/download?uri=file%3A%2F%2F%2Fd%2Fa.txt";
        let files = format!(
            r#"[{{"path":"agent/a b.txt","uri":"{far}"}},{{"path":"x","uri":"gs://b/x"}}]"#
        );
        let near = "https://h/tenants/serve/harbor/runs/r/trials/t/artifacts/agent/a%20b.txt";
        for text in [
            format!(
                r#"{{"id":"t","run_id":"r","logs_uri":"{far}","harbor":{{"artifacts":{files}}}}}"#
            ),
            format!(r#"{{"id":"t","run_id":"r","files":{files},"m":"see \"{far}\""}}"#),
        ] {
            let body = urls.rewrite(&Bytes::from(text.clone()), "https://h");
            let expected = text.replace(&format!(":\"{far}\""), &format!(":\"{near}\""));
            assert_eq!(body, expected);
            let uri = |path: &str| urls.remote_uri(&text, "", Path::new(path));
            assert_eq!(uri("agent/a b.txt").as_deref(), Some(far));
            // Neither what is elsewhere nor what is not listed.
            assert_eq!((uri("x"), uri("agent")), (None, None));
        }
        let unlisted = format!(r#"{{"id":"t","run_id":"r","logs_uri":"{far}"}}"#);
        assert_eq!(
            urls.rewrite(&Bytes::from(unlisted.clone()), "https://h"),
            unlisted
        );
    }
}
