//! The daemon under load: lists over the socket by 8 clients, and what it costs while idle.
//!
//! `cargo build --release && cargo bench -p docks --bench socket [-- ROWS…]`

#![expect(clippy::print_stdout, reason = "its figures are its output")]

#[expect(dead_code, reason = "this benchmark times no processes")]
mod stage;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use stage::Stage;

const CLIENTS: usize = 8;
const LOAD: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(60);
const REQUEST: &[u8] = b"GET /tenants/bench/runs?limit=20 HTTP/1.1\r\nHost: docks\r\n\r\n";

fn main() {
    let sizes: Vec<u64> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let sizes = if sizes.is_empty() {
        vec![1_000, 100_000, 1_000_000]
    } else {
        sizes
    };
    for size in sizes {
        let mut stage = Stage::new(size);
        let pid = stage.start();
        println!("\n{size} cached runs");
        load(stage.socket());
        if size == 100_000 {
            stage.stop();
            idle(stage.start());
        } else {
            println!(
                "  resident after the load            {:>8.1} MB",
                resident_mb(pid)
            );
        }
    }
}

fn load(socket: PathBuf) {
    let threads: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let socket = socket.clone();
            std::thread::spawn(move || client(&socket))
        })
        .collect();
    let mut times: Vec<Duration> = threads
        .into_iter()
        .flat_map(|t| t.join().expect("a client ends well"))
        .collect();
    times.sort();
    let at = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "  {CLIENTS} clients, {LOAD:?}: {:>8.0} requests/s",
        times.len() as f64 / LOAD.as_secs_f64()
    );
    println!(
        "  p50 {:.3} ms   p99 {:.3} ms   p99.9 {:.3} ms",
        at(0.5),
        at(0.99),
        at(0.999)
    );
}

fn client(socket: &PathBuf) -> Vec<Duration> {
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

/// Reads one answer to its end.
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

fn idle(pid: u32) {
    #[expect(clippy::disallowed_methods, reason = "being idle is what is measured")]
    std::thread::sleep(Duration::from_secs(10));
    let before = cpu_ticks(pid);
    #[expect(clippy::disallowed_methods, reason = "being idle is what is measured")]
    std::thread::sleep(IDLE);
    let ticks = cpu_ticks(pid) - before;
    // Linux counts 100 ticks a second.
    let share = ticks as f64 / IDLE.as_secs_f64();
    println!(
        "  idle for {IDLE:?} after a start: {:.1} MB resident, {share:.2} % of a core",
        resident_mb(pid)
    );
}

fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("Linux tells");
    let after = stat.rsplit(") ").next().expect("the name is in brackets");
    let fields: Vec<&str> = after.split(' ').collect();
    let number = |at: usize| fields[at].parse::<u64>().expect("a number");
    number(11) + number(12)
}

fn resident_mb(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux tells");
    let line = status
        .lines()
        .find(|l| l.starts_with("VmRSS:"))
        .expect("it is there");
    let kilobytes: f64 = line
        .split_whitespace()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("a number");
    kilobytes / 1024.0
}
