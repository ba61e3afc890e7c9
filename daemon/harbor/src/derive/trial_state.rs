//! The status of one trial.

use docks_statistics::harbor::main_reward;

use crate::derive::reward_rules::{RewardRules, exceptions, is_solved, is_valid};
use crate::disk::cached_file::FileState;
use crate::format::stated_outcomes::StatedOutcome;
use crate::format::trial::{Exception, StepResult, TrialResult};
use crate::snapshot::trial_files::TrialFiles;

/// Type of the exception of a trial that was stopped together with its job.
pub(crate) const CANCELLED: &str = "CancelledError";
/// Error code of a trial whose process is gone.
pub(crate) const LOST: &str = "Lost";
/// Error code of a trial that Harbor was still building when its process ended.
pub(crate) const NOT_STARTED: &str = "NotStarted";

/// What is said of a file that Git LFS did not fetch.
pub(crate) const LFS_HINT: &str = "is a Git LFS pointer; run `git lfs pull` to fetch its content";

/// The status of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Status {
    /// It did not start.
    #[default]
    Pending,
    /// It is running.
    Running,
    /// It ended with the full reward.
    Passed,
    /// It ended with a lower reward.
    Failed,
    /// It ended without a grade that counts as passed or failed.
    Completed,
    /// It ended by an exception, or is lost.
    Error,
    /// It was cancelled.
    Cancelled,
}

impl Status {
    /// Returns the status as JSON states it.
    pub(crate) fn as_str(self) -> &'static str {
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

/// What the snapshot says about a trial.
#[derive(Clone, Copy)]
pub(crate) struct TrialEvidence<'a> {
    /// Its result, if it was ever readable.
    pub(crate) result: Option<&'a TrialResult>,
    /// The state of its `result.json`.
    pub(crate) result_state: FileState,
    /// Whether it has a `config.json`, which means that it started.
    pub(crate) configured: bool,
    /// What its folder contains.
    pub(crate) files: &'a TrialFiles,
    /// Looks up what the job's result says about it.
    pub(crate) outcome: &'a dyn Fn() -> Option<&'a StatedOutcome>,
    /// Which rewards and exceptions count in its job.
    pub(crate) rules: RewardRules,
}

/// What a trial's job is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobActivity {
    /// Its process is alive.
    Running,
    /// It finished.
    Finished,
    /// It ended without finishing.
    Dead,
}

/// The state of a trial.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct TrialState {
    /// Its status.
    pub(crate) status: Status,
    /// The phase of a running trial.
    pub(crate) phase: Option<&'static str>,
    /// The error code.
    pub(crate) code: Option<String>,
    /// The types of all exceptions under which Harbor counts it.
    pub(crate) exceptions: Vec<String>,
    /// Whether its reward is valid, if it ended.
    pub(crate) is_valid: Option<bool>,
    /// Whether its reward is valid and exactly 1; it may have an exception all the same.
    pub(crate) is_solved: bool,
    /// The error message, for people.
    pub(crate) message: Option<String>,
    /// The reward.
    pub(crate) reward: Option<f64>,
    /// All rewards by key.
    pub(crate) rewards: Vec<(String, f64)>,
}

/// As what a trial is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct StateKind {
    /// Its status.
    pub(crate) status: Status,
    /// Whether its process was gone before it ended.
    pub(crate) is_lost: bool,
    /// Whether Harbor was still building it then.
    pub(crate) is_not_built: bool,
    /// Whether its reward is valid and exactly 1.
    pub(crate) is_solved: bool,
}

impl StateKind {
    /// Whether it ended or was stopped; a lost trial did not end.
    pub(crate) fn has_ended(self) -> bool {
        match self.status {
            Status::Pending | Status::Running => false,
            Status::Error => !self.is_lost,
            _ => true,
        }
    }
}

impl TrialState {
    /// Returns as what it is counted.
    pub(crate) fn kind(&self) -> StateKind {
        let is_not_built = self.is_lost() && self.code.as_deref() == Some(NOT_STARTED);
        StateKind {
            status: self.status,
            is_lost: self.is_lost(),
            is_not_built,
            is_solved: self.is_solved,
        }
    }

    /// Whether it ended or was stopped; a lost trial did not end.
    pub(crate) fn has_ended(&self) -> bool {
        self.kind().has_ended()
    }

    /// Whether its process was gone before it ended.
    pub(crate) fn is_lost(&self) -> bool {
        self.status == Status::Error && matches!(self.code.as_deref(), Some(LOST | NOT_STARTED))
    }

    /// Returns the types of its errors; `Lost` and `NotStarted` are not exceptions.
    pub(crate) fn error_kinds(&self) -> impl Iterator<Item = &str> {
        let own = self.code.iter().filter(|_| self.is_valid.is_none());
        own.chain(&self.exceptions).map(String::as_str)
    }

    fn lost(code: &str, message: &str) -> Self {
        Self {
            status: Status::Error,
            code: Some(code.to_owned()),
            message: Some(message.to_owned()),
            ..Self::default()
        }
    }

    fn running(phase: &'static str) -> Self {
        Self {
            status: Status::Running,
            phase: Some(phase),
            ..Self::default()
        }
    }
}

/// Derives a trial's state.
pub(crate) fn derive_trial_state(evidence: TrialEvidence<'_>, job: JobActivity) -> TrialState {
    if let Some(result) = evidence.result {
        return ended_state(result, evidence.rules);
    }
    let torn = evidence.result_state == FileState::Torn;
    let is_pointer = evidence.result_state == FileState::LfsPointer;
    let may_be_stated = torn || is_pointer || job == JobActivity::Finished;
    if let Some(outcome) = may_be_stated.then(evidence.outcome).flatten() {
        return ended_state(&stated_result(outcome), evidence.rules);
    }
    if is_pointer {
        return TrialState {
            status: Status::Completed,
            message: Some(format!("result.json {LFS_HINT}")),
            ..TrialState::default()
        };
    }
    match (job, torn, evidence.configured) {
        (JobActivity::Running, true, _) => TrialState::running("ending"),
        (JobActivity::Running, false, true) => TrialState::running(phase(evidence.files)),
        (JobActivity::Running, false, false) => TrialState {
            phase: Some("starting"),
            ..TrialState::default()
        },
        (JobActivity::Finished, true, _) => TrialState {
            status: Status::Completed,
            ..TrialState::default()
        },
        (JobActivity::Dead, true, _) => TrialState::lost(
            LOST,
            "lost: its result was cut off when the job's process ended",
        ),
        (JobActivity::Dead, false, false) => TrialState::lost(
            NOT_STARTED,
            "not started: the job's process ended while Harbor built this trial",
        ),
        _ => TrialState::lost(LOST, "lost: the job's process is gone"),
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

fn stated_result(outcome: &StatedOutcome) -> TrialResult {
    let mut exceptions = outcome
        .exceptions
        .iter()
        .map(|kind| Exception::of_kind(kind));
    TrialResult {
        rewards: outcome.rewards.clone(),
        has_rewards: !outcome.rewards.is_empty(),
        exception: exceptions.next(),
        steps: exceptions.map(StepResult::failed).collect(),
        ..TrialResult::default()
    }
}

/// Returns the state of a trial that ended with this result.
pub(crate) fn ended_state(result: &TrialResult, rules: RewardRules) -> TrialState {
    let reward = main_reward(&result.rewards);
    let exceptions = exceptions(rules, result);
    let is_cancelled = exceptions.iter().any(|e| e.kind == CANCELLED);
    let status = match (exceptions.first(), reward) {
        (Some(_), _) if is_cancelled => Status::Cancelled,
        (Some(_), _) => Status::Error,
        // Exactly 1.0, as in Harbor itself.
        (None, Some(1.0)) if is_valid(rules, result) => Status::Passed,
        (None, Some(reward)) if !reward.is_nan() => Status::Failed,
        (None, _) => Status::Completed,
    };
    let mut kinds: Vec<String> = exceptions.iter().map(|e| e.kind.clone()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    TrialState {
        status,
        phase: None,
        code: result.exceptions().next().map(|e| e.kind.clone()),
        message: error_message(result),
        exceptions: kinds,
        is_valid: Some(is_valid(rules, result)),
        is_solved: is_solved(rules, result),
        reward,
        rewards: result.rewards.clone(),
    }
}

/// Returns the message of a trial's exception, or else of the first step that has one.
fn error_message(result: &TrialResult) -> Option<String> {
    let own = result.exception.as_ref().map(describe);
    own.or_else(|| {
        let mut steps = result.steps.iter();
        steps.find_map(|step| {
            let text = describe(step.exception.as_ref()?);
            Some(match step.name.as_str() {
                "" => text,
                name => format!("step {name}: {text}"),
            })
        })
    })
}

fn describe(exception: &Exception) -> String {
    if exception.message.is_empty() {
        exception.kind.clone()
    } else {
        format!("{}: {}", exception.kind, exception.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(result: Option<&str>, configured: bool, job: JobActivity) -> TrialState {
        let result = result.map(|text| TrialResult::parse(text).unwrap());
        let evidence = TrialEvidence {
            result: result.as_ref(),
            result_state: if result.is_some() {
                FileState::Valid
            } else {
                FileState::Absent
            },
            configured,
            files: &TrialFiles::default(),
            outcome: &|| None,
            rules: RewardRules::default(),
        };
        derive_trial_state(evidence, job)
    }

    #[test]
    fn an_ended_trial_has_the_status_of_its_result_whatever_the_job_does() {
        for (text, expected) in [
            (
                r#"{"verifier_result":{"rewards":{"reward":1.0,"speed":0.2}}}"#,
                "passed",
            ),
            (r#"{"verifier_result":{"rewards":{"score":1}}}"#, "passed"),
            (
                r#"{"verifier_result":{"rewards":{"reward":"NaN"}}}"#,
                "completed",
            ),
            (
                r#"{"verifier_result":{"rewards":{"reward":"-Infinity"}}}"#,
                "failed",
            ),
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
            for job in [
                JobActivity::Running,
                JobActivity::Finished,
                JobActivity::Dead,
            ] {
                assert_eq!(
                    state(Some(text), true, job).status.as_str(),
                    expected,
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn a_trial_without_result_depends_on_the_process() {
        let state_of = |configured, job| {
            let state = state(None, configured, job);
            (state.status.as_str(), state.phase, state.code)
        };
        assert_eq!(
            state_of(true, JobActivity::Running),
            ("running", Some("setup"), None)
        );
        assert_eq!(
            state_of(false, JobActivity::Running),
            ("pending", Some("starting"), None)
        );
        assert_eq!(
            state_of(true, JobActivity::Dead),
            ("error", None, Some(LOST.into()))
        );
        assert_eq!(
            state_of(false, JobActivity::Dead),
            ("error", None, Some(NOT_STARTED.into()))
        );
    }

    #[test]
    fn a_torn_result_is_never_a_failure_if_anything_else_is_known() {
        let files = TrialFiles::default();
        let outcome = StatedOutcome {
            rewards: vec![("reward".into(), 1.0)],
            ..StatedOutcome::default()
        };
        let mut evidence = TrialEvidence {
            result: None,
            result_state: FileState::Torn,
            configured: true,
            files: &files,
            outcome: &|| None,
            rules: RewardRules::default(),
        };
        assert_eq!(
            derive_trial_state(evidence, JobActivity::Running).status,
            Status::Running
        );
        assert_eq!(
            derive_trial_state(evidence, JobActivity::Finished).status,
            Status::Completed
        );
        let stated = || Some(&outcome);
        evidence.outcome = &stated;
        assert_eq!(
            derive_trial_state(evidence, JobActivity::Dead).status,
            Status::Passed
        );
    }
}
