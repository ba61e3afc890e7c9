//! What rules have done to runs, as the mirror remembers it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use docksd_mirror::{Mirror, MirrorError};

use crate::config::OnLimitRule;

/// Time between two attempts to stop a run: longer than one may take.
const RETRY_STOP_AFTER: Duration = Duration::from_secs(60);

/// What a rule has done to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RuleState {
    /// Nothing.
    Open,
    /// Everything but stopping the run, which the remote has not answered yet.
    Stopping,
    /// Everything.
    Applied,
}

impl RuleState {
    /// Returns the text of the note.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Open => "",
            Self::Stopping => "stopping",
            Self::Applied => "applied",
        }
    }
}

/// Returns the topic of the notes about runs and a rule.
pub(super) fn note_topic(rule: &OnLimitRule) -> String {
    format!("on_limit {:016x}", rule.fingerprint)
}

/// The states of the runs of one remote.
#[derive(Debug, Default)]
pub(super) struct RuleStates {
    /// Those that do not change any more, or not by others, by run and rule. What is not here is in the mirror.
    known: HashMap<(String, u64), RuleState>,
    /// Monotonic time of the last attempt to stop a run.
    stops: HashMap<(String, u64), Duration>,
}

impl RuleStates {
    /// Returns what a rule has done to a run.
    pub(super) async fn of(
        &mut self,
        mirror: &Mirror,
        rule: &OnLimitRule,
        run: &str,
    ) -> Result<RuleState, MirrorError> {
        let key = (run.to_owned(), rule.fingerprint);
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let note = mirror.read_run_note(&note_topic(rule), run).await?;
        let state = match note.as_deref() {
            None => RuleState::Open,
            // The attempt to stop it writes the note; until then it is read each time.
            Some("stopping") => return Ok(RuleState::Stopping),
            Some(_) => RuleState::Applied,
        };
        self.known.insert(key, state);
        Ok(state)
    }

    /// Notes what a rule is about to do to a run.
    pub(super) async fn set(
        &mut self,
        mirror: &Mirror,
        rule: &OnLimitRule,
        run: &str,
        state: RuleState,
    ) -> Result<(), MirrorError> {
        mirror
            .write_run_note(&note_topic(rule), run, state.text())
            .await?;
        let key = (run.to_owned(), rule.fingerprint);
        match state {
            RuleState::Stopping => drop(self.known.remove(&key)),
            state => drop(self.known.insert(key, state)),
        }
        Ok(())
    }

    /// Whether an attempt to stop the run is due now; then it counts as made.
    pub(super) fn begin_stop(&mut self, rule: &OnLimitRule, run: &str, now: Duration) -> bool {
        let key = (run.to_owned(), rule.fingerprint);
        let last = self.stops.get(&key);
        if last.is_some_and(|last| now.saturating_sub(*last) < RETRY_STOP_AFTER) {
            return false;
        }
        self.stops.insert(key, now);
        true
    }

    /// Whether a run is being stopped, as far as is known.
    pub(super) fn has_open_stops(&self) -> bool {
        !self.stops.is_empty()
    }

    /// Forgets attempts to stop runs that have ended.
    pub(super) fn keep_open_stops_of(&mut self, active: &HashSet<String>) {
        self.stops.retain(|(run, _), _| active.contains(run));
    }

    /// Forgets a run that has ended; what was done to it stays in the mirror.
    pub(super) fn forget(&mut self, run: &str) {
        self.known.retain(|(known, _), _| known != run);
    }
}
