//! Requests that are refused before any handler runs, on every route.

use crate::test_daemon::TestDaemon;
use docksd_testkit::fake_remote::{FakeRemote, RemoteData};

const ROUTES: [(&str, &str); 14] = [
    ("GET", "/tenants/ten/runs"),
    ("GET", "/tenants/ten/runs/r"),
    ("POST", "/tenants/ten/runs/r/stop"),
    ("GET", "/tenants/ten/harbor/runs"),
    ("GET", "/tenants/ten/harbor/runs/r"),
    ("POST", "/tenants/ten/harbor/runs/r/start"),
    ("POST", "/tenants/ten/harbor/runs/r/cancel"),
    ("GET", "/tenants/ten/harbor/runs/r/trials"),
    ("GET", "/tenants/ten/harbor/runs/r/trials/t"),
    ("GET", "/v1/status"),
    ("POST", "/v1/sync"),
    ("POST", "/v1/shutdown"),
    ("GET", "/"),
    ("GET", "/elsewhere"),
];

const OWN_HOST: &str = "Host: docks\r\n";

/// The headers of a request, and the statuses that may refuse it.
fn refused_heads() -> Vec<(String, &'static [u16])> {
    let own_host = |line: &str| format!("{OWN_HOST}{line}\r\n");
    vec![
        (String::new(), &[400]),
        ("Host: evil.example\r\n".into(), &[403]),
        ("Host: docks.evil.example\r\n".into(), &[403]),
        ("Host: 127.0.0.1\r\n".into(), &[403]),
        (format!("{OWN_HOST}{OWN_HOST}"), &[400]),
        (own_host("Host: evil.example"), &[400]),
        (own_host("Origin: http://localhost"), &[403]),
        (own_host("Origin: null"), &[403]),
        (own_host("Referer: http://docks/"), &[403]),
        (own_host("Sec-Fetch-Site: none"), &[403]),
        (own_host("Sec-Fetch-Site: cross-site"), &[403]),
        (
            own_host("Transfer-Encoding: chunked\r\nContent-Length: 5"),
            &[400],
        ),
        (
            own_host("Content-Length: 5\r\nTransfer-Encoding: chunked"),
            &[400],
        ),
        (own_host("Content-Length: 5\r\nContent-Length: 6"), &[400]),
        (own_host("Content-Length: 1048577"), &[413]),
        (own_host("Content-Length: -1"), &[400]),
        (
            own_host(&format!("X-Long: {}", "x".repeat(1 << 20))),
            &[431],
        ),
        (
            own_host(&"X-Many: 1\r\n".repeat(500)).replace("\r\n\r\n", "\r\n"),
            &[431],
        ),
        (own_host("X Bad: 1"), &[400]),
    ]
}

#[tokio::test]
async fn a_refused_request_reaches_no_handler() {
    let remote = FakeRemote::start(RemoteData::sample(1, 1)).await;
    let home = tempfile::tempdir().unwrap();
    // Without a profile, only a handler could send a request to the remote.
    let daemon = TestDaemon::start_in(home, |_| {}).await;
    for (method, path) in ROUTES {
        for (head, expected) in refused_heads() {
            let request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n{head}\r\n");
            let (status, answer) = daemon.raw(request.as_bytes()).await;
            let shown = head.chars().take(60).collect::<String>();
            assert!(
                expected.contains(&status),
                "{method} {path} with {shown:?}: {answer}"
            );
        }
        for target in [
            format!("http://docks{path}"),
            format!("http://evil.example{path}"),
        ] {
            let request =
                format!("{method} {target} HTTP/1.1\r\n{OWN_HOST}Connection: close\r\n\r\n");
            assert_eq!(daemon.raw(request.as_bytes()).await.0, 400, "{target}");
        }
    }
    // A shutdown was among the refused requests, and the daemon still runs.
    let request = format!("GET /v1/status HTTP/1.1\r\n{OWN_HOST}Connection: close\r\n\r\n");
    assert_eq!(daemon.raw(request.as_bytes()).await.0, 200);
    assert!(remote.log().is_empty());
    daemon.end().await;
}

#[tokio::test]
async fn a_route_accepts_only_its_own_methods() {
    let home = tempfile::tempdir().unwrap();
    let daemon = TestDaemon::start_in(home, |_| {}).await;
    for (method, path) in ROUTES.iter().take(12) {
        let wrong = if *method == "GET" { "DELETE" } else { "GET" };
        for method in [wrong, "PATCH", "TRACE", "BREW"] {
            let request =
                format!("{method} {path} HTTP/1.1\r\n{OWN_HOST}Connection: close\r\n\r\n");
            let (status, answer) = daemon.raw(request.as_bytes()).await;
            assert_eq!(status, 405, "{method} {path}: {answer}");
            assert!(answer.contains("docks-protocol: 1"), "{answer}");
            assert!(answer.contains("\"invalid_request\""), "{answer}");
        }
    }
    let connect = b"CONNECT docks:443 HTTP/1.1\r\nHost: docks\r\nConnection: close\r\n\r\n";
    assert_eq!(daemon.raw(connect).await.0, 400);
    daemon.end().await;
}

#[tokio::test]
async fn invalid_http_closes_only_its_own_connection() {
    let home = tempfile::tempdir().unwrap();
    let daemon = TestDaemon::start_in(home, |_| {}).await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00"[..],
        b"\r\n\r\n\r\n\0\0",
        b"GET / HTTP/9.9\r\n\r\n",
    ] {
        let mut stream = bytes.to_vec();
        stream.extend_from_slice(b"\r\n\r\n");
        daemon.raw(&stream).await;
    }
    assert_eq!(daemon.get_with("/v1/status", &[]).await.status, 200);
    daemon.end().await;
}
