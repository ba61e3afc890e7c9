//! Decides whether a candidate is as good as its baseline, for a pipeline that acts on it.

use docks_proto::comparison::{Delta, Gate, GateOutcome, GateQuery, MetricName, Verdict};

use crate::comparison::amount;

/// Decides by the interval of the difference of the candidate from the baseline.
///
/// It is held when the interval's worse end is better than the drop that is allowed, and dropped when even its better
/// end is worse. In between nobody can tell, except that (unless the gate is strict) a candidate that is shown to be worse,
/// and whose estimate is beyond the drop, has dropped. What is not shown to be held fails a strict gate: that is left to
/// who acts on the outcome.
#[must_use]
pub fn decide(delta: &Delta, gate: GateQuery) -> Gate {
    let metric = MetricName::from_name(&delta.metric).unwrap_or_default();
    // How much better the candidate is, at its worst, as estimated, and at its best; of what is spent, relative.
    let gains = match (delta.low, delta.value, delta.high) {
        (Some(low), Some(value), Some(high)) if metric.is_spent() => {
            Some([1.0 - high, 1.0 - value, 1.0 - low])
        }
        (Some(low), Some(value), Some(high)) => Some([low, value, high]),
        _ => None,
    };
    let (outcome, reason) = match gains {
        None => (
            GateOutcome::CannotTell,
            "nothing in common to compare".to_owned(),
        ),
        _ if delta.n_tasks < gate.min_tasks => (
            GateOutcome::CannotTell,
            format!(
                "only {} common tasks of {} that are required",
                delta.n_tasks, gate.min_tasks
            ),
        ),
        Some([worst, ..]) if worst > -gate.max_drop => (
            GateOutcome::Held,
            "at worst, it is within the drop that is allowed".to_owned(),
        ),
        Some([_, _, best]) if best < -gate.max_drop => (
            GateOutcome::Dropped,
            "even at best, it dropped by more than is allowed".to_owned(),
        ),
        Some([_, value, _])
            if !gate.is_strict && delta.verdict == Verdict::Worse && value < -gate.max_drop =>
        {
            (
                GateOutcome::Dropped,
                "it is shown to be worse, by more than is allowed as far as one can tell"
                    .to_owned(),
            )
        }
        Some(_) => (
            GateOutcome::CannotTell,
            format!(
                "the difference may be anything from {} to {}",
                amount(delta.low.unwrap_or(f64::NAN), &metric),
                amount(delta.high.unwrap_or(f64::NAN), &metric)
            ),
        ),
    };
    Gate {
        outcome,
        reason,
        max_drop: gate.max_drop,
        strict: gate.is_strict,
        min_n: gate.min_tasks,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(metric: &str, low: f64, value: f64, high: f64, verdict: Verdict) -> Delta {
        Delta {
            side: 2,
            metric: metric.to_owned(),
            scale: "difference".to_owned(),
            value: Some(value),
            low: Some(low),
            high: Some(high),
            interval: None,
            p: None,
            p_adjusted: None,
            test: None,
            n_tasks: 50,
            n_repeated: None,
            only_first: 0,
            only_other: 0,
            detectable: None,
            verdict,
        }
    }

    #[test]
    fn a_candidate_holds_drops_or_nobody_can_tell() {
        let gate = |max_drop: f64, is_strict| GateQuery {
            max_drop,
            is_strict,
            min_tasks: 10,
        };
        for (low, value, high, verdict, lenient, strict) in [
            (
                -0.01,
                0.03,
                0.07,
                Verdict::Unclear,
                GateOutcome::Held,
                GateOutcome::Held,
            ),
            (
                -0.02,
                0.03,
                0.07,
                Verdict::Unclear,
                GateOutcome::CannotTell,
                GateOutcome::CannotTell,
            ),
            (
                -0.2,
                -0.1,
                -0.03,
                Verdict::Worse,
                GateOutcome::Dropped,
                GateOutcome::Dropped,
            ),
            (
                -0.2,
                -0.1,
                -0.01,
                Verdict::Worse,
                GateOutcome::Dropped,
                GateOutcome::CannotTell,
            ),
            (
                -0.2,
                -0.1,
                0.01,
                Verdict::Unclear,
                GateOutcome::CannotTell,
                GateOutcome::CannotTell,
            ),
        ] {
            let delta = delta("solved", low, value, high, verdict);
            assert_eq!(
                decide(&delta, gate(0.02, false)).outcome,
                lenient,
                "{low} {high}"
            );
            assert_eq!(
                decide(&delta, gate(0.02, true)).outcome,
                strict,
                "{low} {high}"
            );
        }
        // Of costs, more is the drop.
        let cheaper = delta("cost", 0.8, 0.9, 1.01, Verdict::Better);
        assert_eq!(
            decide(&cheaper, gate(0.02, true)).outcome,
            GateOutcome::Held
        );
        let dearer = delta("cost", 1.1, 1.2, 1.3, Verdict::Worse);
        assert_eq!(
            decide(&dearer, gate(0.02, true)).outcome,
            GateOutcome::Dropped
        );
    }

    #[test]
    fn too_few_tasks_or_none_cannot_tell() {
        let gate = GateQuery {
            max_drop: 0.02,
            is_strict: false,
            min_tasks: 51,
        };
        let held = delta("solved", 0.1, 0.2, 0.3, Verdict::Better);
        assert_eq!(decide(&held, gate).outcome, GateOutcome::CannotTell);
        let none = Delta {
            value: None,
            low: None,
            high: None,
            n_tasks: 0,
            ..held
        };
        let gate = GateQuery {
            min_tasks: 0,
            ..gate
        };
        assert_eq!(decide(&none, gate).outcome, GateOutcome::CannotTell);
    }
}
