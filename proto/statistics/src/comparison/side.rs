//! One side of a comparison: the trials of a run, or of several together.

use std::collections::BTreeMap;

use docks_proto::comparison::Union;

use super::pairing::{Key, Keys};
use crate::trial::{RunFacts, TrialFacts};

/// A run with its trials.
#[derive(Debug, Clone, Default)]
pub struct RunTrials<'a> {
    /// Which of several remotes has it.
    pub remote: Option<String>,
    /// The run.
    pub run: RunFacts,
    /// Its trials.
    pub trials: Vec<TrialFacts<'a>>,
}

/// One side of a comparison.
#[derive(Debug, Clone, Default)]
pub struct SideTrials<'a> {
    /// Its runs, with the trials that count.
    pub runs: Vec<RunTrials<'a>>,
}

impl<'a> SideTrials<'a> {
    /// Puts runs together; of tasks that several of them tried, only the attempts that `union` says count.
    #[must_use]
    pub fn new(runs: Vec<RunTrials<'a>>, union: Union) -> Self {
        let mut side = Self { runs };
        if side.runs.len() < 2 || union == Union::All {
            return side;
        }
        let keys = Keys::of(std::slice::from_ref(&side));
        let mut chosen: BTreeMap<(String, Option<String>), (usize, f64)> = BTreeMap::new();
        for (at, run) in side.runs.iter().enumerate() {
            let mut scores: BTreeMap<Key<'_>, (f64, f64)> = BTreeMap::new();
            for trial in run.trials.iter().filter(|trial| trial.ended) {
                let (solved, ended) = scores.entry(keys.key(trial)).or_default();
                *solved += f64::from(u8::from(trial.solved == Some(true)));
                *ended += 1.0;
            }
            for ((task, agent), (solved, ended)) in scores {
                let score = match union {
                    // A run that does not say when it was created is older than others.
                    Union::Latest | Union::All => {
                        run.run.created_ms.map_or(f64::MIN, |ms| ms as f64)
                    }
                    Union::Best => solved / ended,
                };
                let best = chosen
                    .entry((task.to_owned(), agent.map(str::to_owned)))
                    .or_insert((at, score));
                if score > best.1 {
                    *best = (at, score);
                }
            }
        }
        for (at, run) in side.runs.iter_mut().enumerate() {
            run.trials.retain(|trial| {
                let (task, agent) = keys.key(trial);
                let key = (task.to_owned(), agent.map(str::to_owned));
                chosen.get(&key).is_none_or(|(best, _)| *best == at)
            });
        }
        side
    }

    /// Returns the trials that count.
    pub fn trials(&self) -> impl Iterator<Item = &TrialFacts<'a>> {
        self.runs.iter().flat_map(|run| &run.trials)
    }

    pub(super) fn by_key(&self, keys: &Keys) -> BTreeMap<Key<'_>, Vec<&TrialFacts<'a>>> {
        let mut tasks: BTreeMap<Key<'_>, Vec<&TrialFacts<'a>>> = BTreeMap::new();
        for trial in self.trials() {
            tasks.entry(keys.key(trial)).or_default().push(trial);
        }
        tasks
    }

    pub(super) fn filtered(&self, is_in: &impl Fn(&TrialFacts<'a>) -> bool) -> Self {
        let runs = self.runs.iter().map(|run| RunTrials {
            remote: run.remote.clone(),
            run: run.run.clone(),
            trials: run
                .trials
                .iter()
                .filter(|trial| is_in(trial))
                .cloned()
                .collect(),
        });
        Self {
            runs: runs.collect(),
        }
    }
}
