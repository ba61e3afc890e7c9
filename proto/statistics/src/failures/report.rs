//! Why the trials of some runs failed.

use std::collections::{BTreeMap, HashMap};

use docks_proto::comparison::RateFigure;
use docks_proto::failures::{AnalysedRun, CauseCount, ClassCount, FailureClass, FailureReport};

use super::cluster::Clusters;
use super::rules::RuleSet;
use crate::attempts::TaskAttempts;
use crate::comparison::rate_figure;
use crate::rate::Rate;
use crate::trial::FactsList;

/// Sorts the trials of some runs that failed or have an error. `most_clusters` is how many clusters are returned, 0 for
/// all. The logs of examples are left to the caller.
#[must_use]
pub fn report(list: &FactsList, rules: &RuleSet, most_clusters: u64) -> FailureReport {
    let mut report = FailureReport::default();
    let mut tasks = Tasks::default();
    let mut classes: BTreeMap<FailureClass, Class> = BTreeMap::new();
    let mut clusters = Clusters::default();
    for (run, trials) in list.runs() {
        let mut analysed = AnalysedRun {
            id: run.id.clone(),
            name: run.name.clone(),
            status: run.status.clone(),
            complete: run.is_complete,
            trials: 0,
            failures: 0,
        };
        for trial in trials {
            analysed.trials += 1;
            report.ended += u64::from(trial.ended);
            report.undecided += u64::from(trial.ended && trial.solved.is_none());
            report.solved += u64::from(trial.solved == Some(true));
            let reason = rules.reason(&trial);
            let task = tasks.number_of(&trial.task);
            if let Some(solved) = trial.solved {
                let attempts = &mut tasks.attempts[task];
                attempts.all.add(solved);
                if trial.valid {
                    attempts.valid.add(solved);
                }
                let class = reason.as_ref().map(|reason| reason.class);
                if class != Some(FailureClass::Infrastructure) {
                    attempts.without_infrastructure.add(solved);
                }
            }
            let Some(reason) = reason else {
                continue;
            };
            analysed.failures += 1;
            let class = classes.entry(reason.class).or_default();
            class.trials += 1;
            class.solved += u64::from(trial.solved == Some(true));
            match class.causes.get_mut(&*reason.cause) {
                Some(trials) => *trials += 1,
                None => {
                    class.causes.insert(reason.cause.to_string(), 1);
                }
            }
            clusters.add(run, task, &trial, &reason);
        }
        report.trials += analysed.trials;
        report.failures += analysed.failures;
        report.runs.push(analysed);
    }
    let attempts = tasks.in_order();
    report.rate = rate(&attempts, |task| task.all);
    report.rate_of_valid = rate(&attempts, |task| task.valid);
    report.rate_without_infrastructure = rate(&attempts, |task| task.without_infrastructure);
    report.classes = classes.into_iter().map(Class::count).collect();
    (report.clusters, report.clusters_total) = clusters.biggest(most_clusters);
    report
}

/// How many trials of a class there are, also by cause.
#[derive(Debug, Default)]
struct Class {
    trials: u64,
    solved: u64,
    causes: BTreeMap<String, u64>,
}

impl Class {
    fn count((class, counted): (FailureClass, Self)) -> ClassCount {
        let mut causes: Vec<CauseCount> = counted
            .causes
            .into_iter()
            .map(|(cause, trials)| CauseCount { cause, trials })
            .collect();
        causes.sort_by_key(|cause| std::cmp::Reverse(cause.trials));
        ClassCount {
            class,
            trials: counted.trials,
            solved: counted.solved,
            causes,
        }
    }
}

/// The attempts at one task.
#[derive(Debug, Clone, Copy, Default)]
struct Attempts {
    all: TaskAttempts,
    valid: TaskAttempts,
    without_infrastructure: TaskAttempts,
}

/// The tasks, numbered as they are found.
#[derive(Debug, Default)]
struct Tasks {
    numbers: HashMap<String, usize>,
    attempts: Vec<Attempts>,
}

impl Tasks {
    fn number_of(&mut self, task: &str) -> usize {
        if let Some(number) = self.numbers.get(task) {
            return *number;
        }
        self.attempts.push(Attempts::default());
        let number = self.attempts.len() - 1;
        self.numbers.insert(task.to_owned(), number);
        number
    }

    /// Returns the attempts in the order of the names of their tasks, so that the same trials give the same figure to the
    /// last digit.
    fn in_order(self) -> Vec<Attempts> {
        let by_name: BTreeMap<String, usize> = self.numbers.into_iter().collect();
        let numbers = by_name.into_values();
        numbers.map(|number| self.attempts[number]).collect()
    }
}

fn rate(tasks: &[Attempts], which: impl Fn(&Attempts) -> TaskAttempts) -> Option<RateFigure> {
    let tasks: Vec<TaskAttempts> = tasks.iter().map(which).collect();
    Rate::over_tasks(&tasks).map(rate_figure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{RunFacts, TrialFacts, encode};

    fn list(runs: &[(&str, Vec<TrialFacts<'static>>)]) -> FactsList {
        let mut list = FactsList::default();
        for (run, trials) in runs {
            list.begin_run(RunFacts {
                id: (*run).to_owned(),
                is_complete: true,
                ..RunFacts::default()
            });
            for trial in trials {
                assert!(list.push(&encode(trial)));
            }
        }
        list
    }

    fn trial(id: &'static str, task: &'static str, solved: Option<bool>) -> TrialFacts<'static> {
        TrialFacts {
            id: id.into(),
            task: task.into(),
            ended: true,
            graded: solved.is_some(),
            valid: solved.is_some(),
            reward: solved.map(f64::from),
            solved,
            ..TrialFacts::default()
        }
    }

    fn errored(
        id: &'static str,
        task: &'static str,
        kind: &'static str,
        message: &'static str,
    ) -> TrialFacts<'static> {
        TrialFacts {
            graded: false,
            valid: false,
            exceptions: vec![kind.into()],
            message: message.into(),
            ..trial(id, task, Some(false))
        }
    }

    #[test]
    fn failures_are_counted_by_class_and_clustered_over_runs() {
        let first = vec![
            trial("p", "a", Some(true)),
            trial("f", "a", Some(false)),
            errored("m1", "a", "RuntimeError", "pod 1 of /x/y gone"),
            errored("m2", "a", "RuntimeError", "pod 2 of /x/z gone"),
            errored("m3", "b", "RuntimeError", "pod 33 of /q gone"),
        ];
        let late = TrialFacts {
            exceptions: vec!["AgentTimeoutError".into()],
            ..trial("late", "b", Some(true))
        };
        let second = vec![
            errored("m4", "b", "RuntimeError", "pod 4 of /x/y gone"),
            late,
            trial("?", "c", None),
            TrialFacts::default(),
        ];
        let rules = RuleSet::with_built_in(Vec::new());
        let list = list(&[("r1", first), ("r2", second)]);
        let found = report(&list, &rules, 0);
        assert_eq!(
            (found.trials, found.ended, found.solved, found.undecided),
            (9, 8, 2, 1)
        );
        assert_eq!(found.failures, 6);
        let failures: Vec<u64> = found.runs.iter().map(|run| run.failures).collect();
        assert_eq!(failures, [4, 2]);
        let classes: Vec<_> = found
            .classes
            .iter()
            .map(|class| (class.class.name(), class.trials, class.solved))
            .collect();
        assert_eq!(
            classes,
            [
                ("infrastructure", 4, 0),
                ("limits", 1, 1),
                ("ability", 1, 0)
            ]
        );
        let share = |rate: Option<RateFigure>| rate.map(|rate| (rate.solved, rate.attempts));
        assert_eq!(share(found.rate), Some((2, 7)));
        assert_eq!(share(found.rate_of_valid), Some((2, 3)));
        assert_eq!(share(found.rate_without_infrastructure), Some((2, 3)));
        let biggest = &found.clusters[0];
        assert_eq!(biggest.message, "pod N of PATH gone");
        assert_eq!((biggest.trials, biggest.runs, biggest.tasks), (4, 2, 2));
        assert_eq!(biggest.decided_by, "pod");
        // Of different tasks first.
        let ids: Vec<&str> = biggest.examples.iter().map(|e| &*e.trial_id).collect();
        assert_eq!(ids, ["m1", "m3", "m2"]);
        assert_eq!(biggest.examples[0].message, "pod 1 of /x/y gone");
        assert_eq!((found.clusters.len(), found.clusters_total), (3, 3));
        let cut = report(&list, &rules, 1);
        assert_eq!((cut.clusters.len(), cut.clusters_total), (1, 3));
        assert_eq!(
            report(&FactsList::default(), &rules, 0),
            FailureReport::default()
        );
    }

    #[test]
    fn infrastructure_is_left_out_whether_it_solved_its_task_or_not() {
        let solved = TrialFacts {
            exceptions: vec!["HealthcheckError".into()],
            ..trial("s", "a", Some(true))
        };
        let unsolved = errored("u", "a", "HealthcheckError", "");
        let rules = RuleSet::with_built_in(Vec::new());
        let list = list(&[("r", vec![solved, unsolved, trial("x", "a", Some(false))])]);
        let rate = report(&list, &rules, 0).rate_without_infrastructure;
        let rate = rate.unwrap();
        assert_eq!((rate.solved, rate.attempts), (0, 1));
    }
}
