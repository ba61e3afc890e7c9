//! What an earlier process stored: what it knew, and timestamps that the clock continues from.

use std::time::Duration;

use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use tracing::warn;

use docksd_mirror::{Mirror, Resource};

use super::apply::{last_sweep_note_key, whole_list_note_key};
use super::capabilities::{Capabilities, NOTE};
use super::clock::{Clock, ClockNote, SET_BACK, SteadyClock};
use super::state::EngineMemory;
use super::upkeep::{JUMP_NOTE, UPKEEP_NOTE};

/// Key of the note that says whether timestamps may be behind the time, and its text if so.
const BEHIND_NOTE: &str = "clock-behind";
const BEHIND: &str = "true";

/// How long before the end of a process a run may have ended whose trials it would have requested again.
const OPEN_FOR: Duration = Duration::from_secs(3_600);
/// Most of these runs.
const MAX_OPEN_RUNS: usize = 64;

/// What the mirror has for the engine that starts.
pub(super) struct Stored {
    /// What it knew.
    pub(super) memory: EngineMemory,
    /// When upkeep last succeeded.
    pub(super) last_upkeep: Option<UnixMs>,
    /// A clock whose timestamps are later than all that is stored.
    pub(super) steady: SteadyClock,
}

/// Reads what an earlier process stored.
pub(super) async fn read_stored(mirror: &Mirror, clock: &dyn Clock) -> Stored {
    let note = async |key: &str| mirror.read_note(key).await.ok().flatten();
    let time = |text: Option<String>| text.and_then(|t| t.parse().ok()).map(UnixMs);
    let was_behind = note(BEHIND_NOTE).await.is_some_and(|text| text == BEHIND);
    let newest = mirror.newest_timestamp().await;
    let mut open_runs = Vec::new();
    if let Ok(Some(newest)) = newest {
        let since = newest.minus(OPEN_FOR);
        let found = mirror.ended_with_open_trials(since, MAX_OPEN_RUNS).await;
        open_runs = found.unwrap_or_default();
    }
    let steady = match newest {
        Ok(Some(newest)) if was_behind => {
            SteadyClock::new(clock, newest).after_one_behind(clock, newest)
        }
        Ok(newest) => SteadyClock::new(clock, newest.unwrap_or(UnixMs(0))),
        Err(_) => SteadyClock::new(clock, UnixMs(0)).distrusting(),
    };
    let (mut last_sweeps, mut whole_lists) = ([None, None], [None, None]);
    // What counts as old is confirmed again at once.
    if steady.dates_stored() {
        for (place, kind) in RunKind::ALL.into_iter().enumerate() {
            // What a sweep of a mirror saw that was rebuilt since may be lost.
            let confirmed = mirror.confirmation(&Resource::List(kind)).await;
            if !matches!(confirmed, Ok(None)) {
                last_sweeps[place] = time(note(&last_sweep_note_key(kind)).await);
                whole_lists[place] = time(note(&whole_list_note_key(kind)).await);
            }
        }
    }
    Stored {
        memory: EngineMemory {
            capabilities: Capabilities::from_note(note(NOTE).await.as_deref()),
            last_sweeps,
            whole_lists,
            open_runs,
        },
        last_upkeep: time(note(UPKEEP_NOTE).await),
        steady,
    }
}

/// Replaces the timestamps of a clock that was ahead of the wall clock. Returns whether it did, so that
/// the clock can go back.
///
/// No step may be under way: it would write one more of them.
pub(super) async fn replace_later_timestamps(mirror: &Mirror, clock: &dyn Clock) -> bool {
    match mirror
        .replace_later_timestamps(clock.wall(), SET_BACK)
        .await
    {
        Ok(replaced) => {
            if replaced {
                warn!(
                    "the clock was ahead; the timestamps that it left in the mirror are replaced"
                );
            }
            replaced
        }
        Err(error) => {
            warn!(
                error = &error as &dyn std::error::Error,
                "could not replace the timestamps of a wrong clock"
            );
            false
        }
    }
}

/// Stores what is known of a wrong clock. Returns whether it is stored.
pub(super) async fn store_clock_note(mirror: &Mirror, note: ClockNote) -> bool {
    // First: without the other note, and killed in between, the next process would take the jump for an absence.
    if let Some(at) = note.jumped
        && mirror
            .write_note(JUMP_NOTE, &at.0.to_string())
            .await
            .is_err()
    {
        return false;
    }
    let behind = if note.is_behind { BEHIND } else { "" };
    mirror.write_note(BEHIND_NOTE, behind).await.is_ok()
}
