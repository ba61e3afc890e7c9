//! A job under way: how soon a change is visible, and what the daemon costs meanwhile.

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

use crate::directory::{begin, name, result, result_of_job};
use docksd_testkit::measure::format_duration;

/// Trials at once.
const TRIALS: usize = 64;
/// Changes that are timed.
const CHANGES: usize = 200;
/// Lines that each trial logs in a second.
const LINES: u32 = 10;
const ID: &str = "00000000-0000-4000-8000-000000000007";
/// Longest time that anything may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// Makes a job whose process we are: its log stays open as long as the file is kept.
fn job(dir: &Path, trials: usize) -> (PathBuf, File) {
    let job = dir.join("job-live");
    fs::create_dir(&job).unwrap();
    let log = File::create(job.join("job.log")).unwrap();
    fs::write(job.join("config.json"), "{}").unwrap();
    fs::write(job.join("result.json"), result_of_job(7, trials, false)).unwrap();
    for trial in 0..trials {
        begin(&job, trial);
    }
    (job, log)
}

/// Ends one trial after the other, and looks into the mirror until each is there.
pub(crate) async fn visible() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("jobs");
    fs::create_dir(&dir).unwrap();
    let (job, log) = job(&dir, CHANGES);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (mirror, _) = Mirror::open(&home.path().join("m.db"), "bench", clock.wall()).unwrap();
    let jobs = HarborJobs::open(&[&dir], Options::default()).unwrap();
    let handle = docksd_sync::spawn(
        Arc::new(jobs),
        mirror.clone(),
        clock,
        docksd_sync::Options::default(),
    );
    let began = Instant::now();
    let known = || async {
        mirror
            .trial(ID, &name(CHANGES - 1))
            .await
            .unwrap()
            .is_some()
    };
    while !known().await
        || !matches!(
            handle.health().change_detection,
            ChangeDetection::Events { .. }
        )
    {
        assert!(began.elapsed() < DEADLINE, "it is never followed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut times = Vec::new();
    for trial in 0..CHANGES {
        fs::write(job.join(name(trial)).join("result.json"), result(trial)).unwrap();
        let changed = Instant::now();
        loop {
            let stored = mirror.trial(ID, &name(trial)).await.unwrap();
            if stored.is_some_and(|stored| stored.status == "passed") {
                break;
            }
            assert!(changed.elapsed() < DEADLINE, "a change is never seen");
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
    println!("\n| change on disk → in the mirror | p50 | p99 | most |");
    println!("| --- | --- | --- | --- |");
    println!(
        "| {CHANGES} trials that end | {} | {} | {} |",
        at(50),
        at(99),
        at(100)
    );
}

/// The real program with a home of its own; it ends with this.
struct Daemon(Child);

impl Daemon {
    fn start(home: &Path, dir: &Path) -> Self {
        let config = format!("[default]\nharbor_jobs = \"{}\"\n", dir.display());
        fs::write(home.join("config.toml"), config).unwrap();
        // This runs as target/PROFILE/deps/NAME-HASH.
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
        // It may have ended by itself.
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// Measures the daemon's share of a core while trials log, and while they do not.
pub(crate) fn cost(span: Duration) {
    println!(
        "\n| {TRIALS} trials under way, {} s each | of a core |",
        span.as_secs()
    );
    println!("| --- | --- |");
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("jobs");
    fs::create_dir(&dir).unwrap();
    let (job, log) = job(&dir, TRIALS);
    let daemon = Daemon::start(home.path(), &dir);
    pause(Duration::from_secs(5));
    let quiet = share(daemon.0.id(), span, || pause(span));
    println!("| silent | {quiet:.2} % |");
    let logging = share(daemon.0.id(), span, || write_logs(&job, span));
    println!("| each logs {LINES} lines a second | {logging:.2} % |");
    drop(log);
}

fn share(pid: u32, span: Duration, meanwhile: impl FnOnce()) -> f64 {
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
            let path = job.join(name(trial)).join("agent/oracle.txt");
            File::options().append(true).open(path).unwrap()
        })
        .collect();
    let began = Instant::now();
    while began.elapsed() < span {
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
