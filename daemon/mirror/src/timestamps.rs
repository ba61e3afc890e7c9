//! The timestamps of this machine that a mirror holds: the newest one, and what to do when they are
//! wrong because the clock was.
//!
//! The times that objects state about themselves are the remote's and stay as they are.

use std::time::Duration;

use docks_proto::time::UnixMs;
use rusqlite::{Connection, params};

use crate::history;

/// When responses arrived, in every table that records each of them.
const OBSERVED: &str = "SELECT at_ms AS ms FROM confirmation
    UNION ALL SELECT at_ms FROM observation
    UNION ALL SELECT confirmed_ms FROM trial_list WHERE confirmed_ms IS NOT NULL
    UNION ALL SELECT from_ms FROM look
    UNION ALL SELECT until_ms FROM look
    UNION ALL SELECT gone_ms FROM runs WHERE gone_ms IS NOT NULL
    UNION ALL SELECT observed_ms FROM status_event";

/// Reads the newest timestamp; `None` if nothing was mirrored yet.
pub(crate) fn newest(connection: &Connection) -> rusqlite::Result<Option<UnixMs>> {
    // One maximum for each table, which an index has where the table is large.
    let sql = "SELECT max(ms) FROM (SELECT max(at_ms) AS ms FROM confirmation
        UNION ALL SELECT max(at_ms) FROM observation
        UNION ALL SELECT max(confirmed_ms) FROM trial_list
        UNION ALL SELECT max(until_ms) FROM look
        UNION ALL SELECT max(gone_ms) FROM runs WHERE gone_ms IS NOT NULL
        UNION ALL SELECT max(observed_ms) FROM status_event)";
    let newest: Option<i64> = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(newest.map(UnixMs))
}

/// Replaces timestamps after `now`, which a wrong clock left behind, if there is evidence that not
/// the clock is wrong now. Returns whether it did.
///
/// The evidence: something was stored or created before `now`, and nothing within `gap` after it. A
/// mirror that was in use then shows that `now` is long past.
///
/// What was confirmed counts as confirmed when the last correct timestamp was written, so that it is
/// never taken for newer than it is. History and tombstones count from `now`, so that none is deleted
/// too early.
pub(crate) fn redate(
    connection: &Connection,
    now: UnixMs,
    gap: Duration,
) -> rusqlite::Result<bool> {
    let (before, after, spans): (Option<i64>, Option<i64>, bool) = connection.query_row(
        &format!(
            "SELECT max(ms) FILTER (WHERE ms <= ?1), min(ms) FILTER (WHERE ms > ?1),
               EXISTS (SELECT 1 FROM look WHERE from_ms <= ?1 AND until_ms > ?1)
             FROM ({OBSERVED})"
        ),
        [now.0],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let created: Option<i64> = connection.query_row(
        "SELECT max(created_ms) FROM runs WHERE created_ms <= ?1",
        [now.0],
        |row| row.get(0),
    )?;
    let Some(before) = before.or(created) else {
        return Ok(false);
    };
    if spans || after.is_none_or(|after| UnixMs(after) < now.plus(gap)) {
        return Ok(false);
    }
    for sql in [
        "UPDATE confirmation SET at_ms = ?2 WHERE at_ms > ?1",
        "UPDATE observation SET at_ms = ?2 WHERE at_ms > ?1",
        "UPDATE trial_list SET confirmed_ms = ?2 WHERE confirmed_ms > ?1",
        "UPDATE runs SET changed_ms = ?2 WHERE changed_ms > ?1",
        "UPDATE runs SET doubt_ms = ?2 WHERE doubt_ms > ?1",
        "UPDATE trials SET observed_ms = ?2 WHERE observed_ms > ?1",
        "UPDATE trials SET doubt_ms = ?2 WHERE doubt_ms > ?1",
    ] {
        connection.execute(sql, params![now.0, before])?;
    }
    for sql in [
        "UPDATE runs SET gone_ms = ?1 WHERE gone_ms > ?1",
        "UPDATE trials SET gone_ms = ?1 WHERE gone_ms > ?1",
        "DELETE FROM look WHERE from_ms > ?1",
    ] {
        connection.execute(sql, [now.0])?;
    }
    history::redate(connection, now.0)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::EventRow;
    use crate::testing::in_memory;

    const DAY: Duration = Duration::from_hours(24);
    const NOW: UnixMs = UnixMs(1_764_000_000_000);

    /// A mirror that confirmed a run at each of these times, and had it end at the last one.
    fn confirmed_at(times: &[UnixMs]) -> Connection {
        let connection = in_memory();
        for at in times {
            connection
                .execute("INSERT INTO look VALUES ('run', '', ?1, ?1)", [at.0])
                .unwrap();
        }
        let last = times.last().unwrap().0;
        connection
            .execute_batch(&format!(
                "INSERT INTO confirmation VALUES ('run', '', {last}, NULL, 1, NULL);"
            ))
            .unwrap();
        let event = EventRow {
            kind: "run",
            run: "r",
            trial: None,
            from: None,
            to: "failed",
            at_ms: 5,
            observed_ms: last,
            learned: "polled",
        };
        event.insert(&connection, None).unwrap();
        connection
    }

    fn time(connection: &Connection, sql: &str) -> UnixMs {
        UnixMs(connection.query_row(sql, [], |row| row.get(0)).unwrap())
    }

    #[test]
    fn what_a_clock_years_ahead_left_behind_is_confirmed_as_before_and_kept_from_now_on() {
        let connection = confirmed_at(&[NOW.minus(DAY), NOW.plus(DAY * 2_000)]);
        assert_eq!(newest(&connection).unwrap(), Some(NOW.plus(DAY * 2_000)));
        assert!(redate(&connection, NOW, DAY * 7).unwrap());
        assert_eq!(newest(&connection).unwrap(), Some(NOW));
        let confirmed = time(&connection, "SELECT at_ms FROM confirmation");
        assert_eq!(confirmed, NOW.minus(DAY));
        let observed = time(&connection, "SELECT observed_ms FROM status_event");
        assert_eq!(observed, NOW);
        let own = time(&connection, "SELECT at_ms FROM status_event");
        assert_eq!(own, UnixMs(5), "the object's own time");
    }

    #[test]
    fn a_clock_that_is_behind_changes_nothing_in_a_mirror_that_was_in_use_since() {
        for times in [
            // It shows a time before the mirror was created.
            vec![NOW.plus(DAY * 2_000)],
            // It shows a time while the mirror was in use.
            vec![NOW.minus(DAY), NOW.plus(DAY * 6), NOW.plus(DAY * 2_000)],
        ] {
            let connection = confirmed_at(&times);
            assert!(!redate(&connection, NOW, DAY * 7).unwrap());
            assert_eq!(newest(&connection).unwrap(), times.last().copied());
        }
        let connection = confirmed_at(&[NOW.plus(DAY * 2_000)]);
        let (from, until) = (NOW.minus(DAY).0, NOW.plus(DAY * 9).0);
        connection
            .execute(
                "INSERT INTO look VALUES ('run', 'r', ?1, ?2)",
                [from, until],
            )
            .unwrap();
        assert!(!redate(&connection, NOW, DAY * 7).unwrap());
    }
}
