//! The upkeep of the mirror, which runs beside the engine's steps.

use std::time::Duration;

use docks_proto::time::UnixMs;
use tokio::task::{JoinError, JoinSet};
use tracing::warn;

use docksd_mirror::{Mirror, MirrorError, Retention};

/// Key of the note that says when upkeep last ended.
pub(super) const UPKEEP_NOTE: &str = "upkeep";
/// Key of the note that says when timestamps last jumped by an implausible time.
pub(super) const JUMP_NOTE: &str = "clock-jumped";
/// Keeps everything.
const FOR_EVER: Duration = Duration::MAX;
/// Upkeep is nightly, at a minute that differs from start to start.
const MISSED_AFTER: Duration = Duration::from_secs(26 * 3_600);

/// Runs upkeep in the background and remembers when it last succeeded.
#[derive(Default)]
pub(super) struct Upkeep {
    running: JoinSet<Result<UnixMs, MirrorError>>,
    last: Option<UnixMs>,
    /// Requested, and waiting for a plausible clock.
    requested: Option<Retention>,
}

impl Upkeep {
    /// Returns when upkeep last succeeded.
    pub(super) fn last(&self) -> Option<UnixMs> {
        self.last
    }

    /// Takes over when an earlier process last did upkeep.
    pub(super) fn restore(&mut self, last: Option<UnixMs>) {
        self.last = last;
    }

    /// Requests an upkeep, which starts once the clock is plausible.
    pub(super) fn request(&mut self, retention: Retention) {
        self.requested = Some(retention);
    }

    /// Starts what was requested, by a clock that is `settled`: with one that is years ahead, all
    /// history would be too old.
    pub(super) fn start_requested(&mut self, mirror: &Mirror, settled: Option<UnixMs>) {
        if let Some(now) = settled
            && let Some(retention) = self.requested.take()
        {
            let mirror = mirror.clone();
            self.running.spawn(async move {
                let jumped = mirror.read_note(JUMP_NOTE).await?;
                let jumped = jumped.and_then(|at| at.parse().ok()).map(UnixMs);
                let retention = after_jump(retention, jumped, now);
                mirror.verify().await?;
                mirror.run_upkeep(now, retention).await?;
                mirror.write_note(UPKEEP_NOTE, &now.0.to_string()).await?;
                Ok(now)
            });
        }
    }

    /// Returns whether an upkeep is running.
    pub(super) fn is_running(&self) -> bool {
        !self.running.is_empty()
    }

    /// Waits for the next upkeep that ends, or returns `None` at once if none is running.
    pub(super) async fn next_ended(
        &mut self,
    ) -> Option<Result<Result<UnixMs, MirrorError>, JoinError>> {
        self.running.join_next().await
    }

    pub(super) fn finish(&mut self, ended: Result<Result<UnixMs, MirrorError>, JoinError>) {
        match ended {
            Ok(Ok(at)) => self.last = Some(at),
            Ok(Err(error)) => {
                warn!(error = &error as &dyn std::error::Error, "upkeep failed");
            }
            Err(_) => warn!("upkeep panicked"),
        }
    }

    pub(super) async fn stop(&mut self) {
        self.running.shutdown().await;
    }
}

/// Returns what to keep after timestamps have jumped.
///
/// What was stored before the jump may be much younger than it seems: nothing is deleted until even
/// that is old enough.
fn after_jump(retention: Retention, jumped: Option<UnixMs>, now: UnixMs) -> Retention {
    let Some(at) = jumped else {
        return retention;
    };
    let keep = |time: Duration| if now.since(at) > time { time } else { FOR_EVER };
    Retention {
        history: keep(retention.history),
        tombstones: keep(retention.tombstones),
    }
}

/// Returns whether a night passed without upkeep. One in the future was dated by a wrong clock.
pub(super) fn is_missed(last_upkeep: Option<UnixMs>, now: UnixMs) -> bool {
    last_upkeep.is_none_or(|at| now.since(at).max(at.since(now)) > MISSED_AFTER)
}
