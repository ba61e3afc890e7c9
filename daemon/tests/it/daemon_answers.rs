//! What the daemon responds, how fresh it is, and which requests that costs the remote.

use std::time::Duration;

use docks_proto::client::{Reply, Request};
use docks_proto::error::ErrorCode;
use docks_proto::freshness::{AnsweredBy, CachePolicy, Freshness};
use docks_proto::routes::RunKind;
use docks_proto::status::{DaemonStatus, SyncProgress};

use crate::test_daemon::{TestDaemon, detail, eventually, ids};
use docksd_testkit::fake_remote::{FakeRemote, Fault, RemoteData, RetryAfter, TENANT};

async fn remote_and_daemon(runs: usize, trials: usize) -> (FakeRemote, TestDaemon) {
    let remote = FakeRemote::start(RemoteData::sample(runs, trials)).await;
    let daemon = TestDaemon::start(&remote).await;
    (remote, daemon)
}

fn freshness(reply: &Reply) -> Freshness {
    Freshness::from_headers(&reply.headers).expect("responses with data have an age")
}

async fn post(daemon: &TestDaemon, path: &str) -> Reply {
    let path = format!("/tenants/{TENANT}{path}");
    daemon.send(Request::post(path)).await
}

fn newest(remote: &FakeRemote, kind: RunKind) -> String {
    remote.with_data(|data| data.of_kind(kind).last().unwrap().id.clone())
}

#[tokio::test]
async fn a_cold_list_is_fetched_and_a_warm_one_is_answered_by_the_mirror() {
    let (mut remote, daemon) = remote_and_daemon(30, 2).await;
    let cold = daemon.get("/runs?limit=5").await;
    assert_eq!(ids(&cold).len(), 5);
    assert_eq!(ids(&cold)[0], newest(&remote, RunKind::Run));
    assert_eq!(cold.headers["docks-total"], "30");
    assert_eq!(cold.headers["docks-protocol"], "1");
    remote.close().await;
    let warm = daemon.get("/runs?limit=5").await;
    assert_eq!(warm.body, cold.body);
    assert_eq!(freshness(&warm).answered_by, AnsweredBy::Mirror);
    assert_eq!(ids(&daemon.get("/runs").await).len(), 20);
    assert_eq!(ids(&daemon.get("/runs?limit=0").await).len(), 30);
    daemon.end().await;
}

#[tokio::test]
async fn many_clients_waiting_for_a_cold_list_cost_one_request() {
    let remote = FakeRemote::start(RemoteData::sample(3, 1)).await;
    let home = tempfile::tempdir().unwrap();
    let daemon = TestDaemon::start_in(home, |config| config.sync.backfill = false).await;
    let url = remote.url();
    let path = format!("/tenants/{TENANT}/harbor/runs?limit=3");
    let headers = [
        ("docks-api-url", url.as_str()),
        ("authorization", "Bearer s3cret"),
    ];
    let requests = (0..50).map(|_| daemon.get_with(&path, &headers));
    for reply in futures_util::future::join_all(requests).await {
        assert_eq!(ids(&reply).len(), 3);
    }
    let log = remote.take_log();
    let heads = log
        .iter()
        .filter(|seen| seen.target.contains("/harbor/runs?") && !seen.target.contains("offset"))
        .count();
    // The engine's own first poll and its sweep may be among them, but not fifty requests.
    assert!(heads <= 4, "{log:?}");
    daemon.end().await;
}

#[tokio::test]
async fn fresh_means_confirmed_after_the_request_began() {
    let (remote, daemon) = remote_and_daemon(5, 1).await;
    daemon.get("/runs").await;
    let id = newest(&remote, RunKind::Run);
    remote.with_data(|data| data.advance(RunKind::Run, &id, "completed"));
    let began = docks_proto::time::UnixMs::now();
    let fresh = daemon
        .get_as(&format!("/runs/{id}"), CachePolicy::NoCache)
        .await;
    assert!(String::from_utf8_lossy(&fresh.body).contains("completed"));
    assert!(freshness(&fresh).as_of >= began);
    assert_eq!(freshness(&fresh).answered_by, AnsweredBy::Remote);
    daemon.end().await;
}

#[tokio::test]
async fn unmet_freshness_is_an_error_and_not_a_cached_answer() {
    let (mut remote, daemon) = remote_and_daemon(5, 1).await;
    daemon.get("/runs").await;
    remote.close().await;
    for allowed in [
        CachePolicy::NoCache,
        CachePolicy::MaxAge(Duration::from_secs(1)),
    ] {
        // A second must pass before the mirror is too old for the latter.
        let unmet = || async { daemon.get_as("/runs", allowed).await.status == 504 };
        eventually("the mirror is too old", unmet).await;
        let reply = daemon.get_as("/runs", allowed).await;
        assert_eq!(detail(&reply).code, ErrorCode::FreshnessUnmet);
    }
    let within = CachePolicy::MaxAge(Duration::from_secs(3_600));
    assert_eq!(daemon.get_as("/runs", within).await.status, 200);
    assert_eq!(daemon.get("/runs").await.status, 200);
    daemon.end().await;
}

#[tokio::test]
async fn only_if_cached_sends_no_request() {
    let (remote, daemon) = remote_and_daemon(5, 1).await;
    for path in ["/runs/x-1", "/harbor/runs/x-1", "/harbor/runs/x-1/trials"] {
        let reply = daemon.get_as(path, CachePolicy::OnlyIfCached).await;
        assert_eq!(detail(&reply).code, ErrorCode::NotCached, "{path}");
    }
    // Without the header the same request reaches the remote, so the log would show it.
    assert!(!remote.log().iter().any(|seen| seen.target.contains("x-1")));
    daemon.get("/runs/x-1").await;
    assert!(remote.log().iter().any(|seen| seen.target.contains("x-1")));
    daemon.end().await;
}

#[tokio::test]
async fn refusals_of_the_remote_keep_their_meaning() {
    for (fault, status, code) in [
        (Fault::Unauthorized, 401, ErrorCode::Unauthorized),
        (Fault::Forbidden, 403, ErrorCode::Forbidden),
        (
            Fault::TooMany(RetryAfter::Text("7")),
            429,
            ErrorCode::RateLimited,
        ),
        (Fault::ServerError, 502, ErrorCode::RemoteBroken),
        (Fault::Portal, 502, ErrorCode::RemoteBroken),
    ] {
        let remote = FakeRemote::start(RemoteData::sample(3, 1)).await;
        remote.fault(fault.clone());
        let daemon = TestDaemon::start(&remote).await;
        let reply = daemon.get("/runs").await;
        assert_eq!(
            (reply.status.as_u16(), detail(&reply).code),
            (status, code),
            "{fault:?}"
        );
        remote.clear();
        daemon.end().await;
    }
}

#[tokio::test]
async fn an_outage_with_nothing_cached_is_reported_and_recovers_without_help() {
    let mut remote = FakeRemote::start(RemoteData::sample(3, 1)).await;
    remote.close().await;
    let daemon = TestDaemon::start(&remote).await;
    let reply = daemon.get("/runs").await;
    assert_eq!(reply.status, 504);
    assert_eq!(detail(&reply).code, ErrorCode::RemoteUnreachable);
    remote.reopen().await;
    eventually("the daemon answers again", || async {
        daemon.get("/runs").await.status == 200
    })
    .await;
    daemon.end().await;
}

#[tokio::test]
async fn ids_may_be_prefixes_or_names_and_ambiguous_ones_list_the_candidates() {
    let (remote, daemon) = remote_and_daemon(3, 2).await;
    remote.with_data(|data| {
        for id in ["abc-1", "abc-2", "xyz-1"] {
            data.add_run(id, "completed");
        }
    });
    // A prefix of a run that is not mirrored yet.
    let reply = daemon.get("/runs/xy").await;
    assert!(
        String::from_utf8_lossy(&reply.body).contains("xyz-1"),
        "{reply:?}"
    );
    daemon.get_as("/runs", CachePolicy::NoCache).await;
    let reply = daemon.get("/runs/abc").await;
    assert_eq!(reply.status, 409);
    let candidates: Vec<_> = detail(&reply)
        .candidates
        .into_iter()
        .map(|c| c.id)
        .collect();
    assert_eq!(candidates.len(), 2, "{candidates:?}");
    let reply = daemon.get("/runs/nothing-like-it").await;
    assert_eq!(
        (reply.status.as_u16(), detail(&reply).code),
        (404, ErrorCode::RunNotFound)
    );
    let name = "nightly-2";
    let reply = daemon.get(&format!("/harbor/runs/{name}")).await;
    assert_eq!(reply.status, 200);
    let trials = daemon.get(&format!("/harbor/runs/{name}/trials")).await;
    assert_eq!(ids(&trials).len(), 2);
    let trial = &ids(&trials)[1];
    let path = format!("/harbor/runs/{name}/trials/{trial}");
    assert_eq!(daemon.get(&path).await.status, 200);
    let path = format!("/harbor/runs/{name}/trials/none");
    let reply = daemon.get(&path).await;
    assert_eq!(detail(&reply).code, ErrorCode::TrialNotFound);
    daemon.end().await;
}

#[tokio::test]
async fn every_read_after_an_action_sees_its_result() {
    let (remote, daemon) = remote_and_daemon(3, 1).await;
    daemon.get("/runs").await;
    let id = newest(&remote, RunKind::Run);
    let stopped = post(&daemon, &format!("/runs/{id}/stop")).await;
    assert_eq!(stopped.status, 200, "{stopped:?}");
    for path in [format!("/runs/{id}"), "/runs?limit=1".to_owned()] {
        let reply = daemon.get(&path).await;
        let body = String::from_utf8_lossy(&reply.body).into_owned();
        assert!(!body.contains("\"running\""), "{body}");
    }
    let missing = post(&daemon, "/runs/nothing/stop").await;
    assert_eq!(detail(&missing).code, ErrorCode::RunNotFound);
    daemon.end().await;
}

#[tokio::test]
async fn an_invalid_query_or_id_is_refused() {
    let (_remote, daemon) = remote_and_daemon(3, 1).await;
    for (path, status) in [
        ("/runs?limit=-1", 422),
        ("/runs?sort=colour", 422),
        ("/harbor/runs?since=soon", 422),
        ("/runs/%00", 400),
        ("/runs/%2e%2e", 400),
        ("/runs/%FF", 400),
    ] {
        let reply = daemon.get(path).await;
        assert_eq!(reply.status.as_u16(), status, "{path}");
        assert_eq!(detail(&reply).code, ErrorCode::InvalidRequest, "{path}");
    }
    let long = format!("/runs/{}", "x".repeat(600));
    assert_eq!(daemon.get(&long).await.status, 400);
    daemon.end().await;
}

#[tokio::test]
async fn a_profile_answers_for_its_own_tenant_only() {
    let (_remote, daemon) = remote_and_daemon(3, 1).await;
    let other = daemon.get_with("/tenants/another/runs", &[]).await;
    assert_eq!(
        (other.status.as_u16(), detail(&other).code),
        (404, ErrorCode::UnknownProfile)
    );
    let path = format!("/tenants/{TENANT}/runs");
    let unknown = daemon.get_with(&path, &[("docks-profile", "nobody")]).await;
    assert_eq!(detail(&unknown).code, ErrorCode::UnknownProfile);
    let stranger = [("docks-api-url", "http://stranger.example")];
    assert_eq!(daemon.get_with(&path, &stranger).await.status, 400);
    let relative = [("docks-harbor-jobs", "jobs")];
    assert_eq!(daemon.get_with(&path, &relative).await.status, 400);
    let missing = [("docks-harbor-jobs", "/there/is/no/such/directory")];
    assert_eq!(daemon.get_with(&path, &missing).await.status, 404);
    daemon.end().await;
}

#[tokio::test]
async fn status_shows_what_is_mirrored_and_the_token_is_not_on_disk() {
    let (_remote, daemon) = remote_and_daemon(4, 2).await;
    daemon.get("/runs").await;
    let reply = daemon.get_with("/v1/status", &[]).await;
    let status: DaemonStatus = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(status.pid, std::process::id());
    let remote = &status.remotes[0];
    assert_eq!(remote.profiles, ["default"]);
    assert_eq!(remote.rows.runs, 4);
    assert!(
        status.schedules.iter().all(|s| s.next_due.is_some()),
        "{status:?}"
    );
    let home = daemon.end().await;
    for entry in std::fs::read_dir(home.path().join("cache")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(6).any(|part| part == b"s3cret"));
    }
}

#[tokio::test]
async fn a_sync_streams_progress_and_mirrors_everything() {
    let (mut remote, daemon) = remote_and_daemon(6, 3).await;
    let reply = daemon.send(Request::post("/v1/sync?full=true")).await;
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    let lines: Vec<SyncProgress> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let last = lines.last().unwrap();
    assert!(last.finished && last.error.is_none(), "{text}");
    assert_eq!((last.rows.evaluation_runs, last.rows.trials), (6, 18));
    remote.close().await;
    let id = newest(&remote, RunKind::Evaluation);
    let trials = daemon
        .get_as(
            &format!("/harbor/runs/{id}/trials"),
            CachePolicy::OnlyIfCached,
        )
        .await;
    assert_eq!(ids(&trials).len(), 3);
    daemon.end().await;
}

#[tokio::test]
async fn a_client_can_shut_the_daemon_down_and_the_mirror_survives() {
    let (mut remote, daemon) = remote_and_daemon(4, 1).await;
    let before = daemon.get("/runs").await;
    assert_eq!(daemon.send(Request::post("/v1/shutdown")).await.status, 202);
    let socket = daemon.places().socket;
    let home = daemon.ended().await;
    assert!(!socket.exists());
    remote.close().await;
    let daemon = TestDaemon::start_in(home, |_| {}).await;
    let after = daemon.get("/runs").await;
    assert_eq!(after.body, before.body);
    assert_eq!(freshness(&after).answered_by, AnsweredBy::Mirror);
    daemon.end().await;
}

#[tokio::test]
async fn an_idle_daemon_without_active_runs_exits() {
    let home = tempfile::tempdir().unwrap();
    let soon = docksd::config::IdleExit::After(Duration::from_secs(1));
    let daemon = TestDaemon::start_in(home, |config| config.idle_exit = soon).await;
    daemon.ended().await;
}

#[tokio::test]
async fn the_list_of_all_trials_waits_for_trials_that_were_never_mirrored() {
    let (mut remote, daemon) = remote_and_daemon(5, 3).await;
    let all = daemon.get("/harbor/trials?limit=0").await;
    assert_eq!(ids(&all).len(), 15);
    assert_eq!(all.headers["docks-total"], "15");
    assert_eq!(freshness(&all).stale_reason, None);
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&all.body).unwrap();
    for row in &rows {
        let run = row["docks_run"]["id"].as_str().unwrap();
        let path = format!("/harbor/runs/{run}/trials/{}", row["id"].as_str().unwrap());
        assert_eq!(daemon.get(&path).await.status, 200, "{path}");
    }
    assert_eq!(ids(&daemon.get("/harbor/trials").await).len(), 15);
    assert_eq!(ids(&daemon.get("/harbor/trials?limit=4").await).len(), 4);
    assert_eq!(daemon.get("/harbor/trials?reward=x").await.status, 422);
    let run = newest(&remote, RunKind::Evaluation);
    let path = format!("/harbor/runs/{run}/trials?task=no%20such");
    assert_eq!(ids(&daemon.get(&path).await).len(), 0);
    remote.close().await;
    let warm = daemon
        .get_as("/harbor/trials?limit=0", CachePolicy::OnlyIfCached)
        .await;
    assert_eq!(warm.body, all.body);
    let fresh = daemon.get_as("/harbor/trials", CachePolicy::NoCache).await;
    assert_eq!(fresh.status, 504, "the remote is down");
    daemon.end().await;
}

#[tokio::test]
async fn trials_that_were_changed_by_hand_after_the_end_are_in_fresh_lists_and_full_syncs() {
    const ALL: &str = "/harbor/trials?limit=0";
    let (remote, daemon) = remote_and_daemon(5, 3).await;
    daemon.get(ALL).await;
    // The oldest run has ended, and stays as it is.
    let (run, trial) = remote.with_data(|data| {
        let run = data.evaluations[0].id.clone();
        let trial = data.trials[&run][0].id.clone();
        (run, trial)
    });
    let grade = |status: &str| remote.with_data(|data| data.advance_trial(&run, &trial, status));
    let status_in = |reply: &Reply| {
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&reply.body).unwrap();
        let row = rows.iter().find(|row| row["id"] == trial.as_str()).unwrap();
        row["status"].as_str().unwrap().to_owned()
    };
    let max_age = |seconds| CachePolicy::MaxAge(Duration::from_secs(seconds));

    grade("success");
    let old = daemon.get_as(ALL, max_age(3_600)).await;
    assert_ne!(status_in(&old), "success", "it is recent enough");
    remote.take_log();
    let asked = docks_proto::time::UnixMs::now();
    let fresh = daemon.get_as(ALL, CachePolicy::NoCache).await;
    assert_eq!(status_in(&fresh), "success");
    assert!(freshness(&fresh).as_of >= asked);
    assert_eq!(freshness(&fresh).answered_by, AnsweredBy::Remote);
    let log = remote.take_log();
    let of_run = format!("{run}/trials");
    let requests = log.iter().filter(|seen| seen.target.contains(&of_run));
    assert_eq!(requests.count(), 1, "{log:?}");

    grade("failed");
    let synced = daemon.send(Request::post("/v1/sync?full=true")).await;
    let synced = String::from_utf8_lossy(&synced.body).into_owned();
    assert!(!synced.contains("error"), "{synced}");
    assert_eq!(status_in(&daemon.get(ALL).await), "failed");

    // One that cannot be asked for again is no fresh answer.
    remote.fault_at(&format!("{run}/trials"), Fault::ServerError);
    let refused = daemon.get_as(ALL, CachePolicy::NoCache).await;
    assert_eq!(refused.status, 504);
    assert_eq!(detail(&refused).code, ErrorCode::FreshnessUnmet);
    assert_eq!(daemon.get_as(ALL, max_age(3_600)).await.status, 200);
    daemon.end().await;
}

#[tokio::test]
async fn an_empty_list_says_whether_its_statuses_were_ever_seen() {
    let (remote, daemon) = remote_and_daemon(3, 1).await;
    let id = newest(&remote, RunKind::Run);
    let becomes = |status: &str| remote.with_data(|data| data.advance(RunKind::Run, &id, status));
    let seen = |reply: &Reply| {
        let value = reply.headers.get("docks-status-seen");
        value.map(|value| value.to_str().unwrap().to_owned())
    };
    becomes("thawing");
    let matching = daemon.get("/runs?status=thawing").await;
    assert_eq!((ids(&matching).len(), seen(&matching)), (1, None));
    becomes("completed");
    daemon.get_as("/runs", CachePolicy::NoCache).await;
    for (statuses, expected) in [("Thawing", "true"), ("thawing,frozen", "false")] {
        let empty = daemon.get(&format!("/runs?status={statuses}")).await;
        assert_eq!(ids(&empty).len(), 0);
        assert_eq!(seen(&empty).as_deref(), Some(expected), "{statuses}");
    }
    assert_eq!(seen(&daemon.get("/runs?q=nothing-has-this").await), None);
    daemon.end().await;
}
