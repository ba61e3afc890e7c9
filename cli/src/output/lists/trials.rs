//! Columns of `docks runs trials`, of one run and of all.

use std::time::Duration;

use docks_proto::trial::{Trial, UNKNOWN_ERROR};

use super::{
    Cell, ColumnSpec, ListColumns, RowContext, TextStyle, Visibility, id_cell, status_cell,
    text_cell, time_cell,
};
use crate::output::durations;

/// Returns what went wrong: the message, else the type of the error.
pub(crate) fn error_message(trial: &Trial) -> Option<String> {
    let typed = || trial.error_type().filter(|kind| kind != UNKNOWN_ERROR);
    trial.error_message().or_else(typed)
}

/// Returns how many tests passed, and of how many if that is known.
pub(crate) fn tests_passed(trial: &Trial) -> Option<String> {
    let passed = trial.result.tests_passed.text();
    match (passed, trial.result.tests_total.text()) {
        (Some(passed), Some(total)) => Some(format!("{passed}/{total}")),
        (passed, _) => passed,
    }
}

/// The wall time.
pub(crate) fn duration_cell(trial: &Trial) -> Cell {
    match trial.duration_s() {
        Some(seconds) => {
            Cell::new(seconds.to_string()).with_display(durations::format_seconds(seconds))
        }
        None => text_cell(&trial.fields.duration_seconds),
    }
}

/// The status; a trial with an error has ended, so its status does not become stale.
pub(crate) fn trial_status_cell(trial: &Trial, row_context: RowContext) -> Cell {
    let may_change = error_message(trial).is_none();
    let age = if may_change {
        row_context.age
    } else {
        Duration::ZERO
    };
    status_cell(&trial.fields.status, RowContext { age, ..row_context })
}

/// The reward, rounded at a terminal.
fn reward_cell(trial: &Trial) -> Cell {
    let reward = &trial.result.reward;
    match reward.number() {
        Some(number) if number.fract() != 0.0 => {
            text_cell(reward).with_display(short_number(number))
        }
        _ => text_cell(reward),
    }
}

/// Formats a number with at most three decimals.
pub(crate) fn short_number(number: f64) -> String {
    let short = format!("{number:.3}");
    match short.contains('.') {
        true => short.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => short,
    }
}

/// Formats dollars: to a tenth of a cent, and below one cent to a hundredth.
pub(crate) fn format_dollars(cost_usd: f64) -> String {
    if cost_usd != 0.0 && cost_usd.abs() < 0.01 {
        format!("${cost_usd:.4}")
    } else {
        format!("${cost_usd:.3}")
    }
}

fn cost_cell(trial: &Trial) -> Cell {
    match trial.cost_usd() {
        Some(cost) => Cell::new(cost.to_string()).with_display(format_dollars(cost)),
        None => text_cell(&trial.result.cost_usd),
    }
}

/// The type of the error, else its message.
fn error_cell(trial: &Trial) -> Cell {
    let typed = trial.error_type().filter(|kind| kind != UNKNOWN_ERROR);
    Cell::from_option(typed.or_else(|| error_message(trial))).styled(Some(TextStyle::Red))
}

const RUN: ColumnSpec<Trial> =
    ColumnSpec::text(("run", "RUN"), 10, Visibility::Always, |trial, _| {
        let id = || trial.run.id.text();
        Cell::from_option(trial.run.name.text().or_else(id))
    });
const RUN_ID: ColumnSpec<Trial> =
    ColumnSpec::id(("run-id", "RUN ID"), Visibility::OnRequest, |trial, _| {
        text_cell(&trial.run.id)
    });
const ID: ColumnSpec<Trial> = ColumnSpec::id(("id", "ID"), Visibility::Always, |trial, _| {
    id_cell(&trial.fields.id)
});
const TASK: ColumnSpec<Trial> =
    ColumnSpec::text(("task", "TASK"), 10, Visibility::Optional, |trial, _| {
        text_cell(&trial.fields.task_slug)
    });
const AGENT: ColumnSpec<Trial> =
    ColumnSpec::text(("agent", "AGENT"), 6, Visibility::Optional, |trial, _| {
        // The model is in a separate column.
        let agent = trial.harbor.agent.text();
        Cell::from_option(agent.or_else(|| trial.agent()))
    });
const MODEL: ColumnSpec<Trial> =
    ColumnSpec::text(("model", "MODEL"), 6, Visibility::Optional, |trial, _| {
        Cell::from_option(trial.model())
    });
const STATUS: ColumnSpec<Trial> =
    ColumnSpec::fixed(("status", "STATUS"), Visibility::Always, trial_status_cell);
const REWARD: ColumnSpec<Trial> =
    ColumnSpec::number(("reward", "REWARD"), Visibility::Optional, |trial, _| {
        reward_cell(trial)
    });
const TESTS: ColumnSpec<Trial> =
    ColumnSpec::number(("tests", "TESTS"), Visibility::Optional, |trial, _| {
        Cell::from_option(tests_passed(trial))
    });
const DURATION: ColumnSpec<Trial> = ColumnSpec::number(
    ("duration", "DURATION"),
    Visibility::Optional,
    |trial, _| duration_cell(trial),
);
const COST: ColumnSpec<Trial> =
    ColumnSpec::number(("cost", "COST"), Visibility::Optional, |trial, _| {
        cost_cell(trial)
    });
const TOKENS: ColumnSpec<Trial> =
    ColumnSpec::number(("tokens", "TOKENS"), Visibility::Optional, |trial, _| {
        Cell::from_option(trial.tokens().map(|tokens| tokens.to_string()))
    });
const ERROR: ColumnSpec<Trial> =
    ColumnSpec::text(("error", "ERROR"), 10, Visibility::Preferred, |trial, _| {
        error_cell(trial)
    });
const MESSAGE: ColumnSpec<Trial> = ColumnSpec::text(
    ("message", "MESSAGE"),
    10,
    Visibility::OnRequest,
    |trial, _| Cell::from_option(error_message(trial)),
);
const DATASET: ColumnSpec<Trial> = ColumnSpec::text(
    ("dataset", "DATASET"),
    10,
    Visibility::OnRequest,
    |trial, _| text_cell(&trial.harbor.dataset),
);
const PHASE: ColumnSpec<Trial> =
    ColumnSpec::fixed(("phase", "PHASE"), Visibility::OnRequest, |trial, _| {
        text_cell(&trial.harbor.phase)
    });
const NAME: ColumnSpec<Trial> =
    ColumnSpec::text(("name", "NAME"), 10, Visibility::OnRequest, |trial, _| {
        text_cell(&trial.fields.name)
    });
const CREATED: ColumnSpec<Trial> = ColumnSpec::fixed(
    ("created", "CREATED"),
    Visibility::OnRequest,
    |trial, row_context| time_cell(&trial.fields.created_at, row_context),
);
const STARTED: ColumnSpec<Trial> = ColumnSpec::fixed(
    ("started", "STARTED"),
    Visibility::OnRequest,
    |trial, row_context| time_cell(&trial.fields.started_at, row_context),
);
const COMPLETED: ColumnSpec<Trial> = ColumnSpec::fixed(
    ("completed", "COMPLETED"),
    Visibility::OnRequest,
    |trial, row_context| time_cell(&trial.fields.completed_at, row_context),
);
const ARTIFACTS: ColumnSpec<Trial> = ColumnSpec::number(
    ("artifacts", "ARTIFACTS"),
    Visibility::OnRequest,
    |trial, _| match trial.artifacts() {
        0 => Cell::missing(),
        count => Cell::new(count.to_string()),
    },
);

/// Trials of an evaluation run.
pub(crate) const TRIALS: ListColumns<Trial> = ListColumns {
    from_object: Trial::from_object,
    empty_message: "no trials found",
    columns: &[
        ID, TASK, AGENT, MODEL, STATUS, REWARD, TESTS, DURATION, COST, TOKENS, ERROR, MESSAGE,
        DATASET, PHASE, NAME, CREATED, STARTED, COMPLETED, ARTIFACTS,
    ],
};

/// Trials of all evaluation runs.
pub(crate) const ALL_TRIALS: ListColumns<Trial> = ListColumns {
    from_object: Trial::from_object,
    empty_message: "no trials found",
    columns: &[
        RUN, RUN_ID, ID, TASK, AGENT, MODEL, STATUS, REWARD, TESTS, DURATION, COST, TOKENS, ERROR,
        MESSAGE, DATASET, PHASE, NAME, CREATED, STARTED, COMPLETED, ARTIFACTS,
    ],
};
