//! Faults reach SQLite, at the call and the database that were chosen.

#![expect(clippy::unwrap_used, reason = "a test fails where a step fails")]

use std::path::Path;

use docksd_fault_vfs::{Failure, FaultyDisk, Plan, SOUND_VFS};
use rusqlite::{Connection, OpenFlags, ffi};

fn open(path: &Path) -> Connection {
    Connection::open_with_flags(path, OpenFlags::default()).unwrap()
}

fn write(connection: &Connection) -> Result<(), i32> {
    connection
        .execute_batch("CREATE TABLE IF NOT EXISTS t (x); INSERT INTO t VALUES (zeroblob(10000))")
        .map_err(|error| error.sqlite_error().unwrap().extended_code)
}

fn plan(failure: Failure, at: u64, once: bool) -> Plan {
    Plan { failure, at, once }
}

#[test]
fn each_call_fails_once_or_from_then_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.db");
    let disk = FaultyDisk::of(&path);
    let connection = open(&path);
    connection
        .pragma_update(None, "journal_mode", "wal")
        .unwrap();
    write(&connection).unwrap();
    disk.count(Failure::Full);
    write(&connection).unwrap();
    let (calls, failed) = disk.mend();
    assert!(calls > 2 && failed == 0, "{calls} calls, {failed} failed");
    for once in [true, false] {
        for at in 0..calls {
            disk.fail(plan(Failure::Full, at, once));
            let code = write(&connection).unwrap_err();
            // The last call waits for the disk.
            let expected = [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_FSYNC];
            assert!(expected.contains(&code), "call {at}: {code}");
            assert_eq!(write(&connection).is_ok(), once, "call {at}");
            let (_, failed) = disk.mend();
            assert_eq!(failed == 1, once, "call {at}");
        }
    }
    disk.fail(plan(Failure::Io, 0, false));
    let code = write(&connection).unwrap_err();
    assert_eq!(code & 0xff, ffi::SQLITE_IOERR);
    disk.mend();
    write(&connection).unwrap();
    let verdict: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok");
}

#[test]
fn a_short_write_leaves_the_first_half() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.db");
    let disk = FaultyDisk::of(&path);
    let connection = open(&path);
    // Nothing but the pages is written.
    connection
        .pragma_update(None, "journal_mode", "off")
        .unwrap();
    disk.fail(plan(Failure::ShortWrite, 0, true));
    assert_eq!(write(&connection), Err(ffi::SQLITE_FULL));
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 2_048);
}

#[test]
fn only_the_chosen_database_fails_and_only_over_the_faulty_vfs() {
    let directory = tempfile::tempdir().unwrap();
    let paths = ["a.db", "b.db"].map(|name| directory.path().join(name));
    let disk = FaultyDisk::of(&paths[0]);
    let connections = [open(&paths[0]), open(&paths[1])];
    connections.iter().for_each(|c| write(c).unwrap());
    disk.fail(plan(Failure::Io, 0, false));
    assert!(write(&connections[0]).is_err());
    write(&connections[1]).unwrap();
    let sound =
        Connection::open_with_flags_and_vfs(&paths[0], OpenFlags::default(), SOUND_VFS).unwrap();
    write(&sound).unwrap();
    drop(disk);
    write(&connections[0]).unwrap();
}
