//! A log that lost its end, or was written in part, when the power failed.

use std::ops::Range;

use docks_proto::routes::RunKind::{Evaluation, Run};
use tokio::sync::OnceCell;

use super::database_files::{DatabaseFiles, dump, dump_unchecked};
use super::points::distance;
use super::steps::{Session, Step};
use super::wal::Wal;

const COMMITS: u32 = 200;
const TEARS: u64 = 1_000;
const HALF_CHECKPOINTS: u64 = 200;

/// What a disk writes at once, whatever is written to it.
const SECTOR: usize = 512;
const PAGE: usize = 4_096;

/// A database with a log of 200 commits.
struct Log {
    /// The database, to which none of the commits has been moved.
    database: Vec<u8>,
    /// The database to which all have been moved.
    checkpointed: Vec<u8>,
    wal: Wal,
    /// What the database holds after 0, 1, … commits.
    states: Vec<String>,
}

/// Made once: reading 200 states takes seconds.
static LOG: OnceCell<Log> = OnceCell::const_new();

impl Log {
    async fn get() -> &'static Self {
        LOG.get_or_init(Self::new).await
    }

    async fn new() -> Self {
        let files = DatabaseFiles::new();
        let mut session = Session::at(&files.path);
        let usual = [
            Step::Open,
            Step::Runs(Evaluation, 0..10, "running", 10),
            Step::Close,
            Step::Open,
        ];
        for step in &usual {
            session.take(step).await.unwrap().unwrap();
        }
        let database = std::fs::read(&files.path).unwrap();
        let mut states = vec![dump_unchecked(&files.path)];
        for commit in 0..COMMITS {
            let at = 20 + i64::from(commit);
            let step = match commit % 4 {
                0 => Step::Runs(Evaluation, commit % 10..commit % 10 + 3, "completed", at),
                1 => Step::Runs(Run, commit..commit + 2, "running", at),
                2 => Step::Trials("r1", 0..1 + commit % 30, "passed", at),
                _ => Step::Trial("r2", commit, "failed", at),
            };
            session.take(&step).await.unwrap().unwrap();
            // Read beside the open mirror, so from the log as it was written, not as it is recovered.
            states.push(dump_unchecked(&files.path));
        }
        let wal = Wal::new(std::fs::read(files.wal()).unwrap());
        assert_eq!(wal.commit_ends().len(), states.len() - 1);
        let unchanged = std::fs::read(&files.path).unwrap();
        assert!(database == unchanged, "the log holds all of the commits");
        session.take(&Step::Close).await.unwrap().unwrap();
        let checkpointed = std::fs::read(&files.path).unwrap();
        Self {
            database,
            checkpointed,
            wal,
            states,
        }
    }

    /// Returns the frames of the last commit.
    fn last_commit(&self) -> Range<usize> {
        let ends = self.wal.commit_ends();
        ends[ends.len() - 2]..ends[ends.len() - 1]
    }

    /// Returns how many commits are whole before the first byte in which a log differs from this one.
    fn commits_before_damage(&self, torn: &[u8]) -> usize {
        let whole = &self.wal.bytes;
        let differs = whole.iter().zip(torn).position(|(a, b)| a != b);
        let intact = match differs {
            Some(first) => self.wal.frame_start(first),
            None => torn.len().min(whole.len()),
        };
        let ends = self.wal.commit_ends();
        ends.iter().filter(|end| **end <= intact).count()
    }
}

/// Opens a mirror with such files, and checks that it is sound and holds the first `commits`.
async fn opens_after(log: &Log, database: &[u8], wal: &[u8], commits: usize) -> Result<(), String> {
    let files = DatabaseFiles::of_bytes(database, wal);
    let mut session = Session::at(&files.path);
    for step in [Step::Open, Step::Read, Step::Close] {
        let result = session.take(&step).await?;
        result.map_err(|failure| format!("{step:?} fails: {failure:?}"))?;
    }
    if session.was_set_aside || session.was_called_damaged || !files.others().is_empty() {
        return Err("the file is called damaged".into());
    }
    let content = dump(&files.path)?;
    if content == log.states[commits] {
        return Ok(());
    }
    let found = log.states.iter().position(|state| *state == content);
    Err(format!(
        "it holds the state after {found:?} commits, not after {commits}"
    ))
}

#[expect(clippy::print_stdout, reason = "the figures of a proof")]
fn report(what: &str, tried: usize, wrong: &[String]) {
    println!("{what}: {tried} tried, {} survived", tried - wrong.len());
    assert!(
        wrong.is_empty(),
        "{}",
        wrong[..wrong.len().min(12)].join("\n")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_cut_between_frames_ends_with_its_last_whole_commit() {
    let log = Log::get().await;
    let mut wrong = Vec::new();
    let mut tried = 0;
    let boundaries = log.wal.boundaries();
    for cut in boundaries.into_iter().step_by(distance(83)) {
        tried += 1;
        let ends = log.wal.commit_ends();
        let commits = ends.iter().filter(|end| **end <= cut).count();
        let result = opens_after(log, &log.database, &log.wal.bytes[..cut], commits).await;
        wrong.extend(result.err().map(|what| format!("cut at {cut}: {what}")));
    }
    report("cut between frames", tried, &wrong);
}

/// Returns a log as a power failure may leave it, which depends on the number only.
fn tear(log: &Log, number: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(number);
    let mut bytes = log.wal.bytes.clone();
    let last = log.last_commit();
    let sector_in = |range: Range<usize>, random: &mut fastrand::Rng| {
        let start = random.usize(range.clone()) / SECTOR * SECTOR;
        start.max(range.start)..(start + SECTOR).min(range.end)
    };
    match number % 6 {
        // The end is missing, from the middle of a frame on.
        0 => bytes.truncate(random.usize(1..bytes.len())),
        // A sector of the last commit was not written: zeros in a file that has grown.
        1 => bytes[sector_in(last, &mut random)].fill(0),
        // A sector of the last commit has what a former log had there.
        2 => {
            let sector = sector_in(last.clone(), &mut random);
            let earlier = random.usize(0..last.start - SECTOR);
            bytes.copy_within(earlier..earlier + sector.len(), sector.start);
        }
        // A write in the last commit is lost, and those after it are not.
        3 => {
            let frame = log.wal.frame_start(random.usize(last));
            let end = (frame + PAGE).min(bytes.len());
            bytes[frame..end].fill(0);
        }
        // Behind the end there is what a former file had there.
        4 => {
            bytes.truncate(random.usize(1..bytes.len()));
            let garbage = random.usize(1..3 * PAGE);
            bytes.extend((0..garbage).map(|_| random.u8(..)));
        }
        // A sector of the last commit was written wrongly. In front of it, that is damage: the mirror is
        // rebuilt with what follows, as other tests show.
        _ => {
            let sector = sector_in(last, &mut random);
            bytes[sector].fill_with(|| random.u8(..));
        }
    }
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_log_ends_with_the_last_commit_before_the_tear() {
    let log = Log::get().await;
    let mut wrong = Vec::new();
    let mut tried = 0;
    for number in (0..TEARS).step_by(distance(29)) {
        tried += 1;
        let torn = tear(log, number);
        let commits = log.commits_before_damage(&torn);
        let result = opens_after(log, &log.database, &torn, commits).await;
        wrong.extend(result.err().map(|what| format!("tear {number}: {what}")));
    }
    report("torn log", tried, &wrong);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_lost_any_writes_is_done_again() {
    let log = Log::get().await;
    let mut wrong = Vec::new();
    let mut tried = 0;
    for number in (0..HALF_CHECKPOINTS).step_by(distance(29)) {
        tried += 1;
        let mut random = fastrand::Rng::with_seed(number);
        let mut database = log.database.clone();
        // The writes of a checkpoint reach the disk in any order, sector by sector.
        for (sector, bytes) in log.checkpointed.chunks(SECTOR).enumerate() {
            let start = sector * SECTOR;
            if random.bool() {
                database.resize(database.len().max(start + bytes.len()), 0);
                database[start..start + bytes.len()].copy_from_slice(bytes);
            }
        }
        let commits = log.states.len() - 1;
        let result = opens_after(log, &database, &log.wal.bytes, commits).await;
        wrong.extend(
            result
                .err()
                .map(|what| format!("checkpoint {number}: {what}")),
        );
    }
    report("half a checkpoint", tried, &wrong);
}
