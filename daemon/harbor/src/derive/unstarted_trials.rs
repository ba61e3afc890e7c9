//! Which planned trials have not started: the lock names tasks and agents, not trials.

use std::collections::BTreeMap;

use crate::format::job::Planned;
use crate::format::trial::{AgentKey, TaskRef};

/// Returns the places in the plan of trials that no folder stands for yet.
///
/// Equal entries (attempts of one task and agent) are used up in order. Folders that fit no entry
/// (a task named differently before and after) still stand for some trial, so as many entries
/// are dropped from the end as there are such folders.
pub(crate) fn unstarted<'a>(
    plan: &[Planned],
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
    let mut left: Vec<usize> = Vec::new();
    for (place, entry) in plan.iter().enumerate() {
        if !take(&mut exact, &key(&entry.task, &entry.agent))
            && !take(&mut by_slug, &(entry.task.slug.as_str(), &entry.agent))
        {
            left.push(place);
        }
    }
    left.truncate(plan.len().saturating_sub(folders));
    left
}

fn key<'a>(task: &'a TaskRef, agent: &'a AgentKey) -> (&'a str, Option<&'a str>, &'a AgentKey) {
    (&task.place, task.commit.as_deref(), agent)
}

fn take<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) -> bool {
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

    fn planned(place: &str, agent: &str) -> Planned {
        Planned {
            task: TaskRef {
                place: place.into(),
                slug: place.rsplit('/').next().unwrap().into(),
                ..TaskRef::default()
            },
            agent: AgentKey {
                name: agent.into(),
                model: None,
            },
        }
    }

    fn left(plan: &[Planned], started: &[Planned]) -> Vec<usize> {
        unstarted(plan, started.iter().map(|p| (&p.task, &p.agent)))
    }

    #[test]
    fn attempts_are_used_up_in_order() {
        let plan = [
            planned("t/a", "x"),
            planned("t/a", "y"),
            planned("t/a", "x"),
            planned("t/b", "x"),
        ];
        assert_eq!(left(&plan, &[]), [0, 1, 2, 3]);
        assert_eq!(left(&plan, &[planned("t/a", "x")]), [1, 2, 3]);
        assert_eq!(
            left(&plan, &[planned("t/b", "x"), planned("t/a", "y")]),
            [0, 2]
        );
    }

    #[test]
    fn folders_that_fit_nothing_still_count() {
        let plan = [planned("t/a", "x"), planned("t/b", "x")];
        assert_eq!(left(&plan, &[planned("/elsewhere/b", "x")]), [0]);
        assert_eq!(left(&plan, &[planned("q", "z")]), [0]);
        assert!(
            left(
                &plan,
                &[planned("q", "z"), planned("r", "z"), planned("s", "z")]
            )
            .is_empty()
        );
    }
}
