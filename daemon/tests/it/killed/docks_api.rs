//! Kills beside a Docks API whose runs change.

use std::time::Duration;

use docks_proto::client::Limits;
use docks_proto::routes::RunKind;
use tokio::time::{sleep, timeout};

use super::{
    CHECK_EVERY, Daemon, ENOUGH_WAITING, Seen, check, read, rounds, wait_until_it_answers,
    wait_until_read,
};
use crate::upstream_support::Site;
use docksd_testkit::fake_remote::RemoteData;

/// When a round kills its daemon.
#[derive(Clone, Copy)]
enum KillPoint {
    /// As soon as it answers on its socket.
    Started,
    /// After this many requests to the remote: in the middle of a sync.
    Requests(usize),
    /// After it has answered a list.
    Answered,
}

impl KillPoint {
    fn of_round(round: usize) -> Self {
        match round % 4 {
            0 => KillPoint::Answered,
            1 => KillPoint::Started,
            _ => KillPoint::Requests(fastrand::usize(1..30)),
        }
    }
}

/// Changes the remote; it grows up to 300 runs.
async fn change(site: &Site, turn: u64) {
    site.remote.with_data(|data| {
        let count = data.evaluations.len();
        let at = usize::try_from(turn).unwrap() % count;
        let id = data.evaluations[at].id.clone();
        match turn % 5 {
            0 if count < 300 => {
                let id = format!("run-{turn}");
                data.add_evaluation(&id, "running");
                data.add_run(&format!("plain-{turn}"), "running");
                data.add_trial(&id, &format!("trial-{turn}"), "running");
            }
            1 => data.advance(RunKind::Evaluation, &id, "completed"),
            2 => data.advance(RunKind::Evaluation, &id, "running"),
            _ => data.set(RunKind::Evaluation, &id, "turn", turn.into()),
        }
    });
    sleep(Duration::from_millis(3)).await;
}

/// Waits until the daemon has reached the moment at which it is to be killed.
async fn wait_until_reached(point: KillPoint, site: &Site, seen: &Seen) {
    match point {
        KillPoint::Started => {}
        KillPoint::Requests(count) => {
            let enough = site.remote.log().len() + count;
            let reached = async {
                while site.remote.log().len() < enough {
                    sleep(Duration::from_millis(1)).await;
                }
            };
            // A daemon with nothing left to fetch is killed then.
            timeout(ENOUGH_WAITING, reached).await.ok();
        }
        KillPoint::Answered => wait_until_read(seen).await,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_killed_at_any_moment_loses_nothing_and_needs_no_repair() {
    let mut site = Site::new(RemoteData::sample(20, 3), None, Limits::default()).await;
    let settings = "budget_per_minute = 60000\nactive_interval = \"1s\"\nidle_interval = \"1s\"\n";
    std::fs::write(site.places().daemon_file(), settings).unwrap();
    let (home, site_ref) = (site.places().home, &site);
    let seen = Seen::default();
    let client = || site_ref.client();
    let kills = async {
        for round in 1..=rounds() {
            let mut daemon = Daemon::start(&home);
            wait_until_it_answers(client).await;
            seen.acknowledged.lock().unwrap().clear();
            site_ref.remote.take_log();
            let syncing = site_ref.client();
            let sync = async {
                // Half of the rounds are in a full sync; it may end before the kill.
                syncing.sync(round % 2 == 0, |_| {}).await.ok();
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = sync => {}
                () = wait_until_reached(KillPoint::of_round(round), site_ref, &seen) => {}
            }
            daemon.kill();
            if round % CHECK_EVERY == 0 {
                let acknowledged = seen.acknowledged.lock().unwrap().clone();
                check(&site_ref.places(), &acknowledged, round);
            }
        }
    };
    let changes = async {
        for turn in 1.. {
            change(site_ref, turn).await;
        }
    };
    tokio::select! {
        () = kills => {}
        () = changes => {}
        () = read(client, &seen) => {}
        () = read(client, &seen) => {}
    }
    let mut last = Daemon::start(&home);
    wait_until_it_answers(client).await;
    site.becomes_equal("after the last kill").await;
    site.client().shutdown().await.unwrap();
    let ended = last.0.wait().unwrap();
    assert!(ended.success(), "{ended}");
    check(&site.places(), &[], rounds());
    assert!(!site.places().socket.exists(), "it leaves no socket");
    site.stop().await;
}
