//! Compares sides, each a run or several, over the tasks that they have in common.

mod describe;
mod figures;
mod metric;
mod pairing;
mod saved_run;
mod side;

use std::collections::BTreeSet;

use docks_proto::comparison::{
    By, Change, CompareQuery, Comparison, Delta, Figures, Group, MetricName, OutcomeStatus,
    Summary, TaskOutcome, TaskRow, Verdict,
};

use crate::difference::{
    Claim, PairedDifference, Scale, difference_on_these_tasks, fisher_exact, holm, is_shown,
    paired_difference, two_samples,
};
use crate::trial::TrialFacts;

pub(crate) use describe::amount;
pub use saved_run::{facts_of_saved, save};
pub use side::{RunTrials, SideTrials};

use figures::{figures_of, side_figures};
pub(crate) use figures::{known, rate_figure};
use metric::value_of;
use pairing::{Key, Keys, paired_tasks};

/// Compares the other sides with the first.
///
/// There must be at least two sides, each with at least one run.
#[must_use]
pub fn compare(sides: &[SideTrials<'_>], query: &CompareQuery) -> Comparison {
    let keys = Keys::of(sides);
    let first = &sides[0];
    let pairs = sides[1..]
        .iter()
        .map(|other| paired_tasks(first, other, &keys, &query.metric));
    let deltas = deltas(pairs.collect(), query);
    let mut tasks = task_rows(sides, &keys, query);
    adjust_tasks(&mut tasks);
    let names = |is_wanted: &dyn Fn(&TaskRow) -> bool| -> Vec<String> {
        let wanted = tasks.iter().filter(|row| is_wanted(row));
        wanted.map(TaskRow::name).collect()
    };
    let runs: Vec<_> = sides.iter().map(side_figures).collect();
    let text = deltas
        .iter()
        .map(|delta| describe::sentence(delta, &runs, query))
        .collect();
    Comparison {
        gate: query.gate.map(|gate| crate::gate::decide(&deltas[0], gate)),
        better: names(&|row| row.change == Some(Change::Better)),
        worse: names(&|row| row.change == Some(Change::Worse)),
        unclear: names(&|row| row.change == Some(Change::Unclear)),
        flaky: names(&|row| row.flaky),
        groups: groups(sides, query),
        runs,
        tasks,
        summary: Summary {
            text,
            delta: deltas[0].clone(),
            deltas: if deltas.len() > 1 { deltas } else { Vec::new() },
        },
    }
}

/// Two sides over their common tasks.
struct Pairs {
    tasks: Vec<crate::difference::PairedTask>,
    only_first: u64,
    only_other: u64,
}

impl Pairs {
    /// Counts the tasks that both sides tried, and one of them more than once.
    fn repeated(&self) -> u64 {
        let tasks = self.tasks.iter();
        let repeated = tasks.filter(|task| {
            let (fewer, more) = (
                task.before.len().min(task.after.len()),
                task.before.len().max(task.after.len()),
            );
            fewer > 0 && more > 1
        });
        repeated.count() as u64
    }
}

fn scale_of(metric: &MetricName) -> Scale {
    if metric.is_spent() {
        Scale::Ratio
    } else {
        Scale::Difference
    }
}

fn claim_of(query: &CompareQuery) -> Claim {
    Claim {
        margin: query.margin,
        less_is_better: query.metric.is_spent(),
    }
}

/// Judges several differences together.
fn deltas(pairs: Vec<Pairs>, query: &CompareQuery) -> Vec<Delta> {
    let scale = scale_of(&query.metric);
    let found: Vec<Option<PairedDifference>> = pairs
        .iter()
        .map(|pairs| match query.on_these_tasks {
            true => difference_on_these_tasks(&pairs.tasks, scale),
            false => paired_difference(&pairs.tasks, scale),
        })
        .collect();
    let p: Vec<f64> = found.iter().flatten().map(|found| found.test.p).collect();
    let mut adjusted = holm(&p).into_iter();
    let pairs = pairs.iter().zip(found).enumerate();
    pairs
        .map(|(at, (pairs, found))| {
            let adjusted = found.is_some().then(|| adjusted.next()).flatten();
            let verdict = found
                .zip(adjusted)
                .map(|(found, p)| claim_of(query).judge(&found, p));
            let interval = found.and_then(|found| found.interval);
            Delta {
                side: at + 2,
                metric: query.metric.name(),
                scale: match scale {
                    Scale::Difference => "difference".to_owned(),
                    Scale::Ratio => "ratio".to_owned(),
                },
                value: found.map(|found| found.value),
                low: interval.map(|interval| interval.low),
                high: interval.map(|interval| interval.high),
                interval: found.map(|found| found.method.name().to_owned()),
                p: found.map(|found| found.test.p),
                p_adjusted: adjusted,
                test: found.map(|found| found.test.test.name().to_owned()),
                n_tasks: found.map_or(0, |found| found.tasks),
                n_repeated: query.on_these_tasks.then(|| pairs.repeated()),
                only_first: pairs.only_first,
                only_other: pairs.only_other,
                detectable: found.and_then(|found| found.detectable),
                verdict: verdict.unwrap_or(Verdict::Unclear),
            }
        })
        .collect()
}

fn task_rows(sides: &[SideTrials<'_>], keys: &Keys, query: &CompareQuery) -> Vec<TaskRow> {
    let by_key: Vec<_> = sides.iter().map(|side| side.by_key(keys)).collect();
    let all: BTreeSet<&Key<'_>> = by_key.iter().flat_map(|tasks| tasks.keys()).collect();
    let rows = all.into_iter().map(|key| {
        let attempts: Vec<&[&TrialFacts<'_>]> = by_key
            .iter()
            .map(|tasks| tasks.get(key).map_or(&[][..], Vec::as_slice))
            .collect();
        let runs: Vec<TaskOutcome> = attempts.iter().map(|trials| outcome(trials)).collect();
        let ends = (attempts.first().copied(), attempts.last().copied());
        let change = ends
            .0
            .zip(ends.1)
            .and_then(|(a, b)| task_change(a, b, &query.metric));
        TaskRow {
            task: key.0.to_owned(),
            agent: key.1.map(str::to_owned),
            change: change.map(|(change, _)| direction(change)),
            p: change.map(|(_, p)| p),
            p_adjusted: None,
            flaky: runs.iter().any(|run| run.status == OutcomeStatus::Flaky),
            runs,
        }
    });
    rows.collect()
}

/// The direction of a change, which `adjust_tasks` then claims or not.
fn direction(change: f64) -> Change {
    match change {
        0.0 => Change::Same,
        change if change > 0.0 => Change::Better,
        _ => Change::Worse,
    }
}

/// Returns by how much a task changed, more being better, and how probable that is; `None` if one side has no result.
fn task_change(
    before: &[&TrialFacts<'_>],
    after: &[&TrialFacts<'_>],
    metric: &MetricName,
) -> Option<(f64, f64)> {
    let values = |trials: &[&TrialFacts<'_>]| -> Vec<f64> {
        trials
            .iter()
            .filter_map(|trial| value_of(trial, metric))
            .collect()
    };
    let (before, after) = (values(before), values(after));
    if before.is_empty() || after.is_empty() {
        return None;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let change = mean(&after) - mean(&before);
    // What only rounding makes of it is none.
    let change = if change.abs() < 1e-9 { 0.0 } else { change };
    let sign = if metric.is_spent() { -1.0 } else { 1.0 };
    let is_binary = |values: &[f64]| values.iter().all(|value| *value == 0.0 || *value == 1.0);
    let test = if is_binary(&before) && is_binary(&after) {
        let counts = |values: &[f64]| {
            let ones = values.iter().filter(|value| **value == 1.0).count();
            (ones as u64, values.len() as u64)
        };
        fisher_exact(counts(&before), counts(&after))
    } else {
        two_samples(&before, &after)
    };
    Some((sign * change, test.p))
}

/// Claims a change of a task only if it holds after Holm's correction over all tasks.
fn adjust_tasks(tasks: &mut [TaskRow]) {
    let p: Vec<f64> = tasks.iter().filter_map(|row| row.p).collect();
    let tested = tasks.iter_mut().filter(|row| row.p.is_some());
    for (row, adjusted) in tested.zip(holm(&p)) {
        row.p_adjusted = Some(adjusted);
        row.change = row.change.map(|change| match change {
            Change::Better | Change::Worse if !is_shown(adjusted) => Change::Unclear,
            change => change,
        });
    }
}

fn outcome(trials: &[&TrialFacts<'_>]) -> TaskOutcome {
    let figures = figures_of(trials.iter().copied());
    let status = match (&figures, trials.len()) {
        (_, 0) => OutcomeStatus::Missing,
        (figures, _) if figures.ended == 0 => OutcomeStatus::Active,
        (figures, _) if figures.known == 0 => OutcomeStatus::Unknown,
        (figures, _) if figures.known == figures.passed => OutcomeStatus::Pass,
        (figures, _) if figures.passed == 0 => OutcomeStatus::Fail,
        _ => OutcomeStatus::Flaky,
    };
    TaskOutcome { status, figures }
}

/// Compares the first side with the last for each agent, model or dataset that either has.
fn groups(sides: &[SideTrials<'_>], query: &CompareQuery) -> Vec<Group> {
    let name_of = |trial: &TrialFacts<'_>| match query.by {
        By::Task => None,
        By::Agent => Some(trial.agent.to_string()),
        By::Model => Some(trial.model.to_string()),
        By::Dataset => Some(trial.dataset.to_string()),
    };
    let names: BTreeSet<String> = sides
        .iter()
        .flat_map(|side| side.trials().filter_map(name_of))
        .collect();
    let of_group = |name: &str| -> Vec<SideTrials<'_>> {
        let is_in = |trial: &TrialFacts<'_>| name_of(trial).as_deref() == Some(name);
        sides.iter().map(|side| side.filtered(&is_in)).collect()
    };
    let mut groups: Vec<Group> = Vec::new();
    let mut pairs = Vec::new();
    for name in names {
        let parts = of_group(&name);
        let keys = Keys::of(&parts);
        if let [first, .., last] = &parts[..] {
            pairs.push(paired_tasks(first, last, &keys, &query.metric));
        }
        groups.push(Group {
            name,
            delta: None,
            runs: parts
                .iter()
                .map(|part| figures_of(part.trials()))
                .collect::<Vec<Figures>>(),
        });
    }
    for (group, delta) in groups.iter_mut().zip(deltas(pairs, query)) {
        group.delta = delta.value.is_some().then_some(Delta {
            side: sides.len(),
            ..delta
        });
    }
    groups
}

#[cfg(test)]
mod tests;
