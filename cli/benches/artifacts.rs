//! Downloads from loopback compared with `curl --parallel`: many small files, one large file, and
//! both again from the cache. Prints Markdown tables.
//!
//! `cargo bench -p docks --bench artifacts -- TRIALS MIB`: 1,000 trials of four files, and 1 GiB,
//! by default. `MOTO_SERVER` may name an emulator of S3, to compare with `aws s3 cp`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark fails if it cannot be set up, and prints its results"
)]

#[path = "peers/s3.rs"]
mod s3;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const SMALL_BYTES: usize = 2_048;
const KINDS: [(&str, &str); 4] = [
    ("logs", "txt"),
    ("trajectory", "json"),
    ("diff", "patch"),
    ("result", "json"),
];

/// Resources that one program took.
struct Usage {
    wall: Duration,
    peak_kib: u64,
}

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse().ok());
    let trials: usize = numbers.next().unwrap_or(1_000);
    let large_bytes = numbers.next().unwrap_or(1_024) << 20;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answers = url.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let url = answers.clone();
            thread::spawn(move || serve(stream, &url, trials, large_bytes));
        }
    });

    let home = tempfile::tempdir().unwrap();
    let files = trials * KINDS.len();
    println!("| {files} files of {SMALL_BYTES} bytes, 8 at once | seconds | files/s | peak MiB |");
    println!("| --- | ---: | ---: | ---: |");
    let rate = |took: &Usage| files as f64 / took.wall.as_secs_f64();
    let small = |what: &str, took: Usage| {
        println!(
            "| {what} | {:.2} | {:.0} | {:.0} |",
            took.wall.as_secs_f64(),
            rate(&took),
            took.peak_kib as f64 / 1_024.0
        );
    };
    let list = home.path().join("curl.txt");
    fs::write(&list, curl_list(&url, trials, &home.path().join("curl"))).unwrap();
    if let Some(took) = curl(&["--config", list.to_str().unwrap()]) {
        small("curl --parallel --parallel-max 8", took);
    }
    small("docks", docks(home.path(), &url, "many", "a", &[]));
    small(
        "docks, other directory, each file revalidated (304)",
        docks(home.path(), &url, "many", "b", &[]),
    );
    small(
        "docks, other directory, --max-age 1h",
        docks(home.path(), &url, "many", "c", &["--max-age", "1h"]),
    );
    small(
        "docks, same directory, --max-age 1h",
        docks(home.path(), &url, "many", "c", &["--max-age", "1h"]),
    );

    if let Some(store) = s3::S3::start() {
        for trial in 0..trials {
            for (kind, suffix) in KINDS {
                let path = format!("/bench/{trial}/{kind}.{suffix}");
                store.put(&path, &body(&path));
            }
        }
        if let Some(command) = store.aws(&home.path().join("aws")) {
            small(
                "aws s3 cp --recursive, from an emulator of S3",
                took(command),
            );
        }
        let mut command = docks_command(home.path(), &url, "stored", "f", &[]);
        command.envs(s3::KEYS).env("AWS_ENDPOINT_URL", store.url());
        small("docks, from the same emulator", took(command));
    }

    println!(
        "\n| one file of {} MiB | seconds | MiB/s | peak MiB |",
        large_bytes >> 20
    );
    println!("| --- | ---: | ---: | ---: |");
    let large = |what: &str, took: Usage| {
        println!(
            "| {what} | {:.2} | {:.0} | {:.0} |",
            took.wall.as_secs_f64(),
            (large_bytes >> 20) as f64 / took.wall.as_secs_f64(),
            took.peak_kib as f64 / 1_024.0
        );
    };
    let to = home.path().join("large.bin");
    let line = [
        format!("{url}/large.bin"),
        "-o".to_owned(),
        to.display().to_string(),
    ];
    if let Some(took) = curl(&line.each_ref().map(String::as_str)) {
        large("curl", took);
    }
    fs::remove_file(&to).ok();
    large("docks", docks(home.path(), &url, "one", "d", &[]));
    large(
        "docks, other directory, from the cache",
        docks(home.path(), &url, "one", "e", &[]),
    );
    large(
        "docks, same directory",
        docks(home.path(), &url, "one", "e", &[]),
    );
}

fn docks(home: &Path, url: &str, run: &str, output: &str, more: &[&str]) -> Usage {
    took(docks_command(home, url, run, output, more))
}

fn docks_command(home: &Path, url: &str, run: &str, output: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_docks"));
    command
        .env_clear()
        .env("HOME", home)
        .env("DOCKS_HOME", home.join("docks"))
        .env("DOCKS_API_URL", url)
        .env("DOCKS_TENANT_ID", "ten")
        .env("DOCKS_TOKEN", "token")
        .env("DOCKS_NO_DAEMON", "1")
        .args(["runs", "artifacts", run, "-o"])
        .arg(home.join(output))
        .args(more);
    command
}

/// Returns the content of a small file. All differ, or the cache would store them once.
fn body(path: &str) -> Vec<u8> {
    let mut body = path.as_bytes().to_vec();
    body.resize(SMALL_BYTES, b'.');
    body
}

/// Runs curl, if it is installed.
fn curl(line: &[&str]) -> Option<Usage> {
    Command::new("curl").arg("--version").output().ok()?;
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--fail", "--parallel", "--parallel-max", "8"])
        .args(line);
    Some(took(command))
}

fn curl_list(url: &str, trials: usize, to: &Path) -> String {
    let mut list = String::from("create-dirs\n");
    for trial in 0..trials {
        for (kind, suffix) in KINDS {
            let to = to.display();
            writeln!(
                list,
                "url = \"{url}/{trial}/{kind}.{suffix}\"\noutput = \"{to}/{trial}/{kind}.{suffix}\""
            )
            .unwrap();
        }
    }
    list
}

fn took(mut command: Command) -> Usage {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let began = Instant::now();
    let mut child = command.spawn().unwrap();
    let peak_kib = watch(&mut child);
    let wall = began.elapsed();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Usage { wall, peak_kib }
}

/// Returns the peak memory of a process, which is read until it exits.
fn watch(child: &mut Child) -> u64 {
    let path = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(&path).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        peak_kib = peak_kib.max(number.unwrap_or(0));
        thread::park_timeout(Duration::from_millis(2));
    }
    peak_kib
}

fn serve(mut stream: TcpStream, url: &str, trials: usize, large_bytes: usize) {
    stream.set_nodelay(true).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let block = vec![b'x'; 256 * 1_024];
    while let Some(Ok(first)) = lines.next() {
        let path = first.split(' ').nth(1).unwrap_or("/").to_owned();
        let mut known = false;
        for line in lines.by_ref().map_while(Result::ok) {
            known |= line.to_ascii_lowercase().starts_with("if-none-match:");
            if line.is_empty() {
                break;
            }
        }
        let path = path.split('?').next().unwrap_or(&path);
        let sent = match path.trim_start_matches("/tenants/ten/harbor/") {
            "runs" => send(
                &mut stream,
                br#"[{"id":"many","status":"completed"},{"id":"stored","status":"completed"},{"id":"one","status":"completed"}]"#,
                "",
            ),
            "runs/many" => send(&mut stream, br#"{"id":"many","status":"completed"}"#, ""),
            "runs/stored" => send(&mut stream, br#"{"id":"stored","status":"completed"}"#, ""),
            "runs/stored/trials" => send(&mut stream, many("s3://bench", trials).as_bytes(), ""),
            "runs/one" => send(&mut stream, br#"{"id":"one","status":"completed"}"#, ""),
            "runs/many/trials" => send(&mut stream, many(url, trials).as_bytes(), ""),
            "runs/one/trials" => {
                let trial =
                    format!(r#"[{{"id":"t","task_slug":"large","logs_uri":"{url}/large.bin"}}]"#);
                send(&mut stream, trial.as_bytes(), "")
            }
            _ if known => stream.write_all(b"HTTP/1.1 304 x\r\n\r\n"),
            "/large.bin" => {
                let head = format!(
                    "HTTP/1.1 200 x\r\nContent-Length: {large_bytes}\r\nETag: \"large\"\r\n\r\n"
                );
                let mut sent = stream.write_all(head.as_bytes());
                let mut left = large_bytes;
                while sent.is_ok() && left > 0 {
                    let now = left.min(block.len());
                    sent = stream.write_all(&block[..now]);
                    left -= now;
                }
                sent
            }
            path => {
                send(&mut stream, &body(path), "ETag: \"1\"\r\n")
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

fn send(stream: &mut TcpStream, body: &[u8], more: &str) -> std::io::Result<()> {
    let mut answer = format!(
        "HTTP/1.1 200 x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{more}\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(body);
    stream.write_all(&answer)
}

fn many(url: &str, trials: usize) -> String {
    let rows: Vec<String> = (0..trials)
        .map(|trial| {
            let uris: Vec<String> = KINDS
                .iter()
                .map(|(kind, suffix)| format!(r#""{kind}_uri":"{url}/{trial}/{kind}.{suffix}""#))
                .collect();
            format!(
                r#"{{"id":"trial-{trial:05}","task_slug":"task-{trial}","status":"passed",{}}}"#,
                uris.join(",")
            )
        })
        .collect();
    format!("[{}]", rows.join(","))
}
