//! The status of a job.

use crate::derive::trial_state::{State, Status};
use crate::disk::cached_file::Standing;
use crate::format::job::JobResult;
use crate::snapshot::job_snapshot::Asked;
use crate::snapshot::processes::Life;

/// Trials by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Tally {
    /// All, those that did not start included.
    pub(crate) total: u64,
    /// Ended ones, errored and cancelled included.
    pub(crate) ended: u64,
    /// Ended with the full reward.
    pub(crate) passed: u64,
    /// Ended with less.
    pub(crate) failed: u64,
    /// Ended by an exception, cancelled ones included, as Harbor counts.
    pub(crate) errored: u64,
    /// Stopped.
    pub(crate) cancelled: u64,
    /// Under way.
    pub(crate) running: u64,
    /// Not started.
    pub(crate) pending: u64,
    /// Begun, but the process is gone.
    pub(crate) lost: u64,
    /// Of the lost ones, those that Harbor was still building.
    pub(crate) not_built: u64,
    /// Of the pending ones, those whose attempt was thrown away and that will be run again.
    pub(crate) retrying: u64,
}

impl Tally {
    /// Counts trials that have a folder.
    pub(crate) fn of<'a>(states: impl Iterator<Item = &'a State>) -> Self {
        let mut tally = Self::default();
        for state in states {
            tally.total += 1;
            tally.ended += u64::from(state.ended());
            tally.lost += u64::from(state.lost());
            tally.not_built += u64::from(
                state.lost()
                    && state.code.as_deref() == Some(crate::derive::trial_state::NOT_STARTED),
            );
            match state.status {
                Status::Passed => tally.passed += 1,
                Status::Failed => tally.failed += 1,
                Status::Error => tally.errored += u64::from(state.ended()),
                Status::Cancelled => {
                    tally.cancelled += 1;
                    tally.errored += 1;
                }
                Status::Running => tally.running += 1,
                Status::Pending => tally.pending += 1,
                Status::Completed => {}
            }
        }
        tally
    }

    /// Adds trials that have no folder, so that there are `planned` in all.
    pub(crate) fn up_to(mut self, planned: u64) -> Self {
        let missing = planned.saturating_sub(self.total);
        self.total += missing;
        self.pending += missing;
        self
    }

    /// Notes how many of the trials without a folder wait for a retry.
    pub(crate) fn with_retries(mut self, retrying: usize) -> Self {
        self.retrying = (retrying as u64).min(self.pending);
        self
    }
}

/// What became of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobState {
    /// Status word.
    pub(crate) status: &'static str,
    /// Finer word, only in the `harbor` object.
    pub(crate) state: &'static str,
    /// Why, for people; `None` when there is nothing to explain.
    pub(crate) reason: Option<String>,
}

impl JobState {
    /// Says of a job under way that it was asked to stop.
    pub(crate) fn asked(self, asked: Option<Asked>, tally: &Tally) -> Self {
        match asked {
            Some(asked) if self.active() => {
                let how = format!("{} was sent to process {}", asked.signal, asked.pid);
                let reason = format!("{}; {how}", stopping(tally));
                state("running", "stopping", Some(reason))
            }
            _ => self,
        }
    }

    /// Tells whether the job has not ended.
    pub(crate) fn active(&self) -> bool {
        matches!(self.status, "pending" | "running")
    }
}

fn state(status: &'static str, state: &'static str, reason: Option<String>) -> JobState {
    JobState {
        status,
        state,
        reason,
    }
}

/// Derives a job's state.
pub(crate) fn derive(
    result: Option<&JobResult>,
    standing: Standing,
    tally: &Tally,
    life: Life,
) -> JobState {
    match result {
        Some(result) if result.finished.is_some() => finished(tally),
        _ if life.alive() && standing == Standing::Absent && tally.ended + tally.running == 0 => {
            state("pending", "initializing", None)
        }
        _ if life.alive() => alive(tally),
        _ if standing == Standing::Torn => state(
            "partial",
            "unreadable",
            Some(format!(
                "unreadable: result.json is cut off; {} of {} trials ended",
                tally.ended, tally.total
            )),
        ),
        Some(result) => stopped(result, tally, life),
        None => without_result(tally, life),
    }
}

/// Tells what a job whose process is there is doing.
fn alive(tally: &Tally) -> JobState {
    // A resume deletes what was cancelled before, so this is a stop that is under way.
    if tally.cancelled > 0 {
        return state("running", "stopping", Some(stopping(tally)));
    }
    if tally.running == 0 && tally.retrying > 0 {
        let reason = format!("waiting for a retry of {}", trials(tally.retrying));
        return state("running", "waiting_for_retry", Some(reason));
    }
    state("running", "running", None)
}

/// Says how far a stop has come.
fn stopping(tally: &Tally) -> String {
    match tally.running {
        0 => "stopping".to_owned(),
        n => format!("stopping: {} still running", trials(n)),
    }
}

fn trials(count: u64) -> String {
    match count {
        1 => "1 trial".to_owned(),
        n => format!("{n} trials"),
    }
}

fn finished(tally: &Tally) -> JobState {
    let trouble = tally.errored;
    let reason =
        (trouble > 0).then(|| format!("{trouble} of {} trials ended with an error", tally.total));
    state("completed", "completed", reason)
}

fn stopped(result: &JobResult, tally: &Tally, life: Life) -> JobState {
    let counts = &result.counts;
    let some = |count: Option<u64>| count.is_some_and(|n| n > 0);
    if tally.cancelled > 0 || some(counts.n_cancelled_trials) {
        return state("cancelled", "cancelled", Some(cancelled(tally)));
    }
    if tally.not_built > 0 && tally.lost == tally.not_built && !some(counts.n_running_trials) {
        let reason = format!("crashed: {} while Harbor built trials", how(life));
        return state("failed", "crashed", Some(reason));
    }
    if tally.lost > 0 || some(counts.n_running_trials) {
        let reason = format!(
            "killed: {} without finishing; {}{}",
            how(life),
            were_running(tally.lost),
            never_started(tally)
        );
        return state("failed", "killed", Some(reason));
    }
    let reason = format!(
        "interrupted: {} without finishing; {} of {} trials ended",
        how(life),
        tally.ended,
        tally.total
    );
    state("failed", "interrupted", Some(reason))
}

fn without_result(tally: &Tally, life: Life) -> JobState {
    if tally.cancelled > 0 {
        return state("cancelled", "cancelled", Some(cancelled(tally)));
    }
    if tally.total > 0 && tally.ended == tally.total {
        let reason = "all trials ended; the job has no result.json".to_owned();
        return state("completed", "completed", Some(reason));
    }
    let reason = format!("crashed: {} before it wrote a result", how(life));
    state("failed", "crashed", Some(reason))
}

fn cancelled(tally: &Tally) -> String {
    let lost = match tally.lost {
        0 => String::new(),
        n => format!(", {n} lost"),
    };
    format!(
        "cancelled: {} of {} trials were stopped{lost}{}",
        tally.cancelled,
        tally.total,
        never_started(tally)
    )
}

fn how(life: Life) -> String {
    match life {
        Life::Silent(limit) => {
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

fn never_started(tally: &Tally) -> String {
    match tally.pending {
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
        standing: Standing,
        tally: Tally,
        life: Life,
    ) -> (&'static str, &'static str) {
        let state = derive(result, standing, &tally, life);
        (state.status, state.state)
    }

    #[test]
    fn a_finished_job_is_completed_whatever_lives() {
        let done = result(true, 0, 3);
        for life in [Life::Process(1), Life::RecentSigns, Life::NoProcess] {
            let words = words(Some(&done), Standing::Good, Tally::default(), life);
            assert_eq!(words, ("completed", "completed"));
        }
    }

    #[test]
    fn an_unfinished_job_runs_exactly_as_long_as_its_process() {
        let tally = Tally {
            total: 8,
            ended: 4,
            lost: 2,
            pending: 2,
            ..Tally::default()
        };
        let silent = Life::Silent(Duration::from_secs(600));
        let of = |result: &JobResult, tally, life| words(Some(result), Standing::Good, tally, life);
        assert_eq!(
            of(&result(false, 2, 0), tally, Life::Process(1)).0,
            "running"
        );
        assert_eq!(
            of(&result(false, 2, 0), tally, Life::RecentSigns).0,
            "running"
        );
        assert_eq!(
            of(&result(false, 2, 0), tally, Life::NoProcess),
            ("failed", "killed")
        );
        assert_eq!(
            of(&result(false, 2, 0), tally, silent),
            ("failed", "killed")
        );
        assert_eq!(
            of(&result(false, 0, 2), tally, Life::NoProcess),
            ("cancelled", "cancelled")
        );
        let waiting = Tally {
            total: 8,
            ended: 8,
            ..Tally::default()
        };
        assert_eq!(
            of(&result(false, 0, 0), waiting, Life::NoProcess),
            ("failed", "interrupted")
        );
        let building = Tally {
            total: 8,
            lost: 1,
            not_built: 1,
            pending: 7,
            ..Tally::default()
        };
        assert_eq!(
            of(&result(false, 0, 0), building, Life::NoProcess),
            ("failed", "crashed")
        );
    }

    #[test]
    fn a_living_job_runs_waits_for_a_retry_or_is_stopping() {
        let open = result(false, 0, 0);
        let tally = |running, retrying, cancelled| Tally {
            total: 4,
            running,
            pending: retrying,
            retrying,
            cancelled,
            ..Tally::default()
        };
        let of = |tally| words(Some(&open), Standing::Good, tally, Life::Process(1));
        assert_eq!(of(tally(0, 0, 0)), ("running", "running"));
        assert_eq!(of(tally(1, 1, 0)), ("running", "running"));
        assert_eq!(of(tally(0, 1, 0)), ("running", "waiting_for_retry"));
        assert_eq!(of(tally(1, 0, 1)), ("running", "stopping"));
    }

    #[test]
    fn a_job_without_result_is_initializing_until_its_process_ends() {
        let none = Tally {
            total: 3,
            pending: 3,
            ..Tally::default()
        };
        assert_eq!(
            words(None, Standing::Absent, none, Life::Process(1)),
            ("pending", "initializing")
        );
        assert_eq!(
            words(None, Standing::Absent, none, Life::NoProcess),
            ("failed", "crashed")
        );
        let all = Tally {
            total: 3,
            ended: 3,
            ..Tally::default()
        };
        assert_eq!(
            words(None, Standing::Absent, all, Life::NoProcess),
            ("completed", "completed")
        );
    }

    #[test]
    fn a_torn_result_is_never_a_failure() {
        let old = result(false, 2, 0);
        let tally = Tally {
            total: 3,
            lost: 2,
            ..Tally::default()
        };
        for result in [None, Some(&old)] {
            for life in [Life::Process(1), Life::RecentSigns, Life::NoProcess] {
                assert_ne!(words(result, Standing::Torn, tally, life).0, "failed");
            }
        }
    }
}
