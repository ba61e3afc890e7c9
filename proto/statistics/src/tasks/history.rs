//! One task over time: run after run, or week after week.

use std::collections::{BTreeMap, BTreeSet};

use docks_proto::tasks::{HistoryBy, TaskHistory, TaskHistoryQuery, TaskPeriod};
use docks_proto::time::UnixMs;

use super::period::Attempts;
use super::rate_of_one;
use super::state::TaskState;
use crate::failures::RuleSet;
use crate::trial::{FactsList, RunFacts, TrialFacts};

const DAY_MS: i64 = 86_400_000;

/// Returns the history of a task, of trials that are all of it and whose runs come oldest first.
#[must_use]
pub fn history(facts: &FactsList, query: &TaskHistoryQuery, rules: &RuleSet) -> TaskHistory {
    let mut tasks: BTreeMap<(String, String), TaskState> = BTreeMap::new();
    let mut periods: BTreeMap<PeriodKey, Period> = BTreeMap::new();
    let runs: Vec<&RunFacts> = facts.runs().map(|(run, _)| run).collect();
    for (place, (run, trials)) in facts.runs().enumerate() {
        for trial in trials.filter(|trial| trial.is_of(&query.datasets)) {
            let named = (trial.task.to_string(), trial.dataset.to_string());
            let task = tasks.entry(named);
            let task = task.or_insert_with(|| TaskState::of_dataset(&trial.dataset));
            task.add(place, run, &trial, rules);
            let key = match query.by {
                HistoryBy::Run => PeriodKey::Run(place),
                HistoryBy::Week => PeriodKey::Week(week_of(run, &trial)),
            };
            periods.entry(key).or_default().add(place, &trial, rules);
        }
    }
    let rows_total = periods.len() as u64;
    let shown = match query.filter.limit {
        0 => periods.len(),
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    let left_out = periods.len().saturating_sub(shown);
    let rows = periods.into_iter().skip(left_out);
    TaskHistory {
        tasks: tasks
            .into_iter()
            .map(|((task, _), state)| state.figures(&task))
            .collect(),
        by: query.by.name().to_owned(),
        rows: rows.map(|(key, period)| period.row(key, &runs)).collect(),
        rows_total,
    }
}

/// Returns the Monday, as days since 1970, of the week in which an attempt ended, or else began.
fn week_of(run: &RunFacts, trial: &TrialFacts<'_>) -> Option<i64> {
    let times = [
        trial.completed_ms,
        trial.started_ms,
        trial.created_ms,
        run.created_ms,
    ];
    let day = times.into_iter().flatten().next()?.div_euclid(DAY_MS);
    // 1970 began with a Thursday.
    Some(day - (day + 3).rem_euclid(7))
}

/// What distinguishes rows, in their order; what has no time comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum PeriodKey {
    Run(usize),
    Week(Option<i64>),
}

#[derive(Debug, Default)]
struct Period {
    runs: BTreeSet<usize>,
    agents: BTreeSet<String>,
    attempts: Attempts,
}

impl Period {
    fn add(&mut self, place: usize, trial: &TrialFacts<'_>, rules: &RuleSet) {
        self.runs.insert(place);
        if !self.agents.contains(&*trial.agent) {
            self.agents.insert(trial.agent.to_string());
        }
        self.attempts.add(trial, rules);
    }

    fn row(self, key: PeriodKey, runs: &[&RunFacts]) -> TaskPeriod {
        let counts = self.attempts.counts;
        let (median_cost_usd, median_duration_s) = self.attempts.medians();
        let (run, from_ms) = match key {
            PeriodKey::Run(place) => (Some(runs[place]), runs[place].created_ms),
            PeriodKey::Week(monday) => (None, monday.map(|day| day * DAY_MS)),
        };
        TaskPeriod {
            from: from_ms.map(|ms| UnixMs(ms).rfc3339()),
            run_id: run.map(|run| run.id.clone()),
            run: run.map(|run| match run.name.as_str() {
                "" => run.id.clone(),
                name => name.to_owned(),
            }),
            status: run.map(|run| run.status.clone()),
            runs: self.runs.len() as u64,
            agents: self.agents.into_iter().collect(),
            trials: counts.trials,
            ended: counts.ended,
            known: counts.known.attempts,
            solved: counts.known.solved,
            errored: counts.errored,
            infrastructure: counts.infrastructure,
            rate: rate_of_one(counts.known),
            median_cost_usd,
            median_duration_s,
        }
    }
}
