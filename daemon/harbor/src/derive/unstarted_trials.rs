//! Finds the planned trials that have not started: the lock names tasks and agents, not trials.

use std::collections::BTreeMap;

use crate::format::job::PlannedTrial;
use crate::format::task::{AgentKey, TaskRef};

/// Returns the indexes of planned trials that have no folder yet.
///
/// Equal entries (attempts of one task by one agent) are used up in order. A folder that matches no entry
/// (a task that is named differently in its configuration) still belongs to some planned trial, so as many
/// entries are dropped from the end as there are such folders.
pub(crate) fn find_unstarted<'a>(
    plan: &[PlannedTrial],
    started: impl Iterator<Item = (&'a TaskRef, &'a AgentKey)>,
) -> Vec<usize> {
    let mut exact: BTreeMap<(&str, Option<&str>, &AgentKey), usize> = BTreeMap::new();
    let mut by_slug: BTreeMap<(&str, &AgentKey), usize> = BTreeMap::new();
    let mut open: BTreeMap<(&str, Option<&str>, &AgentKey), usize> = BTreeMap::new();
    for entry in plan {
        *open.entry(key(&entry.task, &entry.agent)).or_default() += 1;
    }
    let mut folders = 0;
    for (task, agent) in started {
        folders += 1;
        match open.get_mut(&key(task, agent)) {
            Some(left) if *left > 0 => {
                *left -= 1;
                *exact.entry(key(task, agent)).or_default() += 1;
            }
            _ => *by_slug.entry((task.slug.as_str(), agent)).or_default() += 1,
        }
    }
    let mut unstarted: Vec<usize> = Vec::new();
    for (index, entry) in plan.iter().enumerate() {
        if !decrement(&mut exact, &key(&entry.task, &entry.agent))
            && !decrement(&mut by_slug, &(entry.task.slug.as_str(), &entry.agent))
        {
            unstarted.push(index);
        }
    }
    unstarted.truncate(plan.len().saturating_sub(folders));
    unstarted
}

fn key<'a>(task: &'a TaskRef, agent: &'a AgentKey) -> (&'a str, Option<&'a str>, &'a AgentKey) {
    (&task.path_or_name, task.commit.as_deref(), agent)
}

fn decrement<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) -> bool {
    match counts.get_mut(key) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(path: &str, agent: &str) -> PlannedTrial {
        PlannedTrial {
            task: TaskRef {
                path_or_name: path.into(),
                slug: path.rsplit('/').next().unwrap().into(),
                ..TaskRef::default()
            },
            agent: AgentKey {
                name: agent.into(),
                model: None,
            },
        }
    }

    fn unstarted(plan: &[PlannedTrial], started: &[PlannedTrial]) -> Vec<usize> {
        find_unstarted(plan, started.iter().map(|p| (&p.task, &p.agent)))
    }

    #[test]
    fn attempts_are_used_up_in_order() {
        let plan = [
            planned("t/a", "x"),
            planned("t/a", "y"),
            planned("t/a", "x"),
            planned("t/b", "x"),
        ];
        assert_eq!(unstarted(&plan, &[]), [0, 1, 2, 3]);
        assert_eq!(unstarted(&plan, &[planned("t/a", "x")]), [1, 2, 3]);
        assert_eq!(
            unstarted(&plan, &[planned("t/b", "x"), planned("t/a", "y")]),
            [0, 2]
        );
    }

    #[test]
    fn folders_that_match_no_entry_still_count() {
        let plan = [planned("t/a", "x"), planned("t/b", "x")];
        assert_eq!(unstarted(&plan, &[planned("/elsewhere/b", "x")]), [0]);
        assert_eq!(unstarted(&plan, &[planned("q", "z")]), [0]);
        assert!(
            unstarted(
                &plan,
                &[planned("q", "z"), planned("r", "z"), planned("s", "z")]
            )
            .is_empty()
        );
    }
}
