//! Trials that failed alike, gathered by class, cause, exceptions and message.

use std::collections::{HashMap, HashSet};

use docks_proto::failures::{FailureCluster, FailureExample};

use super::classify::Reason;
use super::template::append_template;
use crate::trial::{RunFacts, TrialFacts};

/// How many trials of a cluster are named.
const MOST_EXAMPLES: usize = 3;
/// Separates the parts of a key; no message has it after control characters are separators.
const SEPARATOR: char = '\u{1f}';

/// The clusters of some trials.
#[derive(Debug, Default)]
pub(super) struct Clusters<'r> {
    by_key: HashMap<String, usize>,
    clusters: Vec<Cluster<'r>>,
    /// The key of the last trial, whose memory is used again.
    key: String,
}

#[derive(Debug)]
struct Cluster<'r> {
    found: FailureCluster,
    runs: u64,
    /// The last run that it has a trial of: those of one run come together.
    last_run: &'r str,
    /// By their numbers.
    tasks: HashSet<usize>,
    /// Further trials at tasks that already have an example.
    spare: Vec<FailureExample>,
}

impl<'r> Clusters<'r> {
    /// Adds a trial that failed, with the number of its task. Trials of one run are added one after the other.
    pub(super) fn add(
        &mut self,
        run: &'r RunFacts,
        task: usize,
        trial: &TrialFacts<'_>,
        reason: &Reason<'_>,
    ) {
        self.key.clear();
        self.key.push_str(reason.class.name());
        for part in [&reason.cause].into_iter().chain(&trial.exceptions) {
            self.key.push(SEPARATOR);
            self.key.push_str(part);
        }
        self.key.push('\n');
        let message_at = self.key.len();
        append_template(&trial.message, &mut self.key);
        let at = match self.by_key.get(&self.key) {
            Some(at) => *at,
            None => {
                self.clusters.push(Cluster {
                    found: FailureCluster {
                        class: reason.class,
                        cause: reason.cause.clone().into_owned(),
                        decided_by: reason.decided_by.clone().into_owned(),
                        errors: trial.exceptions.iter().map(ToString::to_string).collect(),
                        message: self.key[message_at..].to_owned(),
                        trials: 0,
                        solved: 0,
                        runs: 0,
                        tasks: 0,
                        examples: Vec::new(),
                    },
                    runs: 0,
                    last_run: "",
                    tasks: HashSet::new(),
                    spare: Vec::new(),
                });
                self.by_key
                    .insert(self.key.clone(), self.clusters.len() - 1);
                self.clusters.len() - 1
            }
        };
        self.clusters[at].add(run, task, trial);
    }

    /// Returns the biggest clusters, 0 for all, with how many there are in all. Of clusters of one size the first to be
    /// found comes first.
    pub(super) fn biggest(self, most: u64) -> (Vec<FailureCluster>, u64) {
        let total = self.clusters.len() as u64;
        let mut clusters = self.clusters;
        clusters.sort_by_key(|cluster| std::cmp::Reverse(cluster.found.trials));
        if most > 0 {
            clusters.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        }
        (clusters.into_iter().map(Cluster::finish).collect(), total)
    }
}

impl<'r> Cluster<'r> {
    fn add(&mut self, run: &'r RunFacts, task: usize, trial: &TrialFacts<'_>) {
        self.found.trials += 1;
        self.found.solved += u64::from(trial.solved == Some(true));
        if self.found.trials == 1 || self.last_run != run.id {
            self.runs += 1;
            self.last_run = &run.id;
        }
        let is_new_task = self.tasks.insert(task);
        let examples = match is_new_task {
            true => &mut self.found.examples,
            false => &mut self.spare,
        };
        if examples.len() < MOST_EXAMPLES {
            examples.push(FailureExample {
                run_id: run.id.clone(),
                trial_id: trial.id.to_string(),
                task: trial.task.to_string(),
                message: trial.message.to_string(),
                log: None,
            });
        }
    }

    fn finish(self) -> FailureCluster {
        let mut found = self.found;
        found.runs = self.runs;
        found.tasks = self.tasks.len() as u64;
        found.examples.extend(self.spare);
        found.examples.truncate(MOST_EXAMPLES);
        found
    }
}
