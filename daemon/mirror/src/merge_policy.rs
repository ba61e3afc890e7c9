//! Decides whether an object that arrived may replace the stored one; pure.

use docks_proto::object::{Lifecycle, Scalar, lifecycle};
use docks_proto::time::UnixMs;

use crate::Provenance;

/// The times an object states about itself, in milliseconds since 1970; absent ones are `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ObjectTimes {
    pub(crate) created_ms: Option<i64>,
    pub(crate) started_ms: Option<i64>,
    pub(crate) updated_ms: Option<i64>,
    pub(crate) completed_ms: Option<i64>,
}

impl ObjectTimes {
    /// Parses the text of a time; `None` when it is not one.
    pub(crate) fn parse_ms(value: &Scalar) -> Option<i64> {
        value.text().and_then(|t| UnixMs::parse(&t)).map(|t| t.0)
    }

    /// Whether these times prove a later version than `old`.
    ///
    /// Only growth counts. A missing `completed_at` proves nothing: a replica that lags
    /// behind shows the same.
    fn is_newer_than(self, old: ObjectTimes) -> bool {
        [
            (self.started_ms, old.started_ms),
            (self.updated_ms, old.updated_ms),
            (self.completed_ms, old.completed_ms),
        ]
        .into_iter()
        .any(|(new, old)| matches!((new, old), (Some(new), Some(old)) if new > old))
    }

    /// Returns when the object entered `status`, by its own account.
    ///
    /// `first` is true when the object was not stored before.
    pub(crate) fn entered_status_ms(self, status: &str, first: bool) -> Option<i64> {
        match lifecycle(status) {
            Lifecycle::Terminal => self.completed_ms.or(self.updated_ms),
            Lifecycle::Active if status.eq_ignore_ascii_case("running") => {
                self.started_ms.or(self.updated_ms)
            }
            Lifecycle::Active if first => self.created_ms.or(self.updated_ms),
            Lifecycle::Active => self.updated_ms,
        }
    }
}

/// What the mirror stores of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StoredState {
    pub(crate) status: String,
    pub(crate) times: ObjectTimes,
    /// When it was last confirmed.
    pub(crate) confirmed_ms: i64,
    /// When it became a tombstone.
    pub(crate) gone_ms: Option<i64>,
    /// When a response first showed it reopened, if that response was not accepted.
    pub(crate) reopening_seen_ms: Option<i64>,
    /// Whether the new text equals the stored one.
    pub(crate) same_text: bool,
}

/// What to do with an object that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MergeDecision {
    /// It confirms what is stored, and cancels a pending reopening.
    Unchanged,
    /// It replaces what is stored, which may be a tombstone.
    Replace,
    /// It is older than what is stored: change nothing.
    Stale,
    /// It reopens an ended object (terminal → active): keep what is stored until a second,
    /// later response agrees.
    DeferReopening,
}

/// Decides about an object whose request began at `observed_ms`.
pub(crate) fn decide(
    stored: &StoredState,
    status: &str,
    times: ObjectTimes,
    observed_ms: i64,
    provenance: Provenance,
) -> MergeDecision {
    // The response to an action describes a later state than its request time suggests, and
    // users must see it at once.
    let own_action = provenance == Provenance::OwnAction;
    let latest_ms = stored.gone_ms.unwrap_or(i64::MIN).max(stored.confirmed_ms);
    if !own_action && observed_ms < latest_ms {
        return MergeDecision::Stale;
    }
    if stored.gone_ms.is_some() {
        return MergeDecision::Replace;
    }
    if stored.same_text {
        return MergeDecision::Unchanged;
    }
    let reopens =
        lifecycle(&stored.status) == Lifecycle::Terminal && lifecycle(status) == Lifecycle::Active;
    let seen_before = stored
        .reopening_seen_ms
        .is_some_and(|before_ms| before_ms < observed_ms);
    // Only polls can reach a replica that lags behind; events come from the primary.
    let polled = provenance == Provenance::Polled;
    if reopens && polled && !seen_before && !times.is_newer_than(stored.times) {
        return MergeDecision::DeferReopening;
    }
    MergeDecision::Replace
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended() -> StoredState {
        StoredState {
            status: "completed".into(),
            times: ObjectTimes {
                created_ms: Some(1),
                started_ms: Some(10),
                updated_ms: None,
                completed_ms: Some(50),
            },
            confirmed_ms: 100,
            ..StoredState::default()
        }
    }

    fn started_at(started_ms: i64) -> ObjectTimes {
        ObjectTimes {
            created_ms: Some(1),
            started_ms: Some(started_ms),
            ..ObjectTimes::default()
        }
    }

    #[test]
    fn an_ended_object_is_reopened_only_by_a_second_later_response() {
        let decide_polled = |stored: &StoredState, at| {
            decide(stored, "running", started_at(10), at, Provenance::Polled)
        };
        let mut stored = ended();
        assert_eq!(decide_polled(&stored, 110), MergeDecision::DeferReopening);
        stored.reopening_seen_ms = Some(110);
        assert_eq!(decide_polled(&stored, 110), MergeDecision::DeferReopening);
        assert_eq!(decide_polled(&stored, 111), MergeDecision::Replace);
    }

    #[test]
    fn a_newer_start_an_event_or_an_own_action_reopens_at_once() {
        let stored = ended();
        let decide_at = |times, provenance| decide(&stored, "running", times, 110, provenance);
        for (times, provenance) in [
            (started_at(60), Provenance::Polled),
            (started_at(10), Provenance::OwnAction),
            (started_at(10), Provenance::Event),
        ] {
            assert_eq!(decide_at(times, provenance), MergeDecision::Replace);
        }
    }

    #[test]
    fn an_older_response_changes_nothing() {
        let mut stored = ended();
        let decide_failed = |stored: &StoredState, at, provenance| {
            decide(stored, "failed", started_at(10), at, provenance)
        };
        let polled = Provenance::Polled;
        assert_eq!(decide_failed(&stored, 99, polled), MergeDecision::Stale);
        assert_eq!(
            decide_failed(&stored, 99, Provenance::OwnAction),
            MergeDecision::Replace
        );
        assert_eq!(decide_failed(&stored, 100, polled), MergeDecision::Replace);
        stored.gone_ms = Some(200);
        assert_eq!(decide_failed(&stored, 150, polled), MergeDecision::Stale);
        stored.same_text = true;
        assert_eq!(decide_failed(&stored, 200, polled), MergeDecision::Replace);
    }
}
