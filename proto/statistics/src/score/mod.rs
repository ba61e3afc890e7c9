//! The scoreboard: figures of agents, models, datasets or runs, who leads on which tasks, and who is on the frontier of
//! rate against cost.

mod frontier;
mod row;
mod tasks;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use docks_proto::score::{ScoreKey, ScoreQuery, ScoreReport, ScoredRun};

use crate::failures::RuleSet;
use crate::trial::{FactsList, RunFacts, TrialFacts};

use row::{Group, GroupKey};

/// Makes a scoreboard of the trials of some runs. `rules` say which of them failed for infrastructure.
#[must_use]
pub fn score(list: &FactsList, query: &ScoreQuery, rules: &RuleSet) -> ScoreReport {
    let mut runs: Vec<&RunFacts> = Vec::new();
    let mut scored: Vec<ScoredRun> = Vec::new();
    let mut trials: Vec<(usize, TrialFacts<'_>)> = Vec::new();
    for (run, of_run) in list.runs() {
        let before = trials.len();
        let wanted = of_run.filter(|trial| trial.is_of(&query.datasets));
        trials.extend(wanted.map(|trial| (runs.len(), trial)));
        runs.push(run);
        scored.push(ScoredRun {
            id: run.id.clone(),
            name: run.name.clone(),
            status: run.status.clone(),
            complete: run.is_complete,
            trials: (trials.len() - before) as u64,
        });
    }
    tasks::tell_apart(trials.iter_mut().map(|(_, trial)| trial));
    let mut groups: BTreeMap<GroupKey<'_>, Group<'_, '_>> = BTreeMap::new();
    for (run, trial) in &trials {
        let key = GroupKey::of(trial, *run, &query.by);
        groups.entry(key).or_default().add(*run, trial);
    }
    let mut rows: Vec<_> = groups
        .into_iter()
        .map(|(key, group)| group.row(key.row_key(&runs), rules))
        .collect();
    let rate = |row: &docks_proto::score::ScoreRow| row.rate.map_or(-1.0, |rate| rate.value);
    // Stable: of equal rates, in the order of their keys.
    rows.sort_by(|(a, _), (b, _)| rate(b).total_cmp(&rate(a)));
    let (mut rows, attempts): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    let tasks = tasks::over_rows(&attempts);
    tasks::count_leads(&tasks, &mut rows);
    frontier::mark(&mut rows);
    ScoreReport {
        by: query.by.iter().map(|key| key.name().to_owned()).collect(),
        runs: scored,
        tasks_common: tasks::common(&tasks),
        rows,
        tasks,
    }
}

/// Whether rows are distinguished by this.
fn is_by(by: &[ScoreKey], key: ScoreKey) -> bool {
    by.contains(&key)
}
