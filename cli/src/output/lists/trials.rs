//! Columns of `docks runs trials`, of one run and of all.

use std::time::Duration;

use docks_proto::trial::{Trial, UNKNOWN_ERROR};

use super::{Cell, Fit, Ink, Rows, Scene, Show, Spec, id, status, text, time};
use crate::output::durations;

/// Returns what went wrong in words, from wherever it is said.
pub(crate) fn message(trial: &Trial) -> Option<String> {
    let typed = || trial.error_type().filter(|kind| kind != UNKNOWN_ERROR);
    trial.error_message().or_else(typed)
}

/// Returns the tests that passed, of all where that is known.
pub(crate) fn tests(trial: &Trial) -> Option<String> {
    let passed = trial.result.tests_passed.text();
    match (passed, trial.result.tests_total.text()) {
        (Some(passed), Some(total)) => Some(format!("{passed}/{total}")),
        (passed, _) => passed,
    }
}

/// Returns the wall time.
pub(crate) fn duration(trial: &Trial) -> Cell {
    match trial.duration_s() {
        Some(seconds) => Cell::new(seconds.to_string()).shown(durations::lasting(seconds)),
        None => Cell::missing(),
    }
}

/// Returns the status; one that says why it never ran does not move any more, however old the answer is.
pub(crate) fn trial_status(trial: &Trial, scene: Scene) -> Cell {
    let moving = message(trial).is_none();
    let age = if moving { scene.age } else { Duration::ZERO };
    status(&trial.fields.status, Scene { age, ..scene })
}

/// Returns a reward, shortened at a terminal.
fn reward(trial: &Trial) -> Cell {
    let reward = &trial.result.reward;
    match reward.number() {
        Some(number) if number.fract() != 0.0 => text(reward).shown(shorter(number)),
        _ => text(reward),
    }
}

/// Writes a number with three decimals at most.
pub(crate) fn shorter(number: f64) -> String {
    let short = format!("{number:.3}");
    match short.contains('.') {
        true => short.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => short,
    }
}

/// Writes dollars: four decimals below one, two from there.
pub(crate) fn dollars(cost_usd: f64) -> String {
    if cost_usd.abs() < 1.0 {
        format!("${cost_usd:.4}")
    } else {
        format!("${cost_usd:.2}")
    }
}

fn cost(trial: &Trial) -> Cell {
    match trial.cost_usd() {
        Some(cost) => Cell::new(cost.to_string()).shown(dollars(cost)),
        None => Cell::missing(),
    }
}

/// Returns the type of the error; where none is told, what is said of it.
fn error(trial: &Trial) -> Cell {
    let typed = trial.error_type().filter(|kind| kind != UNKNOWN_ERROR);
    Cell::of(typed.or_else(|| message(trial))).ink(Some(Ink::Red))
}

const RUN: Spec<Trial> = Spec::new("run", "RUN", Fit::Text(10), Show::Always, |trial, _| {
    let id = || trial.run.id.text();
    Cell::of(trial.run.name.text().or_else(id))
});
const RUN_ID: Spec<Trial> = Spec::new("run-id", "RUN ID", Fit::Id, Show::Asked, |trial, _| {
    text(&trial.run.id)
});
const ID: Spec<Trial> = Spec::new("id", "ID", Fit::Id, Show::Always, |trial, _| {
    id(&trial.fields.id)
});
const TASK: Spec<Trial> = Spec::new("task", "TASK", Fit::Text(10), Show::Room, |trial, _| {
    text(&trial.fields.task_slug)
});
const AGENT: Spec<Trial> = Spec::new("agent", "AGENT", Fit::Text(6), Show::Room, |trial, _| {
    // The model has a column of its own.
    let alone = || trial.harbor.agent.text();
    Cell::of(alone().or_else(|| trial.agent()))
});
const MODEL: Spec<Trial> = Spec::new("model", "MODEL", Fit::Text(6), Show::Room, |trial, _| {
    Cell::of(trial.model())
});
const STATUS: Spec<Trial> = Spec::new("status", "STATUS", Fit::Whole, Show::Always, trial_status);
const REWARD: Spec<Trial> = Spec::number("reward", "REWARD", Show::Room, |trial, _| reward(trial));
const TESTS: Spec<Trial> = Spec::number("tests", "TESTS", Show::Room, |trial, _| {
    Cell::of(tests(trial))
});
const DURATION: Spec<Trial> = Spec::number("duration", "DURATION", Show::Room, |trial, _| {
    duration(trial)
});
const COST: Spec<Trial> = Spec::number("cost", "COST", Show::Room, |trial, _| cost(trial));
const TOKENS: Spec<Trial> = Spec::number("tokens", "TOKENS", Show::Room, |trial, _| {
    Cell::of(trial.tokens().map(|tokens| tokens.to_string()))
});
const ERROR: Spec<Trial> = Spec::new("error", "ERROR", Fit::Text(10), Show::Wanted, |trial, _| {
    error(trial)
});
const MESSAGE: Spec<Trial> = Spec::new(
    "message",
    "MESSAGE",
    Fit::Text(10),
    Show::Asked,
    |trial, _| Cell::of(message(trial)),
);
const DATASET: Spec<Trial> = Spec::new(
    "dataset",
    "DATASET",
    Fit::Text(10),
    Show::Asked,
    |trial, _| text(&trial.harbor.dataset),
);
const PHASE: Spec<Trial> = Spec::new("phase", "PHASE", Fit::Whole, Show::Asked, |trial, _| {
    text(&trial.harbor.phase)
});
const NAME: Spec<Trial> = Spec::new("name", "NAME", Fit::Text(10), Show::Asked, |trial, _| {
    text(&trial.fields.name)
});
const CREATED: Spec<Trial> = Spec::new(
    "created",
    "CREATED",
    Fit::Whole,
    Show::Asked,
    |trial, scene| time(&trial.fields.created_at, scene),
);
const STARTED: Spec<Trial> = Spec::new(
    "started",
    "STARTED",
    Fit::Whole,
    Show::Asked,
    |trial, scene| time(&trial.fields.started_at, scene),
);
const COMPLETED: Spec<Trial> = Spec::new(
    "completed",
    "COMPLETED",
    Fit::Whole,
    Show::Asked,
    |trial, scene| time(&trial.fields.completed_at, scene),
);
const ARTIFACTS: Spec<Trial> =
    Spec::number(
        "artifacts",
        "ARTIFACTS",
        Show::Asked,
        |trial, _| match trial.artifacts() {
            0 => Cell::missing(),
            count => Cell::new(count.to_string()),
        },
    );

/// Trials of an evaluation run.
pub(crate) const TRIALS: Rows<Trial> = Rows {
    read: Trial::from_object,
    none: "no trials found",
    columns: &[
        ID, TASK, AGENT, MODEL, STATUS, REWARD, TESTS, DURATION, COST, TOKENS, ERROR, MESSAGE,
        DATASET, PHASE, NAME, CREATED, STARTED, COMPLETED, ARTIFACTS,
    ],
};

/// Trials of all evaluation runs.
pub(crate) const ALL_TRIALS: Rows<Trial> = Rows {
    read: Trial::from_object,
    none: "no trials found",
    columns: &[
        RUN, RUN_ID, ID, TASK, AGENT, MODEL, STATUS, REWARD, TESTS, DURATION, COST, TOKENS, ERROR,
        MESSAGE, DATASET, PHASE, NAME, CREATED, STARTED, COMPLETED, ARTIFACTS,
    ],
};
