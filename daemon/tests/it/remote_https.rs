//! The HTTPS transport and a remote that misbehaves at the level of HTTP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use docks_proto::client::{HttpsTransport, Limits, Reply, Request, SendError};
use docks_proto::secret::Token;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use docksd_testkit::fake_remote::{Behaviour, FakeRemote, Fault, RemoteData};

/// Short enough for tests, and still a thousand times what the loopback interface needs.
const SHORT: Limits = Limits {
    connect: Duration::from_secs(2),
    total: Duration::from_secs(5),
    window: Duration::from_secs(3),
    least_bytes: 64,
    body_bytes: 8 << 20,
    idle_connection: Duration::from_secs(90),
    insecure: false,
};

const RUNS: &str = "/tenants/ten/runs?limit=20";

fn transport(url: &str) -> HttpsTransport {
    HttpsTransport::new(url, Token::new("s3cret"), SHORT).unwrap()
}

async fn request_with_fault(fault: Fault) -> Result<Reply, SendError> {
    let remote = FakeRemote::start(RemoteData::sample(30, 1)).await;
    remote.fault(fault);
    transport(&remote.url()).send(Request::get(RUNS)).await
}

#[tokio::test]
async fn a_response_arrives_with_its_headers_and_the_token_was_sent() {
    let remote = FakeRemote::start(RemoteData::sample(30, 1)).await;
    remote.configure(|h: &mut Behaviour| h.token = Some("s3cret".to_owned()));
    let reply = transport(&remote.url())
        .send(Request::get(RUNS))
        .await
        .unwrap();
    assert_eq!(reply.status, 200);
    assert!(reply.headers.contains_key("etag"));
    let seen = remote.take_log().remove(0);
    assert_eq!(seen.authorization.as_deref(), Some("Bearer s3cret"));
    assert_eq!(
        seen.user_agent,
        Some(format!("docks/{}", docks_proto::VERSION))
    );
    assert_eq!(seen.target, RUNS);
}

#[tokio::test]
async fn a_compressed_response_decompresses_to_the_same_bytes() {
    let remote = FakeRemote::start(RemoteData::sample(30, 1)).await;
    let plain = transport(&remote.url()).send(Request::get(RUNS)).await;
    let plain = plain.unwrap().body;
    for name in ["gzip", "GZIP", "x-gzip", "X-GZip"] {
        remote.configure(|h| (h.gzip, h.gzip_name) = (true, name));
        let compressed = transport(&remote.url()).send(Request::get(RUNS)).await;
        let compressed = compressed.unwrap();
        assert_eq!(plain, compressed.body, "{name}");
        assert!(!compressed.headers.contains_key("content-encoding"));
    }
}

#[tokio::test]
async fn silent_and_slow_responses_time_out() {
    let faults = [Fault::Silence, Fault::StallAfterHeaders, Fault::Drip];
    let outcomes = futures_util::future::join_all(faults.map(request_with_fault)).await;
    for outcome in outcomes {
        assert!(
            matches!(outcome, Err(SendError::Timeout { .. })),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_truncated_response_is_an_error_and_never_a_shorter_response() {
    for fault in [
        Fault::ResetInHeaders,
        Fault::ResetInBody,
        Fault::ShortBody,
        Fault::UnterminatedChunk,
        Fault::GarbageStatusLine,
    ] {
        let outcome = request_with_fault(fault.clone()).await;
        assert!(
            matches!(outcome, Err(SendError::Broken { .. })),
            "{fault:?}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_get_is_retried_once_after_a_broken_connection_and_a_post_is_not() {
    let remote = FakeRemote::start(RemoteData::sample(30, 1)).await;
    remote.fault_times(Fault::ResetInHeaders, 1);
    let again = transport(&remote.url()).send(Request::get(RUNS)).await;
    assert_eq!(again.unwrap().status, 200);
    remote.take_log();
    remote.fault_times(Fault::ResetInHeaders, 1);
    let stop = Request::post("/tenants/ten/runs/some/stop");
    let once = transport(&remote.url()).send(stop).await;
    assert!(matches!(once, Err(SendError::Broken { .. })), "{once:?}");
    assert_eq!(remote.log().len(), 1);
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_before_it_is_read() {
    for fault in [
        Fault::Huge { declared: true },
        Fault::Huge { declared: false },
        Fault::GzipBomb,
    ] {
        let outcome = request_with_fault(fault.clone()).await;
        assert!(
            matches!(outcome, Err(SendError::TooLarge { .. })),
            "{fault:?}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn bytes_after_a_response_do_not_reach_the_next_one() {
    let remote = FakeRemote::start(RemoteData::sample(30, 1)).await;
    remote.fault_times(Fault::LongBody, 1);
    let transport = transport(&remote.url());
    let first = transport.send(Request::get(RUNS)).await.unwrap();
    let second = transport.send(Request::get(RUNS)).await.unwrap();
    assert_eq!(first.body, second.body);
}

#[tokio::test]
async fn bytes_after_a_response_that_arrive_with_the_next_request_cost_it_nothing() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let transport = transport(&format!("http://{}", listener.local_addr().unwrap()));
    let reused = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&reused);
    let server = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let reused = Arc::clone(&seen);
            connections.spawn(async move {
                read_request(&mut stream).await?;
                let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]";
                stream.write_all(ok).await?;
                read_request(&mut stream).await?;
                reused.fetch_add(1, Ordering::SeqCst);
                stream
                    .write_all(b" and more than was declared\r\n\r\n")
                    .await
            });
        }
    });
    // A connection is kept a moment after its response was read, so the next request may be too early.
    for _ in 0..1_000 {
        let reply = transport.send(Request::get(RUNS)).await.unwrap();
        assert_eq!(reply.body.as_ref(), b"[]");
        if reused.load(Ordering::SeqCst) > 0 {
            break;
        }
    }
    assert!(reused.load(Ordering::SeqCst) > 0, "no connection was kept");
    server.abort();
}

/// Reads a request without a body.
async fn read_request(stream: &mut TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(())
}

#[tokio::test]
async fn a_closed_port_and_an_unknown_name_are_connection_errors() {
    let mut remote = FakeRemote::start(RemoteData::default()).await;
    let transport = transport(&remote.url());
    assert!(transport.send(Request::get(RUNS)).await.is_ok());
    remote.close().await;
    let refused = transport.send(Request::get(RUNS)).await;
    assert!(
        matches!(refused, Err(SendError::Connect { .. })),
        "{refused:?}"
    );
    remote.reopen().await;
    assert!(transport.send(Request::get(RUNS)).await.is_ok());

    // Reserved for names that never resolve (RFC 6761).
    let nowhere = HttpsTransport::new("https://api.invalid", None, SHORT).unwrap();
    let unknown = nowhere.send(Request::get(RUNS)).await;
    assert!(
        matches!(
            unknown,
            // A machine without any certificates says so first.
            Err(SendError::Connect { .. } | SendError::Timeout { .. } | SendError::Tls { .. })
        ),
        "{unknown:?}"
    );
}

/// Another server, which counts connections and does not respond.
async fn other_server() -> io::Result<(SocketAddr, Arc<AtomicU32>)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let connections = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    Ok((address, connections))
}

#[tokio::test]
async fn a_redirect_is_returned_and_never_followed() {
    let (address, connections) = other_server().await.unwrap();
    for fault in [
        Fault::RedirectSame,
        Fault::RedirectCross(format!("http://{address}")),
        Fault::RedirectCross(format!("http://localhost:{}", address.port())),
        Fault::RedirectCross(format!("http://s3cret@{address}")),
    ] {
        let remote = FakeRemote::start(RemoteData::default()).await;
        remote.fault(fault);
        let reply = transport(&remote.url())
            .send(Request::post("/tenants/ten/runs/x/stop"))
            .await
            .unwrap();
        assert_eq!(reply.status, 307);
        assert_eq!(remote.log().len(), 1);
    }
    // A followed redirect would have connected before this connection.
    drop(tokio::net::TcpStream::connect(address).await.unwrap());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while connections.load(Ordering::SeqCst) == 0 {
        assert!(
            tokio::time::Instant::now() < deadline,
            "our own connection is counted"
        );
        tokio::task::yield_now().await;
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn plain_http_to_another_machine_is_refused_before_connecting() {
    // An address for documentation (RFC 5737): connecting to it would time out instead.
    let refused = HttpsTransport::new("http://192.0.2.1", Token::new("s3cret"), SHORT);
    let Err(SendError::InvalidRequest(why)) = refused else {
        panic!("a URL that exposes the token was accepted");
    };
    assert!(why.contains("insecure") && !why.contains("s3cret"), "{why}");
}

#[tokio::test]
async fn plain_text_where_tls_is_expected_is_an_error() {
    let remote = FakeRemote::start(RemoteData::default()).await;
    let url = remote.url().replace("http://", "https://");
    let outcome = transport(&url).send(Request::get(RUNS)).await;
    assert!(outcome.is_err(), "{outcome:?}");
    assert!(remote.log().is_empty(), "no request was readable");
}

#[tokio::test]
async fn no_error_contains_the_token() {
    for (name, fault) in Fault::all() {
        if matches!(
            fault,
            Fault::Silence | Fault::StallAfterHeaders | Fault::Drip
        ) {
            continue;
        }
        let outcome = request_with_fault(fault).await;
        assert!(!format!("{outcome:?}").contains("s3cret"), "{name}");
    }
}
