//! The status of a job.

use crate::derive::trial_counts::TrialCounts;
use crate::derive::trial_state::LFS_HINT;
use crate::disk::cached_file::FileState;
use crate::format::job::JobResult;
use crate::snapshot::liveness::{Liveness, SentSignal};

/// The state of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobState {
    /// The status.
    pub(crate) status: &'static str,
    /// A finer state, only in the `harbor` object.
    pub(crate) state: &'static str,
    /// The reason, for people; `None` if nothing needs explaining.
    pub(crate) reason: Option<String>,
}

impl JobState {
    /// Returns the state of a job after a signal was sent to its process.
    pub(crate) fn with_sent_signal(self, sent: Option<SentSignal>, counts: &TrialCounts) -> Self {
        match sent {
            Some(sent) if self.is_active() => {
                let sent_text = format!("{} was sent to process {}", sent.signal, sent.pid);
                let reason = format!("{}; {sent_text}", stopping_reason(counts));
                state("running", "stopping", Some(reason))
            }
            _ => self,
        }
    }

    /// Whether the job has not ended.
    pub(crate) fn is_active(&self) -> bool {
        matches!(self.status, "pending" | "provisioning" | "running")
    }
}

fn state(status: &'static str, state: &'static str, reason: Option<String>) -> JobState {
    JobState {
        status,
        state,
        reason,
    }
}

/// Derives a job's state from its result, the state of that file, its trials and its process.
pub(crate) fn derive_job_state(
    result: Option<&JobResult>,
    result_state: FileState,
    counts: &TrialCounts,
    liveness: Liveness,
) -> JobState {
    match result {
        Some(result) if result.finished.is_some() => completed(counts),
        _ if liveness.is_alive()
            && result_state == FileState::Absent
            && counts.ended + counts.running == 0 =>
        {
            state("pending", "initializing", None)
        }
        _ if liveness.is_alive() => running(counts),
        _ if result_state == FileState::LfsPointer && result.is_none() => {
            let all_ended = counts.total > 0 && counts.ended == counts.total;
            let (status, word) = if all_ended {
                ("completed", "completed")
            } else {
                ("partial", "unreadable")
            };
            let ended = format!("{} of {} trials ended", counts.ended, counts.total);
            let reason = format!("result.json {LFS_HINT}; {ended}");
            state(status, word, Some(reason))
        }
        _ if result_state == FileState::Torn => state(
            "partial",
            "unreadable",
            Some(format!(
                "unreadable: result.json is cut off; {} of {} trials ended",
                counts.ended, counts.total
            )),
        ),
        Some(result) => stopped(result, counts, liveness),
        None if result_state == FileState::Valid => merged(counts),
        None => without_result(counts, liveness),
    }
}

/// Returns the state of a job whose process is alive.
fn running(counts: &TrialCounts) -> JobState {
    // A resume deletes trials that were cancelled earlier, so the job is being stopped.
    if counts.cancelled > 0 {
        return state("running", "stopping", Some(stopping_reason(counts)));
    }
    if counts.running == 0 && counts.retrying > 0 {
        let reason = format!(
            "waiting for a retry of {}",
            count_of_trials(counts.retrying)
        );
        return state("running", "waiting_for_retry", Some(reason));
    }
    state("running", "running", None)
}

/// Describes how far a stop has come.
fn stopping_reason(counts: &TrialCounts) -> String {
    match counts.running {
        0 => "stopping".to_owned(),
        n => format!("stopping: {} still running", count_of_trials(n)),
    }
}

fn count_of_trials(count: u64) -> String {
    match count {
        1 => "1 trial".to_owned(),
        n => format!("{n} trials"),
    }
}

fn completed(counts: &TrialCounts) -> JobState {
    let errored = counts.errored;
    let reason =
        (errored > 0).then(|| format!("{errored} of {} trials ended with an error", counts.total));
    state("completed", "completed", reason)
}

fn stopped(result: &JobResult, counts: &TrialCounts, liveness: Liveness) -> JobState {
    let harbor = &result.counts;
    let is_positive = |count: Option<u64>| count.is_some_and(|n| n > 0);
    if counts.cancelled > 0 || is_positive(harbor.n_cancelled_trials) {
        return state("cancelled", "cancelled", Some(cancelled_reason(counts)));
    }
    if counts.not_built > 0
        && counts.lost == counts.not_built
        && !is_positive(harbor.n_running_trials)
    {
        let reason = format!(
            "crashed: {} while Harbor built trials",
            process_end(liveness)
        );
        return state("failed", "crashed", Some(reason));
    }
    if counts.lost > 0 || is_positive(harbor.n_running_trials) {
        let reason = format!(
            "killed: {} without finishing; {}{}",
            process_end(liveness),
            were_running(counts.lost),
            never_started(counts)
        );
        return state("failed", "killed", Some(reason));
    }
    let reason = format!(
        "interrupted: {} without finishing; {} of {} trials ended",
        process_end(liveness),
        counts.ended,
        counts.total
    );
    state("failed", "interrupted", Some(reason))
}

/// Returns the state of a job that was put together by hand: no process of its own ever ran.
fn merged(counts: &TrialCounts) -> JobState {
    if counts.ended == counts.total {
        return completed(counts);
    }
    let reason = format!(
        "put together from other jobs: {} of {} trials ended",
        counts.ended, counts.total
    );
    state("partial", "merged", Some(reason))
}

fn without_result(counts: &TrialCounts, liveness: Liveness) -> JobState {
    if counts.cancelled > 0 {
        return state("cancelled", "cancelled", Some(cancelled_reason(counts)));
    }
    if counts.total > 0 && counts.ended == counts.total {
        let reason = "all trials ended; the job has no result.json".to_owned();
        return state("completed", "completed", Some(reason));
    }
    let reason = format!(
        "crashed: {} before it wrote a result",
        process_end(liveness)
    );
    state("failed", "crashed", Some(reason))
}

fn cancelled_reason(counts: &TrialCounts) -> String {
    let lost = match counts.lost {
        0 => String::new(),
        n => format!(", {n} lost"),
    };
    format!(
        "cancelled: {} of {} trials were stopped{lost}{}",
        counts.cancelled,
        counts.total,
        never_started(counts)
    )
}

fn process_end(liveness: Liveness) -> String {
    match liveness {
        Liveness::Silent(limit) => {
            format!(
                "no file changed for over {} min, so the process must have ended",
                limit.as_secs() / 60
            )
        }
        _ => "the process ended".to_owned(),
    }
}

fn were_running(count: u64) -> String {
    match count {
        1 => "1 trial was running".to_owned(),
        n => format!("{n} trials were running"),
    }
}

fn never_started(counts: &TrialCounts) -> String {
    match counts.pending {
        0 => String::new(),
        n => format!(", {n} never started"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn result(finished: bool, running: u64, cancelled: u64) -> JobResult {
        let finished = if finished {
            "\"2026-07-01T00:00:00\""
        } else {
            "null"
        };
        JobResult::parse(&format!(
            r#"{{"finished_at":{finished},"stats":{{"n_running_trials":{running},"n_cancelled_trials":{cancelled}}}}}"#
        ))
        .unwrap()
    }

    fn words(
        result: Option<&JobResult>,
        result_state: FileState,
        counts: TrialCounts,
        liveness: Liveness,
    ) -> (&'static str, &'static str) {
        let state = derive_job_state(result, result_state, &counts, liveness);
        (state.status, state.state)
    }

    #[test]
    fn a_finished_job_is_completed_whether_or_not_its_process_is_alive() {
        let done = result(true, 0, 3);
        for liveness in [
            Liveness::Process(1),
            Liveness::RecentActivity,
            Liveness::NoProcess,
        ] {
            let words = words(
                Some(&done),
                FileState::Valid,
                TrialCounts::default(),
                liveness,
            );
            assert_eq!(words, ("completed", "completed"));
        }
    }

    #[test]
    fn an_unfinished_job_runs_exactly_as_long_as_its_process() {
        let counts = TrialCounts {
            total: 8,
            ended: 4,
            lost: 2,
            pending: 2,
            ..TrialCounts::default()
        };
        let silent = Liveness::Silent(Duration::from_secs(600));
        let state_words = |result: &JobResult, counts, liveness| {
            words(Some(result), FileState::Valid, counts, liveness)
        };
        assert_eq!(
            state_words(&result(false, 2, 0), counts, Liveness::Process(1)).0,
            "running"
        );
        assert_eq!(
            state_words(&result(false, 2, 0), counts, Liveness::RecentActivity).0,
            "running"
        );
        assert_eq!(
            state_words(&result(false, 2, 0), counts, Liveness::NoProcess),
            ("failed", "killed")
        );
        assert_eq!(
            state_words(&result(false, 2, 0), counts, silent),
            ("failed", "killed")
        );
        assert_eq!(
            state_words(&result(false, 0, 2), counts, Liveness::NoProcess),
            ("cancelled", "cancelled")
        );
        let waiting = TrialCounts {
            total: 8,
            ended: 8,
            ..TrialCounts::default()
        };
        assert_eq!(
            state_words(&result(false, 0, 0), waiting, Liveness::NoProcess),
            ("failed", "interrupted")
        );
        let building = TrialCounts {
            total: 8,
            lost: 1,
            not_built: 1,
            pending: 7,
            ..TrialCounts::default()
        };
        assert_eq!(
            state_words(&result(false, 0, 0), building, Liveness::NoProcess),
            ("failed", "crashed")
        );
    }

    #[test]
    fn a_job_with_a_process_runs_waits_for_a_retry_or_is_stopping() {
        let open = result(false, 0, 0);
        let counts = |running, retrying, cancelled| TrialCounts {
            total: 4,
            running,
            pending: retrying,
            retrying,
            cancelled,
            ..TrialCounts::default()
        };
        let state_words =
            |counts| words(Some(&open), FileState::Valid, counts, Liveness::Process(1));
        assert_eq!(state_words(counts(0, 0, 0)), ("running", "running"));
        assert_eq!(state_words(counts(1, 1, 0)), ("running", "running"));
        assert_eq!(
            state_words(counts(0, 1, 0)),
            ("running", "waiting_for_retry")
        );
        assert_eq!(state_words(counts(1, 0, 1)), ("running", "stopping"));
    }

    #[test]
    fn a_job_without_result_is_initializing_until_its_process_ends() {
        let none = TrialCounts {
            total: 3,
            pending: 3,
            ..TrialCounts::default()
        };
        assert_eq!(
            words(None, FileState::Absent, none, Liveness::Process(1)),
            ("pending", "initializing")
        );
        assert_eq!(
            words(None, FileState::Absent, none, Liveness::NoProcess),
            ("failed", "crashed")
        );
        let all = TrialCounts {
            total: 3,
            ended: 3,
            ..TrialCounts::default()
        };
        assert_eq!(
            words(None, FileState::Absent, all, Liveness::NoProcess),
            ("completed", "completed")
        );
    }

    #[test]
    fn a_torn_result_is_never_a_failure() {
        let old = result(false, 2, 0);
        let counts = TrialCounts {
            total: 3,
            lost: 2,
            ..TrialCounts::default()
        };
        for result in [None, Some(&old)] {
            for liveness in [
                Liveness::Process(1),
                Liveness::RecentActivity,
                Liveness::NoProcess,
            ] {
                assert_ne!(words(result, FileState::Torn, counts, liveness).0, "failed");
            }
        }
    }
}
