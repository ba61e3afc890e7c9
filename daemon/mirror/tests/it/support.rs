//! A mirror in a temporary directory, and short ways to fill and query it.

use std::path::PathBuf;

use docks_proto::object::RawObject;
use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docksd_mirror::{Listing, Mirror, OpenReport, Provenance, RunBatch, WriteSummary};

/// What the mirrors of these tests hold.
pub(crate) const IDENTITY: &str = "https://api.example/tenants/t";

pub(crate) struct TestMirror {
    pub(crate) path: PathBuf,
    _directory: tempfile::TempDir,
}

impl TestMirror {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            path: directory.path().join("cache/mirror.db"),
            _directory: directory,
        }
    }

    pub(crate) fn open(&self) -> Mirror {
        self.try_open().unwrap().0
    }

    pub(crate) fn try_open(&self) -> Result<(Mirror, OpenReport), docksd_mirror::MirrorError> {
        Mirror::open(&self.path, IDENTITY, UnixMs(1_000))
    }

    /// Opens a separate connection to the file.
    pub(crate) fn sqlite(&self) -> rusqlite::Connection {
        rusqlite::Connection::open_with_flags(&self.path, rusqlite::OpenFlags::default()).unwrap()
    }
}

pub(crate) fn object(text: &str) -> RawObject {
    RawObject::parse(text).unwrap().unwrap()
}

pub(crate) fn run_object(id: &str, status: &str, more: &str) -> RawObject {
    object(&format!(r#"{{"id":"{id}","status":"{status}"{more}}}"#))
}

pub(crate) fn batch(kind: RunKind, at: i64, objects: Vec<RawObject>) -> RunBatch {
    RunBatch {
        kind,
        objects,
        observed_at: UnixMs(at),
        provenance: Provenance::Polled,
    }
}

pub(crate) async fn store_runs(mirror: &Mirror, at: i64, objects: Vec<RawObject>) -> WriteSummary {
    mirror
        .upsert_runs(batch(RunKind::Evaluation, at, objects))
        .await
        .unwrap()
}

pub(crate) async fn replace_trials(
    mirror: &Mirror,
    at: i64,
    objects: Vec<RawObject>,
) -> WriteSummary {
    mirror
        .replace_trials("r", objects, UnixMs(at), None, Provenance::Polled)
        .await
        .unwrap()
}

pub(crate) fn everything() -> ListQuery {
    ListQuery {
        limit: 0,
        ..ListQuery::default()
    }
}

pub(crate) fn body(listing: &Listing) -> String {
    String::from_utf8(listing.body.to_vec()).unwrap()
}

pub(crate) async fn status(mirror: &Mirror, id: &str) -> String {
    let found = mirror.run(RunKind::Evaluation, id).await.unwrap();
    found.unwrap().status
}
