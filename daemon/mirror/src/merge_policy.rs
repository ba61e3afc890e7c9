//! Decides whether an object that arrived may replace the stored one; pure.

use docks_proto::object::{Lifecycle, Scalar, lifecycle};
use docks_proto::time::UnixMs;

use crate::Provenance;

/// The object's own times, as far as it has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) created: Option<i64>,
    pub(crate) started: Option<i64>,
    pub(crate) updated: Option<i64>,
    pub(crate) completed: Option<i64>,
}

impl Times {
    /// Reads one of them.
    pub(crate) fn read(value: &Scalar) -> Option<i64> {
        value.text().and_then(|t| UnixMs::parse(&t)).map(|t| t.0)
    }

    /// Tells whether these say that they are of a later version than `old`.
    ///
    /// Only growth counts. That `completed_at` vanished says nothing: a replica that lags
    /// behind shows the same.
    fn newer_than(self, old: Times) -> bool {
        [
            (self.started, old.started),
            (self.updated, old.updated),
            (self.completed, old.completed),
        ]
        .into_iter()
        .any(|(new, old)| matches!((new, old), (Some(new), Some(old)) if new > old))
    }

    /// Returns the object's own time of having come into `status`.
    pub(crate) fn of_change(self, status: &str, first: bool) -> Option<i64> {
        match lifecycle(status) {
            Lifecycle::Terminal => self.completed.or(self.updated),
            Lifecycle::Active if status.eq_ignore_ascii_case("running") => {
                self.started.or(self.updated)
            }
            Lifecycle::Active if first => self.created.or(self.updated),
            Lifecycle::Active => self.updated,
        }
    }
}

/// What is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) status: String,
    pub(crate) times: Times,
    /// When it was last confirmed.
    pub(crate) confirmed_ms: i64,
    pub(crate) gone_ms: Option<i64>,
    pub(crate) doubt_ms: Option<i64>,
    /// Whether the new text is the stored one.
    pub(crate) same_text: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It confirms what is stored; a doubt is over.
    Same,
    /// It replaces what is stored, which may be a tombstone.
    Replace,
    /// It is older than what is stored: leave everything.
    Stale,
    /// It takes back an end: keep what is stored and remember the doubt.
    Doubt,
}

/// Judges an object that was asked for at `observed_ms`.
pub(crate) fn judge(
    known: &Known,
    status: &str,
    times: Times,
    observed_ms: i64,
    learned: Provenance,
) -> Verdict {
    // The answer to an action is later than when it was asked for, and must be seen at once.
    let own = learned == Provenance::OwnAction;
    let latest = known.gone_ms.unwrap_or(i64::MIN).max(known.confirmed_ms);
    if !own && observed_ms < latest {
        return Verdict::Stale;
    }
    if known.gone_ms.is_some() {
        return Verdict::Replace;
    }
    if known.same_text {
        return Verdict::Same;
    }
    let goes_back =
        lifecycle(&known.status) == Lifecycle::Terminal && lifecycle(status) == Lifecycle::Active;
    let seen_before = known.doubt_ms.is_some_and(|before| before < observed_ms);
    // A remote that tells by itself has no replica that lags behind.
    let polled = learned == Provenance::Polled;
    if goes_back && polled && !seen_before && !times.newer_than(known.times) {
        return Verdict::Doubt;
    }
    Verdict::Replace
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended() -> Known {
        Known {
            status: "completed".into(),
            times: Times {
                created: Some(1),
                started: Some(10),
                updated: None,
                completed: Some(50),
            },
            confirmed_ms: 100,
            ..Known::default()
        }
    }

    fn running(started: i64) -> Times {
        Times {
            created: Some(1),
            started: Some(started),
            ..Times::default()
        }
    }

    #[test]
    fn an_end_is_taken_back_only_by_a_second_later_answer() {
        let polled =
            |known: &Known, at| judge(known, "running", running(10), at, Provenance::Polled);
        let mut known = ended();
        assert_eq!(polled(&known, 110), Verdict::Doubt);
        known.doubt_ms = Some(110);
        assert_eq!(polled(&known, 110), Verdict::Doubt);
        assert_eq!(polled(&known, 111), Verdict::Replace);
    }

    #[test]
    fn an_end_is_taken_back_at_once_by_a_newer_start_or_by_ourselves() {
        let known = ended();
        let judged = |times, learned| judge(&known, "running", times, 110, learned);
        assert_eq!(judged(running(60), Provenance::Polled), Verdict::Replace);
        assert_eq!(judged(running(10), Provenance::OwnAction), Verdict::Replace);
        assert_eq!(judged(running(10), Provenance::Event), Verdict::Replace);
    }

    #[test]
    fn an_older_answer_changes_nothing() {
        let mut known = ended();
        let failed = |known: &Known, at, learned| judge(known, "failed", running(10), at, learned);
        assert_eq!(failed(&known, 99, Provenance::Polled), Verdict::Stale);
        assert_eq!(failed(&known, 99, Provenance::OwnAction), Verdict::Replace);
        assert_eq!(failed(&known, 100, Provenance::Polled), Verdict::Replace);
        known.gone_ms = Some(200);
        assert_eq!(failed(&known, 150, Provenance::Polled), Verdict::Stale);
        known.same_text = true;
        assert_eq!(failed(&known, 200, Provenance::Polled), Verdict::Replace);
    }
}
