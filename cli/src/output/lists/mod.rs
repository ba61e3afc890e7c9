//! Lists of runs, evaluation runs and trials as tables: which columns exist and what they contain.
//!
//! Every field may be missing, null or of another type; it is then shown as `-` and does not
//! affect other rows.

mod evaluations;
mod runs;
mod selection;
mod trials;

use std::time::Duration;

use docks_proto::object::{Lifecycle, RawObject, Scalar, lifecycle};
use docks_proto::time::UnixMs;

use super::cell::{Cell, TextStyle};
use super::durations;
use super::table::{Column, Hide, Shrink, Table};
use crate::failure::Failure;

pub(crate) use evaluations::EVALUATIONS;
pub(crate) use runs::RUNS;
pub(crate) use selection::{SelectedColumn, replaces_columns};
pub(crate) use trials::{
    ALL_TRIALS, TRIALS, duration_cell, error_message, format_dollars, short_number, tests_passed,
    trial_status_cell,
};

/// Age of an answer from which active rows show it; below, they count as current.
const STALE_STATUS_AGE: Duration = Duration::from_secs(60);

/// What cells depend on besides their object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowContext {
    /// Relative times are relative to this one.
    pub(crate) now: UnixMs,
    /// Age of the answer.
    pub(crate) age: Duration,
}

/// A row of a list over several remotes.
#[derive(Debug)]
pub(crate) struct RemoteRow<'a> {
    /// The object.
    pub(crate) object: &'a RawObject,
    /// What its remote is called.
    pub(crate) remote: &'a str,
    /// What its cells depend on; each remote's answer has its own age.
    pub(crate) context: RowContext,
}

/// The name of the column that says which of several remotes a row is from.
const REMOTE: &str = "remote";

/// The columns of one kind of list.
#[derive(Debug)]
pub(crate) struct ListColumns<R: 'static> {
    /// Reads a row from an object.
    pub(crate) from_object: fn(&RawObject) -> R,
    /// All columns, in the order in which they are shown.
    pub(crate) columns: &'static [ColumnSpec<R>],
    /// What is printed for an empty list.
    pub(crate) empty_message: &'static str,
}

/// One column of a list.
#[derive(Debug)]
pub(crate) struct ColumnSpec<R> {
    /// Name in `--columns`.
    pub(crate) key: &'static str,
    heading: &'static str,
    shrink: Shrink,
    align_right: bool,
    visibility: Visibility,
    cell: fn(&R, RowContext) -> Cell,
}

/// Reads a cell from a row.
type ReadCell<R> = fn(&R, RowContext) -> Cell;

impl<R> ColumnSpec<R> {
    const fn new(
        (key, heading): (&'static str, &'static str),
        shrink: Shrink,
        visibility: Visibility,
        cell: ReadCell<R>,
    ) -> Self {
        Self {
            key,
            heading,
            shrink,
            align_right: false,
            visibility,
            cell,
        }
    }

    fn column(&self, requested: bool) -> Column {
        Column {
            heading: self.heading.into(),
            shrink: self.shrink,
            align_right: self.align_right,
            hide: match self.visibility {
                _ if requested => Hide::Never,
                Visibility::Optional => Hide::First,
                Visibility::Preferred => Hide::Last,
                Visibility::Always | Visibility::OnRequest => Hide::Never,
            },
        }
    }

    /// A column of ids.
    const fn id(
        names: (&'static str, &'static str),
        visibility: Visibility,
        cell: ReadCell<R>,
    ) -> Self {
        Self::new(names, Shrink::Id, visibility, cell)
    }

    /// A column of texts, which are not cut below `min_width`.
    const fn text(
        names: (&'static str, &'static str),
        min_width: usize,
        visibility: Visibility,
        cell: ReadCell<R>,
    ) -> Self {
        Self::new(names, Shrink::Cut(min_width), visibility, cell)
    }

    /// A column of values that are never cut.
    const fn fixed(
        names: (&'static str, &'static str),
        visibility: Visibility,
        cell: ReadCell<R>,
    ) -> Self {
        Self::new(names, Shrink::Never, visibility, cell)
    }

    /// A column of numbers.
    const fn number(
        names: (&'static str, &'static str),
        visibility: Visibility,
        cell: ReadCell<R>,
    ) -> Self {
        Self {
            align_right: true,
            ..Self::new(names, Shrink::Never, visibility, cell)
        }
    }
}

/// When a column is shown if `--columns` does not select any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visibility {
    /// Always.
    Always,
    /// If it has values; it is hidden first in a narrow terminal.
    Optional,
    /// If it has values; it is hidden last in a narrow terminal.
    Preferred,
    /// Only if `--columns` selects it.
    OnRequest,
}

impl<R> ListColumns<R> {
    /// Returns the columns that `--columns` selects; without a request, the default ones.
    ///
    /// # Errors
    ///
    /// A usage error that lists the known names.
    pub(crate) fn select(&self, requested: &[String]) -> Result<Vec<SelectedColumn>, Failure> {
        selection::select(requested, &self.keys(), &self.default_keys())
    }

    /// Returns the same of a list over several remotes: with a column that says which one a row is from, the last of
    /// the default ones.
    fn select_of_remotes(&self, requested: &[String]) -> Result<Vec<SelectedColumn>, Failure> {
        let with_remote = |keys: Vec<&'static str>| {
            let own = keys.into_iter().filter(|key| *key != REMOTE);
            own.chain([REMOTE]).collect::<Vec<&'static str>>()
        };
        let (known, default) = (self.keys(), self.default_keys());
        selection::select(requested, &with_remote(known), &with_remote(default))
    }

    fn keys(&self) -> Vec<&'static str> {
        self.columns.iter().map(|spec| spec.key).collect()
    }

    fn default_keys(&self) -> Vec<&'static str> {
        let specs = self.columns.iter();
        let default = specs.filter(|spec| spec.visibility != Visibility::OnRequest);
        default.map(|spec| spec.key).collect()
    }

    fn spec(&self, key: &str) -> &'static ColumnSpec<R> {
        let found = self.columns.iter().find(|spec| spec.key == key);
        found.expect("only known columns are selected")
    }

    /// Builds the table of `objects`; columns that were asked for are never hidden.
    pub(crate) fn table(
        &self,
        objects: &[RawObject],
        selected: &[SelectedColumn],
        row_context: RowContext,
    ) -> Table {
        let specs: Vec<_> = selected.iter().map(|shown| self.spec(shown.key)).collect();
        let columns = specs.iter().zip(selected);
        let columns = columns.map(|(spec, shown)| spec.column(shown.requested));
        let mut table = Table::new(columns.collect());
        for object in objects {
            let row = (self.from_object)(object);
            let cells = specs.iter().map(|spec| (spec.cell)(&row, row_context));
            table.add_row(cells.collect());
        }
        table
    }

    /// Builds the table of a list over several remotes, with the column that says which one a row is from.
    ///
    /// # Errors
    ///
    /// As [`Self::select`].
    pub(crate) fn table_of_remotes(
        &self,
        rows: &[RemoteRow<'_>],
        requested: &[String],
    ) -> Result<Table, Failure> {
        let selected = self.select_of_remotes(requested)?;
        // `None` is the column of remotes.
        let specs: Vec<Option<&ColumnSpec<R>>> = selected
            .iter()
            .map(|shown| (shown.key != REMOTE).then(|| self.spec(shown.key)))
            .collect();
        let columns = specs.iter().zip(&selected).map(|(spec, shown)| match spec {
            Some(spec) => spec.column(shown.requested),
            None => Column::new("REMOTE", Shrink::Cut(8)),
        });
        let mut table = Table::new(columns.collect());
        for row in rows {
            let read = (self.from_object)(row.object);
            let cells = specs.iter().map(|spec| match spec {
                Some(spec) => (spec.cell)(&read, row.context),
                None => Cell::new(row.remote),
            });
            table.add_row(cells.collect());
        }
        Ok(table)
    }
}

/// Returns the style of a status, as in the Python client.
pub(crate) fn status_style(status: &str) -> Option<TextStyle> {
    Some(match status.to_ascii_lowercase().as_str() {
        "ready" | "completed" | "passed" | "success" => TextStyle::Green,
        "running" | "provisioning" => TextStyle::Blue,
        "pending" | "queued" | "partial" => TextStyle::Yellow,
        "failed" | "error" => TextStyle::Red,
        "deleted" | "cancelled" => TextStyle::Dim,
        _ => return None,
    })
}

/// A status; an active one that may have changed since shows the age of the answer.
pub(crate) fn status_cell(value: &Scalar, row_context: RowContext) -> Cell {
    let Some(status) = value.text() else {
        return Cell::missing();
    };
    let is_stale = lifecycle(&status) == Lifecycle::Active && row_context.age >= STALE_STATUS_AGE;
    let cell = Cell::new(&status).styled(status_style(&status));
    match durations::format_age(row_context.age).filter(|_| is_stale) {
        Some(age) => cell.with_display(format!("{status} ({age} ago)")),
        None => cell,
    }
}

/// A time: relative at a terminal, unchanged elsewhere.
fn time_cell(value: &Scalar, row_context: RowContext) -> Cell {
    let Some(text) = value.text() else {
        return Cell::missing();
    };
    let cell = Cell::new(&text).styled(Some(TextStyle::Dim));
    match UnixMs::parse(&text) {
        Some(then) => cell.with_display(durations::format_ago(row_context.now, then)),
        None => cell,
    }
}

/// Any value as text.
pub(crate) fn text_cell(value: &Scalar) -> Cell {
    Cell::from_option(value.text())
}

/// An id.
fn id_cell(value: &Scalar) -> Cell {
    text_cell(value).styled(Some(TextStyle::Cyan))
}

#[cfg(test)]
mod tests;
