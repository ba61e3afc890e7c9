//! What a hub refuses, and that strangers cannot keep clients out.

use std::io;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::hub_support::{TestHub, parse_response};
use crate::test_daemon::DEADLINE;

const RUNS: &str = "/tenants/local/harbor/runs";

const PATHS: [(&str, &str); 12] = [
    ("GET", "/tenants/local/runs"),
    ("GET", "/tenants/local/runs/nightly-mixed"),
    ("POST", "/tenants/local/runs/nightly-mixed/stop"),
    ("GET", RUNS),
    ("POST", "/tenants/local/harbor/runs/nightly-mixed/start"),
    ("POST", "/tenants/local/harbor/runs/nightly-mixed/cancel"),
    ("GET", "/tenants/local/harbor/runs/nightly-mixed/trials"),
    (
        "GET",
        "/tenants/local/harbor/runs/nightly-mixed/artifacts/nightly-mixed/job.log",
    ),
    ("GET", "/tenants/other/runs"),
    ("GET", "/v1/status"),
    ("POST", "/v1/shutdown"),
    ("DELETE", "/"),
];

#[tokio::test]
async fn without_the_token_every_path_gets_the_same_response_and_no_handler_runs() {
    let hub = TestHub::start().await;
    let cut = hub.bearer().trim_end()[..hub.bearer().len() - 3].to_owned() + "\r\n";
    let wrong = [
        String::new(),
        cut,
        hub.bearer().to_uppercase(),
        hub.bearer().replace("Bearer", "Basic"),
        format!("{0}{0}", hub.bearer()),
        format!("Authorization: Bearer\r\nX-{}", hub.bearer()),
        format!("Cookie: token={}\r\n", hub.token),
    ];
    let mut bodies = Vec::new();
    for (method, path) in PATHS {
        // At the same time, since so many wrong tokens have to wait.
        let requests = wrong.iter().map(|lines| hub.request(method, path, lines));
        for (lines, response) in wrong.iter().zip(join_all(requests).await) {
            assert_eq!(response.status, 401, "{method} {path} {lines:?}");
            assert_eq!(response.header("www-authenticate"), Some("Bearer"));
            assert!(
                response.header("docks-version").is_none(),
                "{}",
                response.head
            );
            bodies.push(response.body);
        }
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "a stranger learns nothing about the data");
    let body: serde_json::Value = serde_json::from_slice(&bodies[0]).unwrap();
    assert_eq!(body["detail"]["code"], "unauthorized");
    let in_the_path = format!("{RUNS}?token={}", hub.token);
    assert_eq!(hub.request("GET", &in_the_path, "").await.status, 401);
    assert_eq!(hub.status().await.requests, 0);
    // The daemon's handlers were not called either, so no remote is open.
    hub.daemon.end().await;
}

#[tokio::test]
async fn an_unusual_request_is_refused_even_with_the_token() {
    let hub = TestHub::start().await;
    let (host, bearer) = (format!("Host: {}\r\n", hub.address), hub.bearer());
    let headers = |line: &str| format!("{host}{bearer}{line}\r\n");
    let heads: Vec<(String, &[u16])> = vec![
        (bearer.clone(), &[400]),
        (format!("{host}{host}{bearer}"), &[400]),
        (format!("Host: a b\r\n{bearer}"), &[400]),
        (format!("Host: user@hub\r\n{bearer}"), &[400]),
        (headers("Origin: http://localhost"), &[403]),
        (headers("Referer: http://hub/"), &[403]),
        (headers("Sec-Fetch-Site: same-origin"), &[403]),
        (
            headers("Transfer-Encoding: chunked\r\nContent-Length: 5"),
            &[400],
        ),
        (
            headers("Content-Length: 5\r\nTransfer-Encoding: chunked"),
            &[400],
        ),
        (headers("Content-Length: 5\r\nContent-Length: 6"), &[400]),
        (headers("Content-Length: 1048577"), &[413]),
        (headers(&format!("X-Long: {}", "x".repeat(1 << 20))), &[431]),
        (headers(&"X-Many: 1\r\n".repeat(500)), &[431]),
        (headers("X Bad: 1"), &[400]),
    ];
    for (method, path) in PATHS {
        for (head, expected) in &heads {
            let request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n{head}\r\n");
            let response = hub.raw(request.as_bytes()).await;
            let shown = head.chars().take(120).collect::<String>();
            assert!(
                expected.contains(&response.status),
                "{method} {path} with {shown:?}: {}",
                response.head
            );
        }
        let target = format!("http://evil.example{path}");
        let request = format!(
            "{method} {target} HTTP/1.1\r\n{}Connection: close\r\n\r\n",
            headers("")
        );
        let request = request.replace("\r\n\r\nConn", "\r\nConn");
        assert_eq!(hub.raw(request.as_bytes()).await.status, 400, "{target}");
    }
    for bytes in [
        &b"\x16\x03\x01\x02\x00\r\n\r\n"[..],
        b"\r\n\r\n\0\0\r\n\r\n",
    ] {
        hub.raw(bytes).await;
    }
    assert_eq!(hub.status().await.requests, 0);
    assert_eq!(hub.get(RUNS, "").await.status, 200);
    hub.daemon.end().await;
}

#[tokio::test]
async fn a_hub_without_a_token_refuses_foreign_host_names() {
    let hub = TestHub::start_as(|options| options.no_token = true).await;
    assert_eq!(hub.request("GET", RUNS, "").await.status, 200);
    assert!(!hub.status().await.token);
    for host in ["evil.example", "127.0.0.1.evil.example:80"] {
        let request = format!("GET {RUNS} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(hub.raw(request.as_bytes()).await.status, 403, "{host}");
    }
    hub.daemon.end().await;
}

/// Waits until the hub closes the connection; it may respond first.
async fn closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let read = timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
    let read: io::Result<usize> = read.expect("the hub closes the connection");
    read.ok();
    rest
}

#[tokio::test]
async fn silent_strangers_do_not_keep_clients_out_for_long() {
    let hub = TestHub::start().await;
    let (host, bearer) = (&hub.address, hub.bearer());
    let request = format!("GET {RUNS} HTTP/1.1\r\nHost: {host}\r\n{bearer}\r\n");
    let mut client = TcpStream::connect(host).await.unwrap();
    let mut send = async || {
        client.write_all(request.as_bytes()).await.unwrap();
        let mut head = vec![0; 64 << 10];
        let got = client.read(&mut head).await.unwrap();
        parse_response(&head[..got]).status
    };
    assert_eq!(send().await, 200);
    // More connections than there are slots for those that have not shown the token.
    let mut strangers = Vec::new();
    for number in 0..200 {
        let mut stream = TcpStream::connect(host).await.unwrap();
        let begun = format!("GET {RUNS} HTTP/1.1\r\nHost: {host}\r\nX-Slow: ");
        let sent = if number % 2 == 0 { "" } else { &begun };
        stream.write_all(sent.as_bytes()).await.unwrap();
        strangers.push(stream);
    }
    assert_eq!(send().await, 200, "an authenticated connection stays open");
    assert_eq!(
        hub.get(RUNS, "").await.status,
        200,
        "and new clients are accepted"
    );
    // Sending a byte now and then is not enough to stay connected.
    for stream in &mut strangers {
        stream.write_all(b"x").await.ok();
    }
    for stream in &mut strangers {
        assert!(!closed(stream).await.starts_with(b"HTTP/1.1 200"));
    }
    assert_eq!(send().await, 200);
    hub.daemon.end().await;
}

/// A stranger that only sits there, until the hub closes its connection.
async fn sit(address: String) {
    if let Ok(mut stream) = TcpStream::connect(&address).await {
        stream.write_all(b"GET / HTTP/1.1\r\nX-Slow: ").await.ok();
        stream.read_to_end(&mut Vec::new()).await.ok();
    }
}

/// A stranger that shows wrong tokens as fast as it can, always on new connections or on one.
async fn guess(address: String, on_one: bool) {
    let kept = if on_one { "keep-alive" } else { "close" };
    let request = format!(
        "GET {RUNS} HTTP/1.1\r\nHost: {address}\r\nConnection: {kept}\r\n\
         Authorization: Bearer 00000000\r\n\r\n"
    );
    let mut answer = vec![0; 4_096];
    loop {
        let Ok(mut stream) = TcpStream::connect(&address).await else {
            tokio::task::yield_now().await;
            continue;
        };
        while stream.write_all(request.as_bytes()).await.is_ok()
            && stream.read(&mut answer).await.is_ok_and(|got| got > 0)
        {}
    }
}

/// Measures how long it takes from a new connection to the first answer, for a client with the token among strangers at
/// the same address: some that wait, and some that send requests as fast as they can. Returns the longest time.
#[expect(clippy::print_stdout, reason = "the figures of a measurement")]
async fn longest_wait_among(idle: usize, busy: usize) -> Duration {
    docksd::limits::raise_open_file_limit();
    let hub = TestHub::start().await;
    // The jobs are read for the first time, which is not what is measured.
    assert_eq!(hub.get(RUNS, "").await.status, 200);
    // Strangers have a thread of their own: on those of the hub they would wait for each other.
    let strangers = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let strangers = strangers.unwrap();
    for number in 0..busy {
        strangers.spawn(guess(hub.address.clone(), number % 2 == 0));
    }
    for _ in 0..idle {
        strangers.spawn(sit(hub.address.clone()));
    }
    let mut waits = Vec::new();
    for _ in 0..40 {
        let start = Instant::now();
        assert_eq!(hub.get(RUNS, "").await.status, 200);
        waits.push(start.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    strangers.shutdown_background();
    hub.daemon.end().await;
    waits.sort();
    let (median, longest) = (waits[20], waits[39]);
    println!("{idle} idle, {busy} busy: median {median:?}, longest {longest:?}");
    longest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_the_token_is_answered_at_once_whatever_strangers_do() {
    let longest = longest_wait_among(2_000, 50).await;
    assert!(longest <= Duration::from_secs(1), "{longest:?}");
}

/// `cargo test -p docksd --test it ten_thousand -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, for which the machine must have nothing else to do"]
async fn among_ten_thousand_strangers_every_client_is_answered() {
    assert!(longest_wait_among(10_000, 200).await <= DEADLINE);
}

#[tokio::test]
async fn wrong_tokens_are_answered_later_and_later_and_the_right_one_at_once() {
    let hub = TestHub::start().await;
    let wrong = "Authorization: Bearer 00000000\r\n";
    let mut guesses = Vec::new();
    for _ in 0..30 {
        // More than are answered at once.
        let request = format!(
            "GET {RUNS} HTTP/1.1\r\nHost: {}\r\n{wrong}\r\n",
            hub.address
        );
        let mut stream = TcpStream::connect(&hub.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        guesses.push(stream);
    }
    let start = Instant::now();
    assert_eq!(hub.request("GET", RUNS, wrong).await.status, 401);
    assert!(
        start.elapsed() > Duration::from_millis(200),
        "{:?}",
        start.elapsed()
    );
    let start = Instant::now();
    assert_eq!(hub.get(RUNS, "").await.status, 200);
    let right = start.elapsed();
    let start = Instant::now();
    assert_eq!(hub.request("GET", RUNS, wrong).await.status, 401);
    assert!(right < start.elapsed(), "{right:?} < {:?}", start.elapsed());
    hub.daemon.end().await;
}
