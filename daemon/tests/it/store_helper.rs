//! `docksd --helper stores`: objects of buckets for a command that does not contain their clients.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use docks_artifacts::source::{BucketReader, OpenRequest, OpenResponse, SourceError, StoreHelper};
use docks_proto::settings::StoreKeys;
use futures_util::{StreamExt, TryStreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

const DEADLINE: Duration = Duration::from_secs(60);

/// Larger than what sockets buffer, so that a slow reader holds up the writer.
const SIZE_BYTES: usize = 3 << 20;

fn content() -> Vec<u8> {
    (0..SIZE_BYTES).map(|at| (at % 251) as u8).collect()
}

/// Serves one object of a store that speaks S3's protocol, and 404 for everything else.
async fn store() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(answer(socket));
        }
    });
    url
}

async fn answer(mut socket: TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let signed = head.to_ascii_lowercase().contains("\nauthorization:");
    let body = content();
    let (status, body) = if !signed {
        ("403 Forbidden", &b""[..])
    } else if head.contains("/bucket/x.bin") {
        ("200 OK", &body[..])
    } else {
        ("404 Not Found", &b""[..])
    };
    let length = body.len();
    let reply = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nETag: \"v1\"\r\n\
         Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\nConnection: close\r\n\r\n"
    );
    socket.write_all(reply.as_bytes()).await.ok();
    if !head.starts_with("HEAD") {
        socket.write_all(body).await.ok();
    }
}

/// A helper with the keys of a profile, whose process writes its id into a file.
fn helper(url: &str, home: &Path) -> StoreHelper {
    let mut keys = StoreKeys::default();
    keys.insert("aws_access_key_id", "id".to_owned());
    keys.insert("aws_secret_access_key", "secret".to_owned());
    keys.insert("aws_endpoint_url", url.to_owned());
    let (pid_file, home) = (pid_file(home), home.to_owned());
    let command = move || {
        let mut command = Command::new("sh");
        command
            .env_clear()
            .env("HOME", &home)
            .env("DOCKSD", env!("CARGO_BIN_EXE_docksd"))
            .env("PID_FILE", &pid_file)
            .args([
                "-c",
                "echo $$ >\"$PID_FILE\"; exec \"$DOCKSD\" --helper stores",
            ]);
        Ok(command)
    };
    StoreHelper::new(command, keys)
}

fn pid_file(home: &Path) -> PathBuf {
    home.join("pid")
}

fn process(home: &Path) -> rustix::process::Pid {
    let text = std::fs::read_to_string(pid_file(home)).unwrap();
    rustix::process::Pid::from_raw(text.trim().parse().unwrap()).unwrap()
}

/// Whether a process has exited, waited for or not.
fn has_exited(process: rustix::process::Pid) -> bool {
    let stat = format!("/proc/{}/stat", process.as_raw_nonzero());
    let Ok(text) = std::fs::read_to_string(stat) else {
        return true;
    };
    text.rsplit(')').next().unwrap().trim().starts_with('Z')
}

fn request(uri: &str) -> OpenRequest<'_> {
    OpenRequest {
        uri,
        resume: None,
        unless: None,
    }
}

async fn read(helper: &StoreHelper, uri: &str) -> Result<Vec<u8>, SourceError> {
    let OpenResponse::Opened(opened) = helper.open(request(uri)).await? else {
        panic!("no version was named");
    };
    assert_eq!(opened.size_bytes, Some(SIZE_BYTES as u64));
    assert_eq!(opened.version.unwrap().tag(), "\"v1\"");
    let chunks: Vec<_> = opened.body.try_collect().await?;
    Ok(chunks.concat())
}

#[tokio::test]
async fn many_objects_are_read_at_once_with_the_keys_of_the_profile() {
    let (home, url) = (tempfile::tempdir().unwrap(), store().await);
    let helper = helper(&url, home.path());
    let reads = (0..8).map(|_| read(&helper, "s3://bucket/x.bin"));
    for bytes in futures_util::future::join_all(reads).await {
        assert!(bytes.unwrap() == content());
    }
    let size = helper.size("s3://bucket/x.bin").await.unwrap();
    assert_eq!(size, SIZE_BYTES as u64);
}

#[tokio::test]
async fn errors_of_the_store_arrive_with_their_reason() {
    let (home, url) = (tempfile::tempdir().unwrap(), store().await);
    let helper = helper(&url, home.path());
    for (uri, expected) in [
        ("s3://bucket/gone", "bucket `bucket` has no such object"),
        ("s3://bucket", "without a bucket or an object"),
    ] {
        let error = helper.open(request(uri)).await.err().unwrap();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn a_helper_that_dies_is_reported_and_replaced_and_one_without_a_parent_exits() {
    let (home, url) = (tempfile::tempdir().unwrap(), store().await);
    let helper = helper(&url, home.path());
    let OpenResponse::Opened(mut opened) = helper.open(request("s3://bucket/x.bin")).await.unwrap()
    else {
        panic!("no version was named");
    };
    opened.body.next().await.unwrap().unwrap();
    let first = process(home.path());
    rustix::process::kill_process(first, rustix::process::Signal::KILL).unwrap();
    let broken = opened.body.try_for_each(|_| async { Ok(()) }).await;
    let error = broken.unwrap_err();
    assert!(error.is_transient(), "{error}");
    // The first request may still find the socket of the dead one.
    let deadline = Instant::now() + DEADLINE;
    while let Err(error) = read(&helper, "s3://bucket/x.bin").await {
        assert!(error.is_transient() && Instant::now() < deadline, "{error}");
    }
    let second = process(home.path());
    assert_ne!(first, second);
    drop(helper);
    while !has_exited(second) {
        assert!(Instant::now() < deadline, "the helper goes on without us");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn without_docksd_the_error_says_what_is_missing() {
    let helper = StoreHelper::new(|| Err("not installed".to_owned()), StoreKeys::default());
    let error = helper.size("s3://bucket/x.bin").await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("could not start docksd") && text.contains("not installed"),
        "{text}"
    );
}
