//! Runs jobs in one transaction.

use std::sync::Arc;

use super::commit_version::CommitVersion;
use super::context::WriterContext;
use super::job::Job;

/// Runs jobs in one transaction, commits it, then replies to each.
pub(super) fn run_in_transaction(
    context: &mut WriterContext,
    jobs: Vec<Box<dyn Job>>,
    version: &CommitVersion,
) {
    let changes_before = context.connection.total_changes();
    let single = jobs.len() == 1;
    let mut done: Vec<Box<dyn Job>> = Vec::with_capacity(jobs.len());
    let mut failure: Option<Arc<rusqlite::Error>> = execute(context, "BEGIN IMMEDIATE").err();
    for mut job in jobs {
        if failure.is_none() {
            failure = run_job(context, job.as_mut(), single).err();
        }
        done.push(job);
    }
    let commit = match failure {
        None => execute(context, "COMMIT"),
        Some(error) => Err(error),
    };
    if commit.is_err() && !context.connection.is_autocommit() {
        // Fails only if SQLite has rolled back in the meantime.
        drop(execute(context, "ROLLBACK"));
    }
    match commit {
        Ok(()) => context.renames.commit(),
        Err(_) => context.renames.roll_back_to(0),
    }
    announce_changes(context, changes_before, version);
    for job in done {
        job.reply(commit.clone());
    }
}

/// Runs a job outside any transaction, then replies.
pub(super) fn run_without_transaction(
    context: &mut WriterContext,
    mut job: Box<dyn Job>,
    version: &CommitVersion,
) {
    let changes_before = context.connection.total_changes();
    job.run(context);
    context.renames.commit();
    announce_changes(context, changes_before, version);
    job.reply(Ok(()));
}

/// Runs one job behind a savepoint; an error means that the whole transaction is lost.
fn run_job(
    context: &mut WriterContext,
    job: &mut dyn Job,
    single: bool,
) -> Result<(), Arc<rusqlite::Error>> {
    // A job that has the transaction to itself needs no savepoint, which would copy each page
    // that it changes.
    if !single {
        execute(context, "SAVEPOINT job")?;
    }
    let renames_before = context.renames.uncommitted();
    let succeeded = job.run(context);
    if !succeeded {
        context.renames.roll_back_to(renames_before);
    }
    if context.connection.is_autocommit() {
        // A full disk or a failed read rolls back everything, including the other jobs.
        return Err(Arc::new(rollback_cause(job.sqlite_error())));
    }
    match (succeeded, single) {
        (true, true) => Ok(()),
        (true, false) => execute(context, "RELEASE job"),
        (false, true) => execute(context, "ROLLBACK").and_then(|()| execute(context, "BEGIN")),
        (false, false) => {
            execute(context, "ROLLBACK TO job").and_then(|()| execute(context, "RELEASE job"))
        }
    }
}

/// Returns what the other jobs of a transaction are told that a job has lost with this error.
fn rollback_cause(error: Option<&rusqlite::Error>) -> rusqlite::Error {
    let mut text = "another write of the same transaction failed".to_owned();
    let mut code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT_ROLLBACK);
    if let Some(error) = error {
        // With its code, which says whether the disk or the file is at fault.
        text = format!("{text}: {error}");
        code = error.sqlite_error().copied().unwrap_or(code);
    }
    rusqlite::Error::SqliteFailure(code, Some(text))
}

fn execute(context: &WriterContext, sql: &str) -> Result<(), Arc<rusqlite::Error>> {
    context
        .connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute([]))
        .map(drop)
        .map_err(Arc::new)
}

/// Tells readers' caches if rows have changed.
fn announce_changes(context: &WriterContext, changes_before: u64, version: &CommitVersion) {
    if context.connection.total_changes() != changes_before {
        version.increment();
    }
}
