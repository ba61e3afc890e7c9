//! One task, as its attempts of all runs come in.

use docks_proto::tasks::TaskFigures;
use docks_proto::time::UnixMs;

use super::configuration::Configuration;
use super::period::Attempts;
use super::rate_of_one;
use crate::attempts::flip_rate;
use crate::comparison::known;
use crate::failures::RuleSet;
use crate::trial::{RunFacts, TrialFacts};

/// One task of one dataset.
#[derive(Debug)]
pub(super) struct TaskState {
    pub(super) dataset: String,
    runs: u64,
    last_run: Option<usize>,
    attempts: Attempts,
    configurations: Vec<Configuration>,
    last_ms: Option<i64>,
}

impl TaskState {
    pub(super) fn of_dataset(dataset: &str) -> Self {
        Self {
            dataset: dataset.to_owned(),
            runs: 0,
            last_run: None,
            attempts: Attempts::default(),
            configurations: Vec::new(),
            last_ms: None,
        }
    }

    /// Adds an attempt of the run with this place. Those of a run come together, and runs oldest first.
    pub(super) fn add(
        &mut self,
        place: usize,
        run: &RunFacts,
        trial: &TrialFacts<'_>,
        rules: &RuleSet,
    ) {
        if self.last_run != Some(place) {
            self.last_run = Some(place);
            self.runs += 1;
        }
        self.attempts.add(trial, rules);
        if trial.ended {
            self.last_ms = self.last_ms.max(trial.completed_ms);
        }
        let known = self.configurations.iter().position(|one| one.is_of(trial));
        let at = known.unwrap_or_else(|| {
            self.configurations.push(Configuration::of(trial));
            self.configurations.len() - 1
        });
        self.configurations[at].add(place, run, trial);
    }

    pub(super) fn figures(self, task: &str) -> TaskFigures {
        let configurations = self.configurations.len() as u64;
        let finished = self.configurations.into_iter().map(Configuration::finish);
        let (attempts, changes): (Vec<_>, Vec<_>) = finished.unzip();
        let last_change = changes.into_iter().flatten().max_by_key(|(at, _)| *at);
        let counts = self.attempts.counts;
        let (median_cost_usd, median_duration_s) = self.attempts.medians();
        TaskFigures {
            task: task.to_owned(),
            dataset: self.dataset,
            runs: self.runs,
            configurations,
            trials: counts.trials,
            ended: counts.ended,
            known: counts.known.attempts,
            solved: counts.known.solved,
            errored: counts.errored,
            infrastructure: counts.infrastructure,
            rate: rate_of_one(counts.known),
            flip_rate: known(flip_rate(&attempts)),
            median_cost_usd,
            median_duration_s,
            last_at: self.last_ms.map(|ms| UnixMs(ms).rfc3339()),
            last_change: last_change.map(|(_, change)| change),
        }
    }
}
