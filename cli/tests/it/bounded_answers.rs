//! Answers that are small on the wire and would take gigabytes of memory: docks and docksd refuse them, and say at
//! which bound.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::sealed::{CommandResult, EnvironmentOf};
use crate::test_home::TestHome;

/// Memory in MiB that docksd, and a command, may take whatever arrives: several times an answer of the largest size,
/// and a tenth of what the smallest of these answers took.
const MAX_MIB: u64 = 400;

/// Compresses a text that is repeated between a first and a last one.
fn packed(first: &str, repeated: &str, times: usize, last: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(first.as_bytes()).unwrap();
    let block = repeated.repeat(1_000);
    for _ in 0..times / 1_000 {
        encoder.write_all(block.as_bytes()).unwrap();
    }
    encoder.write_all(last.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// A remote that answers every request with the same bytes, compressed.
struct PackedRemote {
    url: String,
    body: Arc<Mutex<Vec<u8>>>,
}

impl PackedRemote {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let body = Arc::new(Mutex::new(packed("[", "", 0, "]")));
        let served = Arc::clone(&body);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = Arc::clone(&served);
                thread::spawn(move || serve(stream, &served));
            }
        });
        Self { url, body }
    }

    fn answer(&self, body: Vec<u8>) {
        *self.body.lock().unwrap() = body;
    }
}

fn serve(mut stream: TcpStream, body: &Mutex<Vec<u8>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    while let Some(Ok(line)) = lines.next() {
        if !line.is_empty() {
            continue;
        }
        let body = body.lock().unwrap().clone();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let sent = stream.write_all(head.as_bytes());
        if sent.and_then(|()| stream.write_all(&body)).is_err() {
            return;
        }
    }
}

/// Returns the most memory that a process has had, in MiB.
fn most_memory_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() / 1_024
}

/// Runs a command that may not have more memory.
fn run_limited(home: &TestHome, line: &str) -> CommandResult {
    let docks = home.command(line);
    let mut limited = Command::new("sh");
    limited
        .arg("-c")
        .arg(format!("ulimit -d {} && exec \"$@\"", MAX_MIB * 1_024))
        .arg("sh")
        .arg(docks.get_program())
        .args(docks.get_args())
        .environment_of(&docks)
        .current_dir(docks.get_current_dir().unwrap())
        .stdin(Stdio::null());
    CommandResult::new(limited.output().unwrap())
}

#[test]
fn an_answer_of_many_elements_or_levels_takes_little_memory_and_names_the_bound() {
    let remote = PackedRemote::start();
    let home = TestHome::new();
    home.profile(&remote.url, "canary-token");
    home.run("daemon start").expect_success();
    let daemon = home.pid();
    let elements = "more than 250000 elements";
    let values = "more than 1000000 elements";
    let bytes = "larger than 67108864 bytes";
    for (what, body, bound) in [
        (
            "empty objects",
            packed("[", "{},", 2_000_000, "{}]"),
            elements,
        ),
        ("no objects", packed("[", "0,", 10_000_000, "0]"), elements),
        (
            "wrapped objects",
            packed(r#"{"items":["#, "{},", 1_000_000, "{}]}"),
            elements,
        ),
        (
            "odd values",
            packed("[NaN,", "{},", 1_000_000, "{}]"),
            elements,
        ),
        (
            "an object of many values",
            packed(r#"[{"id":"a","x":["#, "0,", 3_000_000, "0]}]"),
            values,
        ),
        (
            "an object of many keys",
            packed(r#"[{"id":"a""#, r#","k":{}"#, 1_500_000, "}]"),
            values,
        ),
        (
            "seventy megabytes",
            packed("[", " ", 70_000_000, "]"),
            bytes,
        ),
    ] {
        assert!(
            body.len() < 2_000_000,
            "{what} is small on the wire: {}",
            body.len()
        );
        remote.answer(body);
        for (way, code, result) in [
            ("direct", 5, run_limited(&home, "runs list --no-daemon")),
            ("daemon", 6, home.run("runs list --fresh")),
        ] {
            let stderr = &result.stderr;
            assert_eq!(result.code, Some(code), "{what}, {way}: {stderr}");
            assert!(stderr.contains(bound), "{what}, {way}: {stderr}");
            assert!(stderr.contains("--limit"), "{what}, {way}: {stderr}");
        }
        assert_eq!(home.pid(), daemon, "{what}: it is the same daemon");
        let most = most_memory_mib(daemon);
        assert!(most < MAX_MIB, "{what}: docksd took {most} MiB");
    }
    // Depth costs only the value that is too deep.
    let levels = 100_000;
    let deep = packed(
        r#"[{"id":"deep","status":"completed","x":"#,
        "[",
        levels,
        "",
    );
    let closing = packed("", "]", levels, "}]");
    remote.answer([deep, closing].concat());
    for line in [
        "runs list --no-daemon",
        "runs list --fresh",
        "runs list --format json --fresh",
    ] {
        let listed = run_limited(&home, line).expect_success();
        assert!(listed.contains("deep"), "{line}: {listed}");
    }
    assert!(most_memory_mib(daemon) < MAX_MIB);
}
