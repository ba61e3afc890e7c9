//! Kills beside a jobs directory in which jobs begin, go on, end and disappear.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use docks_proto::client::{Client, Deadlines, Transport, UnixTransport};
use docks_proto::freshness::CachePolicy;
use docks_proto::paths::Paths;
use docks_proto::routes::RunKind;
use http::HeaderMap;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use super::{
    CHECK_EVERY, DEADLINE, Daemon, ENOUGH_WAITING, Seen, check, read, rounds,
    wait_until_it_answers, wait_until_read,
};
use crate::test_daemon::places;
use crate::upstream_support::{everything, texts};
use docksd_testkit::fake_remote::TENANT;
use docksd_testkit::harbor_jobs::{copy_tree, samples};

const MODEL: &str = "2026-11-23__16-43-17";
/// First part of the id of the model, which the copies continue with their number.
const MODEL_ID: &str = "a621929a-2384-4dd8-9273-02077fd28dc0";
/// More jobs than this are deleted.
const MOST_JOBS: u64 = 25;

fn id_of(job: u64) -> String {
    format!("{}{job:012}", &MODEL_ID[..24])
}

fn name_of(job: u64) -> String {
    format!("job-{job:05}")
}

/// Returns the folders of the trials of the model.
fn trials() -> Vec<PathBuf> {
    let entries = fs::read_dir(samples().join(MODEL)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut trials: Vec<PathBuf> = paths.filter(|path| path.is_dir()).collect();
    trials.sort();
    trials
}

/// Writes the result of a job, as it is at its end or as it was with fewer trials.
fn write_result(dir: &Path, job: u64, ended: Option<usize>) {
    let text = fs::read_to_string(samples().join(MODEL).join("result.json")).unwrap();
    let mut result: serde_json::Value = serde_json::from_str(&text).unwrap();
    result["id"] = id_of(job).into();
    if let Some(ended) = ended {
        result["finished_at"] = serde_json::Value::Null;
        result["stats"]["n_completed_trials"] = ended.into();
    }
    let (next, file) = (dir.join("result.json.next"), dir.join("result.json"));
    fs::write(&next, serde_json::to_string_pretty(&result).unwrap()).unwrap();
    fs::rename(next, file).unwrap();
}

/// Copies a trial, which then belongs to another job.
fn copy_trial(from: &Path, to: &Path, job: u64) {
    copy_tree(from, to);
    for file in ["config.json", "result.json"] {
        let text = fs::read_to_string(to.join(file)).unwrap();
        fs::write(to.join(file), text.replace(MODEL_ID, &id_of(job))).unwrap();
    }
}

/// A jobs directory that changes step by step.
struct Writer {
    /// Where jobs are prepared.
    workshop: TempDir,
    jobs: PathBuf,
    job: u64,
    step: usize,
}

impl Writer {
    fn job_dir(&self, job: u64) -> PathBuf {
        self.jobs.join(name_of(job))
    }

    /// Goes on with the newest job, or begins another one.
    fn change(&mut self) {
        let trials = trials();
        let dir = self.job_dir(self.job);
        match self.step {
            0 => {
                let prepared = self.workshop.path().join(name_of(self.job));
                fs::create_dir(&prepared).unwrap();
                for file in ["config.json", "lock.json", "job.log"] {
                    fs::copy(samples().join(MODEL).join(file), prepared.join(file)).unwrap();
                }
                write_result(&prepared, self.job, Some(0));
                fs::rename(prepared, dir).unwrap();
            }
            step if step <= trials.len() => {
                let trial = &trials[step - 1];
                copy_trial(trial, &dir.join(trial.file_name().unwrap()), self.job);
                write_result(&dir, self.job, Some(step));
            }
            _ => {
                write_result(&dir, self.job, None);
                // A job that is resumed is written again.
                if self.job > 3 && self.job.is_multiple_of(3) {
                    let ended = self.job_dir(self.job - 2);
                    write_result(&ended, self.job - 2, Some(3));
                }
                if self.job >= MOST_JOBS {
                    fs::remove_dir_all(self.job_dir(self.job - MOST_JOBS)).unwrap();
                }
                self.job += 1;
                self.step = 0;
                return;
            }
        }
        self.step += 1;
    }
}

/// A home whose default profile is a jobs directory.
struct JobsHome(TempDir);

impl JobsHome {
    fn new(jobs: &Path) -> Self {
        let home = tempfile::tempdir().unwrap();
        let profile = format!("[default]\nharbor_jobs = \"{}\"\n", jobs.display());
        fs::write(home.path().join("config.toml"), profile).unwrap();
        Self(home)
    }

    fn places(&self) -> Paths {
        places(self.0.path())
    }

    fn client(&self) -> Client {
        let deadlines = Deadlines {
            connect: DEADLINE,
            answer: None,
            ..Deadlines::default()
        };
        let transport = UnixTransport::new(self.places().socket, deadlines);
        Client::new(Transport::Unix(transport), TENANT, HeaderMap::new()).unwrap()
    }

    /// Returns everything that a mirror shows.
    async fn content(&self) -> Vec<String> {
        let (client, all) = (self.client(), everything());
        let mut content = Vec::new();
        for kind in RunKind::ALL {
            let listed = client.list_runs(kind, &all, CachePolicy::NoCache).await;
            let runs = texts(&listed.unwrap().body);
            for run in runs.iter().filter(|_| kind == RunKind::Evaluation) {
                let run: serde_json::Value = serde_json::from_str(run).unwrap();
                let id = run["id"].as_str().unwrap();
                let trials = client.trials(id, &all, CachePolicy::NoCache).await;
                content.extend(texts(&trials.unwrap().body));
            }
            content.extend(runs);
        }
        content
    }

    /// Syncs until nothing is left to do; what was deleted just before may cost another attempt.
    async fn catch_up(&self) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let mut error = None;
            let synced = self.client().sync(true, |line| error = line.error).await;
            if synced.is_ok() && error.is_none() {
                return;
            }
            assert!(Instant::now() < deadline, "{synced:?} {error:?}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn shut_down(&self, daemon: &mut Daemon) {
        self.client().shutdown().await.unwrap();
        let ended = daemon.0.wait().unwrap();
        assert!(ended.success(), "{ended}");
    }
}

/// Waits until the daemon has reached the moment at which this round kills it.
async fn wait_until_reached(round: usize, jobs: &JobsHome, seen: &Seen) {
    match round % 4 {
        // As soon as it answers on its socket.
        1 => {}
        0 => wait_until_read(seen).await,
        // In the middle of storing changes.
        _ => {
            let events = fastrand::u64(1..40);
            let newest = async || {
                let path = jobs.places().cache_dir();
                newest_event(&path).unwrap_or(0)
            };
            let enough = newest().await + events;
            let reached = async {
                while newest().await < enough {
                    sleep(Duration::from_millis(2)).await;
                }
            };
            timeout(ENOUGH_WAITING, reached).await.ok();
        }
    }
}

/// Reads the number of the newest event in the only mirror, if there is one yet.
fn newest_event(cache: &Path) -> Option<u64> {
    let mut files = fs::read_dir(cache)
        .ok()?
        .flatten()
        .map(|entry| entry.path());
    let file = files.find(|path| path.extension().is_some_and(|e| e == "db"))?;
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let mirror = rusqlite::Connection::open_with_flags(file, flags).ok()?;
    let sql = "SELECT max(seq) FROM status_event";
    let newest: Option<i64> = mirror.query_row(sql, [], |row| row.get(0)).ok()?;
    newest.map(i64::unsigned_abs)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_killed_while_jobs_run_loses_none_of_them_and_shows_what_is_there() {
    let (workshop, directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let jobs = directory.path().join("jobs");
    fs::create_dir(&jobs).unwrap();
    let home = JobsHome::new(&jobs);
    let home_ref = &home;
    let seen = Seen::default();
    let client = || home_ref.client();
    let kills = async {
        for round in 1..=rounds() {
            let mut daemon = Daemon::start(&home_ref.places().home);
            wait_until_it_answers(client).await;
            seen.acknowledged.lock().unwrap().clear();
            let syncing = home_ref.client();
            let sync = async {
                syncing.sync(round % 2 == 0, |_| {}).await.ok();
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = sync => {}
                () = wait_until_reached(round, home_ref, &seen) => {}
            }
            daemon.kill();
            if round % CHECK_EVERY == 0 {
                let acknowledged = seen.acknowledged.lock().unwrap().clone();
                check(&home_ref.places(), &acknowledged, round);
            }
        }
    };
    let changes = async {
        let mut writer = Writer {
            workshop,
            jobs: jobs.clone(),
            job: 0,
            step: 0,
        };
        loop {
            tokio::task::block_in_place(|| writer.change());
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = kills => {}
        () = changes => {}
        () = read(client, &seen) => {}
        () = read(client, &seen) => {}
    }
    // A mirror that was never killed shows the same.
    let fresh = JobsHome::new(&jobs);
    let mut daemons = [&home, &fresh].map(|home| Daemon::start(&home.places().home));
    let deadline = Instant::now() + DEADLINE;
    loop {
        let mut contents = Vec::new();
        for home in [&home, &fresh] {
            wait_until_it_answers(|| home.client()).await;
            home.catch_up().await;
            contents.push(home.content().await);
        }
        if contents[0] == contents[1] && !contents[0].is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "{contents:#?}");
        sleep(Duration::from_millis(50)).await;
    }
    for (home, daemon) in [&home, &fresh].into_iter().zip(&mut daemons) {
        home.shut_down(daemon).await;
        check(&home.places(), &[], rounds());
    }
}
