//! The daemon in this process: [`docksd::run`] on a real socket in a temporary directory.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use docks_proto::client::{Deadlines, Reply, Request, UnixTransport};
use docks_proto::error::{ErrorBody, ErrorDetail};
use docks_proto::freshness::CachePolicy;
use docks_proto::paths::Paths;
use docksd::config::Config;
use docksd::hub::Hub;
use docksd::instance::Instance;
use docksd::registry::NetworkConnector;
use docksd::{Dependencies, RunError, run};
use docksd_sync::SystemClock;
use http::{HeaderName, HeaderValue, header};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use docksd_testkit::fake_remote::{FakeRemote, TENANT};

/// Longest time that a step of a test may take, on a slow machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until `state` holds; fails after [`DEADLINE`].
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, state: impl Fn() -> F) {
    let reached = async {
        while !state().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(DEADLINE, reached).await.is_ok(), "never: {what}");
}

/// Returns the paths of all files in a home.
pub(crate) fn places(home: &Path) -> Paths {
    Paths {
        home: home.to_owned(),
        socket: home.join("run/docksd.sock"),
    }
}

/// A running daemon; [`TestDaemon::end`] stops it and checks that it succeeded.
pub(crate) struct TestDaemon {
    home: TempDir,
    stop: Option<oneshot::Sender<&'static str>>,
    running: JoinHandle<Result<(), RunError>>,
}

impl TestDaemon {
    /// Starts with `remote` in the default profile.
    pub(crate) async fn start(remote: &FakeRemote) -> Self {
        let home = tempfile::tempdir().unwrap();
        let text = format!(
            "[default]\napi_url = \"{}\"\ntenant_id = \"{TENANT}\"\ntoken = \"s3cret\"\n",
            remote.url()
        );
        std::fs::write(home.path().join("config.toml"), text).unwrap();
        Self::start_in(home, |_| {}).await
    }

    /// Starts in an existing home, with a changed configuration.
    pub(crate) async fn start_in(home: TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(places(home.path()));
        config.keyring.use_keyring = Some("false".to_owned());
        change(&mut config);
        let claimed = Instance::claim(&config.paths).await.unwrap();
        let mut hub = None;
        if let Some(settings) = config.hub.clone() {
            hub = Some(Hub::open(settings).await.unwrap());
        }
        let dependencies = Dependencies {
            connector: Box::new(NetworkConnector),
            clock: Arc::new(SystemClock),
            hub,
        };
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move { stopped.await.unwrap_or("the test ended") };
        let running = tokio::spawn(run(config, claimed, dependencies, shutdown));
        Self {
            home,
            stop: Some(stop),
            running,
        }
    }

    /// Returns the paths of its files.
    pub(crate) fn places(&self) -> Paths {
        places(self.home.path())
    }

    /// Sends a request and reads the whole response.
    pub(crate) async fn send(&self, request: Request) -> Reply {
        let deadlines = Deadlines {
            answer: Some(DEADLINE),
            connect: DEADLINE,
            ..Deadlines::default()
        };
        let transport = UnixTransport::new(self.places().socket, deadlines);
        transport.send(request).await.unwrap()
    }

    /// Requests a path below the tenant.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.get_as(path, CachePolicy::Default).await
    }

    /// The same, with a bound on the age of the response.
    pub(crate) async fn get_as(&self, path: &str, allowed: CachePolicy) -> Reply {
        let mut request = Request::get(format!("/tenants/{TENANT}{path}"));
        if let Some(value) = allowed.to_header_value() {
            request.headers.insert(header::CACHE_CONTROL, value);
        }
        self.send(request).await
    }

    /// Requests a path with the given headers.
    pub(crate) async fn get_with(&self, path: &str, headers: &[(&'static str, &str)]) -> Reply {
        let mut request = Request::get(path);
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).unwrap();
            let name = HeaderName::from_static(name);
            request.headers.insert(name, value);
        }
        self.send(request).await
    }

    /// Sends raw bytes and reads until the daemon closes the connection; the status is 0 without a response.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> (u16, String) {
        let mut stream = UnixStream::connect(self.places().socket).await.unwrap();
        // A daemon that refuses a request may close before it has read everything.
        stream.write_all(bytes).await.ok();
        let mut answer = Vec::new();
        let read = timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
        read.expect("the daemon closes the connection").ok();
        let text = String::from_utf8_lossy(&answer).into_owned();
        let status = text.split(' ').nth(1).and_then(|s| s.parse().ok());
        (status.unwrap_or(0), text)
    }

    /// Waits until it has stopped on its own.
    pub(crate) async fn ended(self) -> TempDir {
        let ended = timeout(DEADLINE, self.running).await;
        ended.expect("it stops").unwrap().unwrap();
        self.home
    }

    /// Stops it as a signal would, and returns its home.
    pub(crate) async fn end(mut self) -> TempDir {
        let stop = self.stop.take().unwrap();
        stop.send("the test ended").ok();
        self.ended().await
    }
}

/// Returns the coded error of a response.
pub(crate) fn detail(reply: &Reply) -> ErrorDetail {
    let body: ErrorBody = serde_json::from_slice(&reply.body).unwrap();
    body.detail
}

/// Returns the ids of a list.
pub(crate) fn ids(reply: &Reply) -> Vec<String> {
    assert_eq!(
        reply.status,
        200,
        "{}",
        String::from_utf8_lossy(&reply.body)
    );
    let list: Vec<serde_json::Value> = serde_json::from_slice(&reply.body).unwrap();
    list.iter()
        .map(|object| object["id"].as_str().unwrap().to_owned())
        .collect()
}
