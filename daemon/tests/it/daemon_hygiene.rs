//! What no handler gets to see, on every route.

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

const OURS: &str = "Host: docks\r\n";

/// Head of a request after its first line, and the statuses that refuse it.
fn refused_heads() -> Vec<(String, &'static [u16])> {
    let ours = |line: &str| format!("{OURS}{line}\r\n");
    vec![
        (String::new(), &[400]),
        ("Host: evil.example\r\n".into(), &[403]),
        ("Host: docks.evil.example\r\n".into(), &[403]),
        ("Host: 127.0.0.1\r\n".into(), &[403]),
        (format!("{OURS}{OURS}"), &[400]),
        (ours("Host: evil.example"), &[400]),
        (ours("Origin: http://localhost"), &[403]),
        (ours("Origin: null"), &[403]),
        (ours("Referer: http://docks/"), &[403]),
        (ours("Sec-Fetch-Site: none"), &[403]),
        (ours("Sec-Fetch-Site: cross-site"), &[403]),
        (
            ours("Transfer-Encoding: chunked\r\nContent-Length: 5"),
            &[400],
        ),
        (
            ours("Content-Length: 5\r\nTransfer-Encoding: chunked"),
            &[400],
        ),
        (ours("Content-Length: 5\r\nContent-Length: 6"), &[400]),
        (ours("Content-Length: 1048577"), &[413]),
        (ours("Content-Length: -1"), &[400]),
        (ours(&format!("X-Long: {}", "x".repeat(1 << 20))), &[431]),
        (
            ours(&"X-Many: 1\r\n".repeat(500)).replace("\r\n\r\n", "\r\n"),
            &[431],
        ),
        (ours("X Bad: 1"), &[400]),
    ]
}

#[tokio::test]
async fn a_request_that_is_not_for_us_reaches_no_handler() {
    let remote = FakeRemote::start(RemoteData::sample(1, 1)).await;
    let home = tempfile::tempdir().unwrap();
    // Without a profile: whatever is asked of the remote would be a handler's doing.
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
            let request = format!("{method} {target} HTTP/1.1\r\n{OURS}Connection: close\r\n\r\n");
            assert_eq!(daemon.raw(request.as_bytes()).await.0, 400, "{target}");
        }
    }
    // Also a shutdown was among what was refused: it is still there.
    let request = format!("GET /v1/status HTTP/1.1\r\n{OURS}Connection: close\r\n\r\n");
    assert_eq!(daemon.raw(request.as_bytes()).await.0, 200);
    assert!(remote.log().is_empty());
    daemon.end().await;
}

#[tokio::test]
async fn a_route_knows_its_methods_only() {
    let home = tempfile::tempdir().unwrap();
    let daemon = TestDaemon::start_in(home, |_| {}).await;
    for (method, path) in ROUTES.iter().take(12) {
        let wrong = if *method == "GET" { "DELETE" } else { "GET" };
        for method in [wrong, "PATCH", "TRACE", "BREW"] {
            let request = format!("{method} {path} HTTP/1.1\r\n{OURS}Connection: close\r\n\r\n");
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
async fn bytes_that_are_no_http_end_one_connection_and_nothing_else() {
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
