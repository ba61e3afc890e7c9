//! Finds trials that wait for a retry: Harbor deletes their folder before it waits.

use std::ffi::OsStr;

use crate::derive::trial_state::{CANCELLED, JobActivity};
use crate::format::job::PlannedTrial;
use crate::format::task::TaskRef;
use crate::snapshot::job_snapshot::JobSnapshot;

/// How many characters of a task's name Harbor puts into a trial's name.
const MAX_TASK_CHARS: usize = 32;

/// A trial that will be retried under the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WaitingRetry<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Type of the exception that ended the previous attempt.
    pub(crate) exception: &'a str,
    /// The planned trial with its place in the plan, found by the name of its task.
    pub(crate) planned: Option<(usize, &'a PlannedTrial)>,
}

/// Returns the trials that wait for a retry, and removes them from the unstarted ones.
///
/// All that is left of the attempt is the job's statement that it ended with an exception, which Harbor
/// removes when the next attempt starts.
pub(crate) fn find_waiting_retries<'a>(
    job: &'a JobSnapshot,
    activity: JobActivity,
    unstarted: &mut Vec<(usize, &'a PlannedTrial)>,
) -> Vec<WaitingRetry<'a>> {
    let retries = job.config.content().map_or(0, |config| config.retries);
    let Some(result) = job
        .result
        .content()
        .filter(|_| activity == JobActivity::Running && retries > 0)
    else {
        return Vec::new();
    };
    let has_no_folder = |name: &str| !job.trials.by_name().contains_key(OsStr::new(name));
    let mut waiting = Vec::new();
    for (name, exceptions) in result.outcomes.exceptions() {
        let Some(exception) = exceptions
            .iter()
            .map(String::as_str)
            .find(|kind| *kind != CANCELLED)
        else {
            continue;
        };
        if !has_no_folder(name) {
            continue;
        }
        let index = unstarted
            .iter()
            .position(|(_, planned)| is_trial_of(name, &planned.task));
        waiting.push(WaitingRetry {
            name,
            exception,
            planned: match index {
                Some(index) => Some(unstarted.remove(index)),
                // It is some planned trial all the same.
                None => unstarted.pop().and(None),
            },
        });
    }
    waiting
}

/// Whether a trial's name was derived from a task's.
fn is_trial_of(trial: &str, task: &TaskRef) -> bool {
    let cut: String = task.slug.chars().take(MAX_TASK_CHARS).collect();
    trial
        .rsplit_once("__")
        .is_some_and(|(name, _)| name == cut.trim_end_matches(['_', '-']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_is_matched_to_its_task_by_name() {
        let task = |slug: &str| TaskRef {
            slug: slug.into(),
            ..TaskRef::default()
        };
        assert!(is_trial_of("flaky-start__a1B2c3D", &task("flaky-start")));
        assert!(is_trial_of("two__parts__a1B2c3D", &task("two__parts")));
        assert!(!is_trial_of("flaky__a1B2c3D", &task("flaky-start")));
        let long = "a-name-of-thirty-one-characters_-and-more";
        assert!(is_trial_of(
            "a-name-of-thirty-one-characters__a1B2c3D",
            &task(long)
        ));
    }
}
