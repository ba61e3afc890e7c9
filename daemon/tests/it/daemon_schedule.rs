//! The cron jobs of a running daemon: they run at their times, and the status shows it.

use docks_proto::client::{Deadlines, Request, UnixTransport};
use docks_proto::status::DaemonStatus;
use rustix::process::Signal;

use crate::daemon_process;
use crate::test_daemon::{DEADLINE, TestDaemon, eventually, places};
use docksd_testkit::fake_remote::{FakeRemote, RemoteData};

async fn status(daemon: &TestDaemon) -> DaemonStatus {
    let reply = daemon.get_with("/v1/status", &[]).await;
    serde_json::from_slice(&reply.body).unwrap()
}

/// Returns when each job last succeeded.
async fn last_successes(daemon: &TestDaemon) -> Vec<Option<String>> {
    let schedules = status(daemon).await.schedules;
    assert_eq!(schedules.len(), 2, "{schedules:?}");
    schedules.into_iter().map(|job| job.last_success).collect()
}

#[tokio::test]
async fn both_jobs_run_repeatedly_and_the_status_shows_it() {
    let remote = FakeRemote::start(RemoteData::sample(3, 1)).await;
    let home = tempfile::tempdir().unwrap();
    let text = format!(
        "[default]\napi_url = \"{}\"\ntenant_id = \"ten\"\ntoken = \"s3cret\"\n",
        remote.url()
    );
    std::fs::write(home.path().join("config.toml"), text).unwrap();
    let daemon = TestDaemon::start_in(home, |config| {
        config.schedules.sweep = "* * * * * *".parse().unwrap();
        config.schedules.upkeep = "* * * * * *".parse().unwrap();
    })
    .await;
    eventually("both jobs have succeeded once", async || {
        last_successes(&daemon).await.iter().all(Option::is_some)
    })
    .await;
    let first = last_successes(&daemon).await;
    eventually("both jobs have succeeded again", async || {
        let now = last_successes(&daemon).await;
        now.iter().zip(&first).all(|(now, first)| now > first)
    })
    .await;
    daemon.end().await;
}

#[tokio::test]
async fn the_lines_of_daemon_toml_are_in_local_time() {
    let home = tempfile::tempdir().unwrap();
    let lines = "sweep = \"30 4 * * *\"\nupkeep = \"15 0 22 * * *\"\n";
    std::fs::write(home.path().join("daemon.toml"), lines).unwrap();
    let mut command = daemon_process::command(home.path());
    // Five and a half hours ahead of UTC, without daylight saving time.
    command.env("TZ", "XST-5:30");
    let mut child = command.spawn().unwrap();
    assert_eq!(daemon_process::report(&mut child)["ready"], true);
    let deadlines = Deadlines {
        answer: Some(DEADLINE),
        connect: DEADLINE,
        ..Deadlines::default()
    };
    let transport = UnixTransport::new(places(home.path()).socket, deadlines);
    let reply = transport.send(Request::get("/v1/status")).await.unwrap();
    daemon_process::signal(&child, Signal::TERM);
    daemon_process::exit_code(&mut child).await;
    let status: DaemonStatus = serde_json::from_slice(&reply.body).unwrap();
    let [sweep, upkeep] = status.schedules.try_into().unwrap();
    assert_eq!(sweep.cron.as_deref(), Some("0 30 4 * * *"));
    assert!(
        sweep.next_due.unwrap().contains("T23:00:00"),
        "04:30 is 23:00 UTC"
    );
    assert_eq!(upkeep.cron.as_deref(), Some("15 0 22 * * *"));
    assert!(
        upkeep.next_due.unwrap().contains("T16:30:15"),
        "22:00 is 16:30 UTC"
    );
}
