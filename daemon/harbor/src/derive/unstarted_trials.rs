//! Finds the planned trials that have not started: the lock names tasks and agents, not trials.

use crate::derive::trial_facts::PlanKeys;

/// Returns the indexes of planned trials that have no folder yet. `started` says how many folders there are by their keys; numbers
/// of entries and of slugs are below `entries` and `slugs`.
///
/// Equal entries (attempts of one task by one agent) are used up in order. A folder that matches no entry
/// (a task that is named differently in its configuration) still belongs to some planned trial, so as many
/// entries are dropped from the end as there are such folders.
pub(crate) fn find_unstarted(
    plan: impl ExactSizeIterator<Item = PlanKeys> + Clone,
    started: impl Iterator<Item = (PlanKeys, usize)>,
    (entries, slugs): (usize, usize),
) -> Vec<usize> {
    let mut open = vec![0_usize; entries];
    let mut exact = vec![0_usize; entries];
    let mut by_slug = vec![0_usize; slugs];
    for keys in plan.clone() {
        open[keys.entry as usize] += 1;
    }
    let mut folders = 0;
    for (keys, count) in started {
        let entry = keys.entry as usize;
        let matched = count.min(open[entry]);
        open[entry] -= matched;
        exact[entry] += matched;
        by_slug[keys.slug as usize] += count - matched;
        folders += count;
    }
    let planned = plan.len();
    let is_unstarted = |(index, keys): (usize, PlanKeys)| {
        let is_started = decrement(&mut exact[keys.entry as usize])
            || decrement(&mut by_slug[keys.slug as usize]);
        (!is_started).then_some(index)
    };
    let mut unstarted: Vec<usize> = plan.enumerate().filter_map(is_unstarted).collect();
    unstarted.truncate(planned.saturating_sub(folders));
    unstarted
}

fn decrement(count: &mut usize) -> bool {
    let is_left = *count > 0;
    *count -= usize::from(is_left);
    is_left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::trial_facts::Terms;
    use crate::format::job::PlannedTrial;
    use crate::format::task::{AgentKey, TaskRef};

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
        let mut terms = Terms::default();
        let mut keys = |trials: &[PlannedTrial]| -> Vec<PlanKeys> {
            let each = trials.iter();
            each.map(|planned| terms.plan_facts(planned).keys).collect()
        };
        let (plan, started) = (keys(plan), keys(started));
        let sizes = (terms.entries.len(), terms.slugs.len());
        find_unstarted(
            plan.into_iter(),
            started.into_iter().map(|keys| (keys, 1)),
            sizes,
        )
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
