//! A running job: how soon a change is visible, and what the daemon costs meanwhile.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use docksd_harbor::{HarborJobs, Options};
use docksd_mirror::Mirror;
use docksd_remote::ChangeDetection;
use docksd_sync::{Clock, SystemClock};

use crate::directory::{create_running_trial, job_result, trial_name, trial_result};
use docksd_testkit::measure::format_duration;

/// Number of running trials.
const TRIALS: usize = 64;
/// Number of changes that are timed.
const CHANGES: usize = 200;
/// Lines that each trial logs per second.
const LINES: u32 = 10;
const ID: &str = "00000000-0000-4000-8000-000000000007";
/// Longest time that anything may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// Creates a job whose process is this one: its log stays open until the file is dropped.
fn create_job(dir: &Path, trials: usize) -> (PathBuf, File) {
    let job = dir.join("job-live");
    fs::create_dir(&job).unwrap();
    let log = File::create(job.join("job.log")).unwrap();
    fs::write(job.join("config.json"), "{}").unwrap();
    fs::write(job.join("result.json"), job_result(7, trials, false)).unwrap();
    for trial in 0..trials {
        create_running_trial(&job, trial);
    }
    (job, log)
}

/// Ends one trial after another, and reads the mirror until each result is there.
pub(crate) async fn measure_delay() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("jobs");
    fs::create_dir(&dir).unwrap();
    let (job, log) = create_job(&dir, CHANGES);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (mirror, _) = Mirror::open(&home.path().join("m.db"), "bench", clock.wall()).unwrap();
    let jobs = HarborJobs::open(&[&dir], Options::default()).unwrap();
    let handle = docksd_sync::spawn(
        Arc::new(jobs),
        mirror.clone(),
        clock,
        docksd_sync::Options::default(),
    );
    let start = Instant::now();
    let is_mirrored = || async {
        mirror
            .trial(ID, &trial_name(CHANGES - 1))
            .await
            .unwrap()
            .is_some()
    };
    while !is_mirrored().await
        || !matches!(
            handle.health().change_detection,
            ChangeDetection::Events { .. }
        )
    {
        assert!(
            start.elapsed() < DEADLINE,
            "the directory is never followed"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut times = Vec::new();
    for trial in 0..CHANGES {
        fs::write(
            job.join(trial_name(trial)).join("result.json"),
            trial_result(trial),
        )
        .unwrap();
        let changed = Instant::now();
        loop {
            let stored = mirror.trial(ID, &trial_name(trial)).await.unwrap();
            if stored.is_some_and(|stored| stored.status == "passed") {
                break;
            }
            assert!(
                changed.elapsed() < DEADLINE,
                "a change never reaches the mirror"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        times.push(changed.elapsed());
        tokio::time::sleep(Duration::from_millis(fastrand::u64(20..200))).await;
    }
    drop(log);
    handle.stop().await;
    mirror.close().await;
    times.sort();
    let at = |share: usize| format_duration(times[(times.len() - 1) * share / 100]);
    println!("\n| change on disk → in the mirror | p50 | p99 | max |");
    println!("| --- | --- | --- | --- |");
    println!(
        "| {CHANGES} trials that end | {} | {} | {} |",
        at(50),
        at(99),
        at(100)
    );
}

/// The real program with a home directory of its own; dropping it kills the program.
struct Daemon(Child);

impl Daemon {
    fn start(home: &Path, dir: &Path) -> Self {
        let config = format!("[default]\nharbor_jobs = \"{}\"\n", dir.display());
        fs::write(home.join("config.toml"), config).unwrap();
        // This program runs as target/PROFILE/deps/NAME-HASH.
        let here = std::env::current_exe().unwrap();
        let program = here.ancestors().nth(2).unwrap().join("docksd");
        assert!(
            program.is_file(),
            "build docksd first: {}",
            program.display()
        );
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", home)
            .env("DOCKS_HOME", home)
            .env("DOCKS_USE_KEYRING", "false")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may already have exited.
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// Measures the daemon's share of a core while trials log, and while they do not.
pub(crate) fn measure_cost(span: Duration) {
    println!(
        "\n| {TRIALS} running trials, {} s each | of a core |",
        span.as_secs()
    );
    println!("| --- | --- |");
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("jobs");
    fs::create_dir(&dir).unwrap();
    let (job, log) = create_job(&dir, TRIALS);
    let daemon = Daemon::start(home.path(), &dir);
    pause(Duration::from_secs(5));
    let quiet = cpu_share(daemon.0.id(), span, || pause(span));
    println!("| silent | {quiet:.2} % |");
    let logging = cpu_share(daemon.0.id(), span, || write_logs(&job, span));
    println!("| each logs {LINES} lines a second | {logging:.2} % |");
    drop(log);
}

fn cpu_share(pid: u32, span: Duration, meanwhile: impl FnOnce()) -> f64 {
    let before = cpu_ticks(pid);
    meanwhile();
    // Linux counts 100 ticks a second, so ticks per second are per cent of a core.
    (cpu_ticks(pid) - before) as f64 / span.as_secs_f64()
}

fn cpu_ticks(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = text
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn write_logs(job: &Path, span: Duration) {
    let mut logs: Vec<File> = (0..TRIALS)
        .map(|trial| {
            let path = job.join(trial_name(trial)).join("agent/oracle.txt");
            File::options().append(true).open(path).unwrap()
        })
        .collect();
    let start = Instant::now();
    while start.elapsed() < span {
        for log in &mut logs {
            log.write_all(b"a line of what an agent says while it works\n")
                .unwrap();
        }
        pause(Duration::from_secs(1) / LINES);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "nothing else runs on this thread"
)]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
