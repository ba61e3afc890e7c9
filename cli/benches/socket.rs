//! The daemon under load: lists over the socket by 8 clients.
//!
//! `cargo build --release && cargo bench -p docks --bench socket [-- ROWS…]`

#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

#[expect(dead_code, reason = "this benchmark times no processes")]
mod bench_home;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use bench_home::{BenchHome, grouped, sizes};

const CLIENTS: usize = 8;
const LOAD: Duration = Duration::from_secs(5);
const REQUEST: &[u8] = b"GET /tenants/bench/runs?limit=20 HTTP/1.1\r\nHost: docks\r\n\r\n";

fn main() {
    println!(
        "\n| {CLIENTS} clients, {} s | requests/s | p50 | p99 | p99.9 | resident after |",
        LOAD.as_secs()
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for size in sizes() {
        let mut bench_home = BenchHome::new(size, async |_| ());
        let pid = bench_home.start();
        let times = load(&bench_home.socket());
        let at = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e3;
        println!(
            "| {} cached runs | {} | {:.2} ms | {:.2} ms | {:.2} ms | {:.1} MB |",
            grouped(size),
            grouped((times.len() as f64 / LOAD.as_secs_f64()) as u64),
            at(0.5),
            at(0.99),
            at(0.999),
            resident_mb(pid)
        );
    }
}

/// Sends requests from all clients at once; returns how long each answer took, shortest first.
fn load(socket: &Path) -> Vec<Duration> {
    let threads: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let socket = socket.to_owned();
            std::thread::spawn(move || client(&socket))
        })
        .collect();
    let mut times: Vec<Duration> = threads
        .into_iter()
        .flat_map(|t| t.join().expect("clients do not panic"))
        .collect();
    times.sort();
    times
}

fn client(socket: &Path) -> Vec<Duration> {
    let mut stream = UnixStream::connect(socket).expect("the daemon listens");
    let mut buffer = vec![0; 256 * 1024];
    let mut times = Vec::new();
    let end = Instant::now() + LOAD;
    while Instant::now() < end {
        let began = Instant::now();
        stream
            .write_all(REQUEST)
            .expect("the daemon takes requests");
        answer(&mut stream, &mut buffer);
        times.push(began.elapsed());
    }
    times
}

/// Reads one complete answer.
fn answer(stream: &mut UnixStream, buffer: &mut [u8]) {
    let mut filled = 0;
    loop {
        filled += stream
            .read(&mut buffer[filled..])
            .expect("the daemon answers");
        let text = &buffer[..filled];
        let Some(head) = text.windows(4).position(|w| w == b"\r\n\r\n") else {
            continue;
        };
        let headers = String::from_utf8_lossy(&text[..head]).to_ascii_lowercase();
        assert!(headers.starts_with("http/1.1 200"), "{headers}");
        let length = headers
            .split("content-length: ")
            .nth(1)
            .and_then(|r| r.split("\r\n").next());
        let length: usize = length
            .and_then(|l| l.parse().ok())
            .expect("answers say their length");
        if filled >= head + 4 + length {
            return;
        }
    }
}

fn resident_mb(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux reports it");
    let line = status
        .lines()
        .find(|l| l.starts_with("VmRSS:"))
        .expect("the line exists");
    let kilobytes: f64 = line
        .split_whitespace()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("a number");
    kilobytes * 1024.0 / 1e6
}
