//! The operations whose every call is failed.

use docks_proto::routes::RunKind::{Evaluation, Run};

use super::database_files::DatabaseFiles;
use super::previous_schemas::{FEW, file_of_schema};
use super::steps::{Session, Step};

const DAY: i64 = 24 * 60 * 60 * 1_000;

/// A file, and what is done with it on a disk that fails.
pub(super) struct Operation {
    pub(super) file: DatabaseFiles,
    /// Whether the mirror is open before the disk fails.
    pub(super) opened_before: bool,
    pub(super) steps: Vec<Step>,
}

impl Operation {
    /// Begins it with a copy of the file.
    pub(super) async fn start(&self) -> (DatabaseFiles, Session) {
        let files = DatabaseFiles::copy_of(&self.file.path);
        let session = self.start_with(&files).await;
        (files, session)
    }

    pub(super) async fn start_with(&self, files: &DatabaseFiles) -> Session {
        let mut session = Session::at(&files.path);
        if self.opened_before {
            session.take(&Step::Open).await.unwrap().unwrap();
        }
        session
    }
}

/// Returns a mirror with some runs and trials, to which `more` was done.
async fn file_after(more: &[Step]) -> DatabaseFiles {
    let files = DatabaseFiles::new();
    let mut session = Session::at(&files.path);
    let usual = [
        Step::Open,
        Step::Runs(Evaluation, 0..40, "running", 10),
        Step::Runs(Run, 0..20, "failed", 11),
        Step::Trials("r1", 0..30, "running", 12),
        Step::Trials("r2", 0..5, "passed", 13),
    ];
    for step in usual.iter().chain(more) {
        session.take(step).await.unwrap().unwrap();
    }
    if !session.is_open() {
        return files;
    }
    // As a process leaves it that is killed: with its log.
    let crashed = DatabaseFiles::copy_of(&files.path);
    session.take(&Step::Close).await.unwrap().unwrap();
    crashed
}

/// Many runs and trials into a file that does not exist yet.
pub(super) async fn first_sync() -> Operation {
    Operation {
        file: DatabaseFiles::new(),
        opened_before: false,
        steps: vec![
            Step::Open,
            Step::Runs(Evaluation, 0..120, "running", 10),
            Step::Runs(Run, 0..60, "failed", 11),
            Step::Trials("r1", 0..100, "passed", 12),
            Step::Confirmation(13),
            Step::Read,
        ],
    }
}

pub(super) async fn delta() -> Operation {
    Operation {
        file: file_after(&[Step::Close]).await,
        opened_before: true,
        steps: vec![
            Step::Runs(Evaluation, 3..6, "completed", 20),
            Step::Runs(Evaluation, 40..43, "running", 21),
            Step::Trial("r1", 3, "passed", 22),
            Step::Trials("r1", 0..60, "passed", 23),
            Step::Read,
            Step::Confirmation(24),
        ],
    }
}

/// Runs and trials that the remote has deleted.
pub(super) async fn tombstones() -> Operation {
    Operation {
        file: file_after(&[]).await,
        opened_before: true,
        steps: vec![
            Step::Tombstone(3, 20),
            Step::Trials("r1", 0..10, "running", 21),
            Step::Tombstone(4, 22),
            Step::Read,
        ],
    }
}

/// Old tombstones and old history are deleted.
pub(super) async fn eviction() -> Operation {
    let file = file_after(&[
        Step::Tombstone(1, 20),
        Step::Tombstone(3, 20),
        Step::Trials("r2", 0..2, "passed", 21),
        Step::Runs(Evaluation, 10..20, "completed", 100 * DAY),
        Step::Close,
    ]);
    Operation {
        file: file.await,
        opened_before: true,
        steps: vec![Step::Upkeep(101 * DAY), Step::Read],
    }
}

/// Opening a file of an earlier schema.
pub(super) async fn migration(from: usize) -> Operation {
    Operation {
        file: file_of_schema(from, FEW).await,
        opened_before: false,
        steps: vec![Step::Open, Step::Read, Step::Note("migrated")],
    }
}

/// Upkeep of a file with a long log and nothing to delete.
pub(super) async fn checkpoint() -> Operation {
    Operation {
        file: file_after(&[]).await,
        opened_before: true,
        steps: vec![
            Step::Runs(Evaluation, 0..40, "completed", 20),
            Step::Upkeep(21),
            Step::Read,
            Step::Note("after"),
        ],
    }
}

/// Rebuilding a file that another program holds alone.
pub(super) async fn vacuum() -> Operation {
    Operation {
        file: file_after(&[Step::Tombstone(1, 20), Step::Upkeep(101 * DAY), Step::Close]).await,
        opened_before: false,
        steps: vec![Step::Vacuum, Step::Open, Step::Read],
    }
}

/// The end of a daemon that is in the middle of its writes.
pub(super) async fn stop() -> Operation {
    let mut writes = vec![Step::Runs(Evaluation, 0..60, "completed", 20)];
    for number in 0..10 {
        let at = 21 + i64::from(number);
        writes.push(Step::Runs(Run, number..number + 3, "completed", at));
        writes.push(Step::Trial("r1", number, "passed", at));
    }
    writes.push(Step::Note("last"));
    Operation {
        file: file_after(&[]).await,
        opened_before: true,
        steps: vec![Step::CloseWhileWriting(writes)],
    }
}

/// The end of a daemon that has nothing left to do, with a log to be moved into the file.
pub(super) async fn shutdown() -> Operation {
    Operation {
        file: file_after(&[]).await,
        opened_before: true,
        steps: vec![Step::Read, Step::Close],
    }
}

/// The start after a crash, with a log to be recovered.
pub(super) async fn recovery() -> Operation {
    Operation {
        file: file_after(&[]).await,
        opened_before: false,
        steps: vec![Step::Open, Step::Read, Step::Note("recovered")],
    }
}
