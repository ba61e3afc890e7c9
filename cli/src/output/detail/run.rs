//! `docks runs get`.

use docks_proto::object::{RawObject, RunFields, Scalar};
use docks_proto::repair;

use super::{Cell, Detail};
use crate::output::lists::{self, RowContext};

/// Builds the view of a plain run.
pub(crate) fn run(object: &RawObject, row_context: RowContext) -> Detail {
    let run = RunFields::from_object(object);
    let mut detail = Detail::default();
    detail.title("Run", lists::text_cell(&run.id));
    detail.optional_field("Name", run.name.text());
    let template = run.template_name.text().or_else(|| run.template_id.text());
    detail.field("Template", Cell::from_option(template));
    detail.field("Status", lists::status_cell(&run.status, row_context));
    detail.optional_field("DNS", run.dns_name.text());
    detail.optional_field("Remote", run.remote_ref.text());
    detail.optional_field("Reason", run.status_reason.text());
    super::evaluation::times(&mut detail, &run, row_context);
    if let Some(tasks) = task_results(object) {
        detail.blank();
        detail.field("Task results", Cell::new(tasks));
    }
    detail
}

/// Counts the tasks of a run by their results.
fn task_results(object: &RawObject) -> Option<String> {
    let whole: &serde_json::Value = &repair::read(object.text());
    let tasks = whole["task_results"].as_array().filter(|t| !t.is_empty())?;
    let count = |statuses: &[&str]| {
        let status = |task: &serde_json::Value| {
            let text = task.get("status").and_then(|status| status.as_str());
            Scalar::Text(text.unwrap_or_default().to_ascii_lowercase()).text()
        };
        let matches = |task: &&serde_json::Value| {
            status(task).is_some_and(|status| statuses.contains(&status.as_str()))
        };
        tasks.iter().filter(matches).count()
    };
    let passed = count(&["passed", "success", "completed"]);
    let failed = count(&["failed", "error"]);
    let other = tasks.len() - passed - failed;
    Some(format!("{passed} passed, {failed} failed, {other} other"))
}
