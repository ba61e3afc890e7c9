//! Trials that wait for another attempt: Harbor deletes their folder before it waits.

use std::ffi::OsStr;

use crate::derive::trial_state::{Around, CANCELLED};
use crate::format::job::Planned;
use crate::format::trial::TaskRef;
use crate::snapshot::job_snapshot::JobSeen;

/// Characters of a task's name that Harbor takes into a trial's name.
const TASK_IN_NAME: usize = 32;

/// A trial that will be run again under its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Retrying<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Type of the exception that ended the attempt before.
    pub(crate) exception: &'a str,
    /// Its place in the plan, by task name.
    pub(crate) planned: Option<&'a Planned>,
}

/// Returns the trials that wait for a retry, and takes their places out of the plan of those to come.
///
/// Nothing is left of the attempt but the job's word that it ended with an exception, which is
/// taken back when the next attempt starts.
pub(crate) fn waiting<'a>(
    seen: &'a JobSeen,
    around: Around,
    unstarted: &mut Vec<(usize, &'a Planned)>,
) -> Vec<Retrying<'a>> {
    let retries = seen.config.get().map_or(0, |config| config.retries);
    let Some(result) = seen
        .result
        .get()
        .filter(|_| around == Around::Alive && retries > 0)
    else {
        return Vec::new();
    };
    let gone = |name: &str| !seen.trials.contains_key(OsStr::new(name));
    let outcomes = result.outcomes.iter();
    let mut waiting = Vec::new();
    for (name, outcome) in outcomes {
        let Some(exception) = outcome
            .exception
            .as_deref()
            .filter(|kind| *kind != CANCELLED)
        else {
            continue;
        };
        if !gone(name) {
            continue;
        }
        let place = unstarted
            .iter()
            .position(|(_, planned)| is_of(name, &planned.task));
        waiting.push(Retrying {
            name,
            exception,
            planned: match place {
                Some(place) => Some(unstarted.remove(place).1),
                // It stands for some planned trial all the same.
                None => unstarted.pop().and(None),
            },
        });
    }
    waiting
}

/// Tells whether a trial's name was made from a task's.
fn is_of(trial: &str, task: &TaskRef) -> bool {
    let cut: String = task.slug.chars().take(TASK_IN_NAME).collect();
    trial
        .rsplit_once("__")
        .is_some_and(|(name, _)| name == cut.trim_end_matches(['_', '-']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_is_known_by_the_name_of_its_task() {
        let task = |slug: &str| TaskRef {
            slug: slug.into(),
            ..TaskRef::default()
        };
        assert!(is_of("flaky-start__a1B2c3D", &task("flaky-start")));
        assert!(is_of("two__parts__a1B2c3D", &task("two__parts")));
        assert!(!is_of("flaky__a1B2c3D", &task("flaky-start")));
        let long = "a-name-of-thirty-one-characters_-and-more";
        assert!(is_of(
            "a-name-of-thirty-one-characters__a1B2c3D",
            &task(long)
        ));
    }
}
