//! The class of one trial.

use std::borrow::Cow;

use docks_proto::failures::FailureClass;
use docks_proto::trial::UNKNOWN_ERROR;

use super::rules::RuleSet;
use crate::trial::TrialFacts;

/// Why a trial failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason<'a> {
    /// The class.
    pub class: FailureClass,
    /// The cause, as its rule names it.
    pub cause: Cow<'a, str>,
    /// What decided: words of the message, the type of the exception, or the state of the trial.
    pub decided_by: Cow<'a, str>,
}

impl<'a> Reason<'a> {
    fn of_state(class: FailureClass, cause: &'a str, state: impl Into<Cow<'a, str>>) -> Self {
        Self {
            class,
            cause: cause.into(),
            decided_by: state.into(),
        }
    }
}

impl RuleSet {
    /// Returns why a trial failed; `None` if it did not: it has not ended, it solved its task without an error, or it
    /// ended and nothing says how.
    #[must_use]
    pub fn reason<'a>(&'a self, trial: &'a TrialFacts<'_>) -> Option<Reason<'a>> {
        use FailureClass as C;
        if !trial.ended || !trial.errored() && trial.solved != Some(false) {
            return None;
        }
        if trial.lost {
            return Some(Reason::of_state(C::Infrastructure, "lost", "lost"));
        }
        if let Some(found) = self.first_match(&trial.exceptions, &trial.message) {
            return Some(Reason {
                class: found.rule.class,
                cause: (&*found.rule.cause).into(),
                decided_by: found.decided_by.into(),
            });
        }
        if trial.cancelled {
            return Some(Reason::of_state(
                C::Infrastructure,
                "cancelled",
                "cancelled",
            ));
        }
        // A remote that grades by statuses may explain them by a message, which is no exception.
        let typed = trial.exceptions.iter().find(|kind| *kind != UNKNOWN_ERROR);
        let is_graded = trial.graded || trial.status.eq_ignore_ascii_case("failed");
        Some(match (typed, is_graded) {
            (Some(kind), _) => Reason::of_state(C::Unknown, "other error", &**kind),
            (None, true) => {
                let state = match trial.reward {
                    // By far the most frequent one.
                    Some(0.0) => "reward 0".into(),
                    Some(reward) => Cow::from(format!("reward {reward}")),
                    None => format!("status {}", trial.status).into(),
                };
                Reason::of_state(C::Ability, "not solved", state)
            }
            (None, false) if trial.errored() => {
                Reason::of_state(C::Unknown, "other error", UNKNOWN_ERROR)
            }
            (None, false) => Reason::of_state(C::Grading, "no reward", "no reward"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(solved: Option<bool>) -> TrialFacts<'static> {
        TrialFacts {
            ended: true,
            solved,
            ..TrialFacts::default()
        }
    }

    #[test]
    fn every_end_has_a_reason_and_only_failures_and_errors_do() {
        let rules = RuleSet::with_built_in(Vec::new());
        let reason = |trial: &TrialFacts<'_>| {
            let reason = rules.reason(trial)?;
            Some(format!(
                "{} / {} / {}",
                reason.class.name(),
                reason.cause,
                reason.decided_by
            ))
        };
        let failed = ended(Some(false));
        for (trial, expected) in [
            (TrialFacts::default(), None),
            (ended(Some(true)), None),
            (ended(None), None),
            (
                TrialFacts {
                    exceptions: vec!["AgentTimeoutError".into()],
                    ..ended(Some(true))
                },
                Some("limits / agent time-out / AgentTimeoutError"),
            ),
            (
                TrialFacts {
                    lost: true,
                    message: "lost: docker is gone".into(),
                    ..failed.clone()
                },
                Some("infrastructure / lost / lost"),
            ),
            (
                TrialFacts {
                    cancelled: true,
                    ..failed.clone()
                },
                Some("infrastructure / cancelled / cancelled"),
            ),
            (
                TrialFacts {
                    graded: true,
                    reward: Some(0.5),
                    ..failed.clone()
                },
                Some("ability / not solved / reward 0.5"),
            ),
            (
                // A Docks API, which says by the status that it was graded.
                TrialFacts {
                    status: "failed".into(),
                    exceptions: vec![UNKNOWN_ERROR.into()],
                    message: "2 of 3 assertions".into(),
                    ..failed.clone()
                },
                Some("ability / not solved / status failed"),
            ),
            (
                TrialFacts {
                    status: "error".into(),
                    exceptions: vec![UNKNOWN_ERROR.into()],
                    message: "something broke".into(),
                    ..failed.clone()
                },
                Some("unknown / other error / unknown"),
            ),
            (
                TrialFacts {
                    graded: true,
                    reward: Some(0.0),
                    exceptions: vec!["RuntimeError".into()],
                    ..failed.clone()
                },
                Some("unknown / other error / RuntimeError"),
            ),
            (
                TrialFacts {
                    status: "completed".into(),
                    ..failed.clone()
                },
                Some("grading / no reward / no reward"),
            ),
        ] {
            assert_eq!(reason(&trial).as_deref(), expected, "{trial:?}");
        }
    }
}
