//! What one agent with one model did at a task, run after run.

use docks_proto::score::TaskShare;
use docks_proto::tasks::TaskChange;
use docks_proto::time::UnixMs;

use crate::attempts::TaskAttempts;
use crate::trial::{RunFacts, TrialFacts};

/// One agent with one model.
#[derive(Debug)]
pub(super) struct Configuration {
    agent: String,
    model: String,
    /// The attempts of all runs.
    pub(super) all: TaskAttempts,
    /// Those of the last run that had some which count.
    before: Option<TaskAttempts>,
    /// The run whose attempts come in: its place, and what is known of it.
    current: Option<CurrentRun>,
    last_change: Option<(Option<i64>, TaskChange)>,
}

#[derive(Debug)]
struct CurrentRun {
    place: usize,
    id: String,
    attempts: TaskAttempts,
    ended_ms: Option<i64>,
}

impl Configuration {
    pub(super) fn of(trial: &TrialFacts<'_>) -> Self {
        Self {
            agent: trial.agent.to_string(),
            model: trial.model.to_string(),
            all: TaskAttempts::default(),
            before: None,
            current: None,
            last_change: None,
        }
    }

    pub(super) fn is_of(&self, trial: &TrialFacts<'_>) -> bool {
        self.agent == trial.agent && self.model == trial.model
    }

    /// Adds an attempt. Those of a run come together, and runs oldest first.
    pub(super) fn add(&mut self, place: usize, run: &RunFacts, trial: &TrialFacts<'_>) {
        let Some(solved) = trial.solved else {
            return;
        };
        self.all.add(solved);
        if self.current.as_ref().is_none_or(|run| run.place != place) {
            self.end_run();
            self.current = Some(CurrentRun {
                place,
                id: run.id.clone(),
                attempts: TaskAttempts::default(),
                ended_ms: run.created_ms,
            });
        }
        let current = self.current.as_mut().expect("a run was begun");
        current.attempts.add(solved);
        current.ended_ms = current.ended_ms.max(trial.completed_ms);
    }

    /// Compares the run that has ended with the one before.
    fn end_run(&mut self) {
        let Some(run) = self.current.take() else {
            return;
        };
        let after = run.attempts;
        if let Some(before) = self.before.replace(after)
            && differ(before, after)
        {
            let change = TaskChange {
                at: run.ended_ms.map(|ms| UnixMs(ms).rfc3339()),
                run_id: run.id,
                agent: self.agent.clone(),
                model: self.model.clone(),
                before: share(before),
                after: share(after),
            };
            self.last_change = Some((run.ended_ms, change));
        }
    }

    /// Returns the last change with its time, and the attempts of all runs.
    pub(super) fn finish(mut self) -> (TaskAttempts, Option<(Option<i64>, TaskChange)>) {
        self.end_run();
        (self.all, self.last_change)
    }
}

/// Whether the shares of solved attempts differ, compared exactly.
fn differ(a: TaskAttempts, b: TaskAttempts) -> bool {
    let product = |x: u64, y: u64| u128::from(x) * u128::from(y);
    product(a.solved, b.attempts) != product(b.solved, a.attempts)
}

fn share(attempts: TaskAttempts) -> TaskShare {
    TaskShare {
        attempts: attempts.attempts,
        solved: attempts.solved,
    }
}
