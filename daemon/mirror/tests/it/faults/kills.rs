//! A process that is killed in the middle of a migration.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use docks_proto::time::UnixMs;
use docksd_fault_vfs::{Failure, FaultyDisk, Plan};
use docksd_mirror::Mirror;

use super::database_files::{DatabaseFiles, dump};
use super::points::distance;
use super::previous_schemas::{FEW, MANY, file_of_schema, kept_rows, schema_count};
use crate::support::IDENTITY;

/// Set in the child process that is killed: the failure and the number of the call.
const CHILD: &str = "DOCKS_TEST_MIRROR_KILLED";
const CHILD_FILE: &str = "DOCKS_TEST_MIRROR_KILLED_FILE";

const TEST: &str =
    "faults::kills::a_migration_that_is_killed_anywhere_is_finished_by_the_next_start";

const SIGKILL: i32 = 9;

fn open(path: &Path) -> Result<Mirror, String> {
    match Mirror::open(path, IDENTITY, UnixMs(1_000)) {
        Ok((mirror, report)) if report.set_aside.is_none() => Ok(mirror),
        other => Err(format!("it does not open: {other:?}")),
    }
}

/// Opens the file in this process, which does not survive it.
fn be_killed(plan: &str) {
    let path = std::env::var_os(CHILD_FILE).unwrap();
    let (failure, at) = plan.split_once(' ').unwrap();
    let disk = FaultyDisk::of(Path::new(&path));
    disk.fail(Plan {
        failure: match failure {
            "Kill" => Failure::Kill,
            _ => Failure::KillInWrite,
        },
        at: at.parse().unwrap(),
        once: true,
    });
    drop(open(Path::new(&path)));
}

/// Kills a process that migrates a copy of `file`, and checks what the next one finds.
async fn try_kill(
    file: &DatabaseFiles,
    (failure, at): (Failure, u64),
    (old, new): (&str, &str),
) -> Result<(), String> {
    let files = DatabaseFiles::copy_of(&file.path);
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", TEST])
        .env(CHILD, format!("{failure:?} {at}"))
        .env(CHILD_FILE, &files.path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    if status.signal() != Some(SIGKILL) {
        return Err(format!("the process was not killed: {status}"));
    }
    let found = dump(&DatabaseFiles::copy_of(&files.path).path)?;
    // A new file's journal mode and its owner are commits of their own.
    let is_known = found == old || found == new || found == without_owner(new);
    if !is_known {
        return Err("it holds neither the old nor the new schema".into());
    }
    open(&files.path)?.close().await;
    if dump(&files.path)? != new {
        return Err("the next start does not finish it".into());
    }
    match files.others() {
        others if others.is_empty() => Ok(()),
        others => Err(format!("it leaves {others:?}")),
    }
}

/// Returns what a migrated file holds before it is assigned to its remote.
fn without_owner(content: &str) -> String {
    let lines = content
        .lines()
        .filter(|line| !line.starts_with("identity: "));
    lines.collect::<Vec<_>>().join("\n")
}

/// Kills processes that migrate a file, at every n-th call.
async fn kill_migrations_of(version: usize, trials: u32, distance: usize) {
    let file = file_of_schema(version, trials).await;
    let migrated = DatabaseFiles::copy_of(&file.path);
    open(&migrated.path).unwrap().close().await;
    let kept = [&file, &migrated].map(|files| kept_rows(&files.path, version));
    assert!(kept[0] == kept[1], "migrating from {version} changes rows");
    let states = [&file, &migrated].map(|files| dump(&files.path).unwrap());
    let mut points = Vec::new();
    for failure in [Failure::Kill, Failure::KillInWrite] {
        let files = DatabaseFiles::copy_of(&file.path);
        files.disk.count(failure);
        let mirror = open(&files.path).unwrap();
        let (calls, _) = files.disk.mend();
        mirror.close().await;
        points.extend((0..calls).map(|at| (failure, at)));
    }
    let mut wrong = Vec::new();
    let mut tried = 0;
    for point in points.into_iter().step_by(distance) {
        tried += 1;
        if let Err(what) = try_kill(&file, point, (&states[0], &states[1])).await {
            wrong.push(format!("{point:?}: {what}"));
        }
    }
    report(version, trials, tried, &wrong);
}

#[expect(clippy::print_stdout, reason = "the figures of a proof")]
fn report(version: usize, trials: u32, tried: usize, wrong: &[String]) {
    let survived = tried - wrong.len();
    println!("kills from schema {version}, {trials} trials: {tried} tried, {survived} survived");
    let some = &wrong[..wrong.len().min(12)];
    assert!(wrong.is_empty(), "among others:\n{}", some.join("\n"));
}

#[tokio::test]
async fn a_migration_that_is_killed_anywhere_is_finished_by_the_next_start() {
    if let Ok(plan) = std::env::var(CHILD) {
        return be_killed(&plan);
    }
    for version in 0..schema_count() {
        kill_migrations_of(version, FEW, distance(13)).await;
    }
}

#[tokio::test]
async fn a_migration_that_is_killed_before_it_commits_changes_nothing() {
    // The one that writes the table of the trials anew. Each point takes seconds.
    kill_migrations_of(4, MANY, distance(23) * 200).await;
}
