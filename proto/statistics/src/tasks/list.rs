//! All tasks, with what is known of each.

use std::cmp::Ordering;
use std::collections::HashMap;

use docks_proto::query::SearchText;
use docks_proto::tasks::{TaskFigures, TaskSort, TaskSortKey, TasksQuery};

use super::state::TaskState;
use crate::failures::RuleSet;
use crate::trial::FactsList;

/// Lists the tasks of some trials, whose runs come oldest first. Returns the page that the query asks for, and how many
/// tasks there are.
#[must_use]
pub fn list(facts: &FactsList, query: &TasksQuery, rules: &RuleSet) -> (Vec<TaskFigures>, u64) {
    let mut tasks = all_tasks(facts, query, rules);
    sort(&mut tasks, query.sort);
    let total = tasks.len() as u64;
    let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let shown = match query.filter.limit {
        0 => usize::MAX,
        limit => whole(limit),
    };
    let page = tasks.into_iter().skip(whole(query.filter.offset));
    (page.take(shown).collect(), total)
}

fn all_tasks(facts: &FactsList, query: &TasksQuery, rules: &RuleSet) -> Vec<TaskFigures> {
    let search = query.search.as_deref().map(SearchText::new);
    let is_wanted = |task: &str| search.as_ref().is_none_or(|text| text.is_in(task));
    // By name, then by dataset: few tasks are in several.
    let mut states: HashMap<String, Vec<TaskState>> = HashMap::new();
    for (place, (run, trials)) in facts.runs().enumerate() {
        for trial in trials.filter(|trial| trial.is_of(&query.datasets)) {
            let named = match states.get_mut(&*trial.task) {
                Some(named) => named,
                None if !is_wanted(&trial.task) => continue,
                None => states.entry(trial.task.to_string()).or_default(),
            };
            let known = named
                .iter()
                .position(|state| state.dataset == trial.dataset);
            let at = known.unwrap_or_else(|| {
                named.push(TaskState::of_dataset(&trial.dataset));
                named.len() - 1
            });
            named[at].add(place, run, &trial, rules);
        }
    }
    let all = states.into_iter().flat_map(|(task, named)| {
        let figures = named.into_iter();
        figures
            .map(|state| state.figures(&task))
            .collect::<Vec<_>>()
    });
    all.collect()
}

/// Sorts tasks; those that are equal in it, or of which it is not known, by name.
fn sort(tasks: &mut [TaskFigures], by: TaskSort) {
    tasks.sort_by(|a, b| (&a.task, &a.dataset).cmp(&(&b.task, &b.dataset)));
    // Each so that the first in the usual order is the least.
    let key = |task: &TaskFigures| match by.key {
        TaskSortKey::Name => None,
        TaskSortKey::Flakiness => task.flip_rate.value.map(|rate| -rate),
        TaskSortKey::Difficulty => task.rate.map(|rate| rate.value),
        TaskSortKey::Cost => task.median_cost_usd.value.map(|cost| -cost),
    };
    match (by.key, by.reversed) {
        (TaskSortKey::Name, true) => tasks.reverse(),
        (TaskSortKey::Name, false) => {}
        (_, reversed) => tasks.sort_by(|a, b| match (key(a), key(b)) {
            (Some(a), Some(b)) if reversed => b.total_cmp(&a),
            (Some(a), Some(b)) => a.total_cmp(&b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        }),
    }
}
