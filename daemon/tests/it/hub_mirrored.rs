//! A daemon that mirrors the hub of another daemon.

use std::fs;

use docks_proto::client::Request;
use docks_proto::freshness::CachePolicy;
use docks_proto::status::DaemonStatus;

use crate::hub_support::TestHub;
use crate::test_daemon::{TestDaemon, eventually, ids};

fn profile(hub: &TestHub, token: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let text = format!(
        "[default]\napi_url = \"http://{}\"\ntenant_id = \"local\"\ntoken = \"{token}\"\n",
        hub.address
    );
    fs::write(home.path().join("config.toml"), text).unwrap();
    home
}

async fn status(daemon: &TestDaemon) -> DaemonStatus {
    let reply = daemon.get_with("/v1/status", &[]).await;
    serde_json::from_slice(&reply.body).unwrap()
}

#[tokio::test]
async fn a_mirror_of_a_hub_equals_the_hub_and_mostly_gets_304() {
    let hub = TestHub::start().await;
    let mirror = TestDaemon::start_in(profile(&hub, &hub.token), |config| {
        config.sync.watched_interval = std::time::Duration::from_millis(50);
        config.sync.idle_interval = std::time::Duration::from_millis(50);
        config.sync.budget_per_minute = 60_000;
    })
    .await;
    let runs = "/tenants/local/harbor/runs";
    let original = hub.get(runs, "").await;
    eventually("the mirror has the hub's list", || async {
        mirror.get_with(runs, &[]).await.body == original.body
    })
    .await;
    for run in ids(&mirror.get_with(runs, &[]).await) {
        let path = format!("{runs}/{run}/trials");
        let copy = mirror.get_with(&path, &[]).await;
        assert_eq!(copy.body, hub.get(&path, "").await.body);
    }
    eventually("lists are confirmed without being sent again", || async {
        hub.status().await.not_modified >= 10
    })
    .await;
    let remote = &status(&mirror).await.remotes[0];
    assert!(remote.not_modified_last_hour > 0, "{remote:?}");
    fs::remove_dir_all(hub.jobs.join("killed-midway")).unwrap();
    eventually(
        "a job removed at the hub is removed from the mirror",
        || async {
            hub.get(runs, "Cache-Control: no-cache\r\n").await;
            mirror.send(Request::post("/v1/sync?full=true")).await;
            ids(&mirror.get_with(runs, &[]).await).len() == 3
        },
    )
    .await;
    mirror.end().await;
    hub.daemon.end().await;
}

#[tokio::test]
async fn a_mirror_with_a_wrong_token_reports_it() {
    let hub = TestHub::start().await;
    let mirror = TestDaemon::start_in(profile(&hub, "wrong"), |_| {}).await;
    let header = CachePolicy::NoCache.to_header_value().unwrap();
    let fresh = [("cache-control", header.to_str().unwrap())];
    let reply = mirror.get_with("/tenants/local/runs", &fresh).await;
    assert_eq!(reply.status, 401);
    mirror.end().await;
    hub.daemon.end().await;
}
