//! `docks runs eval-get`.

use docks_proto::object::{RawObject, RunFields, Scalar};
use docks_proto::repair;
use docks_proto::time::UnixMs;

use super::{Cell, Detail};
use crate::output::durations;
use crate::output::lists::{self, RowContext};
use crate::output::table::Table;

/// Width of tables in a pipe.
pub(super) const PIPE_WIDTH: usize = 200;

/// Builds the view of an evaluation run with its leaderboard.
pub(crate) fn evaluation(
    object: &RawObject,
    row_context: RowContext,
    width: Option<usize>,
) -> Detail {
    let run = RunFields::from_object(object);
    let mut detail = Detail::default();
    detail.title("Evaluation run", lists::text_cell(&run.id));
    detail.field("Name", lists::text_cell(&run.name));
    detail.field("Status", lists::status_cell(&run.status, row_context));
    detail.optional_field("Remote", run.remote_ref.text());
    detail.optional_field("Reason", run.status_reason.text());
    detail.field("Dataset", lists::text_cell(&run.dataset_uri));
    detail.blank();
    detail.field("Total Trials", lists::text_cell(&run.total_trials));
    detail.field("Completed", lists::text_cell(&run.completed_trials));
    detail.field("Passed", lists::text_cell(&run.passed_trials));
    detail.field("Failed", lists::text_cell(&run.failed_trials));
    detail.blank();
    times(&mut detail, &run, row_context);
    let width = width.unwrap_or(PIPE_WIDTH).saturating_sub(4);
    let whole: &serde_json::Value = &repair::read(object.text());
    super::harbor::add_fields(&mut detail, &whole["harbor"], width);
    if let Some(table) = leaderboard(&whole["leaderboard"]) {
        detail.heading("Leaderboard");
        detail.block(&table.render(width, false).text);
    }
    detail
}

/// Adds the times at which a run was created, started and ended.
pub(super) fn times(detail: &mut Detail, run: &RunFields, row_context: RowContext) {
    detail.field("Created", time_with_age(&run.created_at, row_context));
    for (label, value) in [("Started", &run.started_at), ("Ended", &run.completed_at)] {
        if value.text().is_some() {
            detail.field(label, time_with_age(value, row_context));
        }
    }
}

/// A time as the remote sent it, and how long ago it was.
pub(super) fn time_with_age(value: &Scalar, row_context: RowContext) -> Cell {
    let Some(text) = value.text() else {
        return Cell::missing();
    };
    match UnixMs::parse(&text) {
        Some(then) => Cell::new(format!(
            "{text} ({})",
            durations::format_ago(row_context.now, then)
        )),
        None => Cell::new(text),
    }
}

fn leaderboard(entries: &serde_json::Value) -> Option<Table> {
    let entries = entries.as_array().filter(|e| !e.is_empty())?;
    let mut table = Table::plain(&["VARIANT", "PASS RATE", "TRIALS", "COMPLETED", "FAILED"]);
    for entry in entries {
        let text = |key: &str| match entry.get(key) {
            Some(serde_json::Value::String(text)) => Some(text.clone()),
            Some(serde_json::Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let rate = entry
            .get("avg_pass_rate")
            .and_then(serde_json::Value::as_f64);
        table.add_row(vec![
            Cell::from_option(text("variant_name")),
            match rate {
                Some(share) if (0.0..=1.0).contains(&share) => {
                    Cell::new(format!("{:.1}%", share * 100.0))
                }
                _ => Cell::from_option(text("avg_pass_rate")),
            },
            Cell::from_option(text("trial_count")),
            Cell::from_option(text("completed_count")),
            Cell::from_option(text("failed_count")),
        ]);
    }
    Some(table)
}
