//! Columns of `docks runs eval-list`.

use docks_proto::object::{RawObject, RunFields};
use docks_proto::run_usage::RunUsage;

use super::{
    Cell, ColumnSpec, ListColumns, Visibility, format_dollars, id_cell, status_cell, text_cell,
    time_cell,
};
use crate::output::known;

/// An evaluation run. What it has used is read only if a column shows it.
pub(crate) struct EvaluationRow {
    fields: RunFields,
    object: RawObject,
}

impl EvaluationRow {
    fn from_object(object: &RawObject) -> Self {
        Self {
            fields: RunFields::from_object(object),
            object: object.clone(),
        }
    }
}

/// Evaluation runs.
pub(crate) const EVALUATIONS: ListColumns<EvaluationRow> = ListColumns {
    from_object: EvaluationRow::from_object,
    empty_message: "no evaluation runs found",
    columns: &[
        ColumnSpec::id(("id", "ID"), Visibility::Always, |run, _| {
            id_cell(&run.fields.id)
        }),
        ColumnSpec::text(("name", "NAME"), 10, Visibility::Optional, |run, _| {
            text_cell(&run.fields.name)
        }),
        ColumnSpec::fixed(
            ("status", "STATUS"),
            Visibility::Always,
            |run, row_context| status_cell(&run.fields.status, row_context),
        ),
        ColumnSpec::number(("trials", "TRIALS"), Visibility::Optional, |run, _| {
            progress_cell(&run.fields)
        }),
        ColumnSpec::number(("pass-rate", "PASSED"), Visibility::Optional, |run, _| {
            pass_rate_cell(&run.fields)
        }),
        ColumnSpec::fixed(
            ("created", "CREATED"),
            Visibility::Optional,
            |run, row_context| time_cell(&run.fields.created_at, row_context),
        ),
        ColumnSpec::fixed(
            ("completed", "COMPLETED"),
            Visibility::OnRequest,
            |run, row_context| time_cell(&run.fields.completed_at, row_context),
        ),
        ColumnSpec::text(
            ("dataset", "DATASET"),
            10,
            Visibility::OnRequest,
            |run, _| text_cell(&run.fields.dataset_uri),
        ),
        ColumnSpec::text(("remote", "REMOTE"), 10, Visibility::OnRequest, |run, _| {
            text_cell(&run.fields.remote_ref)
        }),
        ColumnSpec::number(
            ("passed", "PASSED TRIALS"),
            Visibility::OnRequest,
            |run, _| text_cell(&run.fields.passed_trials),
        ),
        ColumnSpec::number(
            ("failed", "FAILED TRIALS"),
            Visibility::OnRequest,
            |run, _| text_cell(&run.fields.failed_trials),
        ),
        ColumnSpec::number(("cost", "COST"), Visibility::OnRequest, |run, _| {
            cost_cell(&RunUsage::from_object(&run.object))
        }),
        ColumnSpec::number(("tokens", "TOKENS"), Visibility::OnRequest, |run, _| {
            tokens_cell(&RunUsage::from_object(&run.object))
        }),
    ],
};

fn cost_cell(usage: &RunUsage) -> Cell {
    let Some(cost) = usage.cost_usd else {
        return Cell::missing();
    };
    let shown = known::of_some(format_dollars(cost), usage.cost_n, usage.ended);
    Cell::new(known::of_some(cost.to_string(), usage.cost_n, usage.ended)).with_display(shown)
}

fn tokens_cell(usage: &RunUsage) -> Cell {
    let tokens = usage.tokens.map(|tokens| tokens.to_string());
    Cell::from_option(tokens.map(|tokens| known::of_some(tokens, usage.tokens_n, usage.ended)))
}

/// Trials that have ended, of all.
fn progress_cell(run: &RunFields) -> Cell {
    match (run.completed_trials.text(), run.total_trials.text()) {
        (None, None) => Cell::missing(),
        (done, total) => {
            let number = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            Cell::new(format!("{}/{}", number(done), number(total)))
        }
    }
}

/// Share of the ended trials that passed; lost ones have ended, too.
fn pass_rate_cell(run: &RunFields) -> Cell {
    let number = |value: Option<f64>| value.filter(|n| *n >= 0.0);
    let passed = number(run.passed_trials.number());
    let judged = number(run.failed_trials.number())
        .zip(passed)
        .map(|(f, p)| f + p);
    let lost = number(run.lost_trials.number()).unwrap_or(0.0);
    let ended = number(run.completed_trials.number()).or(judged);
    let ended = ended.map(|ended| ended + lost);
    match (passed, ended) {
        (Some(passed), Some(ended)) if ended > 0.0 && passed <= ended => {
            Cell::new(format!("{:.4}", passed / ended))
                .with_display(format!("{:.0}%", passed / ended * 100.0))
        }
        _ => Cell::missing(),
    }
}
