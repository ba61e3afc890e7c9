//! The cron jobs of a running daemon: that they poke, and that the status shows it.

use docks_proto::status::DaemonStatus;

use crate::test_daemon::{TestDaemon, eventually};
use docksd_testkit::fake_remote::{FakeRemote, RemoteData};

async fn status(daemon: &TestDaemon) -> DaemonStatus {
    let reply = daemon.get_with("/v1/status", &[]).await;
    serde_json::from_slice(&reply.body).unwrap()
}

/// Returns when the work of the jobs last ended well.
async fn ended(daemon: &TestDaemon) -> Vec<Option<String>> {
    let schedules = status(daemon).await.schedules;
    assert_eq!(schedules.len(), 2, "{schedules:?}");
    schedules.into_iter().map(|job| job.last_success).collect()
}

#[tokio::test]
async fn both_jobs_do_their_work_again_and_again_and_the_status_shows_it() {
    let remote = FakeRemote::start(RemoteData::sample(3, 1)).await;
    let home = tempfile::tempdir().unwrap();
    let text = format!(
        "[default]\napi_url = \"{}\"\ntenant_id = \"ten\"\ntoken = \"s3cret\"\n",
        remote.url()
    );
    std::fs::write(home.path().join("config.toml"), text).unwrap();
    let daemon = TestDaemon::start_in(home, |config| {
        config.calendar.sweep = "* * * * * *".to_owned();
        config.calendar.upkeep = "* * * * * *".to_owned();
    })
    .await;
    eventually("both jobs ended once", async || {
        ended(&daemon).await.iter().all(Option::is_some)
    })
    .await;
    let first = ended(&daemon).await;
    eventually("both jobs ended again", async || {
        let now = ended(&daemon).await;
        now.iter().zip(&first).all(|(now, first)| now > first)
    })
    .await;
    daemon.end().await;
}
