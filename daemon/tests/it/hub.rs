//! What a hub responds to clients that have its token.

use std::io::Read;

use docks_proto::credentials::hub_token;

use crate::hub_support::TestHub;
use crate::test_daemon::{detail, eventually};

const RUNS: &str = "/tenants/local/harbor/runs";

#[tokio::test]
async fn a_hub_responds_like_the_daemon_except_for_urls() {
    let hub = TestHub::start().await;
    let base = format!("http://{}/tenants/local/harbor/runs", hub.address);
    let list = hub.get(RUNS, "").await.json();
    let run = list[0]["id"].as_str().unwrap();
    let trials = format!("{RUNS}/{run}/trials");
    let trial = hub.get(&trials, "").await.json();
    let left_files = |trial: &&serde_json::Value| trial["result_uri"].is_string();
    let trial = trial.as_array().unwrap().iter().find(left_files).unwrap()["id"].clone();
    let jobs = hub.jobs.to_str().unwrap().replace(' ', "%20");
    for path in [
        "/tenants/local/runs".to_owned(),
        format!("/tenants/local/runs/{run}"),
        RUNS.to_owned(),
        format!("{RUNS}/{run}"),
        trials.clone(),
        format!("{trials}/{}", trial.as_str().unwrap()),
    ] {
        let own = [("docks-harbor-jobs", jobs.as_str())];
        let before = hub.daemon.get_with(&path, &own).await;
        let before = String::from_utf8(before.body.to_vec()).unwrap();
        let after = hub.get(&path, "").await;
        assert_eq!(after.status, 200, "{path}: {}", after.head);
        assert_eq!(after.header("content-type"), Some("application/json"));
        assert!(after.header("docks-as-of").is_some(), "{path}");
        assert!(before.contains("file://") && after.text().contains(&base));
        // With the URLs restored both are the same bytes.
        let mut restored = String::new();
        for (at, piece) in after.text().split(&format!("\"{base}/")).enumerate() {
            let below = piece.find("/artifacts/").filter(|_| at > 0);
            if let Some(below) = below {
                restored.push_str(&format!("\"file://{jobs}/"));
                restored.push_str(&piece[below + "/artifacts/".len()..]);
            } else {
                restored.push_str(piece);
            }
        }
        assert_eq!(restored, before, "{path}");
    }
    hub.daemon.end().await;
}

#[tokio::test]
async fn a_known_response_is_not_sent_again_until_it_changes() {
    let hub = TestHub::start().await;
    let first = hub.get(RUNS, "").await;
    let tag = first.header("etag").unwrap().to_owned();
    let condition = format!("If-None-Match: {tag}\r\n");
    let again = hub.get(RUNS, &condition).await;
    assert_eq!((again.status, again.body.len()), (304, 0), "{}", again.head);
    assert_eq!(again.header("etag"), Some(tag.as_str()));
    assert!(again.header("docks-as-of").is_some());
    let other = hub.get("/tenants/local/runs", &condition).await;
    assert_eq!(other.status, 200);
    assert_eq!(hub.status().await.not_modified, 1);
    std::fs::remove_dir_all(hub.jobs.join("killed-midway")).unwrap();
    let lines = format!("{condition}Cache-Control: no-cache\r\n");
    eventually("the response changes", || async {
        hub.get(RUNS, &lines).await.status == 200
    })
    .await;
    hub.daemon.end().await;
}

#[tokio::test]
async fn lists_are_paged_filtered_and_counted() {
    let hub = TestHub::start().await;
    let page = hub.get(&format!("{RUNS}?limit=2&offset=1"), "").await;
    assert_eq!(page.header("docks-total"), Some("4"), "{}", page.head);
    let all = hub.get(RUNS, "").await.json();
    assert_eq!(page.json(), serde_json::json!([all[1], all[2]]));
    let failed = hub.get(&format!("{RUNS}?status=failed"), "").await;
    assert_eq!(failed.header("docks-total"), Some("1"));
    assert_eq!(failed.json()[0]["name"], "killed-midway");
    let wrong = hub.get(&format!("{RUNS}?limit=many"), "").await;
    assert_eq!(wrong.status, 422);
    hub.daemon.end().await;
}

#[tokio::test]
async fn a_compressed_response_decompresses_to_the_same_bytes() {
    let hub = TestHub::start().await;
    let plain = hub.get(RUNS, "").await;
    let gzip = "Accept-Encoding: br, gzip\r\n";
    let compressed = hub.get(RUNS, gzip).await;
    assert_eq!(compressed.header("content-encoding"), Some("gzip"));
    assert_eq!(
        compressed.header("vary"),
        Some("accept-encoding, content-type, user-agent")
    );
    assert_eq!(compressed.header("etag"), plain.header("etag"));
    assert!(compressed.body.len() * 3 < plain.body.len());
    let mut decompressed = Vec::new();
    flate2::read::GzDecoder::new(&compressed.body[..])
        .read_to_end(&mut decompressed)
        .unwrap();
    assert_eq!(decompressed, plain.body);
    let head = format!("{}{gzip}", hub.bearer());
    let head = hub.request("HEAD", RUNS, &head).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("etag"), plain.header("etag"));
    hub.daemon.end().await;
}

#[tokio::test]
async fn a_hub_serves_only_the_paths_of_the_docks_api() {
    let hub = TestHub::start().await;
    for (method, path) in [
        ("GET", "/v1/status"),
        ("POST", "/v1/sync"),
        ("POST", "/v1/shutdown"),
        ("GET", "/v1/events"),
        ("GET", "/"),
        ("GET", "/tenants/"),
        ("GET", "/tenants/local"),
        ("GET", "/tenants/local/sandboxes"),
    ] {
        let response = hub.request(method, path, &hub.bearer()).await;
        assert_eq!(response.status, 404, "{method} {path}");
        assert_eq!(response.json()["detail"]["code"], "not_found");
    }
    let other = hub.get("/tenants/other/runs", "").await;
    assert_eq!(other.status, 403);
    let hint = other.json()["detail"]["hint"].clone();
    assert!(hint.as_str().unwrap().contains("`local`"), "{hint}");
    assert_eq!(hub.get("/tenants/%6Cocal/runs", "").await.status, 200);
    // Headers that select another remote on the socket have no effect here.
    for line in [
        "Docks-Harbor-Jobs: %2Ftmp\r\n",
        "Docks-Profile: default\r\n",
        "Docks-Api-Url: http://127.0.0.1:1\r\n",
    ] {
        let response = hub.get(RUNS, line).await;
        assert_eq!(response.header("docks-total"), Some("4"), "{line}");
    }
    hub.daemon.end().await;
}

#[tokio::test]
async fn runs_can_be_stopped_through_a_hub_unless_it_is_read_only() {
    let open = TestHub::start().await;
    let closed = TestHub::start_as(|options| options.read_only = true).await;
    let path = format!("{RUNS}/nightly-mixed/cancel");
    for path in [path.as_str(), "/tenants/local/runs/nightly-mixed/stop"] {
        let jobs = open.jobs.to_str().unwrap().replace(' ', "%20");
        let mut request = docks_proto::client::Request::post(path);
        let value = http::HeaderValue::from_str(&jobs).unwrap();
        request.headers.insert("docks-harbor-jobs", value);
        let own = open.daemon.send(request).await;
        let response = open.request("POST", path, &open.bearer()).await;
        assert_eq!(response.status, own.status.as_u16());
        let message = response.json()["detail"]["message"].clone();
        assert_eq!(message, detail(&own).message, "the job has ended");
        let response = closed.request("POST", path, &closed.bearer()).await;
        assert_eq!(response.status, 403);
        assert_eq!(
            response.json()["detail"]["message"],
            "This hub is read-only."
        );
    }
    assert_eq!(closed.get(RUNS, "").await.status, 200);
    open.daemon.end().await;
    closed.daemon.end().await;
}

#[tokio::test]
async fn a_new_token_replaces_the_old_one_at_once() {
    let mut hub = TestHub::start().await;
    assert_eq!(hub.get(RUNS, "").await.status, 200);
    let path = hub.daemon.places().hub_token_file();
    let new = hub_token::rotate(&path).unwrap();
    assert_eq!(hub.get(RUNS, "").await.status, 401);
    hub.token = new.expose().to_owned();
    assert_eq!(hub.get(RUNS, "").await.status, 200);
    hub.daemon.end().await;
}

#[tokio::test]
async fn a_hub_behind_a_proxy_uses_the_url_of_the_proxy() {
    let url = "https://hub.example/jobs";
    let hub = TestHub::start_as(|options| options.url = Some(format!("{url}/"))).await;
    let response = hub.get(RUNS, "").await;
    let logs = response.json()[0]["harbor"]["logs_uri"].clone();
    let logs = logs.as_str().unwrap();
    assert!(
        logs.starts_with(&format!("{url}/tenants/local/harbor/runs/")),
        "{logs}"
    );
    hub.daemon.end().await;
}
