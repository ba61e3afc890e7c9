//! From the server's states to statuses; `docs/harbor-serve.md` has the tables.

use super::{ServedAttempt, ServedPhase, ServedState};
use crate::derive::job_state::JobState;
use crate::derive::reward_rules::RewardRules;
use crate::derive::trial_counts::TrialCounts;
use crate::derive::trial_state::{Status, TrialState, ended_state};
use crate::format::trial::TrialResult;

/// How the message of a trial begins whose server was killed; Harbor writes it at the next start.
const INTERRUPTED: &str = "RuntimeError: Service interrupted";

/// Returns the state of a trial, and the finer word for it. `result` is that of an attempt that ended.
pub(super) fn trial_state(
    attempt: &ServedAttempt,
    is_retry: bool,
    result: Option<&TrialResult>,
) -> (TrialState, &'static str) {
    let pending = |phase: Option<&'static str>| TrialState {
        phase,
        ..TrialState::default()
    };
    let running = |phase: Option<&'static str>| TrialState {
        status: Status::Running,
        phase,
        ..TrialState::default()
    };
    let ended = || {
        let empty = TrialResult::default();
        ended_state(result.unwrap_or(&empty), RewardRules::ValidOnly)
    };
    match attempt.state {
        ServedState::Queued if is_retry => {
            let word = "waiting_for_retry";
            (pending(Some(word)), word)
        }
        ServedState::Queued => (pending(None), "queued"),
        ServedState::Paused => (pending(Some("paused")), "paused"),
        ServedState::Running => {
            let phase = attempt.phase.map(phase_word);
            (running(phase), phase.unwrap_or("running"))
        }
        ServedState::Cancelling => (running(Some("stopping")), "stopping"),
        ServedState::Finished => {
            let state = ended();
            let message = state.message.as_deref();
            let interrupted = message.is_some_and(|text| text.starts_with(INTERRUPTED));
            let word = if interrupted {
                "interrupted"
            } else {
                "finished"
            };
            (state, word)
        }
        ServedState::Cancelled => {
            let mut state = ended();
            // Whatever it raised: a server that was killed meanwhile writes a RuntimeError.
            state.status = Status::Cancelled;
            let never_started = attempt.started_us.is_none();
            if never_started {
                state
                    .message
                    .get_or_insert_with(|| "cancelled before it started".to_owned());
            }
            let word = if never_started {
                "never_started"
            } else {
                "cancelled"
            };
            (state, word)
        }
    }
}

fn phase_word(phase: ServedPhase) -> &'static str {
    match phase {
        ServedPhase::Setup => "setup",
        ServedPhase::Agent => "agent",
        ServedPhase::Verifier => "verifier",
        ServedPhase::Ending => "ending",
    }
}

/// Returns the state of a job.
pub(super) fn job_state(
    state: ServedState,
    has_started: bool,
    counts: &TrialCounts,
    trials: &[TrialState],
) -> JobState {
    let (status, word, reason) = match state {
        ServedState::Queued if !has_started => ("pending", "queued", None),
        ServedState::Queued => {
            let reason = match counts.retrying {
                0 => "waiting for a free slot of the server".to_owned(),
                n => format!("waiting for a retry of {}", trials_text(n)),
            };
            let word = if counts.retrying > 0 {
                "waiting_for_retry"
            } else {
                "queued"
            };
            ("running", word, Some(reason))
        }
        ServedState::Running => running(counts, trials),
        ServedState::Paused => {
            let status = if has_started { "running" } else { "pending" };
            (status, "paused", Some(paused_reason(counts)))
        }
        ServedState::Cancelling => {
            let reason = match counts.running {
                0 => "stopping".to_owned(),
                n => format!("stopping: {} still running", trials_text(n)),
            };
            ("running", "stopping", Some(reason))
        }
        ServedState::Finished
            if counts.cancelled > 0 && counts.cancelled == counts.ended && counts.ended > 0 =>
        {
            ("cancelled", "finished", Some(cancelled_reason(counts)))
        }
        ServedState::Finished => {
            let reason = (counts.errored > 0).then(|| {
                format!(
                    "{} of {} trials ended with an error",
                    counts.errored, counts.total
                )
            });
            ("completed", "finished", reason)
        }
        ServedState::Cancelled => ("cancelled", "cancelled", Some(cancelled_reason(counts))),
    };
    JobState {
        status,
        state: word,
        reason,
    }
}

fn running(
    counts: &TrialCounts,
    trials: &[TrialState],
) -> (&'static str, &'static str, Option<String>) {
    let is_paused = |state: &TrialState| state.phase == Some("paused");
    let paused = trials.iter().filter(|state| is_paused(state)).count() as u64;
    if paused > 0 && paused == counts.pending {
        let reason = format!("pausing: {}", paused_reason(counts));
        return ("running", "paused", Some(reason));
    }
    let mut running = trials
        .iter()
        .filter(|state| state.status == Status::Running)
        .peekable();
    let all_in_setup =
        running.peek().is_some() && running.all(|state| state.phase == Some("setup"));
    if counts.ended == 0 && all_in_setup {
        return ("provisioning", "provisioning", None);
    }
    ("running", "running", None)
}

fn paused_reason(counts: &TrialCounts) -> String {
    format!(
        "{} until it is resumed (`docks runs resume`); a server that was killed leaves its jobs so",
        match counts.pending {
            1 => "1 trial waits".to_owned(),
            n => format!("{n} trials wait"),
        }
    )
}

fn cancelled_reason(counts: &TrialCounts) -> String {
    let (stopped, total) = (counts.cancelled, counts.total);
    format!("cancelled: {stopped} of {total} trials were stopped")
}

fn trials_text(count: u64) -> String {
    match count {
        1 => "1 trial".to_owned(),
        n => format!("{n} trials"),
    }
}
