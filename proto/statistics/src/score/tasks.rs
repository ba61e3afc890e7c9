//! The tasks of a scoreboard: how often each row solved them, and who leads.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use docks_proto::score::{ScoreRow, TaskScore, TaskShare};

use crate::attempts::TaskAttempts;
use crate::trial::TrialFacts;

/// Puts the dataset in front of the names of tasks that several datasets have: they are different tasks.
pub(super) fn tell_apart<'a, 'b: 'a>(trials: impl Iterator<Item = &'a mut TrialFacts<'b>>) {
    let mut trials: Vec<&mut TrialFacts<'_>> = trials.collect();
    let mut datasets: HashMap<&str, &str> = HashMap::new();
    let mut ambiguous: HashSet<String> = HashSet::new();
    for trial in trials.iter().filter(|trial| !trial.dataset.is_empty()) {
        let first = datasets.entry(&trial.task).or_insert(&trial.dataset);
        if *first != trial.dataset && !ambiguous.contains(&*trial.task) {
            ambiguous.insert(trial.task.to_string());
        }
    }
    for trial in &mut trials {
        if ambiguous.contains(&*trial.task) && !trial.dataset.is_empty() {
            trial.task = format!("{}/{}", trial.dataset, trial.task).into();
        }
    }
}

/// Returns every task with what each row did at it.
pub(super) fn over_rows(rows: &[BTreeMap<String, TaskAttempts>]) -> Vec<TaskScore> {
    let names: BTreeSet<&String> = rows.iter().flat_map(BTreeMap::keys).collect();
    let names = names.into_iter();
    names
        .map(|task| {
            let share = |tasks: &BTreeMap<String, TaskAttempts>| {
                let TaskAttempts { attempts, solved } = *tasks.get(task)?;
                Some(TaskShare { attempts, solved })
            };
            let rows: Vec<Option<TaskShare>> = rows.iter().map(share).collect();
            TaskScore {
                task: task.clone(),
                leaders: leaders(&rows),
                rows,
            }
        })
        .collect()
}

/// Returns the rows that solved a task most often; none if nobody solved it, or only one tried.
fn leaders(rows: &[Option<TaskShare>]) -> Vec<usize> {
    let tried = || {
        rows.iter()
            .enumerate()
            .filter_map(|(at, share)| Some((at, (*share)?)))
    };
    if tried().count() < 2 {
        return Vec::new();
    }
    let best = tried().map(|(_, share)| share).max_by(compare);
    let Some(best) = best.filter(|best| best.solved > 0) else {
        return Vec::new();
    };
    let leaders = tried().filter(|(_, share)| compare(share, &best) == Ordering::Equal);
    leaders.map(|(at, _)| at).collect()
}

/// Compares two shares exactly.
fn compare(a: &TaskShare, b: &TaskShare) -> Ordering {
    let product = |x: u64, y: u64| u128::from(x) * u128::from(y);
    product(a.solved, b.attempts).cmp(&product(b.solved, a.attempts))
}

/// Counts on how many tasks each row leads.
pub(super) fn count_leads(tasks: &[TaskScore], rows: &mut [ScoreRow]) {
    for task in tasks {
        match task.leaders[..] {
            [only] => rows[only].leads += 1,
            ref several => several.iter().for_each(|&at| rows[at].shares_lead += 1),
        }
    }
}

/// Counts the tasks that every row tried.
pub(super) fn common(tasks: &[TaskScore]) -> u64 {
    let is_common = |task: &&TaskScore| task.rows.iter().all(Option::is_some);
    tasks.iter().filter(is_common).count() as u64
}
