//! Columns of `docks runs eval-list`.

use docks_proto::object::RunFields;

use super::{
    Cell, ColumnSpec, ListColumns, Visibility, id_cell, status_cell, text_cell, time_cell,
};

/// Evaluation runs.
pub(crate) const EVALUATIONS: ListColumns<RunFields> = ListColumns {
    from_object: RunFields::from_object,
    empty_message: "no evaluation runs found",
    columns: &[
        ColumnSpec::id(("id", "ID"), Visibility::Always, |run, _| id_cell(&run.id)),
        ColumnSpec::text(("name", "NAME"), 10, Visibility::Optional, |run, _| {
            text_cell(&run.name)
        }),
        ColumnSpec::fixed(
            ("status", "STATUS"),
            Visibility::Always,
            |run, row_context| status_cell(&run.status, row_context),
        ),
        ColumnSpec::number(("trials", "TRIALS"), Visibility::Optional, |run, _| {
            progress_cell(run)
        }),
        ColumnSpec::number(("pass-rate", "PASSED"), Visibility::Optional, |run, _| {
            pass_rate_cell(run)
        }),
        ColumnSpec::fixed(
            ("created", "CREATED"),
            Visibility::Optional,
            |run, row_context| time_cell(&run.created_at, row_context),
        ),
        ColumnSpec::fixed(
            ("completed", "COMPLETED"),
            Visibility::OnRequest,
            |run, row_context| time_cell(&run.completed_at, row_context),
        ),
        ColumnSpec::text(
            ("dataset", "DATASET"),
            10,
            Visibility::OnRequest,
            |run, _| text_cell(&run.dataset_uri),
        ),
        ColumnSpec::text(("remote", "REMOTE"), 10, Visibility::OnRequest, |run, _| {
            text_cell(&run.remote_ref)
        }),
        ColumnSpec::number(
            ("passed", "PASSED TRIALS"),
            Visibility::OnRequest,
            |run, _| text_cell(&run.passed_trials),
        ),
        ColumnSpec::number(
            ("failed", "FAILED TRIALS"),
            Visibility::OnRequest,
            |run, _| text_cell(&run.failed_trials),
        ),
    ],
};

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
