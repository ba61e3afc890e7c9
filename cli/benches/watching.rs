//! The cost of watching and its delay, from a change at the remote to a line of `docks runs watch`.
//!
//! `cargo build --release && cargo bench -p docks --bench watching [-- ROUNDS]`

#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]
#![expect(clippy::unwrap_used, reason = "a benchmark fails if a step fails")]

#[expect(dead_code, reason = "this benchmark fills no mirror")]
mod bench_home;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bench_home::program;

/// Period over which processor time and requests are counted.
const QUIET: Duration = Duration::from_secs(30);
/// Number of active runs in that period.
const ACTIVE: usize = 100;

/// Serves runs; the index of a status is the number of its run.
#[derive(Default)]
struct Remote {
    statuses: Mutex<Vec<&'static str>>,
    requests: AtomicU64,
}

impl Remote {
    fn start(runs: usize) -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let remote = Arc::new(Self::default());
        *remote.statuses.lock().unwrap() = vec!["running"; runs];
        let served = Arc::clone(&remote);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let remote = Arc::clone(&served);
                std::thread::spawn(move || remote.serve(stream));
            }
        });
        (remote, url)
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        while let Some(Ok(first)) = lines.next() {
            let rest = lines.by_ref().map_while(Result::ok);
            rest.take_while(|line| !line.is_empty()).for_each(drop);
            self.requests.fetch_add(1, Ordering::Relaxed);
            let (status, body) = self.answer(&first);
            let head = format!(
                "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            if stream
                .write_all(format!("{head}{body}").as_bytes())
                .is_err()
            {
                return;
            }
        }
    }

    fn answer(&self, first: &str) -> (u16, String) {
        let path = first.split([' ', '?']).nth(1).unwrap_or_default();
        let statuses = self.statuses.lock().unwrap();
        let run = |number: usize| {
            format!(
                r#"{{"id":"r{number:04}","name":"bench {number}","status":"{}","created_at":"2026-01-01T00:{:02}:{:02}Z"}}"#,
                statuses[number],
                number / 60 % 60,
                number % 60
            )
        };
        let below = path.strip_prefix("/tenants/bench/harbor/runs");
        match (path, below.map(|rest| rest.trim_start_matches('/'))) {
            ("/tenants/bench/runs", _) => (200, "[]".to_owned()),
            (_, Some("")) => {
                let all: Vec<_> = (0..statuses.len()).rev().map(run).collect();
                (200, format!("[{}]", all.join(",")))
            }
            (_, Some(rest)) if rest.ends_with("/trials") => (200, "[]".to_owned()),
            (_, Some(id)) => match id[1..].parse() {
                Ok(number) if number < statuses.len() => (200, run(number)),
                _ => (404, "{}".to_owned()),
            },
            _ => (404, "{}".to_owned()),
        }
    }
}

/// A temporary home directory with a daemon, which is stopped on drop.
struct Home {
    directory: tempfile::TempDir,
    daemon: Child,
}

impl Home {
    fn start(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("config.toml"), config).unwrap();
        let daemon = command(directory.path(), "docksd")
            .arg("--foreground")
            .spawn()
            .unwrap();
        let home = Self { directory, daemon };
        let deadline = Instant::now() + Duration::from_secs(20);
        while UnixStream::connect(home.socket()).is_err() {
            assert!(Instant::now() < deadline, "docksd did not start");
            std::thread::yield_now();
        }
        home
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("run/docksd.sock")
    }

    fn docks(&self, line: &str) -> Command {
        let mut docks = command(self.directory.path(), "docks");
        docks.args(line.split(' '));
        docks
    }

    /// Returns the resident memory in MB and the processor time so far.
    fn usage(&self) -> (f64, Duration) {
        let read = |name: &str| {
            std::fs::read_to_string(format!("/proc/{}/{name}", self.daemon.id())).unwrap()
        };
        let pages: f64 = read("statm").split(' ').nth(1).unwrap().parse().unwrap();
        let stat = read("stat");
        let after_name = stat.rsplit(')').next().unwrap();
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        let page = rustix::param::page_size() as f64;
        (
            pages * page / 1e6,
            Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second()),
        )
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        drop(self.daemon.kill());
        drop(self.daemon.wait());
    }
}

fn command(home: &Path, name: &str) -> Command {
    let mut command = Command::new(program(name));
    command
        .env_clear()
        .env("HOME", home)
        .env("DOCKS_HOME", home)
        .env("DOCKS_USE_KEYRING", "false")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn config(url: &str) -> String {
    format!("[default]\napi_url = \"{url}\"\ntenant_id = \"bench\"\ntoken = \"t\"\n")
}

fn main() {
    docksd::limits::raise_open_file_limit();
    let rounds = std::env::args().skip(1).find_map(|text| text.parse().ok());
    println!("\n| change → line of `docks runs watch` | changes | p50 | p99 |");
    println!("| --- | --- | --- | --- |");
    poll_delay(rounds.unwrap_or(50));
    disk_delay();
    cost();
}

/// Prints a row with the delays between changes and their lines.
fn row(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e3;
    let (p50, p99) = (at(0.5), at(0.99));
    println!("| {what} | {} | {p50:.0} ms | {p99:.0} ms |", times.len());
}

/// Ends the trials of a job one after the other, as Harbor does.
fn disk_delay() {
    let home = Home::start("");
    let jobs = home.directory.path().join("jobs");
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/harbor-jobs");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(bundled)
        .arg(&jobs)
        .status();
    assert!(copied.unwrap().success());
    let job = jobs.join("nightly-mixed");
    let result = job.join("result.json");
    let text = std::fs::read_to_string(&result).unwrap();
    let mut unfinished: serde_json::Value = serde_json::from_str(&text).unwrap();
    unfinished["finished_at"] = serde_json::Value::Null;
    std::fs::write(&result, unfinished.to_string()).unwrap();
    // The process that holds the log open counts as the process of the job.
    let log = std::fs::OpenOptions::new()
        .append(true)
        .open(job.join("job.log"));
    let log = log.unwrap();
    let folders = std::fs::read_dir(&job).unwrap().flatten();
    let results = folders.map(|folder| folder.path().join("result.json"));
    let ends: Vec<(PathBuf, String)> = results
        .filter_map(|path| Some((path.clone(), std::fs::read_to_string(path).ok()?)))
        .collect();
    ends.iter()
        .for_each(|(path, _)| std::fs::remove_file(path).unwrap());
    let mut watch = home
        .docks("runs watch nightly-mixed --harbor")
        .arg(&jobs)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    let mut times = Vec::new();
    for (path, text) in &ends {
        let pause = Instant::now() + Duration::from_millis(fastrand::u64(500..1_500));
        while Instant::now() < pause {
            std::thread::park_timeout(pause.saturating_duration_since(Instant::now()));
        }
        let name = path.parent().unwrap().file_name().unwrap();
        let changed = Instant::now();
        std::fs::write(path, text).unwrap();
        while !lines
            .next()
            .unwrap()
            .unwrap()
            .contains(name.to_str().unwrap())
        {}
        times.push(changed.elapsed());
    }
    drop((watch.kill(), watch.wait(), log));
    row("a jobs directory", times);
}

/// Ends one run after the other and waits for its line.
fn poll_delay(rounds: usize) {
    let (remote, url) = Remote::start(rounds + 1);
    let home = Home::start(&config(&url));
    let mut watch = home
        .docks("runs watch --all-active")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    for _ in 0..=rounds {
        lines.next().unwrap().unwrap();
    }
    let mut times = Vec::new();
    for round in 0..rounds {
        // A random pause, independent of the polls.
        let pause = Instant::now() + Duration::from_millis(fastrand::u64(..6_000));
        while Instant::now() < pause {
            std::thread::park_timeout(pause.saturating_duration_since(Instant::now()));
        }
        let changed = Instant::now();
        remote.statuses.lock().unwrap()[round] = "completed";
        lines.next().unwrap().unwrap();
        times.push(changed.elapsed());
    }
    drop(watch.kill());
    drop(watch.wait());
    row("a polled remote", times);
}

/// Measures the resources of the daemon with many watchers and no changes.
fn cost() {
    println!(
        "\n| watchers, {ACTIVE} active runs, nothing changes | resident | processor | requests/min |"
    );
    println!("| --- | --- | --- | --- |");
    for watchers in [0, 1, 100, 1_000] {
        let (remote, url) = Remote::start(ACTIVE);
        let home = Home::start(&config(&url));
        assert!(home.docks("sync").status().unwrap().success());
        let streams: Vec<UnixStream> = (0..watchers).map(|_| watch(&home.socket())).collect();
        let (_, before) = home.usage();
        let requests = remote.requests.load(Ordering::Relaxed);
        let end = Instant::now() + QUIET;
        while Instant::now() < end {
            std::thread::park_timeout(end.saturating_duration_since(Instant::now()));
        }
        let (resident, after) = home.usage();
        let requested = remote.requests.load(Ordering::Relaxed) - requests;
        let share = (after - before).as_secs_f64() / QUIET.as_secs_f64() * 100.0;
        let per_minute = requested as f64 * 60.0 / QUIET.as_secs_f64();
        println!("| {watchers} | {resident:.1} MB | {share:.1} % of a core | {per_minute:.0} |");
        drop(streams);
    }
}

/// Opens an event stream and reads it up to the end of the current state.
fn watch(socket: &Path) -> UnixStream {
    let mut stream = UnixStream::connect(socket).unwrap();
    let request = "GET /v1/events HTTP/1.1\r\nHost: docks\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("event: ready")));
    stream
}
