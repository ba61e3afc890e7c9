//! The status of one trial.

use crate::disk::cached_file::Standing;
use crate::format::job::Outcome;
use crate::format::trial::{Exception, TrialResult};
use crate::snapshot::trial_files::TrialFiles;

/// Type of the exception of a trial that was stopped with its job.
pub(crate) const CANCELLED: &str = "CancelledError";
/// Code of a trial whose process went away.
pub(crate) const LOST: &str = "Lost";
/// Code of a trial that Harbor was still building when its process ended.
pub(crate) const NOT_STARTED: &str = "NotStarted";

/// Status words of trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Status {
    /// Did not start.
    #[default]
    Pending,
    /// Under way.
    Running,
    /// Ended with the full reward.
    Passed,
    /// Ended with less.
    Failed,
    /// Ended without a grade that could be called passed or failed.
    Completed,
    /// Ended by an exception, or lost.
    Error,
    /// Stopped.
    Cancelled,
}

impl Status {
    /// Returns the word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Running => "running",
            Status::Passed => "passed",
            Status::Failed => "failed",
            Status::Completed => "completed",
            Status::Error => "error",
            Status::Cancelled => "cancelled",
        }
    }
}

/// What is seen of a trial.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// Its result, as far as it was ever readable.
    pub(crate) result: Option<&'a TrialResult>,
    /// How its `result.json` stands now.
    pub(crate) standing: Standing,
    /// Whether there is a `config.json`, the mark of having started.
    pub(crate) configured: bool,
    /// What lies in its folder.
    pub(crate) files: &'a TrialFiles,
    /// What the job's result says of it.
    pub(crate) outcome: Option<&'a Outcome>,
}

/// What a trial's job is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Around {
    /// Its process is there.
    Alive,
    /// It finished.
    Finished,
    /// It ended in another way.
    Dead,
}

/// What was made of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct State {
    /// Its status.
    pub(crate) status: Status,
    /// What a trial under way is doing.
    pub(crate) phase: Option<&'static str>,
    /// Class of what went wrong.
    pub(crate) code: Option<String>,
    /// What went wrong, for people.
    pub(crate) message: Option<String>,
    /// The reward.
    pub(crate) reward: Option<f64>,
    /// All rewards by key.
    pub(crate) rewards: Vec<(String, f64)>,
}

impl State {
    /// Tells whether it ended by itself or was stopped; a lost trial did not end.
    pub(crate) fn ended(&self) -> bool {
        match self.status {
            Status::Pending | Status::Running => false,
            Status::Error => !self.lost(),
            _ => true,
        }
    }

    /// Tells whether its process went away before it ended.
    pub(crate) fn lost(&self) -> bool {
        self.status == Status::Error && matches!(self.code.as_deref(), Some(LOST | NOT_STARTED))
    }

    fn lost_as(code: &str, message: &str) -> Self {
        Self {
            status: Status::Error,
            code: Some(code.to_owned()),
            message: Some(message.to_owned()),
            ..Self::default()
        }
    }

    fn under_way(phase: &'static str) -> Self {
        Self {
            status: Status::Running,
            phase: Some(phase),
            ..Self::default()
        }
    }
}

/// Derives a trial's state.
pub(crate) fn derive(seen: Seen<'_>, around: Around) -> State {
    if let Some(result) = seen.result {
        return ended(&result.rewards, result.exception.as_ref());
    }
    let torn = seen.standing == Standing::Torn;
    if let Some(outcome) = seen.outcome.filter(|_| torn || around == Around::Finished) {
        let exception = outcome.exception.as_ref().map(|kind| Exception {
            kind: kind.clone(),
            message: String::new(),
        });
        return ended(&outcome.rewards, exception.as_ref());
    }
    match (around, torn, seen.configured) {
        (Around::Alive, true, _) => State::under_way("ending"),
        (Around::Alive, false, true) => State::under_way(phase(seen.files)),
        (Around::Alive, false, false) => State {
            phase: Some("starting"),
            ..State::default()
        },
        (Around::Finished, true, _) => State {
            status: Status::Completed,
            ..State::default()
        },
        (Around::Dead, true, _) => State::lost_as(
            LOST,
            "lost: its result was cut off when the job's process ended",
        ),
        (Around::Dead, false, false) => State::lost_as(
            NOT_STARTED,
            "not started: the job's process ended while Harbor built this trial",
        ),
        _ => State::lost_as(LOST, "lost: the job's process is gone"),
    }
}

fn phase(files: &TrialFiles) -> &'static str {
    if files.verifier_wrote {
        "verifier"
    } else if files.agent_wrote {
        "agent"
    } else {
        "setup"
    }
}

fn ended(rewards: &[(String, f64)], exception: Option<&Exception>) -> State {
    let reward = the_reward(rewards);
    let status = match (exception, reward) {
        (Some(e), _) if e.kind == CANCELLED => Status::Cancelled,
        (Some(_), _) => Status::Error,
        // Exactly 1.0, as in Harbor itself.
        (None, Some(1.0)) => Status::Passed,
        (None, Some(_)) => Status::Failed,
        (None, None) => Status::Completed,
    };
    State {
        status,
        phase: None,
        code: exception.map(|e| e.kind.clone()),
        message: exception.map(|e| {
            if e.message.is_empty() {
                e.kind.clone()
            } else {
                format!("{}: {}", e.kind, e.message)
            }
        }),
        reward,
        rewards: rewards.to_vec(),
    }
}

/// Returns the reward under `reward`, else the only one.
pub(crate) fn the_reward(rewards: &[(String, f64)]) -> Option<f64> {
    let named = rewards.iter().find(|(key, _)| key == "reward");
    match (named, rewards) {
        (Some((_, reward)), _) | (None, [(_, reward)]) => Some(*reward),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(result: Option<&str>, configured: bool, around: Around) -> State {
        let result = result.map(|text| TrialResult::parse(text).unwrap());
        let seen = Seen {
            result: result.as_ref(),
            standing: if result.is_some() {
                Standing::Good
            } else {
                Standing::Absent
            },
            configured,
            files: &TrialFiles::default(),
            outcome: None,
        };
        derive(seen, around)
    }

    #[test]
    fn an_ended_trial_has_the_status_of_its_result_whatever_became_of_the_job() {
        for (text, expected) in [
            (
                r#"{"verifier_result":{"rewards":{"reward":1.0,"speed":0.2}}}"#,
                "passed",
            ),
            (r#"{"verifier_result":{"rewards":{"score":1}}}"#, "passed"),
            (
                r#"{"verifier_result":{"rewards":{"reward":0.99}}}"#,
                "failed",
            ),
            (
                r#"{"verifier_result":{"rewards":{"speed":1,"style":1}}}"#,
                "completed",
            ),
            (r#"{"verifier_result":null}"#, "completed"),
            (
                r#"{"exception_info":{"exception_type":"CancelledError","exception_message":""}}"#,
                "cancelled",
            ),
            (
                r#"{"exception_info":{"exception_type":"AgentTimeoutError"},"verifier_result":{"rewards":{"reward":1.0}}}"#,
                "error",
            ),
        ] {
            for around in [Around::Alive, Around::Finished, Around::Dead] {
                assert_eq!(
                    state(Some(text), true, around).status.word(),
                    expected,
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn a_trial_without_result_depends_on_the_process() {
        let of = |configured, around| {
            let state = state(None, configured, around);
            (state.status.word(), state.phase, state.code)
        };
        assert_eq!(of(true, Around::Alive), ("running", Some("setup"), None));
        assert_eq!(
            of(false, Around::Alive),
            ("pending", Some("starting"), None)
        );
        assert_eq!(of(true, Around::Dead), ("error", None, Some(LOST.into())));
        assert_eq!(
            of(false, Around::Dead),
            ("error", None, Some(NOT_STARTED.into()))
        );
    }

    #[test]
    fn a_torn_result_is_never_a_failure_while_anything_else_is_known() {
        let files = TrialFiles::default();
        let outcome = Outcome {
            rewards: vec![("reward".into(), 1.0)],
            exception: None,
        };
        let mut seen = Seen {
            result: None,
            standing: Standing::Torn,
            configured: true,
            files: &files,
            outcome: None,
        };
        assert_eq!(derive(seen, Around::Alive).status, Status::Running);
        assert_eq!(derive(seen, Around::Finished).status, Status::Completed);
        seen.outcome = Some(&outcome);
        assert_eq!(derive(seen, Around::Dead).status, Status::Passed);
    }
}
