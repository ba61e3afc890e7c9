//! A trial as it is published, derived from its snapshot and from what its job is doing.

use crate::derive::reward_rules::RewardRules;
use crate::derive::trial_state::{JobActivity, TrialEvidence, TrialState, derive_trial_state};
use crate::format::task::AgentKey;
use crate::format::trial::TrialResult;
use crate::snapshot::job_snapshot::JobSnapshot;
use crate::snapshot::trial_snapshot::TrialSnapshot;
use crate::utc::Utc;

/// What only a server knows of a trial: it keeps every attempt.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(crate) struct ServedAttempts {
    /// A finer state than the status.
    pub(crate) state: &'static str,
    /// Whether it says all that the server has on the attempt.
    #[serde(rename = "complete")]
    pub(crate) is_complete: bool,
    /// The number of the shown attempt, from 1.
    pub(crate) attempt: usize,
    /// The ids of all attempts, newest first.
    pub(crate) attempts: Vec<String>,
    /// The model as the agent reported it, without its provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reported_model: Option<String>,
    /// What the shown attempt has used so far, while it runs and somebody asked the server for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage_so_far: Option<UsageSoFar>,
}

/// Tokens and cost of an attempt that has not ended; absent where unknown.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(crate) struct UsageSoFar {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prompt_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cached_tokens: Option<u64>,
    /// In US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cost_usd: Option<f64>,
}

impl ServedAttempts {
    /// Returns the id of the newest attempt, which is the one that is shown.
    pub(crate) fn current(&self) -> Option<&str> {
        self.attempts.first().map(String::as_str)
    }
}

/// A trial that has a folder, or that a server lists.
#[derive(Debug)]
pub(crate) struct TrialView<'a> {
    /// Its id: its name, or that of its first attempt at a server.
    pub(crate) id: &'a str,
    /// When it was created, if that is known.
    pub(crate) created: Option<Utc>,
    /// What only a server knows of it.
    pub(crate) served: Option<&'a ServedAttempts>,
    /// The snapshot.
    pub(crate) snapshot: &'a TrialSnapshot,
    /// Its result, from its own file or from an old job's result.
    pub(crate) result: Option<&'a TrialResult>,
    /// Its state.
    pub(crate) state: TrialState,
    /// When it started.
    pub(crate) started: Option<Utc>,
    /// When it ended.
    pub(crate) finished: Option<Utc>,
    /// Its agent as configured.
    pub(crate) agent: &'a AgentKey,
}

/// What all trials of a job depend on besides their own files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JobContext {
    /// What the job is doing.
    pub(crate) activity: JobActivity,
    /// Whether the times of files say when they were written.
    pub(crate) trust_file_times: bool,
    /// Microseconds that local time was ahead of UTC.
    pub(crate) ahead_us: i64,
    /// Which rewards and exceptions count.
    pub(crate) rules: RewardRules,
}

/// Derives a trial.
pub(crate) fn derive_trial<'a>(
    job: &'a JobSnapshot,
    context: JobContext,
    snapshot: &'a TrialSnapshot,
) -> TrialView<'a> {
    let job_result = job.result.content();
    let embedded = || job_result?.embedded.get(&snapshot.name);
    let result = snapshot.result.content().or_else(embedded);
    // The job's result is searched for a trial only if the trial has none of its own.
    let outcome = || job_result?.outcomes.by_trial().get(&snapshot.name);
    let state = derive_trial_state(
        TrialEvidence {
            result,
            result_state: snapshot.result.state(),
            configured: snapshot.configured_at.is_some(),
            files: &snapshot.files,
            outcome: &outcome,
            rules: context.rules,
        },
        context.activity,
    );
    let from_file_time = || snapshot.configured_at.filter(|_| context.trust_file_times);
    let in_utc = |time: Option<Utc>, result: &TrialResult| {
        let ahead_us = if result.has_local_times {
            context.ahead_us
        } else {
            0
        };
        time.map(|time| Utc(time.0.saturating_sub(ahead_us)))
    };
    TrialView {
        id: &snapshot.name,
        created: None,
        served: None,
        started: result.map_or_else(from_file_time, |r| in_utc(r.started, r)),
        finished: result.and_then(|r| in_utc(r.finished, r)),
        agent: configured_agent(snapshot),
        snapshot,
        result,
        state,
    }
}

/// Returns the agent of a trial as configured.
pub(crate) fn configured_agent(snapshot: &TrialSnapshot) -> &AgentKey {
    static UNKNOWN: AgentKey = AgentKey {
        name: String::new(),
        model: None,
    };
    snapshot.config().map_or(&UNKNOWN, |config| &config.agent)
}
