//! A daemon in this process that shares a copy of the bundled jobs on a free loopback port.

use std::path::PathBuf;

use docks_proto::status::{DaemonStatus, HubStatus};
use docksd::config::{HubOptions, TokenFiles};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::test_daemon::{DEADLINE, TestDaemon};
use docksd_testkit::harbor_jobs::{copy_tree, samples};

/// One response, parsed.
#[derive(Debug)]
pub(crate) struct RawResponse {
    /// Status; 0 without a response.
    pub(crate) status: u16,
    /// Head as text; header names in lower case.
    pub(crate) head: String,
    /// Body.
    pub(crate) body: Vec<u8>,
}

impl RawResponse {
    /// Returns a header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            (found == name).then_some(value)
        })
    }

    /// Returns the body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Returns the body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A daemon, and what a client of its hub needs.
pub(crate) struct TestHub {
    /// The daemon.
    pub(crate) daemon: TestDaemon,
    /// `127.0.0.1:port`.
    pub(crate) address: String,
    /// The token at the start; empty if there is none.
    pub(crate) token: String,
    /// The shared directory.
    pub(crate) jobs: PathBuf,
}

impl TestHub {
    /// Starts a plain hub with a token.
    pub(crate) async fn start() -> Self {
        Self::start_as(|_| {}).await
    }

    /// Starts a hub with other options.
    pub(crate) async fn start_as(change: impl FnOnce(&mut HubOptions)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let jobs = home.path().canonicalize().unwrap().join("my jobs");
        copy_tree(&samples(), &jobs);
        Self::start_in(home, jobs, change).await
    }

    /// Starts a hub in a prepared home.
    pub(crate) async fn start_in(
        home: TempDir,
        jobs: PathBuf,
        change: impl FnOnce(&mut HubOptions),
    ) -> Self {
        let mut options = HubOptions {
            listen: Some("127.0.0.1:0".parse().unwrap()),
            jobs: vec![jobs.clone()],
            ..HubOptions::default()
        };
        change(&mut options);
        let daemon = TestDaemon::start_in(home, |config| {
            config.hub = options.check(TokenFiles::in_home(&config.paths)).unwrap();
        })
        .await;
        let token = std::fs::read_to_string(daemon.places().hub_token_file());
        let mut hub = Self {
            daemon,
            address: String::new(),
            token: token.unwrap_or_default().trim().to_owned(),
            jobs,
        };
        let status = hub.status().await;
        hub.address = status.address.split("://").nth(1).unwrap().to_owned();
        hub
    }

    /// Returns what the status of the daemon says about its hub.
    pub(crate) async fn status(&self) -> HubStatus {
        let reply = self.daemon.get_with("/v1/status", &[]).await;
        let status: DaemonStatus = serde_json::from_slice(&reply.body).unwrap();
        status.hub.unwrap()
    }

    /// Returns the header line with the token.
    pub(crate) fn bearer(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.token)
    }

    /// Requests a path with the token and further complete header lines.
    pub(crate) async fn get(&self, path: &str, lines: &str) -> RawResponse {
        self.request("GET", path, &format!("{}{lines}", self.bearer()))
            .await
    }

    /// Sends a request with only these header lines besides `Host` and `Connection`.
    pub(crate) async fn request(&self, method: &str, path: &str, lines: &str) -> RawResponse {
        let host = &self.address;
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}\r\n");
        self.raw(request.as_bytes()).await
    }

    /// Sends bytes as they are and reads until the hub closes.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> RawResponse {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        // A hub that refuses early may close before it has read everything.
        stream.write_all(bytes).await.ok();
        let mut answer = Vec::new();
        let read = timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
        read.expect("the hub closes the connection").ok();
        parse_response(&answer)
    }
}

/// Parses a response.
pub(crate) fn parse_response(answer: &[u8]) -> RawResponse {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n");
    let (head, body) = match end {
        Some(end) => (&answer[..end], answer[end + 4..].to_vec()),
        None => (answer, Vec::new()),
    };
    let head = String::from_utf8_lossy(head).into_owned();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
    RawResponse {
        status: status.unwrap_or(0),
        head: head.replace("\r\n", "\n"),
        body,
    }
}
