//! The file itself: modes, damage, files of other programs, crashes.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docksd_fault_vfs::{Failure, FaultyDisk, Plan};
use docksd_mirror::{Identity, Mirror, MirrorError, Resource};

use crate::support::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn files_are_private_under_any_umask() {
    // The umask belongs to the process, so a child process that runs only this test changes it.
    const CHILD: &str = "DOCKS_TEST_MIRROR_UMASK";
    if let Some(directory) = std::env::var_os(CHILD) {
        rustix::process::umask(rustix::fs::Mode::empty());
        let path = Path::new(&directory).join("a/b/mirror.db");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let (mirror, _) = Mirror::open(&path, "x", UnixMs(1)).unwrap();
        runtime.block_on(store_runs(&mirror, 1, vec![run_object("r", "failed", "")]));
        for suffix in ["", "-wal", "-shm"] {
            let file = path.with_file_name(format!("mirror.db{suffix}"));
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert_eq!(mode(path.parent().unwrap().parent().unwrap()), 0o700);
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "files::files_are_private_under_any_umask"])
        .env(CHILD, directory.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(directory.path().join("a/b/mirror.db").exists());
}

#[tokio::test]
async fn a_file_that_others_can_read_is_made_private() {
    let files = TestMirror::new();
    files.open().close().await;
    fs::set_permissions(&files.path, fs::Permissions::from_mode(0o644)).unwrap();
    let mirror = files.open();
    assert_eq!(mode(&files.path), 0o600);
    mirror.close().await;
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_what_is_left_of_it_is_not_confirmed() {
    for damage in [
        |file: &mut fs::File| {
            file.write_all(b"this is not a database, and long enough")
                .unwrap()
        },
        |file: &mut fs::File| file.set_len(8_192).unwrap(),
        |file: &mut fs::File| {
            // The table tree on the first page.
            file.seek(SeekFrom::Start(100)).unwrap();
            file.write_all(&[0xff; 400]).unwrap();
        },
    ] {
        let files = TestMirror::new();
        let mirror = files.open();
        store_runs(&mirror, 1, vec![run_object("r", "failed", "")]).await;
        mirror.close().await;
        damage(
            &mut fs::OpenOptions::new()
                .write(true)
                .open(&files.path)
                .unwrap(),
        );
        let (mirror, opened) = files.try_open().unwrap();
        let aside = opened.set_aside.unwrap();
        assert!(opened.created && aside.exists());
        assert_eq!(mode(&aside), 0o600);
        let list = Resource::List(RunKind::Evaluation);
        assert_eq!(mirror.confirmation(&list).await.unwrap(), None);
        store_runs(&mirror, 2, vec![run_object("s", "failed", "")]).await;
        mirror.close().await;
        assert_eq!(files.try_open().unwrap().1.set_aside, None);
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_for_a_moment_is_not_set_aside() {
    let files = TestMirror::new();
    let mirror = files.open();
    store_runs(&mirror, 1, vec![run_object("r", "failed", "")]).await;
    mirror.close().await;
    let disk = FaultyDisk::of(&files.path);
    // From a sector that can never be read again, the file is damaged.
    for (failure, once) in [
        (Failure::Io, true),
        (Failure::Io, false),
        (Failure::UnreadableSector, true),
    ] {
        disk.count(failure);
        files.open().close().await;
        let (calls, _) = disk.mend();
        for at in 0..calls {
            disk.fail(Plan { failure, at, once });
            if let Ok((mirror, report)) = files.try_open() {
                assert_eq!(report, docksd_mirror::OpenReport::default(), "call {at}");
                mirror.close().await;
            }
            disk.mend();
            let mirror = files.open();
            assert_eq!(
                mirror.stats().await.unwrap().rows.evaluation_runs,
                1,
                "call {at}"
            );
            mirror.close().await;
        }
    }
}

#[tokio::test]
async fn damage_found_by_a_query_is_reported_as_such() {
    let files = TestMirror::new();
    let mirror = files.open();
    let runs =
        (0..500).map(|i| run_object(&format!("r{i}"), "failed", r#","n":"xxxxxxxxxxxxxxxxxxxx""#));
    store_runs(&mirror, 1, runs.collect()).await;
    mirror.close().await;
    let root: i64 = files
        .sqlite()
        .query_row(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'runs'",
            [],
            |r| r.get(0),
        )
        .unwrap();
    let mut file = fs::OpenOptions::new()
        .write(true)
        .open(&files.path)
        .unwrap();
    file.seek(SeekFrom::Start((root.unsigned_abs() - 1) * 4_096))
        .unwrap();
    file.write_all(&[0xff; 4_096]).unwrap();
    let mirror = files.open();
    let read = mirror.list_runs(RunKind::Evaluation, &everything()).await;
    assert!(
        read.as_ref().is_err_and(MirrorError::is_corrupt),
        "{read:?}"
    );
    let write = mirror
        .upsert_runs(batch(
            RunKind::Evaluation,
            2,
            vec![run_object("r1", "x", "")],
        ))
        .await;
    assert!(
        write.as_ref().is_err_and(MirrorError::is_corrupt),
        "{write:?}"
    );
}

#[tokio::test]
async fn a_newer_file_is_refused_and_another_programs_file_is_set_aside() {
    let files = TestMirror::new();
    files.open().close().await;
    files
        .sqlite()
        .execute_batch("PRAGMA user_version = 99")
        .unwrap();
    let before = fs::read(&files.path).unwrap();
    let message = files.try_open().unwrap_err().to_string();
    assert!(
        message.contains("schema 99") && message.contains("this one supports up to "),
        "{message}"
    );
    assert_eq!(fs::read(&files.path).unwrap(), before);
    files
        .sqlite()
        .execute_batch("PRAGMA application_id = 7")
        .unwrap();
    assert!(files.try_open().unwrap().1.set_aside.is_some());
}

#[tokio::test]
async fn a_mirror_belongs_to_one_remote() {
    let files = TestMirror::new();
    files.open().close().await;
    let error = Mirror::open(&files.path, "https://other/tenants/t", UnixMs(1)).unwrap_err();
    assert!(matches!(error, MirrorError::OtherRemote { .. }), "{error}");
}

#[tokio::test]
async fn a_mirror_of_an_earlier_release_gets_its_new_name_once() {
    let files = TestMirror::new();
    let mirror = files.open();
    store_runs(&mirror, 1, vec![run_object("r1", "failed", "")]).await;
    mirror.close().await;
    let former = "https://api.example/tenants/t".to_owned();
    let renamed = Identity {
        current: format!("{former}\nprofile a"),
        former: former.clone(),
    };
    for _ in 0..2 {
        let (mirror, report) = Mirror::open(&files.path, renamed.clone(), UnixMs(1)).unwrap();
        assert!(!report.created && report.set_aside.is_none());
        let rows = mirror.stats().await.unwrap().rows;
        assert_eq!(rows.runs + rows.evaluation_runs, 1);
        mirror.close().await;
    }
    let another = Identity {
        current: format!("{former}\nprofile b"),
        ..renamed
    };
    for identity in [another, Identity::from(former.as_str())] {
        let error = Mirror::open(&files.path, identity, UnixMs(1)).unwrap_err();
        assert!(matches!(error, MirrorError::OtherRemote { .. }), "{error}");
    }
}

#[tokio::test]
async fn acknowledged_writes_survive_a_crash() {
    let files = TestMirror::new();
    let mirror = files.open();
    for i in 0..20 {
        store_runs(&mirror, i, vec![run_object(&format!("r{i}"), "failed", "")]).await;
    }
    // A killed process leaves the files as they are: copy them without closing anything.
    let crashed = TestMirror::new();
    fs::create_dir_all(crashed.path.parent().unwrap()).unwrap();
    for suffix in ["", "-wal"] {
        let name = format!("mirror.db{suffix}");
        fs::copy(
            files.path.with_file_name(&name),
            crashed.path.with_file_name(&name),
        )
        .unwrap();
    }
    let (again, opened) = crashed.try_open().unwrap();
    assert_eq!(opened, docksd_mirror::OpenReport::default());
    assert_eq!(again.stats().await.unwrap().rows.evaluation_runs, 20);
    let result: String = crashed
        .sqlite()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(result, "ok");
}
