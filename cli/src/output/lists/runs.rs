//! Columns of `docks runs list`.

use docks_proto::object::RunFields;

use super::{
    Cell, ColumnSpec, ListColumns, Visibility, id_cell, status_cell, text_cell, time_cell,
};

/// Plain runs.
pub(crate) const RUNS: ListColumns<RunFields> = ListColumns {
    from_object: RunFields::from_object,
    empty_message: "no runs found",
    columns: &[
        ColumnSpec::id(("id", "ID"), Visibility::Always, |run, _| id_cell(&run.id)),
        ColumnSpec::text(
            ("template", "TEMPLATE"),
            10,
            Visibility::Optional,
            |run, _| name_cell(run),
        ),
        ColumnSpec::fixed(
            ("status", "STATUS"),
            Visibility::Always,
            |run, row_context| status_cell(&run.status, row_context),
        ),
        ColumnSpec::fixed(
            ("created", "CREATED"),
            Visibility::Optional,
            |run, row_context| time_cell(&run.created_at, row_context),
        ),
        ColumnSpec::text(("name", "NAME"), 10, Visibility::OnRequest, |run, _| {
            text_cell(&run.name)
        }),
        ColumnSpec::text(("reason", "REASON"), 10, Visibility::OnRequest, |run, _| {
            text_cell(&run.status_reason)
        }),
        ColumnSpec::fixed(
            ("started", "STARTED"),
            Visibility::OnRequest,
            |run, row_context| time_cell(&run.started_at, row_context),
        ),
        ColumnSpec::fixed(
            ("completed", "COMPLETED"),
            Visibility::OnRequest,
            |run, row_context| time_cell(&run.completed_at, row_context),
        ),
        ColumnSpec::text(("dns", "DNS"), 10, Visibility::OnRequest, |run, _| {
            text_cell(&run.dns_name)
        }),
        ColumnSpec::text(("remote", "REMOTE"), 10, Visibility::OnRequest, |run, _| {
            text_cell(&run.remote_ref)
        }),
    ],
};

/// The template, else the name, else the id of the template.
fn name_cell(run: &RunFields) -> Cell {
    let name = run.template_name.text().or_else(|| run.name.text());
    Cell::from_option(name.or_else(|| run.template_id.text()))
}
