//! `pull` in `daemon.toml`: artifacts of runs that end are fetched into the cache.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use docks_artifacts::ArtifactType;
use docks_artifacts::cache::Cache;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docksd_stores::StoreVariables;

use crate::test_daemon::{TestDaemon, eventually};
use docksd_testkit::fake_remote::{FakeRemote, RemoteData, TENANT};

/// Whether a mirror in `cache` has the position in the history after which ends count.
pub(crate) fn waits_for_ends(cache: &Path) -> bool {
    let files = std::fs::read_dir(cache).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let mut mirrors = paths.filter(|path| path.extension().is_some_and(|e| e == "db"));
    mirrors.any(|path| {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let file = rusqlite::Connection::open_with_flags(path, flags).unwrap();
        let note = "SELECT value FROM note WHERE key = 'pulled_to'";
        file.query_row(note, [], |_| Ok(())).is_ok()
    })
}

/// Starts a store that has every object, until the test process exits.
fn store() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines
                .next()
                .is_some_and(|line| line.is_ok_and(|l| !l.is_empty()))
            {}
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"1\"\r\n\
                          Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\nConnection: close\r\n\r\nhello";
            stream.write_all(answer.as_bytes()).ok();
        }
    });
    url
}

#[tokio::test]
async fn only_a_run_that_ends_while_the_daemon_follows_it_is_prefetched() {
    let store = store();
    let mut data = RemoteData::default();
    data.add_evaluation("old", "completed");
    data.add_trial("old", "t-0", "success");
    data.add_evaluation("new", "running");
    data.add_trial("new", "t-1", "running");
    let remote = FakeRemote::start(data).await;
    let home = tempfile::tempdir().unwrap();
    let text = format!(
        "[default]\napi_url = \"{}\"\ntenant_id = \"{TENANT}\"\ntoken = \"s3cret\"\n",
        remote.url()
    );
    std::fs::write(home.path().join("config.toml"), text).unwrap();
    let daemon = TestDaemon::start_in(home, |config| {
        config.sync.active_interval = Duration::from_secs(1);
        config.prefetch.kinds = vec![ArtifactType::Logs];
        config.prefetch.variables = StoreVariables::read(|name| {
            (name == "STORAGE_EMULATOR_HOST").then(|| store.clone().into())
        });
    })
    .await;
    let root = daemon.places().cache_dir().join("artifacts");
    let cache = Cache::new(root, 1_000, UnixMs(0));
    eventually("the run is mirrored", || async {
        let list = daemon.get("/harbor/runs?limit=0").await;
        String::from_utf8_lossy(&list.body).contains("running")
    })
    .await;
    eventually("the position in the history is stored", || async {
        waits_for_ends(&daemon.places().cache_dir())
    })
    .await;
    remote.with_data(|data| {
        data.advance_trial("new", "t-1", "success");
        data.advance(RunKind::Evaluation, "new", "completed");
    });
    eventually("the artifacts are fetched", || async {
        cache.usage().is_ok_and(|usage| usage.objects == 1)
    })
    .await;
    let runs = cache.runs().unwrap();
    assert_eq!(runs.len(), 1, "a run that ended before is skipped");
    assert_eq!(runs[0].run.run_id, "new");
    daemon.end().await;
}
