//! Every call of every operation fails, in every way.

use docksd_fault_vfs::{Failure, Plan};

use super::database_files::DatabaseFiles;
use super::one_fault::{Tally, try_fault};
use super::operations::{self, Operation};
use super::points::distance;
use super::previous_schemas::{kept_rows, schema_count};
use super::reference::Reference;
use super::steps::{Session, Step};

/// Fails the calls of an operation one after the other.
async fn sweep(name: &str, operation: Operation) {
    let mut reference = Reference::of(&operation).await;
    let mut plans = Vec::new();
    for failure in [
        Failure::Io,
        Failure::Full,
        Failure::ShortWrite,
        Failure::UnreadableSector,
    ] {
        let calls = reference.count_calls(&operation, failure).await;
        for once in [true, false] {
            // A file of which nothing can be read any more is damaged.
            if once || failure != Failure::UnreadableSector {
                plans.extend((0..calls).map(|at| Plan { failure, at, once }));
            }
        }
    }
    let mut tally = Tally::default();
    let mut wrong = Vec::new();
    for plan in plans.into_iter().step_by(distance(USUAL_DISTANCE)) {
        // Where threads meet differently, an operation may end before this call; then it is tried again.
        for left in (0..ATTEMPTS).rev() {
            let failed_before = tally.failed_calls;
            if let Err(what) = try_fault(&operation, &reference, plan, &mut tally).await {
                wrong.push(format!("{plan:?}: {what}"));
                break;
            }
            if tally.failed_calls > failed_before || left == 0 {
                break;
            }
            tally.points -= 1;
        }
    }
    report(name, &tally, &wrong);
    // Where writes wait for each other, calls are not the same each time.
    let most = tally.points - tally.points.div_ceil(10);
    assert!(tally.failed_calls >= most, "{name}: few calls failed");
}

#[expect(clippy::print_stdout, reason = "the figures of a proof")]
fn report(name: &str, tally: &Tally, wrong: &[String]) {
    println!(
        "{name}: {} points, {} calls failed, {} steps failed, {} survived, at most {:.3} s longer",
        tally.points,
        tally.failed_calls,
        tally.failed_steps,
        tally.points - wrong.len(),
        tally.longest_delay.as_secs_f64(),
    );
    let some = &wrong[..wrong.len().min(12)];
    assert!(
        wrong.is_empty(),
        "{name}, among others:\n{}",
        some.join("\n")
    );
}

/// The distance of points in a usual run.
const USUAL_DISTANCE: usize = 59;

/// How often a point is tried whose call is not made.
const ATTEMPTS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_sync_survives_a_failing_disk() {
    sweep("first sync", operations::first_sync().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delta_survives_a_failing_disk() {
    sweep("delta", operations::delta().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tombstones_survive_a_failing_disk() {
    sweep("tombstones", operations::tombstones().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_eviction_survives_a_failing_disk() {
    sweep("eviction", operations::eviction().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_survives_a_failing_disk() {
    sweep("checkpoint", operations::checkpoint().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vacuum_survives_a_failing_disk() {
    sweep("vacuum", operations::vacuum().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_amid_writes_survives_a_failing_disk() {
    sweep("stop", operations::stop().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_survives_a_failing_disk() {
    sweep("shutdown", operations::shutdown().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_after_a_crash_survives_a_failing_disk() {
    sweep("recovery", operations::recovery().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_migration_survives_a_failing_disk() {
    for from in 1..schema_count() {
        let operation = operations::migration(from).await;
        let migrated = DatabaseFiles::copy_of(&operation.file.path);
        let mut session = Session::at(&migrated.path);
        for step in [Step::Open, Step::Close] {
            session.take(&step).await.unwrap().unwrap();
        }
        let kept = [&operation.file, &migrated].map(|files| kept_rows(&files.path, from));
        assert!(kept[0] == kept[1], "migrating from {from} changes rows");
        sweep(&format!("migration from {from}"), operation).await;
    }
}
