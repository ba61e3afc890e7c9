//! Columns of `docks runs list`.

use docks_proto::object::RunFields;

use super::{Cell, Fit, Rows, Show, Spec, id, status, text, time};

/// Plain runs.
pub(crate) const RUNS: Rows<RunFields> = Rows {
    read: RunFields::from_object,
    none: "no runs found",
    columns: &[
        Spec::new("id", "ID", Fit::Id, Show::Always, |run, _| id(&run.id)),
        Spec::new(
            "template",
            "TEMPLATE",
            Fit::Text(10),
            Show::Room,
            |run, _| name(run),
        ),
        Spec::new(
            "status",
            "STATUS",
            Fit::Whole,
            Show::Always,
            |run, scene| status(&run.status, scene),
        ),
        Spec::new(
            "created",
            "CREATED",
            Fit::Whole,
            Show::Room,
            |run, scene| time(&run.created_at, scene),
        ),
        Spec::new("name", "NAME", Fit::Text(10), Show::Asked, |run, _| {
            text(&run.name)
        }),
        Spec::new("reason", "REASON", Fit::Text(10), Show::Asked, |run, _| {
            text(&run.status_reason)
        }),
        Spec::new(
            "started",
            "STARTED",
            Fit::Whole,
            Show::Asked,
            |run, scene| time(&run.started_at, scene),
        ),
        Spec::new(
            "completed",
            "COMPLETED",
            Fit::Whole,
            Show::Asked,
            |run, scene| time(&run.completed_at, scene),
        ),
        Spec::new("dns", "DNS", Fit::Text(10), Show::Asked, |run, _| {
            text(&run.dns_name)
        }),
        Spec::new("remote", "REMOTE", Fit::Text(10), Show::Asked, |run, _| {
            text(&run.remote_ref)
        }),
    ],
};

/// The template, or what else a run can be told by.
fn name(run: &RunFields) -> Cell {
    let told = run.template_name.text().or_else(|| run.name.text());
    Cell::of(told.or_else(|| run.template_id.text()))
}
