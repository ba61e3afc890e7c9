//! A home directory with a filled mirror, a running `docksd`, and programs timed in turn.

#![expect(clippy::unwrap_used, reason = "a benchmark fails if a step fails")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use docks_proto::object::RawObject;
use docks_proto::routes::RunKind;
use docks_proto::settings::Target;
use docks_proto::time::UnixMs;
use docksd::registry::{OwnedRemote, Owner, database_path, identity};
use docksd_mirror::{Confirmation, Mirror, Provenance, Resource, RunBatch};
use docksd_sync::apply::last_sweep_note_key;

/// No server listens there: the benchmark times the mirror, which no answer changes meanwhile.
const API_URL: &str = "http://127.0.0.1:9";
const TENANT: &str = "bench";
const BATCH: u64 = 20_000;

/// A temporary home directory; its daemon is stopped on drop.
pub(crate) struct BenchHome {
    /// The home.
    pub(crate) home: tempfile::TempDir,
    /// Mirror file.
    pub(crate) database: PathBuf,
    daemon: Option<Child>,
}

/// Returns a program of this workspace, built by `cargo build --release`.
pub(crate) fn program(name: &str) -> PathBuf {
    // This runs as target/release/deps/NAME-HASH.
    let here = std::env::current_exe().unwrap();
    let path = here.ancestors().nth(2).unwrap().join(name);
    assert!(
        path.is_file(),
        "{} is missing; run `cargo build --release` first",
        path.display()
    );
    path
}

fn run(n: u64, count: u64) -> RawObject {
    let status = ["completed", "completed", "failed", "cancelled"][(n % 4) as usize];
    let ago_s = (count - n) * 30;
    let created = UnixMs::now().minus(Duration::from_secs(ago_s)).rfc3339();
    let text = format!(
        r#"{{"id":"5f0c8a52-7c1e-4b61-9a53-{n:012x}","template_id":"t-7","template_name":"nightly {n}","status":"{status}","status_reason":null,"created_at":"{created}","dns_name":"run-{n}.example","remote_ref":"ref/{n}","task_results":[{{"status":"passed"}},{{"status":"failed"}},{{"status":"passed"}}]}}"#
    );
    RawObject::parse(&text).unwrap().unwrap()
}

impl BenchHome {
    /// Creates a home directory whose mirror has `count` runs, and what `more` adds.
    pub(crate) fn new(count: u64, more: impl AsyncFnOnce(&Mirror)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let config = format!(
            "[default]\napi_url = \"{API_URL}\"\ntenant_id = \"{TENANT}\"\ntoken = \"t\"\n"
        );
        std::fs::write(home.path().join("config.toml"), config).unwrap();
        let remote = OwnedRemote {
            target: Target::DocksApi {
                api_url: API_URL.into(),
                tenant: TENANT.into(),
            },
            owner: Owner::Profile("default".into()),
        };
        let database = database_path(&home.path().join("cache"), &remote);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(fill(&database, &identity(&remote), count, more));
        Self {
            home,
            database,
            daemon: None,
        }
    }

    /// Returns a command with this home directory and no other environment.
    pub(crate) fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("DOCKS_HOME", self.home.path())
            .env("DOCKS_USE_KEYRING", "false")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Returns the path of the socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.home.path().join("run/docksd.sock")
    }

    /// Starts the daemon, waits until it responds, and returns its process id.
    pub(crate) fn start(&mut self) -> u32 {
        let child = self
            .command(&program("docksd"), &["--foreground"])
            .spawn()
            .unwrap();
        let pid = child.id();
        self.daemon = Some(child);
        let docks = program("docks");
        let deadline = Instant::now() + Duration::from_secs(20);
        let ready = || {
            self.command(&docks, &["daemon", "status"])
                .status()
                .unwrap()
                .success()
        };
        while !ready() {
            assert!(Instant::now() < deadline, "docksd did not start");
        }
        pid
    }

    /// Stops the daemon.
    pub(crate) fn stop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
    }
}

impl Drop for BenchHome {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn fill(database: &Path, identity: &str, count: u64, more: impl AsyncFnOnce(&Mirror)) {
    let (mirror, _) = Mirror::open(database, identity, UnixMs::now()).unwrap();
    let now = UnixMs::now();
    let mut from = 0;
    while from < count {
        let to = (from + BATCH).min(count);
        let batch = RunBatch {
            kind: RunKind::Run,
            objects: (from..to).map(|n| run(n, count)).collect(),
            observed_at: now,
            provenance: Provenance::Polled,
        };
        mirror.upsert_runs(batch).await.unwrap();
        from = to;
    }
    more(&mirror).await;
    for kind in RunKind::ALL {
        let confirmed = Confirmation {
            at: UnixMs::now(),
            validator: None,
            complete: true,
        };
        mirror
            .record_confirmation(Resource::List(kind), confirmed)
            .await
            .unwrap();
        let at = serde_json::to_string(&UnixMs::now()).unwrap();
        mirror
            .write_note(&last_sweep_note_key(kind), &at)
            .await
            .unwrap();
    }
    mirror.close().await;
}

/// Runs a command and returns how long it took.
pub(crate) fn time(command: &mut Command) -> Duration {
    let began = Instant::now();
    let status = command.status().unwrap();
    let took = began.elapsed();
    assert!(status.success(), "{command:?} ended with {status}");
    took
}

/// Returns the median.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Something that is timed.
pub(crate) struct Runner<'a> {
    /// Name in the table.
    pub(crate) name: &'a str,
    /// Runs it once and returns how long it took.
    pub(crate) once: Box<dyn FnMut() -> Duration + 'a>,
}

/// Times all in turn, so that a slow moment of the machine affects all of them. Prints medians, and
/// the median ratio between the first and each other one.
pub(crate) fn compare(title: &str, rounds: usize, runners: &mut [Runner<'_>]) -> Vec<Duration> {
    for runner in runners.iter_mut() {
        (runner.once)();
    }
    let mut times = vec![Vec::with_capacity(rounds); runners.len()];
    for _ in 0..rounds {
        for (times, runner) in times.iter_mut().zip(runners.iter_mut()) {
            times.push((runner.once)());
        }
    }
    let ratio = |of: usize| {
        let pairs = times[0].iter().zip(&times[of]);
        let mut ratios: Vec<f64> = pairs
            .map(|(a, b)| a.as_secs_f64() / b.as_secs_f64())
            .collect();
        ratios.sort_by(f64::total_cmp);
        ratios[rounds / 2]
    };
    println!("\n| {title} | median | fastest | first row / this |");
    println!("| --- | --- | --- | --- |");
    for (i, runner) in runners.iter().enumerate() {
        let middle = median(times[i].clone()).as_secs_f64() * 1e3;
        let least = times[i].iter().min().unwrap().as_secs_f64() * 1e3;
        println!(
            "| {} | {middle:.2} ms | {least:.2} ms | {:.2} |",
            runner.name,
            ratio(i)
        );
    }
    times.into_iter().map(median).collect()
}

/// Returns the numbers among the arguments, else the three sizes of the budgets.
pub(crate) fn sizes() -> Vec<u64> {
    let given: Vec<u64> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    if given.is_empty() {
        vec![1_000, 100_000, 1_000_000]
    } else {
        given
    }
}

/// Formats a number with separators: `1,000,000`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
