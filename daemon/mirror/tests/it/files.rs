//! The file itself: modes, damage, other owners, sudden ends.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docksd_mirror::{Mirror, MirrorError};

use crate::support::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn files_are_ours_alone_under_any_umask() {
    // The umask belongs to the process, so a child with no other tests takes it.
    const CHILD: &str = "DOCKS_TEST_MIRROR_UMASK";
    if let Some(directory) = std::env::var_os(CHILD) {
        rustix::process::umask(rustix::fs::Mode::empty());
        let path = Path::new(&directory).join("a/b/mirror.db");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let (mirror, _) = Mirror::open(&path, "x", UnixMs(1)).unwrap();
        runtime.block_on(put(&mirror, 1, vec![run("r", "failed", "")]));
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
        .args(["--exact", "files::files_are_ours_alone_under_any_umask"])
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
async fn a_file_with_loose_modes_is_tightened() {
    let place = Place::new();
    place.open().close().await;
    fs::set_permissions(&place.path, fs::Permissions::from_mode(0o644)).unwrap();
    let mirror = place.open();
    assert_eq!(mode(&place.path), 0o600);
    mirror.close().await;
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_mirroring_begins_anew() {
    for damage in [
        |file: &mut fs::File| {
            file.write_all(b"this is no database, and long enough")
                .unwrap()
        },
        |file: &mut fs::File| file.set_len(8_192).unwrap(),
        |file: &mut fs::File| {
            // The first page's tree of tables.
            file.seek(SeekFrom::Start(100)).unwrap();
            file.write_all(&[0xff; 400]).unwrap();
        },
    ] {
        let place = Place::new();
        let mirror = place.open();
        put(&mirror, 1, vec![run("r", "failed", "")]).await;
        mirror.close().await;
        damage(
            &mut fs::OpenOptions::new()
                .write(true)
                .open(&place.path)
                .unwrap(),
        );
        let (mirror, opened) = place.try_open().unwrap();
        let aside = opened.set_aside.unwrap();
        assert!(opened.created && aside.exists());
        assert_eq!(mode(&aside), 0o600);
        assert_eq!(mirror.stats().await.unwrap().rows.evaluation_runs, 0);
        put(&mirror, 2, vec![run("s", "failed", "")]).await;
        mirror.close().await;
        assert_eq!(place.try_open().unwrap().1.set_aside, None);
    }
}

#[tokio::test]
async fn damage_that_a_query_meets_is_told_apart() {
    let place = Place::new();
    let mirror = place.open();
    let runs = (0..500).map(|i| run(&format!("r{i}"), "failed", r#","n":"xxxxxxxxxxxxxxxxxxxx""#));
    put(&mirror, 1, runs.collect()).await;
    mirror.close().await;
    let root: i64 = place
        .sqlite()
        .query_row(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'runs'",
            [],
            |r| r.get(0),
        )
        .unwrap();
    let mut file = fs::OpenOptions::new()
        .write(true)
        .open(&place.path)
        .unwrap();
    file.seek(SeekFrom::Start((root.unsigned_abs() - 1) * 4_096))
        .unwrap();
    file.write_all(&[0xff; 4_096]).unwrap();
    let mirror = place.open();
    let read = mirror.list_runs(RunKind::Evaluation, &everything()).await;
    assert!(
        read.as_ref().is_err_and(MirrorError::is_corrupt),
        "{read:?}"
    );
    let write = mirror
        .upsert_runs(batch(RunKind::Evaluation, 2, vec![run("r1", "x", "")]))
        .await;
    assert!(
        write.as_ref().is_err_and(MirrorError::is_corrupt),
        "{write:?}"
    );
}

#[tokio::test]
async fn a_newer_or_a_strangers_file_is_refused_or_set_aside_and_never_written() {
    let place = Place::new();
    place.open().close().await;
    place
        .sqlite()
        .execute_batch("PRAGMA user_version = 99")
        .unwrap();
    let before = fs::read(&place.path).unwrap();
    let message = place.try_open().unwrap_err().to_string();
    assert!(
        message.contains("schema 99") && message.contains("this one supports up to "),
        "{message}"
    );
    assert_eq!(fs::read(&place.path).unwrap(), before);
    place
        .sqlite()
        .execute_batch("PRAGMA application_id = 7")
        .unwrap();
    assert!(place.try_open().unwrap().1.set_aside.is_some());
}

#[tokio::test]
async fn a_mirror_belongs_to_one_remote() {
    let place = Place::new();
    place.open().close().await;
    let error = Mirror::open(&place.path, "https://other/tenants/t", UnixMs(1)).unwrap_err();
    assert!(matches!(error, MirrorError::OtherRemote { .. }), "{error}");
}

#[tokio::test]
async fn what_was_acknowledged_outlives_a_sudden_end() {
    let place = Place::new();
    let mirror = place.open();
    for i in 0..20 {
        put(&mirror, i, vec![run(&format!("r{i}"), "failed", "")]).await;
    }
    // What a killed process leaves: the files as they are, copied without closing anything.
    let left = Place::new();
    fs::create_dir_all(left.path.parent().unwrap()).unwrap();
    for suffix in ["", "-wal"] {
        let name = format!("mirror.db{suffix}");
        fs::copy(
            place.path.with_file_name(&name),
            left.path.with_file_name(&name),
        )
        .unwrap();
    }
    let (again, opened) = left.try_open().unwrap();
    assert_eq!(opened, docksd_mirror::OpenReport::default());
    assert_eq!(again.stats().await.unwrap().rows.evaluation_runs, 20);
    let verdict: String = left
        .sqlite()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok");
}
