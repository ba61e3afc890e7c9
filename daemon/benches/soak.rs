//! A daemon under full load beside a remote that changes, for ten minutes after five of warming up: every
//! request is answered, every list is as new as it claims, and neither memory nor descriptors grow in
//! the ten minutes. Exits with 1 if not.
//!
//! `cargo build --release && cargo bench -p docksd --bench soak [-- SECONDS]`

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark stops at the step that fails"
)]
#![expect(clippy::print_stdout, reason = "its figures are its output")]

mod daemon_process;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use docks_proto::client::{Client, ClientError, body};
use docks_proto::event::EventQuery;
use docks_proto::freshness::CachePolicy;
use docks_proto::object::RawObject;
use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use daemon_process::Daemon;
use docksd_testkit::fake_remote::{FakeRemote, RemoteData, TENANT, profile_settings};
use docksd_testkit::measure::format_count;

/// So many that the mirror is larger than all caches of its connections: they fill while it warms up.
const RUNS: usize = 2_000;
/// Runs that change; like all that is active, they are polled every few seconds.
const ACTIVE: usize = 40;
const READERS: usize = 16;
const WATCHERS: usize = 50;
/// Lists of something active are older only if two polls were missed.
const MAX_AGE: Duration = Duration::from_secs(15);
const MAX_GROWTH: f64 = 0.05;
/// Most of what may be open besides what clients hold: connections to the remote and to the mirror.
const MAX_MORE_DESCRIPTORS: usize = 8;

fn run_id(number: usize) -> String {
    format!("run-{number:04}")
}

/// Which change each of the active runs had when.
struct Changes(Mutex<Vec<Vec<(UnixMs, u64)>>>);

impl Changes {
    fn record(&self, run: usize, number: u64) {
        self.0.lock().unwrap()[run].push((UnixMs::now(), number));
    }

    /// Returns the number of the change that a run had before that time.
    fn before(&self, run: usize, time: UnixMs) -> u64 {
        let changes = self.0.lock().unwrap();
        let before = changes[run].partition_point(|(at, _)| *at < time);
        before.checked_sub(1).map_or(0, |last| changes[run][last].1)
    }
}

#[derive(Default)]
struct Counts {
    answers: AtomicU64,
    confirmed: AtomicU64,
    events: AtomicU64,
    errors: Mutex<Vec<String>>,
    outdated: Mutex<Vec<String>>,
    oldest_ms: AtomicU64,
}

impl Counts {
    fn fail(&self, error: String) {
        self.errors.lock().unwrap().push(error);
    }
}

struct Load {
    client: Client,
    changes: Changes,
    counts: Counts,
}

impl Load {
    /// Reads a list and checks that it is as new as it claims.
    async fn read_list(&self, limit: u64, allowed: CachePolicy) -> Result<(), ClientError> {
        let query = ListQuery {
            limit,
            ..ListQuery::default()
        };
        let listed = self.client.list_runs(RunKind::Evaluation, &query, allowed);
        let answer = listed.await?;
        let freshness = answer.freshness.expect("a list has an age");
        let age_ms = u64::try_from(freshness.age.as_millis()).unwrap_or(u64::MAX);
        self.counts.oldest_ms.fetch_max(age_ms, Ordering::Relaxed);
        if freshness.age > MAX_AGE || freshness.stale_reason.is_some() {
            let mut outdated = self.counts.outdated.lock().unwrap();
            outdated.push(format!("{:?} {:?}", freshness.age, freshness.stale_reason));
        }
        for object in body::parse_list(&answer.body).unwrap().objects {
            self.check(&object, freshness.as_of);
        }
        Ok(())
    }

    fn check(&self, object: &RawObject, as_of: UnixMs) {
        let object: serde_json::Value = serde_json::from_str(object.text()).unwrap();
        let id = object["id"].as_str().unwrap();
        let run: usize = id.trim_start_matches("run-").parse().unwrap();
        let shown = object["change"].as_u64().unwrap_or(0);
        if run >= RUNS - ACTIVE && shown < self.changes.before(run - (RUNS - ACTIVE), as_of) {
            let mut outdated = self.counts.outdated.lock().unwrap();
            outdated.push(format!("{id} shows change {shown}"));
        }
    }

    /// Reads one thing after the other, as fast as they are answered.
    async fn read(&self, number: usize) {
        for turn in number.. {
            let id = run_id(turn * 7 % RUNS);
            let answered = match turn % 8 {
                0..4 => {
                    let limit = 20 + (turn % 50) as u64;
                    self.read_list(limit, CachePolicy::Default).await
                }
                4 => self.read_list(0, CachePolicy::Default).await,
                5 => {
                    let run = self
                        .client
                        .run(RunKind::Evaluation, &id, CachePolicy::Default);
                    run.await.map(drop)
                }
                6 => {
                    let all = ListQuery::default();
                    let trials = self.client.trials(&id, &all, CachePolicy::Default);
                    trials.await.map(drop)
                }
                _ => self.client.history(&id, None).await.map(drop),
            };
            self.counts.answers.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = answered {
                self.counts.fail(error.to_string());
            }
        }
    }

    /// Reads a list twice a second that the remote must confirm.
    async fn read_confirmed(&self) {
        let mut pace = interval(Duration::from_millis(500));
        for turn in 0_u64.. {
            pace.tick().await;
            let allowed = match turn % 2 {
                0 => CachePolicy::NoCache,
                _ => CachePolicy::MaxAge(Duration::from_secs(1)),
            };
            if let Err(error) = self.read_list(50, allowed).await {
                self.counts.fail(error.to_string());
            }
            self.counts.confirmed.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn watch(&self) {
        let watched = self.client.events(&EventQuery::default(), None).await;
        let mut stream = match watched {
            Ok(stream) => stream,
            Err(error) => return self.counts.fail(format!("watch: {error}")),
        };
        loop {
            match stream.next().await {
                Ok(Some(_)) => drop(self.counts.events.fetch_add(1, Ordering::Relaxed)),
                Ok(None) => return self.counts.fail("a watch ended".to_owned()),
                Err(error) => return self.counts.fail(format!("watch: {error}")),
            }
        }
    }

    /// Changes the active runs: ten times a second, and ten times as often until `warm`, so that the
    /// history outgrows all caches by then.
    async fn change(&self, remote: &FakeRemote, warm: Instant) {
        let mut pace = interval(Duration::from_millis(10));
        for number in 1_u64.. {
            pace.tick().await;
            if number % 10 != 0 && Instant::now() > warm {
                continue;
            }
            let run = fastrand::usize(..ACTIVE);
            let id = run_id(RUNS - ACTIVE + run);
            remote.with_data(|data| {
                let status = ["running", "pending"][fastrand::usize(..2)];
                data.advance(RunKind::Evaluation, &id, status);
                data.set(RunKind::Evaluation, &id, "change", number.into());
            });
            self.changes.record(run, number);
            if number.is_multiple_of(100) {
                remote.take_log();
            }
        }
    }
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.unwrap().parse().unwrap()
}

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .count()
}

/// Memory and descriptors, over some seconds.
async fn sample(pid: u32, span: Duration) -> (f64, usize) {
    let (mut memory, mut most, mut count) = (0, 0, 0);
    let start = Instant::now();
    while start.elapsed() < span {
        memory += resident_kib(pid);
        most = most.max(descriptors(pid));
        count += 1;
        sleep(Duration::from_millis(200)).await;
    }
    (memory as f64 / f64::from(count) / 1_024.0, most)
}

#[tokio::main]
async fn main() -> ExitCode {
    let seconds = std::env::args().find_map(|argument| argument.parse().ok());
    let span = Duration::from_secs(seconds.unwrap_or(600));
    let mut data = RemoteData::default();
    for number in 0..RUNS {
        let status = match number < RUNS - ACTIVE {
            true => "completed",
            false => "running",
        };
        data.add_evaluation(&run_id(number), status);
        for trial in 0..4 {
            data.add_trial(&run_id(number), &format!("t-{number}-{trial}"), status);
        }
    }
    let remote = FakeRemote::start(data).await;
    let home = tempfile::tempdir().unwrap();
    // Readers that the remote must confirm are no part of what is limited here.
    std::fs::write(
        home.path().join("daemon.toml"),
        "budget_per_minute = 60000\n",
    )
    .unwrap();
    let daemon = Daemon::start(home, TENANT, &profile_settings(&remote.url()));
    daemon.wait_until_ready().await;
    daemon.client().sync(true, |_| {}).await.unwrap();
    let load = Arc::new(Load {
        client: daemon.client(),
        changes: Changes(Mutex::new(vec![Vec::new(); ACTIVE])),
        counts: Counts::default(),
    });

    let mut clients = JoinSet::new();
    for number in 0..READERS {
        let load = Arc::clone(&load);
        clients.spawn(async move { load.read(number).await });
    }
    for _ in 0..WATCHERS {
        let load = Arc::clone(&load);
        clients.spawn(async move { load.watch().await });
    }
    let confirmed = Arc::clone(&load);
    clients.spawn(async move { confirmed.read_confirmed().await });
    let changing = Arc::clone(&load);
    // Every thread of the allocator has had its largest piece of work by then.
    let warm_up = span / 2;
    let warm = Instant::now() + warm_up;
    clients.spawn(async move { changing.change(&remote, warm).await });

    let pid = daemon.child.id();
    sleep(warm_up).await;
    let mut samples = Vec::new();
    for _ in 0..20 {
        samples.push(sample(pid, span / 40).await);
        sleep(span / 40).await;
    }
    let ((before_mb, before_open), (after_mb, after_open)) = (samples[0], samples[19]);
    clients.shutdown().await;

    let counts = &load.counts;
    let (errors, outdated) = (
        counts.errors.lock().unwrap(),
        counts.outdated.lock().unwrap(),
    );
    let growth = after_mb / before_mb - 1.0;
    println!(
        "| {} s, {READERS} readers, {WATCHERS} watchers | |",
        span.as_secs()
    );
    println!("| --- | --- |");
    let read = |count: &AtomicU64| format_count(count.load(Ordering::Relaxed));
    println!("| requests | {} |", read(&counts.answers));
    println!(
        "| of lists that the remote confirmed | {} |",
        read(&counts.confirmed)
    );
    println!("| events | {} |", read(&counts.events));
    println!("| errors | {} |", errors.len());
    println!("| lists that were not current | {} |", outdated.len());
    let oldest_s = counts.oldest_ms.load(Ordering::Relaxed) as f64 / 1e3;
    println!("| oldest list | {oldest_s:.1} s |");
    println!(
        "| memory | {before_mb:.1} → {after_mb:.1} MB, {:+.1} % |",
        growth * 100.0
    );
    let course: Vec<String> = samples.iter().map(|(mb, _)| format!("{mb:.1}")).collect();
    println!("| in the course | {} |", course.join(" "));
    println!("| descriptors | {before_open} → {after_open} |");
    for problem in errors.iter().chain(outdated.iter()).take(10) {
        println!("{problem}");
    }
    let answered = counts.answers.load(Ordering::Relaxed) > 0;
    let sound = answered
        && errors.is_empty()
        && outdated.is_empty()
        && growth <= MAX_GROWTH
        && after_open <= before_open + MAX_MORE_DESCRIPTORS;
    match sound {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
