//! What a hub costs that many daemons mirror: `cargo bench -p docksd --bench hub [-- MIRRORS SECONDS]`.
//!
//! A hub in this process shares a copy of the bundled jobs over plain HTTP on loopback. First all mirrors
//! send requests as fast as they can, then each once in ten seconds. As in docksd, every request carries the
//! validator of the previous answer, over a persistent connection. Processor time is that of hub and mirrors
//! together; the mirrors' share is measured against a server that only answers 304.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark stops at the step that fails, and prints its figures"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use docks_proto::credentials::hub_token;
use docks_proto::paths::Paths;
use docksd::config::{Config, HubOptions, TokenFiles};
use docksd::hub::Hub;
use docksd::instance::Instance;
use docksd::registry::NetworkConnector;
use docksd::{Dependencies, run};
use docksd_sync::SystemClock;
use docksd_testkit::harbor_jobs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// Time between two requests of one mirror.
const PERIOD: Duration = Duration::from_secs(10);

/// What all mirrors together have received.
#[derive(Default)]
struct Answers {
    all: AtomicU64,
    not_modified: AtomicU64,
}

/// Sends a request over a persistent connection; returns the status and `ETag` of the answer.
async fn send_request(
    stream: &mut TcpStream,
    request: &[u8],
    buffer: &mut Vec<u8>,
) -> (u16, String) {
    stream.write_all(request).await.unwrap();
    buffer.clear();
    loop {
        stream.read_buf(buffer).await.unwrap();
        let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        let value = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            let found = lines.find(|(key, _)| *key == name);
            found.map(|(_, value)| value.to_owned())
        };
        let length: usize = value("content-length").map_or(0, |text| text.parse().unwrap());
        while buffer.len() < end + 4 + length {
            stream.read_buf(buffer).await.unwrap();
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        return (status, value("etag").unwrap_or_default());
    }
}

async fn run_mirror(
    address: SocketAddr,
    token: Arc<str>,
    period: Option<Duration>,
    answers: Arc<Answers>,
) {
    if let Some(period) = period {
        tokio::time::sleep(period.mul_f64(fastrand::f64())).await;
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut tag, mut buffer) = (String::new(), Vec::new());
    loop {
        let start = Instant::now();
        let known = match tag.as_str() {
            "" => String::new(),
            tag => format!("If-None-Match: {tag}\r\n"),
        };
        let request = format!(
            "GET /tenants/local/harbor/runs?limit=1000 HTTP/1.1\r\nHost: {address}\r\n\
             Authorization: Bearer {token}\r\nAccept-Encoding: gzip\r\n{known}\r\n"
        );
        let (status, new) = send_request(&mut stream, request.as_bytes(), &mut buffer).await;
        assert!(matches!(status, 200 | 304), "{status}");
        tag = new;
        answers.all.fetch_add(1, Ordering::Relaxed);
        let same = u64::from(status == 304);
        answers.not_modified.fetch_add(same, Ordering::Relaxed);
        if let Some(period) = period {
            tokio::time::sleep(period.saturating_sub(start.elapsed())).await;
        }
    }
}

/// Starts a server that answers 304 to everything, to measure what the requests alone cost.
async fn start_empty_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            drop(tokio::spawn(async move {
                let mut buffer = vec![0; 4_096];
                while stream.read(&mut buffer).await.is_ok_and(|got| got > 0) {
                    let same = b"HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n";
                    stream.write_all(same).await.ok();
                }
            }));
        }
    }));
    address
}

async fn measure(
    what: &str,
    address: SocketAddr,
    token: &Arc<str>,
    (mirrors, period): (usize, Option<Duration>),
    time: Duration,
) {
    let answers = Arc::new(Answers::default());
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..mirrors {
        asking.spawn(run_mirror(
            address,
            Arc::clone(token),
            period,
            Arc::clone(&answers),
        ));
    }
    // By now, all mirrors have connected and received their first answer.
    tokio::time::sleep(period.unwrap_or(Duration::from_secs(1))).await;
    let count = |answers: &Answers| {
        let load = |of: &AtomicU64| of.load(Ordering::Relaxed);
        (load(&answers.all), load(&answers.not_modified))
    };
    let (before, start, busy) = (count(&answers), Instant::now(), processor_time());
    tokio::time::sleep(time).await;
    let (after, took) = (count(&answers), start.elapsed().as_secs_f64());
    let busy = (processor_time() - busy).as_secs_f64() / took * 100.0;
    asking.shutdown().await;
    let answers = (after.0 - before.0) as f64;
    println!(
        "| {what} | {mirrors} | {:.0} | {:.1} % | {busy:.1} % |",
        answers / took,
        (after.1 - before.1) as f64 / answers.max(1.0) * 100.0,
    );
}

fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap())
}

fn main() {
    let numbers: Vec<u64> = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let mirrors = usize::try_from(numbers.first().copied().unwrap_or(1_000)).unwrap();
    let time = Duration::from_secs(numbers.get(1).copied().unwrap_or(20));
    docksd::limits::raise_open_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let home = tempfile::tempdir().unwrap();
        let jobs = home.path().join("jobs");
        harbor_jobs::copy_tree(&harbor_jobs::samples(), &jobs);
        let mut config = Config::new(Paths {
            home: home.path().to_owned(),
            socket: home.path().join("run/docksd.sock"),
        });
        let options = HubOptions {
            listen: Some("127.0.0.1:0".parse().unwrap()),
            jobs: vec![jobs],
            ..HubOptions::default()
        };
        let token_file = config.paths.hub_token_file();
        let files = TokenFiles::in_home(&config.paths);
        let settings = options.check(files).unwrap().unwrap();
        config.hub = Some(settings.clone());
        let hub = Hub::open(settings).await.unwrap();
        let address = hub.address();
        let token = hub_token::read(&token_file).unwrap().unwrap();
        let token: Arc<str> = token.expose().into();
        let claimed = Instance::claim(&config.paths).await.unwrap();
        let dependencies = Dependencies {
            connector: Box::new(NetworkConnector),
            clock: Arc::new(SystemClock),
            hub: Some(hub),
        };
        let (stop, asked) = oneshot::channel();
        let shutdown = async move { asked.await.unwrap_or("the bench ended") };
        let daemon = tokio::spawn(run(config, claimed, dependencies, shutdown));
        let empty_server = start_empty_server().await;
        println!(
            "\n| how they request | mirrors | requests/s | of them 304 | of a core, both sides |"
        );
        println!("| --- | --- | --- | --- | --- |");
        let paced = (mirrors, Some(PERIOD));
        let fast = (mirrors.min(64), None);
        measure("as fast as they can", address, &token, fast, time).await;
        measure("the same without a hub", empty_server, &token, fast, time).await;
        measure("each once in 10 s", address, &token, paced, time).await;
        measure("the same without a hub", empty_server, &token, paced, time).await;
        stop.send("the bench ended").unwrap();
        daemon.await.unwrap().unwrap();
    });
}
