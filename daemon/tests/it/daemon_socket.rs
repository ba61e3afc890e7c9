//! The run directory, the lock and the socket against leftovers and hostile users.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use docks_proto::paths::Paths;
use docksd::instance::{ClaimError, Instance, Ownership};

use crate::test_daemon::{TestDaemon, eventually, places};
use docksd_testkit::fake_remote::{FakeRemote, RemoteData};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn prepare(places: &Paths) {
    fs::create_dir_all(places.run_dir()).unwrap();
    fs::set_permissions(places.run_dir(), Permissions::from_mode(0o700)).unwrap();
}

async fn refusal(places: &Paths) -> ClaimError {
    Instance::claim(places).await.map(drop).unwrap_err()
}

#[tokio::test]
async fn socket_lock_and_directory_are_private() {
    let home = tempfile::tempdir().unwrap();
    let places = places(home.path());
    let (instance, _listener) = Instance::claim(&places).await.unwrap();
    assert_eq!(mode(places.run_dir()), 0o700);
    assert_eq!(mode(&places.socket), 0o600);
    assert_eq!(mode(&places.lifetime_lock()), 0o600);
    let pid = fs::read_to_string(places.lifetime_lock()).unwrap();
    assert_eq!(pid.trim(), std::process::id().to_string());
    drop(instance);
    assert!(!places.socket.exists());
}

#[tokio::test]
async fn an_unsafe_directory_is_refused_with_the_reason_and_not_changed() {
    let home = tempfile::tempdir().unwrap();
    let places = places(home.path());
    let run = places.run_dir();
    let victim = home.path().join("victim");
    fs::create_dir(&victim).unwrap();

    symlink(&victim, run).unwrap();
    assert!(
        refusal(&places)
            .await
            .to_string()
            .contains("it is a symlink")
    );
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 0);
    fs::remove_file(run).unwrap();

    fs::write(run, "kept").unwrap();
    assert!(refusal(&places).await.to_string().contains("it is a file"));
    assert_eq!(fs::read_to_string(run).unwrap(), "kept");
    fs::remove_file(run).unwrap();

    fs::create_dir(run).unwrap();
    for open in [0o777, 0o770, 0o755, 0o711] {
        fs::set_permissions(run, Permissions::from_mode(open)).unwrap();
        let error = refusal(&places).await;
        assert_eq!(error.code(), "hostile_directory");
        assert!(
            error.to_string().contains("other users can access it"),
            "{error}"
        );
    }
    assert_eq!(fs::read_dir(run).unwrap().count(), 0);

    // Only root can make a directory that belongs to another user.
    if rustix::process::geteuid().is_root() {
        fs::set_permissions(run, Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::chown(run, Some(65_534), None).unwrap();
        let error = refusal(&places).await.to_string();
        assert!(error.contains("belongs to user 65534"), "{error}");
    } else {
        let test = "daemon_socket::an_unsafe_directory_is_refused_with_the_reason_and_not_changed";
        docksd_testkit::skip(test, "only root can give a directory to another user");
    }
}

#[tokio::test]
async fn foreign_files_under_our_names_are_not_changed() {
    let home = tempfile::tempdir().unwrap();
    let places = places(home.path());
    prepare(&places);
    let victim = home.path().join("victim");
    fs::write(&victim, "kept").unwrap();
    for name in [places.socket.clone(), places.lifetime_lock()] {
        fs::write(&name, "foreign").unwrap();
        if name == places.socket {
            assert_eq!(refusal(&places).await.code(), "foreign_file");
            assert_eq!(fs::read_to_string(&name).unwrap(), "foreign");
        }
        fs::remove_file(&name).unwrap();
        symlink(&victim, &name).unwrap();
        assert_eq!(refusal(&places).await.code(), "foreign_file");
        assert!(fs::symlink_metadata(&name).unwrap().is_symlink());
        fs::remove_file(&name).unwrap();
        fs::create_dir(&name).unwrap();
        assert_eq!(refusal(&places).await.code(), "foreign_file");
        fs::remove_dir(&name).unwrap();
    }
    // The target of a symlink is not changed either.
    let other = home.path().join("other.sock");
    let _bound = UnixListener::bind(&other).unwrap();
    symlink(&other, &places.socket).unwrap();
    assert_eq!(refusal(&places).await.code(), "foreign_file");
    assert!(other.exists());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "kept");
}

#[tokio::test]
async fn leftovers_of_a_killed_daemon_do_not_block_the_next_one() {
    let home = tempfile::tempdir().unwrap();
    let places = places(home.path());
    prepare(&places);
    // A stale socket, a stale temporary one, and a lock file with the pid of another process.
    drop(UnixListener::bind(&places.socket).unwrap());
    drop(UnixListener::bind(places.run_dir().join(".new")).unwrap());
    fs::write(places.lifetime_lock(), "1\n").unwrap();
    fs::set_permissions(places.lifetime_lock(), Permissions::from_mode(0o644)).unwrap();
    let (instance, _listener) = Instance::claim(&places).await.unwrap();
    assert!(matches!(instance.ownership_check()(), Ownership::Intact));
    assert_eq!(mode(&places.socket), 0o600);
    assert_eq!(mode(&places.lifetime_lock()), 0o600);
    assert!(!places.run_dir().join(".new").exists());
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_is_refused_and_the_longest_one_works() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("run");
    let room = 107 - dir.as_os_str().len() - 1;
    let mut places = places(home.path());
    places.socket = dir.join("s".repeat(room + 1));
    assert_eq!(refusal(&places).await.code(), "path_too_long");
    assert!(!dir.exists());
    places.socket = dir.join("s".repeat(room));
    let (_instance, _listener) = Instance::claim(&places).await.unwrap();
}

#[tokio::test]
async fn a_second_daemon_names_the_running_one_and_leaves_its_socket() {
    let remote = FakeRemote::start(RemoteData::sample(3, 1)).await;
    let daemon = TestDaemon::start(&remote).await;
    let places = daemon.places();
    let before = fs::metadata(&places.socket).unwrap().ino();
    let error = refusal(&places).await;
    assert_eq!(error.code(), "already_running");
    let pid = format!("as process {}", std::process::id());
    assert!(error.to_string().contains(&pid), "{error}");
    assert_eq!(fs::metadata(&places.socket).unwrap().ino(), before);
    let home = daemon.end().await;
    assert!(!places.socket.exists());
    // A new daemon can start at once.
    TestDaemon::start_in(home, |_| {}).await.end().await;
}

#[tokio::test]
async fn the_socket_of_a_live_daemon_without_its_lock_file_is_not_taken() {
    let home = tempfile::tempdir().unwrap();
    let places = places(home.path());
    let (_instance, _listener) = Instance::claim(&places).await.unwrap();
    fs::remove_file(places.lifetime_lock()).unwrap();
    assert_eq!(refusal(&places).await.code(), "already_running");
    assert!(places.socket.exists());
}

#[tokio::test]
async fn a_removed_socket_is_restored_and_a_removed_directory_stops_the_daemon() {
    let remote = FakeRemote::start(RemoteData::sample(3, 1)).await;
    let daemon = TestDaemon::start(&remote).await;
    let places = daemon.places();
    fs::remove_file(&places.socket).unwrap();
    let socket = places.socket.clone();
    eventually("the socket is back", || {
        let there = socket.exists();
        async move { there }
    })
    .await;
    assert_eq!(daemon.get("/runs").await.status, 200);
    fs::remove_dir_all(places.run_dir()).unwrap();
    let home = daemon.ended().await;
    TestDaemon::start_in(home, |_| {}).await.end().await;
}
