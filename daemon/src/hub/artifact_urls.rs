//! `file://` URIs of the jobs directory, as addresses that another machine can fetch.
//!
//! The mirror keeps objects as they are; only what leaves the hub is changed, and of that only
//! the beginnings of these URIs. Everything else stays byte for byte.

use std::borrow::Cow;
use std::path::Path;

use bytes::Bytes;
use docks_proto::routes::{RunKind, TenantRoutes};
use docks_proto::settings::LOCAL_TENANT;
use serde::Deserialize;
use serde_json::value::RawValue;

use docksd_harbor::file_uri;

/// Last segment before the path of a file, below its run or trial.
pub(super) const ARTIFACTS: &str = "artifacts";

/// Writes the addresses of one jobs directory.
#[derive(Debug)]
pub(super) struct Addresses {
    /// `file:///the/jobs/`
    from: String,
    /// The same as it begins a JSON text.
    quoted: String,
    routes: TenantRoutes,
}

/// What an object says of itself.
#[derive(Deserialize)]
struct Ids<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    /// The run of a trial; runs have none.
    #[serde(borrow, default)]
    run_id: Option<Cow<'a, str>>,
}

impl Addresses {
    /// Takes the jobs directory, resolved.
    pub(super) fn new(jobs: &Path) -> Self {
        let from = format!("{}/", file_uri(jobs).trim_end_matches('/'));
        Self {
            quoted: format!("\"{from}"),
            from,
            routes: TenantRoutes::new(LOCAL_TENANT).expect("our own tenant is a path segment"),
        }
    }

    /// Returns the URI that the jobs directory's own objects have for a path below it.
    pub(super) fn own(&self, below: &Path) -> String {
        let below = file_uri(below);
        format!(
            "{}{}",
            self.from,
            below.trim_start_matches("file://").trim_start_matches('/')
        )
    }

    /// Changes the URIs in a list or an object; `base` is the hub as the client calls it.
    pub(super) fn write(&self, body: &Bytes, base: &str) -> Bytes {
        let Some(text) = std::str::from_utf8(body)
            .ok()
            .filter(|text| text.contains(&self.quoted))
        else {
            return body.clone();
        };
        let written = if text.trim_start().starts_with('[') {
            self.list(text, base)
        } else {
            Some(self.object(text, base))
        };
        written.map_or_else(|| body.clone(), Bytes::from)
    }

    fn list(&self, text: &str, base: &str) -> Option<String> {
        let objects: Vec<&RawValue> = serde_json::from_str(text).ok()?;
        let mut out = String::with_capacity(text.len() + text.len() / 4);
        let mut rest = text;
        for object in objects {
            let object = object.get();
            // What lies between the objects is kept, too.
            let at = rest.find(object)?;
            out.push_str(&rest[..at]);
            out.push_str(&self.object(object, base));
            rest = &rest[at + object.len()..];
        }
        out.push_str(rest);
        Some(out)
    }

    fn object(&self, text: &str, base: &str) -> String {
        let Some(prefix) = self.prefix(text) else {
            return text.to_owned();
        };
        let mut out = String::with_capacity(text.len() + text.len() / 4);
        let mut rest = text;
        while let Some(at) = rest.find(&self.quoted) {
            // A quote after a backslash is inside of a text, such as a message of an error.
            let begins = !rest[..at].ends_with('\\');
            let (before, found) = rest.split_at(at);
            let below = &found[self.quoted.len()..];
            let uri = below.split('"').next().unwrap_or_default();
            out.push_str(before);
            if begins && is_file(uri) {
                out.push('"');
                out.push_str(base);
                out.push_str(&prefix);
            } else {
                out.push_str(&self.quoted);
            }
            rest = below;
        }
        out.push_str(rest);
        out
    }

    /// Returns the path of the object's artifacts.
    fn prefix(&self, text: &str) -> Option<String> {
        let Ids { id, run_id } = serde_json::from_str(text).ok()?;
        let id = id?;
        let owner = match run_id {
            Some(run) => self.routes.trial(&run, &id),
            None => self.routes.run(RunKind::Evaluation, &id),
        };
        Some(format!("{}/{ARTIFACTS}/", owner.ok()?))
    }
}

/// Tells a file of a job from the job's own folder, which nobody can fetch: its URI stays and
/// says where the job lies on the hub's machine.
fn is_file(below: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~/%".contains(&b);
    below.contains('/') && !below.ends_with('/') && below.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let addresses = Addresses::new(Path::new("/my jobs"));
        let body = addresses.write(&Bytes::copy_from_slice(text.as_bytes()), "https://hub:1");
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn only_the_beginnings_of_uris_change() {
        let before = r#"{ "id":"t 1", "run_id" : "r/1","n":1.0,"logs_uri":"file:///my%20jobs/j/t%201/agent/a.txt","x":null }"#;
        let after = r#"{ "id":"t 1", "run_id" : "r/1","n":1.0,"logs_uri":"https://hub:1/tenants/local/harbor/runs/r%2F1/trials/t%201/artifacts/j/t%201/agent/a.txt","x":null }"#;
        assert_eq!(written(before), after);
        let list = format!("[{before} ,\n{before}, {{\"id\":\"other\"}}]");
        assert_eq!(
            written(&list),
            format!("[{after} ,\n{after}, {{\"id\":\"other\"}}]")
        );
    }

    #[test]
    fn a_runs_files_are_its_own_and_its_folder_stays() {
        let run = r#"{"id":"r","harbor":{"job_uri":"file:///my%20jobs/j","logs_uri":"file:///my%20jobs/j/job.log"}}"#;
        assert_eq!(
            written(run),
            r#"{"id":"r","harbor":{"job_uri":"file:///my%20jobs/j","logs_uri":"https://hub:1/tenants/local/harbor/runs/r/artifacts/j/job.log"}}"#
        );
    }

    #[test]
    fn what_is_no_uri_of_the_directory_stays() {
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
            assert_eq!(written(same), same);
        }
    }

    #[test]
    fn a_path_has_the_uri_that_objects_have() {
        let addresses = Addresses::new(Path::new("/my jobs"));
        assert_eq!(
            addresses.own(Path::new("j/ü/a b.txt")),
            "file:///my%20jobs/j/%C3%BC/a%20b.txt"
        );
    }
}
