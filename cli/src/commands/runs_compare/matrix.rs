//! Compares tasks across runs. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::attempt::Attempt;

/// One run with its trials.
#[derive(Debug, Clone)]
pub(super) struct RunTrials {
    /// Which of several remotes has it.
    pub(super) remote: Option<String>,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) status: String,
    pub(super) trials: Vec<Attempt>,
}

/// The result of one task in one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Outcome {
    /// `pass`, `fail`, `flaky`, `active` or `missing`.
    pub(super) status: &'static str,
    #[serde(flatten)]
    pub(super) sums: Sums,
}

/// Sums and means over attempts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Sums {
    pub(super) attempts: usize,
    /// Attempts that have ended.
    pub(super) ended: usize,
    pub(super) passed: usize,
    /// Mean over the attempts that count.
    pub(super) reward: Option<f64>,
    /// Mean.
    pub(super) duration_seconds: Option<f64>,
    /// Sum.
    pub(super) cost_usd: Option<f64>,
}

impl Outcome {
    fn from_attempts(attempts: &[&Attempt]) -> Self {
        let sums = Sums::from_attempts(attempts);
        let status = match (sums.attempts, sums.ended, sums.passed) {
            (0, _, _) => "missing",
            (_, 0, _) => "active",
            (_, ended, passed) if ended == passed => "pass",
            (_, _, 0) => "fail",
            _ => "flaky",
        };
        Self { status, sums }
    }

    fn rate(&self) -> Option<f64> {
        // An attempt that is still running has neither passed nor failed.
        (self.sums.ended > 0).then(|| self.sums.passed as f64 / self.sums.ended as f64)
    }
}

impl Sums {
    fn from_attempts(attempts: &[&Attempt]) -> Self {
        let ended: Vec<_> = attempts
            .iter()
            .filter(|attempt| attempt.has_ended())
            .collect();
        let costs = attempts.iter().filter_map(|attempt| attempt.cost_usd);
        Self {
            attempts: attempts.len(),
            ended: ended.len(),
            passed: ended.iter().filter(|attempt| attempt.has_passed()).count(),
            reward: mean(ended.iter().filter_map(|attempt| attempt.reward)),
            duration_seconds: mean(ended.iter().filter_map(|attempt| attempt.duration_seconds)),
            cost_usd: costs.reduce(|sum, cost| sum + cost),
        }
    }
}

/// One task in all runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Row {
    pub(super) task: String,
    /// Only if a run has several agents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) agent: Option<String>,
    /// From the first run to the last: `better`, `worse` or `same`; none if one has no result.
    pub(super) change: Option<&'static str>,
    pub(super) flaky: bool,
    pub(super) runs: Vec<Outcome>,
}

/// A run in the summary.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Column {
    /// Which of several remotes has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remote: Option<String>,
    pub(super) id: String,
    pub(super) name: String,
    /// Status of the run, as the remote sent it.
    pub(super) status: String,
    #[serde(flatten)]
    pub(super) all: Sums,
}

/// The whole comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Matrix {
    pub(super) runs: Vec<Column>,
    pub(super) better: Vec<String>,
    pub(super) worse: Vec<String>,
    pub(super) flaky: Vec<String>,
    pub(super) tasks: Vec<Row>,
}

impl Column {
    /// Returns what it is called: with its remote, if there are several.
    pub(super) fn label(&self) -> String {
        match &self.remote {
            Some(remote) => format!("{remote}:{}", self.name),
            None => self.name.clone(),
        }
    }
}

impl Matrix {
    /// Compares runs, in their order.
    pub(super) fn from_runs(runs: Vec<RunTrials>) -> Self {
        // Otherwise a task would look flaky if two agents of one run differ on it.
        let several_agents = runs.iter().any(|run| {
            let agents: BTreeSet<&str> = run.trials.iter().map(|t| t.agent.as_str()).collect();
            agents.len() > 1
        });
        let key = |attempt: &Attempt| {
            let agent = several_agents.then(|| attempt.agent.clone());
            (attempt.task.clone(), agent)
        };
        let mut attempts_by_task: BTreeMap<_, Vec<Vec<&Attempt>>> = BTreeMap::new();
        for (at, run) in runs.iter().enumerate() {
            for attempt in &run.trials {
                let row = attempts_by_task.entry(key(attempt));
                row.or_insert_with(|| vec![Vec::new(); runs.len()])[at].push(attempt);
            }
        }
        let tasks: Vec<Row> = attempts_by_task
            .into_iter()
            .map(|((task, agent), runs)| {
                let runs: Vec<_> = runs
                    .iter()
                    .map(|attempts| Outcome::from_attempts(attempts))
                    .collect();
                Row {
                    task,
                    agent,
                    change: change(&runs),
                    flaky: runs.iter().any(|outcome| outcome.status == "flaky"),
                    runs,
                }
            })
            .collect();
        let names = |is_wanted: &dyn Fn(&Row) -> bool| -> Vec<String> {
            tasks
                .iter()
                .filter(|row| is_wanted(row))
                .map(Row::name)
                .collect()
        };
        Self {
            better: names(&|row| row.change == Some("better")),
            worse: names(&|row| row.change == Some("worse")),
            flaky: names(&|row| row.flaky),
            runs: runs
                .iter()
                .map(|run| Column {
                    id: run.id.clone(),
                    remote: run.remote.clone(),
                    name: run.name.clone(),
                    status: run.status.clone(),
                    all: Sums::from_attempts(&run.trials.iter().collect::<Vec<_>>()),
                })
                .collect(),
            tasks,
        }
    }
}

impl Row {
    /// Returns the task, with the agent if that matters.
    pub(super) fn name(&self) -> String {
        match &self.agent {
            Some(agent) => format!("{} ({agent})", self.task),
            None => self.task.clone(),
        }
    }
}

/// Compares the last run with the first: by the share that passed, then by the mean reward.
fn change(runs: &[Outcome]) -> Option<&'static str> {
    let (first, last) = (runs.first()?, runs.last()?);
    let by = |before: f64, after: f64| match after - before {
        difference if difference > 1e-9 => "better",
        difference if difference < -1e-9 => "worse",
        _ => "same",
    };
    let rates = by(first.rate()?, last.rate()?);
    match (rates, first.sums.reward, last.sums.reward) {
        ("same", Some(before), Some(after)) => Some(by(before, after)),
        (rates, _, _) => Some(rates),
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, trials: &[(&str, &str, &str, f64)]) -> RunTrials {
        RunTrials {
            remote: None,
            id: name.to_owned(),
            name: name.to_owned(),
            status: "completed".to_owned(),
            trials: trials
                .iter()
                .map(|(task, agent, status, reward)| Attempt {
                    task: (*task).to_owned(),
                    agent: (*agent).to_owned(),
                    status: (*status).to_owned(),
                    reward: Some(*reward),
                    ..Attempt::default()
                })
                .collect(),
        }
    }

    #[test]
    fn better_worse_and_flaky_tasks_are_distinguished() {
        let matrix = Matrix::from_runs(vec![
            run(
                "a",
                &[
                    ("won", "x", "failed", 0.0),
                    ("lost", "x", "passed", 1.0),
                    ("shaky", "x", "passed", 1.0),
                    ("shaky", "x", "failed", 0.0),
                    ("closer", "x", "failed", 0.2),
                    ("gone", "x", "passed", 1.0),
                ],
            ),
            run(
                "b",
                &[
                    ("won", "y", "completed", 1.0),
                    ("lost", "y", "error", 0.0),
                    ("shaky", "y", "passed", 1.0),
                    ("shaky", "y", "failed", 0.0),
                    ("closer", "y", "failed", 0.4),
                    ("new", "y", "running", 0.0),
                ],
            ),
        ]);
        assert_eq!(matrix.better, ["closer", "won"]);
        assert_eq!(matrix.worse, ["lost"]);
        assert_eq!(matrix.flaky, ["shaky"]);
        let row = |task: &str| matrix.tasks.iter().find(|row| row.task == task).unwrap();
        assert_eq!(row("gone").change, None);
        assert_eq!(row("gone").runs[1].status, "missing");
        assert_eq!(row("new").runs[1].status, "active");
        assert_eq!(row("shaky").runs[0].sums.reward, Some(0.5));
        assert_eq!(row("won").agent, None);
        assert_eq!(
            (matrix.runs[0].all.passed, matrix.runs[0].all.attempts),
            (3, 6)
        );
    }

    #[test]
    fn running_attempts_change_nothing() {
        let ended = [("t", "x", "passed", 1.0)];
        let half = [("t", "x", "passed", 1.0), ("t", "x", "running", 0.0)];
        let matrix = Matrix::from_runs(vec![run("a", &ended), run("b", &half)]);
        assert_eq!(matrix.tasks[0].change, Some("same"));
        let outcome = &matrix.tasks[0].runs[1];
        assert_eq!((outcome.status, outcome.sums.ended), ("pass", 1));
        let text = serde_json::to_string(&matrix.runs[1]).unwrap();
        assert_eq!(text.matches("\"status\"").count(), 1, "{text}");
        assert!(text.contains("\"status\":\"completed\""), "{text}");
    }

    #[test]
    fn two_agents_of_one_run_do_not_make_a_task_flaky() {
        let matrix = Matrix::from_runs(vec![
            run("a", &[("t", "x", "passed", 1.0), ("t", "y", "failed", 0.0)]),
            run("b", &[("t", "x", "passed", 1.0), ("t", "y", "passed", 1.0)]),
        ]);
        assert_eq!(matrix.flaky, Vec::<String>::new());
        assert_eq!(matrix.better, ["t (y)"]);
    }
}
