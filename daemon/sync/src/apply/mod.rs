//! Carries out one step: sends its requests and writes what they bring to the mirror.
//!
//! Every step is idempotent: one that was killed anywhere can be done again.

mod lists;
mod runner;
mod runs;

use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use docksd_mirror::Mirror;
use docksd_remote::Remote;

use super::capabilities::NOTE;
use super::error::SyncError;
use super::outcome::{Answer, Outcome};
use super::step::{Step, Task};
use runner::StepRunner;

/// Returns the key of the note that says when a list was last swept.
#[must_use]
pub fn last_sweep_note_key(kind: RunKind) -> String {
    format!("swept-{}", kind.name())
}

/// Returns the key of the note that says since when every row of a list has been confirmed by a sweep.
pub(crate) fn whole_list_note_key(kind: RunKind) -> String {
    format!("whole-{}", kind.name())
}

/// Carries out `step`; `now` reads the time when an answer has arrived.
pub async fn execute(
    remote: &dyn Remote,
    mirror: &Mirror,
    step: &Step,
    now: impl Fn() -> UnixMs,
) -> Outcome {
    let mut runner = StepRunner::new(remote, mirror, step.began.stamp);
    let answer = run_task(&mut runner, &step.task, now).await;
    Outcome {
        answer,
        requests: runner.requests,
        not_modified: runner.not_modified,
        changed: runner.changed,
        contradicts: runner.contradicts,
        reopens: runner.reopens,
        unproved: runner.unproved,
    }
}

async fn run_task(
    runner: &mut StepRunner<'_>,
    task: &Task,
    now: impl Fn() -> UnixMs,
) -> Result<Answer, SyncError> {
    match task {
        Task::PollList(poll) => runner.poll_list(poll).await,
        Task::SweepPage { kind, sweep, page } => runner.sweep_page(*kind, *sweep, page).await,
        Task::FindUnseen { kind, sweep } => runner.find_unseen(*kind, *sweep).await,
        Task::CheckUnseen { kind, id } => runner.check_unseen(*kind, id).await,
        Task::FinishSweep {
            kind,
            confirmed,
            complete,
            whole_since,
        } => {
            runner
                .finish_sweep(*kind, *confirmed, *complete, *whole_since)
                .await
        }
        Task::FetchRun { kind, id } => runner.fetch_run(*kind, id).await,
        Task::FetchTrials {
            run,
            believes_empty,
        } => runner.fetch_trials(run, *believes_empty).await,
        Task::FetchTrial { run, trial } => runner.fetch_trial(run, trial).await,
        Task::TakeChanges => runner.take_changes().await,
        Task::Act { action, id, target } => runner.act(*action, id, target, now).await,
        Task::StoreCapabilities { note } => {
            runner.mirror.write_note(NOTE, note).await?;
            Ok(Answer::Done)
        }
    }
}
