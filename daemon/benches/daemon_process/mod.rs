//! The real `docksd` with a home directory of its own, for benchmarks.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use docks_proto::allocator::{ARENAS, ARENAS_VARIABLE};
use docks_proto::client::{Client, Deadlines, Transport, UnixTransport};
use http::HeaderMap;
use tempfile::TempDir;
use tokio::time::sleep;

/// Longest time that anything in a benchmark may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(600);

/// A daemon and its home; dropping it kills the process.
pub(crate) struct Daemon {
    pub(crate) home: TempDir,
    pub(crate) child: Child,
    tenant: &'static str,
}

impl Daemon {
    /// Starts a daemon whose default profile has these settings, as in `config.toml`, and this tenant.
    pub(crate) fn start(home: TempDir, tenant: &'static str, profile: &str) -> Self {
        let config = format!("[default]\n{profile}\n");
        std::fs::write(home.path().join("config.toml"), config).unwrap();
        let child = spawn(home.path());
        Self {
            home,
            child,
            tenant,
        }
    }

    /// Returns a client that waits as long as a benchmark does.
    pub(crate) fn client(&self) -> Client {
        let socket = self.home.path().join("run/docksd.sock");
        let deadlines = Deadlines {
            answer: Some(DEADLINE),
            ..Deadlines::default()
        };
        let transport = Transport::Unix(UnixTransport::new(socket, deadlines));
        Client::new(transport, self.tenant, HeaderMap::new()).unwrap()
    }

    /// Waits until the daemon answers.
    pub(crate) async fn wait_until_ready(&self) {
        let start = Instant::now();
        while self.client().ping().await.is_err() {
            assert!(start.elapsed() < DEADLINE, "the daemon does not start");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may already have exited.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// Starts a daemon in a home that has its settings.
pub(crate) fn spawn(home: &Path) -> Child {
    // This program runs as target/release/deps/NAME-HASH.
    let here = std::env::current_exe().unwrap();
    let program = here.ancestors().nth(2).unwrap().join("docksd");
    assert!(program.is_file(), "run `cargo build --release` first");
    Command::new(program)
        .arg("--foreground")
        .env_clear()
        .env("HOME", home)
        .env("DOCKS_HOME", home)
        .env("DOCKS_USE_KEYRING", "false")
        // As `docks` starts it.
        .env(ARENAS_VARIABLE, ARENAS)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
