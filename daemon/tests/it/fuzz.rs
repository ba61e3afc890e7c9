//! Fuzz target: requests to the daemon on its socket. Its corpus is `tests/corpus/requests`: a method and a path, then
//! headers.

use docks_fuzz::fuzz;
use docks_proto::client::{Deadlines, Request, UnixTransport};
use docksd_testkit::fake_remote::{FakeRemote, RemoteData};
use http::{HeaderName, HeaderValue, Method, Uri};

use crate::test_daemon::{DEADLINE, TestDaemon};

/// Reads a request; `None` for one that cannot be sent, would not end, or would end the daemon.
fn request(input: &[u8]) -> Option<Request> {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.lines();
    let (method, path) = lines.next()?.split_once(' ')?;
    let uri: Uri = path.parse().ok()?;
    let mut request = match method {
        "POST" => Request::post(path),
        _ => Request::get(path),
    };
    if !path.starts_with('/') || matches!(uri.path(), "/v1/events" | "/v1/shutdown") {
        return None;
    }
    if uri.path() == "/v1/sync" && request.method == Method::POST {
        return None;
    }
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        // Those that say how long the body is are the transport's own; other remotes are another test's.
        let is_free = matches!(
            name.as_str(),
            "accept"
                | "authorization"
                | "cache-control"
                | "if-none-match"
                | "last-event-id"
                | "origin"
                | "range"
                | "docks-profile"
                | "docks-tenant"
                | "docks-protocol"
                | "docks-build"
                | "docks-proxies"
        );
        if is_free {
            request
                .headers
                .append(name, HeaderValue::from_str(value.trim()).ok()?);
        }
    }
    Some(request)
}

#[test]
fn fuzz_requests() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let remote = runtime.block_on(FakeRemote::start(RemoteData::sample(3, 2)));
    let daemon = runtime.block_on(TestDaemon::start(&remote));
    let deadlines = Deadlines {
        answer: Some(DEADLINE),
        connect: DEADLINE,
        ..Deadlines::default()
    };
    let transport = UnixTransport::new(daemon.places().socket, deadlines);
    fuzz(
        env!("CARGO_MANIFEST_DIR"),
        "tests/corpus/requests",
        |input| {
            let Some(request) = request(input) else {
                return;
            };
            // A panic of the daemon breaks the connection.
            let reply = runtime.block_on(transport.send(request)).unwrap();
            let body = String::from_utf8_lossy(&reply.body);
            assert_ne!(reply.status, 500, "{body}");
            assert!(!body.contains("s3cret"), "{body}");
        },
    );
    runtime.block_on(daemon.end());
}
