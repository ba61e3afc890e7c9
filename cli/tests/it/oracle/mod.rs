//! Random reads of a remote that changes: no answer shows what the remote no longer had, or never had.
//!
//! Each object carries a version, and the test knows when the remote had which. What an answer shows, and
//! which rows it has, must be what the remote had at some time between the beginning of the command (with
//! `--max-age N`: N before it; otherwise the time that the answer says it was confirmed at) and its end.
//! Objects are checked one by one: two rows of an answer may be of two moments in that time.

mod history;
mod reads;
mod status_reads;
mod trial_reads;
mod world;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use docks_proto::client::UnixTransport;
use docks_proto::freshness::CachePolicy;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use serde_json::Value;
use tokio::task::JoinSet;

use self::history::{Collection, Window};
use self::reads::{
    Answer, Outcome, Read, Way, pick_policy, read_from_socket, read_with_program, transport,
};
use self::world::World;
use crate::sealed::CommandResult;
use crate::test_home::{PATIENCE, TestHome};

/// Reads of a usual test run; `DOCKS_ORACLE_READS` sets another number.
const READS: usize = 300;

/// Where the random numbers begin; `DOCKS_ORACLE_SEED` sets another one. Reads and changes happen at the same
/// time, so the same seed gives the same reads and changes, but not the same order of both.
const SEED: u64 = 20_261_130;

/// Rows of a small page: several pages make a list.
const SMALL_PAGE: usize = 3;

/// Readers beside each other.
const READERS: u64 = 2;

/// Times on the wire are whole milliseconds, of another clock.
const ROUNDING: Duration = Duration::from_millis(1);

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().unwrap())
}

/// What the readers share.
struct Shared {
    world: World,
    home: TestHome,
    transport: UnixTransport,
    started: (Instant, SystemTime),
    /// Reads that begin from now on must show nothing older than this.
    synced: Mutex<Instant>,
    reads_left: AtomicUsize,
    is_over: AtomicBool,
    /// Number of outages so far, and of those that are going on.
    outages: (AtomicUsize, AtomicUsize),
    counts: Mutex<BTreeMap<(Way, &'static str, &'static str), usize>>,
    /// Number of reads of statuses.
    status_reads: Mutex<usize>,
    /// Number of reads of what trials left behind.
    trial_reads: Mutex<usize>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_fresh_answer_is_right_or_there_is_none_and_no_answer_is_older_than_it_says() {
    read_while_it_changes(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nor_is_one_of_a_remote_whose_lists_come_in_small_pages() {
    read_while_it_changes(Some(SMALL_PAGE)).await;
}

/// Reads from a remote that sends at most so many rows of a list at once.
#[expect(clippy::print_stdout, reason = "the figures are worth seeing")]
async fn read_while_it_changes(page_cap: Option<usize>) {
    let seed = number("DOCKS_ORACLE_SEED").unwrap_or(SEED);
    let reads = number("DOCKS_ORACLE_READS").map_or(READS, |reads| reads.try_into().unwrap());
    let mut rng = fastrand::Rng::with_seed(seed);
    let world = World::start(&mut rng).await;
    world.remote.configure(|behaviour| behaviour.cap = page_cap);
    let home = TestHome::new();
    home.profile(&world.remote.url(), "canary-token");
    let settings = "budget_per_minute = 60000\nactive_interval = \"1s\"\nwatched_interval = \"1s\"\n\
                    idle_interval = \"1s\"\n";
    std::fs::write(home.path("docks/daemon.toml"), settings).unwrap();
    let shared = Arc::new(Shared {
        transport: transport(&home),
        world,
        home,
        started: (Instant::now(), SystemTime::now()),
        synced: Mutex::new(Instant::now()),
        reads_left: AtomicUsize::new(reads),
        is_over: AtomicBool::new(false),
        outages: (AtomicUsize::new(0), AtomicUsize::new(0)),
        counts: Mutex::default(),
        status_reads: Mutex::default(),
        trial_reads: Mutex::default(),
    });
    shared.sync(true).await.unwrap();
    let mut tasks = JoinSet::new();
    let changes = keep_changing(Arc::clone(&shared), rng.fork());
    tasks.spawn(async move {
        changes.await;
        Vec::new()
    });
    for _ in 0..READERS {
        tasks.spawn(keep_reading(Arc::clone(&shared), rng.fork()));
    }
    let mut problems = Vec::new();
    let mut readers_left = READERS;
    while let Some(ended) = tasks.join_next().await {
        // A panic ends the test now, and not when the others are done.
        let found = ended.unwrap_or_else(|panicked| {
            shared.stop();
            std::panic::resume_unwind(panicked.into_panic())
        });
        problems.extend(found);
        readers_left = readers_left.saturating_sub(1);
        if readers_left == 0 {
            shared.stop();
        }
    }
    let counts = std::mem::take(&mut *shared.counts.lock().unwrap());
    println!("{reads} reads: {counts:?}");
    let kept = shared.world.history().size();
    println!("{kept} versions, {:?} outages", shared.outages.0);
    println!("{} reads of statuses", shared.status_reads.lock().unwrap());
    println!(
        "{} reads of artifacts and comparisons",
        shared.trial_reads.lock().unwrap()
    );
    let found = problems.len();
    assert!(
        problems.is_empty(),
        "{found} violations with DOCKS_ORACLE_SEED={seed}:\n{}",
        problems[..found.min(10)].join("\n")
    );
    // An oracle that is only ever refused an answer proves nothing.
    let of = |policy, outcome| -> usize {
        let chosen = counts
            .iter()
            .filter(|((_, p, o), _)| (*p, *o) == (policy, outcome));
        chosen.map(|(_, count)| count).sum()
    };
    let (answered, unmet) = (of("fresh", "answer"), of("fresh", "exit 6"));
    assert!(
        answered > unmet,
        "{answered} fresh answers, {unmet} exits with 6"
    );
}

/// Changes the remote until the readers are done.
async fn keep_changing(shared: Arc<Shared>, mut rng: fastrand::Rng) {
    while !shared.is_over.load(Ordering::Relaxed) {
        shared.world.change(&mut rng);
        // Now and then it rests, so that a poll between two changes is what reads are answered from.
        let pause = if rng.u8(..40) == 0 {
            1_500
        } else {
            rng.u64(..30)
        };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// Reads until the number of reads is reached; returns what was wrong.
async fn keep_reading(shared: Arc<Shared>, mut rng: fastrand::Rng) -> Vec<String> {
    let mut problems = Vec::new();
    let one_less = |left: usize| left.checked_sub(1);
    let reads = &shared.reads_left;
    while let Ok(left) = reads.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less) {
        if rng.bool() {
            shared.world.change(&mut rng);
        }
        let done = match rng.u16(..200) {
            0 => shared.outage(&mut rng).await,
            1..3 => shared.sync(rng.bool()).await,
            _ => Ok(()),
        };
        let read = match (done, rng.u8(..16)) {
            (Ok(()), 0..2) => shared.read_statuses(&mut rng).await,
            (Ok(()), 2) => shared.read_trial_data(&mut rng).await,
            (Ok(()), _) => shared.read(&mut rng).await,
            (problem, _) => problem,
        };
        problems.extend(
            read.err()
                .map(|problem| format!("{left} reads before the end: {problem}")),
        );
    }
    problems
}

impl Shared {
    /// Lets all tasks end with what they are doing.
    fn stop(&self) {
        self.reads_left.store(0, Ordering::Relaxed);
        self.is_over.store(true, Ordering::Relaxed);
    }

    fn instant(&self, at: UnixMs) -> Instant {
        let (started, wall) = self.started;
        let wall = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let at = Duration::from_millis(at.0.unsigned_abs());
        match at.checked_sub(wall) {
            Some(after) => started + after,
            None => started
                .checked_sub(wall.saturating_sub(at))
                .unwrap_or(started),
        }
    }

    /// Does one random read, and checks its answer.
    async fn read(self: &Arc<Self>, rng: &mut fastrand::Rng) -> Result<(), String> {
        let read = Read::pick(rng, &self.world.history());
        let policy = pick_policy(rng);
        let way = match rng.u8(..40) {
            0..3 => Way::Program,
            3 if policy != CachePolicy::OnlyIfCached => Way::Direct,
            _ => Way::Socket,
        };
        let with_meta = rng.u8(..4) > 0;
        let synced = *self.synced.lock().unwrap();
        let outages = self.outages();
        let began = Instant::now();
        let outcome = if way == Way::Socket {
            read_from_socket(&self.transport, &read, policy).await
        } else {
            let (shared, read) = (Arc::clone(self), read.clone());
            let running = tokio::task::spawn_blocking(move || {
                let is_direct = way == Way::Direct;
                read_with_program(&shared.home, &read, policy, is_direct, with_meta)
            });
            running.await.unwrap()
        };
        let ended = Instant::now();
        let had_outage = outages.1 > 0 || self.outages() != outages;
        let required = match policy {
            _ if way == Way::Direct => Some(began),
            CachePolicy::NoCache => Some(began),
            CachePolicy::MaxAge(most) => Some(began - most),
            CachePolicy::Default | CachePolicy::OnlyIfCached => None,
        };
        let earliest = required.map_or(synced, |required| required.max(synced));
        let window = Window {
            from: earliest - ROUNDING,
            until: ended,
        };
        self.count(way, policy, &outcome);
        let checked = match &outcome {
            Outcome::Answer(answer) => self.check(&read, answer, (required, synced), window),
            Outcome::Refused(code, why) => self
                .check_refusal(&read, *code, policy, window, had_outage)
                .map_err(|problem| format!("{problem}: {why}")),
        };
        checked.map_err(|problem| format!("{way:?} {policy:?} {read:?}: {problem}"))
    }

    /// Checks an answer; what it says of its age must hold, and be as young as was required. All was read by a full
    /// sync that ended before.
    fn check(
        &self,
        read: &Read,
        answer: &Answer,
        (required, synced): (Option<Instant>, Instant),
        window: Window,
    ) -> Result<(), String> {
        let as_of = answer.as_of.map(|at| self.instant(at));
        if let (Some(at), Some(required)) = (as_of, required)
            && at + ROUNDING < required
        {
            let early = required - at;
            return Err(format!(
                "it was confirmed {early:?} before what was required"
            ));
        }
        let from = as_of.map_or(window.from, |at| window.from.max(at - ROUNDING));
        let window = Window { from, ..window };
        let is_whole = !answer.is_incomplete;
        let history = self.world.history();
        let rows = || answer.data.as_array().unwrap().iter().cloned();
        let of = |collection: &Collection| {
            // What a sync has read of a run is old again if the run is deleted and restored afterwards.
            let returned = matches!(collection, Collection::Trials(run)
                if !history.existed_throughout(&Collection::Runs(RunKind::Evaluation), run, window));
            let from = match returned {
                true => {
                    let claimed = as_of.max(required).unwrap_or(self.started.0);
                    claimed - ROUNDING
                }
                false => window.from,
            };
            if required.is_some() {
                return Window { from, ..window };
            }
            let read_since = synced - ROUNDING;
            history.noticeable(collection, Window { from, ..window }, read_since)
        };
        match read {
            Read::Runs(kind, selection) => {
                let collection = Collection::Runs(*kind);
                let rows: Vec<_> = rows().map(|row| (collection.clone(), row)).collect();
                history.check_list(&[collection], &rows, selection, is_whole, of)
            }
            Read::Trials(run, selection) => {
                let collection = Collection::Trials(run.clone());
                let rows: Vec<_> = rows().map(|row| (collection.clone(), row)).collect();
                history.check_list(&[collection], &rows, selection, is_whole, of)
            }
            Read::AllTrials(selection) => {
                let run = |row: &Value| row["docks_run"]["id"].as_str().unwrap().to_owned();
                let rows: Vec<_> = rows()
                    .map(|row| (Collection::Trials(run(&row)), row))
                    .collect();
                let runs = history.ids(&Collection::Runs(RunKind::Evaluation));
                let collections: Vec<_> = runs.into_iter().map(Collection::Trials).collect();
                history.check_list(&collections, &rows, selection, is_whole, of)
            }
            Read::Run(kind, _) => {
                history.check_object(&Collection::Runs(*kind), &answer.data, window)
            }
            Read::Trial(run, _) => {
                let collection = Collection::Trials(run.clone());
                history.check_object(&collection, &answer.data, of(&collection))
            }
        }
    }

    /// Checks that there is a reason to refuse an answer.
    fn check_refusal(
        &self,
        read: &Read,
        code: i32,
        policy: CachePolicy,
        window: Window,
        had_outage: bool,
    ) -> Result<(), String> {
        let is_bounded = matches!(policy, CachePolicy::NoCache | CachePolicy::MaxAge(_));
        let history = self.world.history();
        let existed = |collection: Collection, id: &String| {
            history.existed_throughout(&collection, id, window)
        };
        match (code, read) {
            (3, Read::Run(kind, id)) if !existed(Collection::Runs(*kind), id) => Ok(()),
            (3, Read::Trials(run, _)) if !existed(Collection::Runs(RunKind::Evaluation), run) => {
                Ok(())
            }
            (3, Read::Trial(run, id)) if !existed(Collection::Trials(run.clone()), id) => Ok(()),
            (3, _) => Err("it was not found, and the remote had it all the time".to_owned()),
            (5, _) if policy == CachePolicy::OnlyIfCached || had_outage => Ok(()),
            (6, _) if is_bounded => Ok(()),
            _ => Err(format!("exit code {code}")),
        }
    }

    fn outages(&self) -> (usize, usize) {
        let (begun, going_on) = &self.outages;
        (
            begun.load(Ordering::Relaxed),
            going_on.load(Ordering::Relaxed),
        )
    }

    /// Lets the remote fail for some reads, and waits until the daemon has noticed its return.
    async fn outage(self: &Arc<Self>, rng: &mut fastrand::Rng) -> Result<(), String> {
        let (begun, going_on) = &self.outages;
        going_on.fetch_add(1, Ordering::Relaxed);
        begun.fetch_add(1, Ordering::Relaxed);
        self.world.begin_outage(rng);
        let mut outcome = Ok(());
        for _ in 0..rng.u8(1..8) {
            if outcome.is_ok() {
                outcome = self.read(rng).await;
            }
        }
        self.world.end_outage();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let result = self.run_sync(false).await;
            if result.code == Some(0) {
                break;
            }
            assert!(Instant::now() < deadline, "the remote is back: {result:?}");
        }
        going_on.fetch_sub(1, Ordering::Relaxed);
        outcome
    }

    async fn run_sync(self: &Arc<Self>, full: bool) -> CommandResult {
        let shared = Arc::clone(self);
        let line = if full { "sync --full" } else { "sync" };
        let running = tokio::task::spawn_blocking(move || shared.home.run(line));
        running.await.unwrap()
    }

    /// Syncs. After a full sync nothing that is older than its beginning is shown.
    async fn sync(self: &Arc<Self>, full: bool) -> Result<(), String> {
        let outages = self.outages();
        let began = Instant::now();
        let result = self.run_sync(full).await;
        let had_outage = outages.1 > 0 || self.outages() != outages;
        match result.code {
            Some(0) if full => {
                let mut synced = self.synced.lock().unwrap();
                *synced = began.max(*synced);
                Ok(())
            }
            Some(0) => Ok(()),
            Some(5) if had_outage => Ok(()),
            code => Err(format!("sync exits with {code:?}: {}", result.stderr)),
        }
    }

    fn count(&self, way: Way, policy: CachePolicy, outcome: &Outcome) {
        let policy = match policy {
            CachePolicy::Default => "default",
            CachePolicy::NoCache => "fresh",
            CachePolicy::MaxAge(_) => "max-age",
            CachePolicy::OnlyIfCached => "offline",
        };
        let outcome = match outcome {
            Outcome::Answer(_) => "answer",
            Outcome::Refused(3, _) => "exit 3",
            Outcome::Refused(5, _) => "exit 5",
            Outcome::Refused(6, _) => "exit 6",
            Outcome::Refused(..) => "other exit",
        };
        let mut counts = self.counts.lock().unwrap();
        *counts.entry((way, policy, outcome)).or_default() += 1;
    }
}
