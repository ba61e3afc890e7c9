//! After a stop, whichever way it went, no read on this machine shows the old status as confirmed.

#![expect(
    clippy::disallowed_methods,
    reason = "a thread of its own answers late, and no runtime waits for it"
)]

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::remote::Remote;
use crate::test_home::{PATIENCE, TestHome, signal};

/// Interleavings in a usual test run; `DOCKS_INTERLEAVINGS` sets another number.
const INTERLEAVINGS: usize = 24;

const RUNS: usize = 4;

/// The ways of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Through the daemon.
    Daemon,
    /// To the remote, while the daemon runs.
    Direct,
    /// To the remote, since the daemon hangs.
    Hung,
    /// To the remote, and a daemon is started by the read that follows.
    BeforeStart,
    /// Through a daemon that is killed at some moment of it.
    Killed,
}

const WAYS: [Way; 5] = [
    Way::Daemon,
    Way::Direct,
    Way::Hung,
    Way::BeforeStart,
    Way::Killed,
];

type Statuses = Arc<Mutex<HashMap<String, &'static str>>>;

/// A remote that answers each request a little later, before or after it has done what was asked.
fn remote(statuses: &Statuses, delays: &Arc<Mutex<fastrand::Rng>>) -> Remote {
    let (statuses, delays) = (Arc::clone(statuses), Arc::clone(delays));
    Remote::start(move |asked| {
        let pause = || {
            let ms = delays.lock().unwrap().u64(..15);
            sleep(Duration::from_millis(ms));
        };
        pause();
        let answer = answer(asked, &mut statuses.lock().unwrap());
        pause();
        answer
    })
}

fn answer(asked: &str, statuses: &mut HashMap<String, &'static str>) -> (u16, String) {
    let (path, query) = asked.split_once('?').unwrap_or((asked, ""));
    let offset = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("offset="))
        .map_or(0, |text| text.parse().unwrap());
    let object = |id: &str, status: &str| {
        format!(
            r#"{{"id":"{id}","name":"{id}","status":"{status}","created_at":"2026-01-01T00:00:00Z"}}"#
        )
    };
    let unknown = (404, r#"{"detail":"not found"}"#.to_owned());
    let (method, rest) = path.split_once(" /tenants/ten/").unwrap_or_default();
    match (method, rest.split('/').collect::<Vec<_>>().as_slice()) {
        ("GET", ["runs"]) => {
            let mut ids: Vec<_> = statuses.iter().collect();
            ids.sort();
            let shown = ids.into_iter().skip(offset);
            let shown: Vec<_> = shown.map(|(id, status)| object(id, status)).collect();
            (200, format!("[{}]", shown.join(",")))
        }
        ("GET", ["harbor", "runs"]) => (200, "[]".to_owned()),
        ("GET", ["runs", id]) => match statuses.get(*id) {
            Some(status) => (200, object(id, status)),
            None => unknown,
        },
        ("POST", ["runs", id, "stop"]) => match statuses.get_mut(*id) {
            Some(status) => {
                *status = "stopped";
                (200, object(id, status))
            }
            None => unknown,
        },
        _ => unknown,
    }
}

fn id(index: usize) -> String {
    format!("run-{index}")
}

/// Stops a run in one way; returns whether the command said that it is stopped.
fn stop(home: &TestHome, way: Way, run: &str, rng: &mut fastrand::Rng) -> bool {
    let line = format!("runs stop {run} --force");
    match way {
        Way::Daemon => home.run(&line).code == Some(0),
        Way::Direct => home.run(&format!("{line} --no-daemon")).code == Some(0),
        Way::Hung => {
            let daemon = home.daemons();
            daemon.iter().for_each(|pid| signal(*pid, "STOP"));
            let stopped = home.run(&line);
            daemon.iter().for_each(|pid| signal(*pid, "CONT"));
            stopped.code == Some(0)
        }
        Way::BeforeStart => {
            home.stop();
            home.run(&format!("{line} --no-daemon")).code == Some(0)
        }
        Way::Killed => {
            let command = home.command(&line).spawn().unwrap();
            sleep(Duration::from_millis(rng.u64(..40)));
            home.daemons().iter().for_each(|pid| signal(*pid, "KILL"));
            command.wait_with_output().unwrap().status.code() == Some(0)
        }
    }
}

/// How often each way of a stop was checked.
type Checked = BTreeMap<String, usize>;

#[test]
fn no_read_after_a_stop_shows_the_old_status_as_confirmed() {
    let count = std::env::var("DOCKS_INTERLEAVINGS")
        .map_or(INTERLEAVINGS, |number| number.parse().unwrap());
    // Most of the time is waiting, so several homes share a long proof.
    let homes = count.div_ceil(100).min(5);
    let checked = std::thread::scope(|scope| {
        let start = |number| scope.spawn(move || interleave(count.div_ceil(homes), number));
        let threads: Vec<_> = (0..homes as u64).map(start).collect();
        let mut all = Checked::new();
        for thread in threads {
            for (way, times) in thread.join().unwrap() {
                *all.entry(way).or_default() += times;
            }
        }
        all
    });
    assert_eq!(
        checked.len(),
        WAYS.len(),
        "some way never worked: {checked:?}"
    );
    println!("{count} interleavings, 0 wrong; checked: {checked:?}");
}

/// Stops and reads in one home at random moments.
fn interleave(count: usize, seed: u64) -> Checked {
    let statuses: Statuses = Arc::default();
    let mut rng = fastrand::Rng::with_seed(seed);
    let delays = Arc::new(Mutex::new(rng.fork()));
    let remote = remote(&statuses, &delays);
    let home = TestHome::with_remote(&remote);
    let mut checked = Checked::new();
    for number in 0..count {
        // A reopened run is believed once it was seen twice.
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Again each time: the request of a daemon that was killed may arrive late.
            for index in 0..RUNS {
                statuses.lock().unwrap().insert(id(index), "running");
            }
            let listed = home.run("runs list --fresh");
            if listed.stdout.matches("running").count() == RUNS {
                break;
            }
            assert!(
                Instant::now() < deadline,
                "{number}: {:?} {} {}",
                listed.code,
                listed.stdout,
                listed.stderr
            );
        }
        let run = id(rng.usize(..RUNS));
        let way = WAYS[number % WAYS.len()];
        let done = stop(&home, way, &run, &mut rng);
        // The command may have lost its daemon before anything was sent, and said so.
        let is_stopped = statuses.lock().unwrap()[&run] == "stopped";
        assert!(is_stopped || !done, "{way:?} said that it stopped {run}");
        if !is_stopped {
            continue;
        }
        *checked.entry(format!("{way:?}")).or_insert(0) += 1;
        for _ in 0..2 {
            let line = match rng.u8(..4) {
                0 => "runs list".to_owned(),
                1 => "runs list --status running".to_owned(),
                2 => format!("runs get {run}"),
                _ => "runs list --offline".to_owned(),
            };
            let read = home.run(&line);
            let shows_old = read
                .stdout
                .lines()
                .any(|row| row.contains(&run) && row.contains("running"));
            let says_so = read.stderr.contains("has not confirmed it since");
            assert!(
                !shows_old || says_so,
                "{number}: {way:?}, then `{line}`:\n{}\n{}",
                read.stdout,
                read.stderr
            );
        }
    }
    checked
}
