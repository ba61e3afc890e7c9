//! Tasks by runs: attempts gathered, differences found. Pure.

use std::collections::{BTreeMap, BTreeSet};

use docks_proto::object::{Lifecycle, RawObject, lifecycle};
use docks_proto::trial::Trial;
use serde::Serialize;
use serde_json::Value;

/// One trial as far as a comparison goes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Attempt {
    pub(super) task: String,
    pub(super) agent: String,
    pub(super) status: String,
    pub(super) reward: Option<f64>,
    pub(super) duration_seconds: Option<f64>,
    pub(super) cost_usd: Option<f64>,
}

impl Attempt {
    /// Reads a trial.
    pub(super) fn of(object: &RawObject) -> Self {
        let trial = Trial::from_object(object);
        let fields = &trial.fields;
        let whole: Value = serde_json::from_str(object.text()).unwrap_or(Value::Null);
        Self {
            task: fields.task_slug.text().unwrap_or_default(),
            agent: trial.agent().unwrap_or_default(),
            status: fields.status.text().unwrap_or_default(),
            reward: trial.reward(),
            duration_seconds: trial.duration_s(),
            cost_usd: cost(&whole),
        }
    }

    fn ended(&self) -> bool {
        lifecycle(&self.status) == Lifecycle::Terminal
    }

    /// A status that says so counts, whatever the reward; where it says nothing, the reward does.
    fn passed(&self) -> bool {
        match self.status.to_ascii_lowercase().as_str() {
            "passed" | "success" => true,
            "failed" | "error" | "cancelled" => false,
            _ => self.ended() && self.reward.is_some_and(|reward| reward >= 1.0),
        }
    }
}

/// Looks for what it cost wherever remotes say so.
fn cost(trial: &Value) -> Option<f64> {
    let result = match &trial["result_data"] {
        Value::String(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        other => other.clone(),
    };
    let places = [
        &trial["cost_usd"],
        &result["cost_usd"],
        &trial["harbor"]["cost_usd"],
        &trial["harbor"]["agent_result"]["cost_usd"],
    ];
    places.into_iter().find_map(Value::as_f64)
}

/// One run with its trials.
#[derive(Debug, Clone)]
pub(super) struct RunTrials {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) status: String,
    pub(super) trials: Vec<Attempt>,
}

/// What became of one task in one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Outcome {
    /// `pass`, `fail`, `flaky`, `active` or `missing`.
    pub(super) status: &'static str,
    #[serde(flatten)]
    pub(super) sums: Sums,
}

/// Attempts, added up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Sums {
    pub(super) attempts: usize,
    /// Of them.
    pub(super) ended: usize,
    pub(super) passed: usize,
    /// Mean over the attempts that have one.
    pub(super) reward: Option<f64>,
    /// Mean.
    pub(super) duration_seconds: Option<f64>,
    /// Sum.
    pub(super) cost_usd: Option<f64>,
}

impl Outcome {
    fn of(attempts: &[&Attempt]) -> Self {
        let sums = Sums::of(attempts);
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
        // One that still runs has neither passed nor failed.
        (self.sums.ended > 0).then(|| self.sums.passed as f64 / self.sums.ended as f64)
    }
}

impl Sums {
    fn of(attempts: &[&Attempt]) -> Self {
        let ended: Vec<_> = attempts.iter().filter(|attempt| attempt.ended()).collect();
        let costs = attempts.iter().filter_map(|attempt| attempt.cost_usd);
        Self {
            attempts: attempts.len(),
            ended: ended.len(),
            passed: ended.iter().filter(|attempt| attempt.passed()).count(),
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
    /// Only where some run has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) agent: Option<String>,
    /// From the first run to the last: `better`, `worse` or `same`; nothing when one has no result.
    pub(super) change: Option<&'static str>,
    pub(super) flaky: bool,
    pub(super) runs: Vec<Outcome>,
}

/// A run in the summary.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Column {
    pub(super) id: String,
    pub(super) name: String,
    /// Of the run itself, as the remote wrote it.
    pub(super) status: String,
    #[serde(flatten)]
    pub(super) all: Sums,
}

/// Everything that is compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Matrix {
    pub(super) runs: Vec<Column>,
    pub(super) better: Vec<String>,
    pub(super) worse: Vec<String>,
    pub(super) flaky: Vec<String>,
    pub(super) tasks: Vec<Row>,
}

impl Matrix {
    /// Puts runs side by side, in their order.
    pub(super) fn of(runs: Vec<RunTrials>) -> Self {
        // A run of two agents would make every task look flaky on which they differ.
        let several = runs.iter().any(|run| {
            let agents: BTreeSet<&str> = run.trials.iter().map(|t| t.agent.as_str()).collect();
            agents.len() > 1
        });
        let key = |attempt: &Attempt| {
            let agent = several.then(|| attempt.agent.clone());
            (attempt.task.clone(), agent)
        };
        let mut gathered: BTreeMap<_, Vec<Vec<&Attempt>>> = BTreeMap::new();
        for (at, run) in runs.iter().enumerate() {
            for attempt in &run.trials {
                let row = gathered.entry(key(attempt));
                row.or_insert_with(|| vec![Vec::new(); runs.len()])[at].push(attempt);
            }
        }
        let tasks: Vec<Row> = gathered
            .into_iter()
            .map(|((task, agent), runs)| {
                let runs: Vec<_> = runs.iter().map(|attempts| Outcome::of(attempts)).collect();
                Row {
                    task,
                    agent,
                    change: change(&runs),
                    flaky: runs.iter().any(|outcome| outcome.status == "flaky"),
                    runs,
                }
            })
            .collect();
        let named = |wanted: &dyn Fn(&Row) -> bool| -> Vec<String> {
            tasks
                .iter()
                .filter(|row| wanted(row))
                .map(Row::name)
                .collect()
        };
        Self {
            better: named(&|row| row.change == Some("better")),
            worse: named(&|row| row.change == Some("worse")),
            flaky: named(&|row| row.flaky),
            runs: runs
                .iter()
                .map(|run| Column {
                    id: run.id.clone(),
                    name: run.name.clone(),
                    status: run.status.clone(),
                    all: Sums::of(&run.trials.iter().collect::<Vec<_>>()),
                })
                .collect(),
            tasks,
        }
    }
}

impl Row {
    /// Returns the task, with the agent where that matters.
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
    fn better_worse_and_flaky_are_told_apart() {
        let matrix = Matrix::of(vec![
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
    fn attempts_that_still_run_change_nothing() {
        let ended = [("t", "x", "passed", 1.0)];
        let half = [("t", "x", "passed", 1.0), ("t", "x", "running", 0.0)];
        let matrix = Matrix::of(vec![run("a", &ended), run("b", &half)]);
        assert_eq!(matrix.tasks[0].change, Some("same"));
        let outcome = &matrix.tasks[0].runs[1];
        assert_eq!((outcome.status, outcome.sums.ended), ("pass", 1));
        let text = serde_json::to_string(&matrix.runs[1]).unwrap();
        assert_eq!(text.matches("\"status\"").count(), 1, "{text}");
        assert!(text.contains("\"status\":\"completed\""), "{text}");
    }

    #[test]
    fn two_agents_of_one_run_are_not_one_flaky_agent() {
        let matrix = Matrix::of(vec![
            run("a", &[("t", "x", "passed", 1.0), ("t", "y", "failed", 0.0)]),
            run("b", &[("t", "x", "passed", 1.0), ("t", "y", "passed", 1.0)]),
        ]);
        assert_eq!(matrix.flaky, Vec::<String>::new());
        assert_eq!(matrix.better, ["t (y)"]);
    }

    #[test]
    fn a_cost_is_found_in_either_form_of_the_result() {
        for text in [
            r#"{"result_data":{"cost_usd":0.5}}"#,
            r#"{"result_data":"{\"cost_usd\":0.5}"}"#,
            r#"{"harbor":{"agent_result":{"cost_usd":0.5}}}"#,
        ] {
            let object = RawObject::parse(text).unwrap().unwrap();
            assert_eq!(Attempt::of(&object).cost_usd, Some(0.5), "{text}");
        }
    }
}
