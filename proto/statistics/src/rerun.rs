//! Which trials of a run are worth running again, and why.

use docks_proto::failures::FailureClass;
use docks_proto::object::{Lifecycle, lifecycle};
use docks_proto::rerun::{RerunReason, RerunSelector, RerunTrial};

use crate::failures::RuleSet;
use crate::trial::{RunFacts, TrialFacts};

/// Returns a trial with the selectors that it meets; `None` if it meets none.
#[must_use]
pub fn to_rerun(
    run: &RunFacts,
    trial: &TrialFacts<'_>,
    selectors: &[RerunSelector],
    rules: &RuleSet,
) -> Option<RerunTrial> {
    let reason = rules.reason(trial);
    let class = reason.as_ref().map(|reason| reason.class);
    let meets = |selector: &&RerunSelector| match selector {
        RerunSelector::Failed => trial.ended && trial.solved == Some(false),
        RerunSelector::Infra => class == Some(FailureClass::Infrastructure),
        RerunSelector::Lost => trial.lost || never_started(run, trial),
        RerunSelector::Unclear => {
            trial.ended
                && (trial.solved.is_none()
                    || trial.contradictory
                    || class == Some(FailureClass::Grading))
        }
        RerunSelector::Error(kind) if kind.eq_ignore_ascii_case("any") => trial.errored(),
        RerunSelector::Error(kind) => {
            let mut kinds = trial.exceptions.iter();
            kinds.any(|known| known.eq_ignore_ascii_case(kind))
        }
    };
    let selected_by: Vec<String> = selectors
        .iter()
        .filter(meets)
        .map(RerunSelector::name)
        .collect();
    if selected_by.is_empty() {
        return None;
    }
    Some(RerunTrial {
        id: trial.id.to_string(),
        task: trial.task.to_string(),
        agent: trial.agent.to_string(),
        status: trial.status.to_string(),
        selected_by,
        reason: reason.map(|reason| RerunReason {
            class: reason.class,
            cause: reason.cause.into_owned(),
            decided_by: reason.decided_by.into_owned(),
        }),
    })
}

/// Whether the run of a trial ended before it started.
fn never_started(run: &RunFacts, trial: &TrialFacts<'_>) -> bool {
    let run_ended = lifecycle(&run.status) == Lifecycle::Terminal;
    run_ended && !trial.ended && trial.started_ms.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(solved: Option<bool>) -> TrialFacts<'static> {
        TrialFacts {
            ended: true,
            solved,
            valid: solved.is_some(),
            graded: solved.is_some(),
            ..TrialFacts::default()
        }
    }

    #[test]
    fn each_selector_takes_what_it_is_about() {
        let errored = |kind: &'static str, solved| TrialFacts {
            exceptions: vec![kind.into()],
            ..ended(Some(solved))
        };
        let lost = TrialFacts {
            lost: true,
            ..ended(Some(false))
        };
        let contradictory = TrialFacts {
            contradictory: true,
            ..ended(Some(true))
        };
        let running = TrialFacts {
            started_ms: Some(1),
            ..TrialFacts::default()
        };
        let rules = RuleSet::with_built_in(Vec::new());
        let all = [
            RerunSelector::Failed,
            RerunSelector::Infra,
            RerunSelector::Lost,
            RerunSelector::Unclear,
            RerunSelector::Error("healthcheckerror".into()),
            RerunSelector::Error("any".into()),
        ];
        let selected = |status: &str, trial: &TrialFacts<'_>| {
            let run = RunFacts {
                status: status.into(),
                ..RunFacts::default()
            };
            let found = to_rerun(&run, trial, &all, &rules);
            found.map_or_else(String::new, |found| found.selected_by.join(" "))
        };
        for (trial, expected) in [
            (ended(Some(true)), ""),
            (ended(Some(false)), "failed"),
            (ended(None), "unclear"),
            (contradictory, "unclear"),
            (lost, "failed infra lost"),
            (
                errored("HealthcheckError", false),
                "failed infra error:healthcheckerror error:any",
            ),
            // Infrastructure failed, and it solved its task all the same.
            (
                errored("HealthcheckError", true),
                "infra error:healthcheckerror error:any",
            ),
            (
                errored("RewardFileNotFoundError", false),
                "failed unclear error:any",
            ),
            (running, ""),
        ] {
            assert_eq!(selected("completed", &trial), expected, "{trial:?}");
        }
        // What has not started may still do so, as long as the run goes on.
        assert_eq!(selected("failed", &TrialFacts::default()), "lost");
        assert_eq!(selected("running", &TrialFacts::default()), "");
    }
}
