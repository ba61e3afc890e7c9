//! The transport of the socket against daemons that misbehave.

use std::io;

use http::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;
use crate::client::{Client, ClientError, Transport};
use crate::freshness::CachePolicy;
use crate::query::ListQuery;
use crate::routes::RunKind;

const SHORT: Deadlines = Deadlines {
    connect: Duration::from_millis(150),
    answer: Some(Duration::from_millis(200)),
    body_bytes: 1_000,
};

/// Sends the same bytes on every connection, and keeps it open or closes it.
fn daemon(answer: &'static [u8], close: bool) -> (tempfile::TempDir, UnixTransport) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await?);
            }
            assert!(head.windows(13).any(|w| w == b"host: docks\r\n"));
            stream.write_all(answer).await?;
            if !close {
                kept.push(stream);
            }
        }
        io::Result::Ok(())
    });
    (dir, UnixTransport::new(socket, SHORT))
}

async fn outcome(answer: &'static [u8], close: bool) -> Result<Reply, SendError> {
    let (_dir, transport) = daemon(answer, close);
    transport.send(Request::get("/v1/status")).await
}

#[tokio::test]
async fn each_failure_has_its_own_error() {
    let nobody = UnixTransport::new("/nonexistent/s".into(), SHORT);
    let gone = nobody.send(Request::get("/")).await;
    assert!(matches!(gone, Err(SendError::Connect { .. })));
    let long = UnixTransport::new(format!("/{}", "x".repeat(200)).into(), SHORT);
    let gone = long.send(Request::get("/")).await;
    assert!(matches!(gone, Err(SendError::Connect { .. })));

    let silent = outcome(b"", false).await;
    assert!(matches!(silent, Err(SendError::Timeout { .. })));
    let stalls = outcome(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[", false).await;
    assert!(matches!(stalls, Err(SendError::Timeout { .. })));
    let cut = outcome(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[", true).await;
    assert!(matches!(cut, Err(SendError::Broken { .. })));
    let garbage = outcome(b"SSH-2.0-x\r\n\r\n", true).await;
    assert!(matches!(garbage, Err(SendError::Broken { .. })));
    let large = outcome(b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n", false).await;
    assert!(matches!(large, Err(SendError::TooLarge { .. })));
}

#[tokio::test]
async fn a_full_accept_queue_costs_the_connect_deadline_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let _listener = UnixListener::bind(&socket).unwrap();
    let transport = UnixTransport::new(socket.clone(), SHORT);
    let mut queue = Vec::new();
    while let Ok(stream) = UnixStream::connect(&socket).await {
        queue.push(stream);
    }
    let outcome = transport.send(Request::get("/")).await;
    assert!(matches!(
        outcome,
        Err(SendError::Timeout { after_ms: 150, .. })
    ));
}

#[tokio::test]
async fn a_daemon_that_waits_for_the_remote_and_is_alive_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    let empty = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]";
    // The list is answered after three signs of life, each of which takes one time-out.
    let daemon = tokio::spawn(async move {
        let (mut list, _) = listener.accept().await?;
        for _ in 0..3 {
            let (mut sign, _) = listener.accept().await?;
            let mut first = [0; 12];
            sign.read_exact(&mut first).await?;
            assert_eq!(&first, b"GET /v1/ping");
            sign.write_all(empty).await?;
        }
        list.write_all(empty).await?;
        io::Result::Ok(list)
    });
    // Long enough for a sign of life on a busy machine.
    let deadlines = Deadlines {
        connect: Duration::from_secs(5),
        answer: Some(Duration::from_secs(2)),
        ..Deadlines::default()
    };
    let transport = UnixTransport::new(socket, deadlines);
    let reply = transport.send(Request::get("/tenants/t/runs")).await;
    assert_eq!(&reply.unwrap().body[..], b"[]");
    drop(daemon.await.unwrap());
}

#[tokio::test]
async fn bodies_are_read_completely_in_both_framings() {
    let sized = outcome(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", false).await;
    assert_eq!(&sized.unwrap().body[..], b"[]");
    let chunked =
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n[\r\n1\r\n]\r\n0\r\n\r\n";
    assert_eq!(&outcome(chunked, false).await.unwrap().body[..], b"[]");
    let empty = outcome(b"HTTP/1.1 204 No Content\r\n\r\n", false).await;
    assert_eq!(&empty.unwrap().body[..], b"");
}

async fn list(answer: &'static [u8]) -> Result<crate::client::Answer, ClientError> {
    let (_dir, transport) = daemon(answer, false);
    let client = Client::new(Transport::Unix(transport), "t", HeaderMap::new()).unwrap();
    client
        .list_runs(RunKind::Run, &ListQuery::default(), CachePolicy::Default)
        .await
}

#[tokio::test]
async fn a_daemon_of_another_protocol_is_named_before_its_answer_is_read() {
    let other = list(b"HTTP/1.1 404 No\r\ndocks-protocol: 99\r\ndocks-version: 9.9.9\r\ncontent-length: 0\r\n\r\n").await;
    let Err(ClientError::Protocol { theirs, version }) = other else {
        panic!("{other:?}");
    };
    assert_eq!((theirs, version.as_deref()), (Some(99), Some("9.9.9")));
    let stranger = list(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]").await;
    assert!(matches!(
        stranger,
        Err(ClientError::Protocol { theirs: None, .. })
    ));
}

#[tokio::test]
async fn a_refusal_carries_the_error_of_the_daemon() {
    let refused = list(
        b"HTTP/1.1 409 No\r\ndocks-protocol: 1\r\nretry-after: 3\r\ncontent-length: 90\r\n\r\n{\"detail\":{\"code\":\"ambiguous_id\",\"message\":\"Two fit.\",\"candidates\":[{\"id\":\"a\"}]}}         ",
    )
    .await;
    let Err(ClientError::Refused {
        status,
        body,
        retry_after,
    }) = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!((status, retry_after), (409, Some(Duration::from_secs(3))));
    assert_eq!(body.detail.unwrap().candidates[0].id, "a");
}

#[tokio::test]
async fn progress_of_a_sync_arrives_line_by_line() {
    let line = r#"{"done":1,"left":0,"doing":"x","finished":FIN,"rows":{"runs":0,"evaluation_runs":0,"trials":0,"tombstones":0,"active":0}}"#;
    let body = format!(
        "{}\n\n{}\n",
        line.replace("FIN", "false"),
        line.replace("FIN", "true")
    );
    let (first, second) = body.split_at(20);
    let answer = format!(
        "HTTP/1.1 200 OK\r\ndocks-protocol: 1\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n",
        first.len(),
        second.len()
    );
    let (_dir, transport) = daemon(answer.leak().as_bytes(), false);
    let client = Client::new(Transport::Unix(transport), "t", HeaderMap::new()).unwrap();
    let mut seen = Vec::new();
    client.sync(true, |p| seen.push(p.finished)).await.unwrap();
    assert_eq!(seen, [false, true]);
}

#[tokio::test]
async fn a_line_without_an_end_is_refused_with_the_bound() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    let endless = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: first\ndata: ";
        stream.write_all(head).await.unwrap();
        while stream.write_all(&[b'x'; 64 << 10]).await.is_ok() {}
    });
    let deadlines = Deadlines {
        answer: Some(Duration::from_secs(20)),
        ..Deadlines::default()
    };
    let transport = UnixTransport::new(socket, deadlines);
    let mut reply = transport.open(Request::get("/v1/events")).await.unwrap();
    assert_eq!(reply.next_line().await.unwrap().unwrap(), ": first");
    let refused = reply.next_line().await;
    let bound = MAX_LINE_BYTES;
    assert!(
        matches!(refused, Err(SendError::TooLarge { limit_bytes, .. }) if limit_bytes == bound),
        "{refused:?}"
    );
    // Nobody reads the rest.
    drop(reply);
    endless.await.unwrap();
}
