//! The upkeep of the mirror, which runs beside the engine's steps.

use std::time::Duration;

use docks_proto::time::UnixMs;
use tokio::task::{JoinError, JoinSet};
use tracing::warn;

use docksd_mirror::{Mirror, MirrorError, Retention};

/// Key of the note that says when upkeep last ended.
pub(super) const UPKEEP_NOTE: &str = "upkeep";
/// Upkeep is nightly, at a minute that differs from start to start.
const MISSED_AFTER: Duration = Duration::from_secs(26 * 3_600);

/// Runs upkeep in the background and remembers when it last succeeded.
#[derive(Default)]
pub(super) struct Upkeep {
    running: JoinSet<Result<UnixMs, MirrorError>>,
    last: Option<UnixMs>,
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

    pub(super) fn start(&mut self, mirror: &Mirror, retention: Retention, now: UnixMs) {
        let mirror = mirror.clone();
        self.running.spawn(async move {
            mirror.verify().await?;
            mirror.run_upkeep(now, retention).await?;
            mirror.write_note(UPKEEP_NOTE, &now.0.to_string()).await?;
            Ok(now)
        });
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

/// Returns whether a night passed without upkeep.
pub(super) fn is_missed(last_upkeep: Option<UnixMs>, now: UnixMs) -> bool {
    last_upkeep.is_none_or(|at| now.since(at) > MISSED_AFTER)
}
