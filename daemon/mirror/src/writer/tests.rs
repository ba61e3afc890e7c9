//! What the writer keeps when a write fails.

use super::*;
use crate::notes;
use crate::provisional_id::RenameLog;
use crate::testing::in_memory;

async fn write_note(writer: &Writer, key: &'static str) -> Result<(), MirrorError> {
    write_note_in(TransactionMode::Shared, writer, key).await
}

/// Writes a note; the key "panics" panics after it was written.
async fn write_note_in(
    mode: TransactionMode,
    writer: &Writer,
    key: &'static str,
) -> Result<(), MirrorError> {
    let work = move |context: &mut WriterContext| {
        notes::write(&context.connection, key, "x").map_err(MirrorError::during("write"))?;
        assert!(key != "panics", "a bug");
        Ok(())
    };
    writer.run(mode, "write", work).await
}

async fn count_notes(writer: &Writer) -> i64 {
    let work = |context: &mut WriterContext| {
        let sql = "SELECT count(*) FROM note";
        let found = context.connection.query_row(sql, [], |row| row.get(0));
        found.map_err(MirrorError::during("count"))
    };
    writer
        .run(TransactionMode::None, "count", work)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_panic_rolls_back_its_own_write_and_nothing_else() {
    let writer = Writer::spawn(in_memory(), RenameLog::default()).unwrap();
    let single = write_note(&writer, "panics").await;
    assert!(matches!(single, Err(MirrorError::Panicked { .. })));
    let (a, b, c) = tokio::join!(
        write_note(&writer, "before"),
        write_note(&writer, "panics"),
        write_note(&writer, "after")
    );
    assert!(a.is_ok() && c.is_ok());
    assert!(matches!(b, Err(MirrorError::Panicked { .. })));
    assert_eq!(count_notes(&writer).await, 2);
    let own = TransactionMode::Own;
    let (a, b, c) = tokio::join!(
        write_note(&writer, "shared"),
        write_note_in(own, &writer, "panics"),
        write_note_in(own, &writer, "own")
    );
    assert!(a.is_ok() && c.is_ok());
    assert!(matches!(b, Err(MirrorError::Panicked { .. })));
    assert_eq!(count_notes(&writer).await, 4);
    writer.close().await;
}

#[tokio::test]
async fn a_transaction_that_is_lost_fails_all_its_writes_and_no_later_one() {
    let writer = Writer::spawn(in_memory(), RenameLog::default()).unwrap();
    // A full database is to SQLite what a full disk is: it rolls back the whole transaction.
    let fill = |context: &mut WriterContext| {
        let large = "PRAGMA max_page_count = 1;
            INSERT INTO note (key, value) VALUES ('large', hex(zeroblob(100000)))";
        let filled = context.connection.execute_batch(large);
        filled.map_err(MirrorError::during("fill"))
    };
    // One write blocks the thread while the others queue up behind it.
    let (blocker, blocked) = std::sync::mpsc::channel::<()>();
    let wait = move |_: &mut WriterContext| {
        let _ = blocked.recv();
        Ok(())
    };
    let release = async {
        tokio::task::yield_now().await;
        drop(blocker);
    };
    let (_, first, lost, last, ()) = tokio::join!(
        writer.run(TransactionMode::None, "wait", wait),
        write_note(&writer, "first"),
        writer.run(TransactionMode::Shared, "fill", fill),
        write_note(&writer, "last"),
        release,
    );
    let lost = lost.unwrap_err();
    assert!(matches!(lost, MirrorError::Query { .. }) && lost.is_out_of_room());
    // The others, too, are told why.
    for error in [first.unwrap_err(), last.unwrap_err()] {
        let MirrorError::Commit(cause) = &error else {
            panic!("{error:?}");
        };
        assert!(error.is_of_place() && error.is_out_of_room());
        assert!(cause.to_string().ends_with("disk is full"));
    }
    assert_eq!(count_notes(&writer).await, 0);
    write_note(&writer, "again").await.unwrap();
    assert_eq!(count_notes(&writer).await, 1);
    writer.close().await;
}
