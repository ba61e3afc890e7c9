//! Lists of runs, evaluation runs and trials as tables: which columns there are, and what is in them.
//!
//! Every field may be missing, null or of another type; it then shows as `-`
//! and costs no other row.

mod evaluations;
mod runs;
mod trials;

use std::time::Duration;

use docks_proto::object::{Lifecycle, RawObject, Scalar, lifecycle};
use docks_proto::time::UnixMs;

use super::cell::{Cell, Ink};
use super::durations;
use super::table::{Column, Fit, Table, Yields};
use crate::failure::Failure;

pub(crate) use evaluations::EVALUATIONS;
pub(crate) use runs::RUNS;
pub(crate) use trials::{
    ALL_TRIALS, TRIALS, dollars, duration, message, shorter, tests as tests_passed, trial_status,
};

/// Active rows say how old they are from this age on; below, they count as current.
const ACTIVE_BOUND: Duration = Duration::from_secs(60);

/// What cells depend on besides their object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene {
    /// Relative times count from here.
    pub(crate) now: UnixMs,
    /// How old the answer is.
    pub(crate) age: Duration,
}

/// A list's kind of rows: how one is read, and its columns.
#[derive(Debug)]
pub(crate) struct Rows<R: 'static> {
    /// Reads an object.
    pub(crate) read: fn(&RawObject) -> R,
    /// All columns, in the order in which they are shown.
    pub(crate) columns: &'static [Spec<R>],
    /// Said when there is none.
    pub(crate) none: &'static str,
}

/// One column of a kind of rows.
#[derive(Debug)]
pub(crate) struct Spec<R> {
    /// Name in `--columns`.
    pub(crate) key: &'static str,
    /// Heading.
    pub(crate) label: &'static str,
    /// How it gives way at a narrow terminal.
    pub(crate) fit: Fit,
    /// Aligned to the right.
    pub(crate) right: bool,
    /// Where it stands when nobody chooses.
    pub(crate) show: Show,
    /// Reads its value.
    pub(crate) cell: fn(&R, Scene) -> Cell,
}

impl<R> Spec<R> {
    /// A column of texts.
    pub(crate) const fn new(
        key: &'static str,
        label: &'static str,
        fit: Fit,
        show: Show,
        cell: fn(&R, Scene) -> Cell,
    ) -> Self {
        Self {
            key,
            label,
            fit,
            right: false,
            show,
            cell,
        }
    }

    /// A column of numbers.
    pub(crate) const fn number(
        key: &'static str,
        label: &'static str,
        show: Show,
        cell: fn(&R, Scene) -> Cell,
    ) -> Self {
        Self {
            key,
            label,
            fit: Fit::Whole,
            right: true,
            show,
            cell,
        }
    }
}

/// Where a column stands when nobody chooses columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// Always there.
    Always,
    /// There while the terminal is wide enough and there is something to show.
    Room,
    /// The same, and the last to go.
    Wanted,
    /// Only when it is asked for.
    Asked,
}

impl<R> Rows<R> {
    /// Picks the columns that were asked for, in that order; none asked means the usual ones.
    ///
    /// # Errors
    ///
    /// A usage error with the known names.
    pub(crate) fn pick(&self, asked: &[String]) -> Result<Vec<&'static Spec<R>>, Failure> {
        if asked.is_empty() {
            let usual = self.columns.iter().filter(|spec| spec.show != Show::Asked);
            return Ok(usual.collect());
        }
        let find = |name: &String| {
            let plain = name.trim().to_ascii_lowercase().replace(['_', ' '], "-");
            let found = self.columns.iter().find(|spec| spec.key == plain);
            found.ok_or_else(|| {
                let known: Vec<&str> = self.columns.iter().map(|spec| spec.key).collect();
                Failure::usage(format!("unknown column `{name}`"))
                    .hint(format!("known columns: {}", known.join(", ")))
            })
        };
        asked.iter().map(find).collect()
    }

    /// Builds the table of `objects`.
    pub(crate) fn table(
        &self,
        objects: &[RawObject],
        specs: &[&Spec<R>],
        chosen: bool,
        scene: Scene,
    ) -> Table {
        let column = |spec: &&Spec<R>| Column {
            label: spec.label,
            fit: spec.fit,
            right: spec.right,
            yields: match spec.show {
                _ if chosen => Yields::Never,
                Show::Room => Yields::First,
                Show::Wanted => Yields::Last,
                Show::Always | Show::Asked => Yields::Never,
            },
        };
        let mut table = Table::new(specs.iter().map(column).collect());
        for object in objects {
            let row = (self.read)(object);
            table.row(specs.iter().map(|spec| (spec.cell)(&row, scene)).collect());
        }
        table
    }
}

/// Colour of a status, as in the Python client.
pub(crate) fn status_ink(status: &str) -> Option<Ink> {
    Some(match status.to_ascii_lowercase().as_str() {
        "ready" | "completed" | "passed" | "success" => Ink::Green,
        "running" | "provisioning" => Ink::Blue,
        "pending" | "queued" | "partial" => Ink::Yellow,
        "failed" | "error" => Ink::Red,
        "deleted" | "cancelled" => Ink::Dim,
        _ => return None,
    })
}

/// A status; an active one that may have changed since says how old it is.
pub(crate) fn status(value: &Scalar, scene: Scene) -> Cell {
    let Some(status) = value.text() else {
        return Cell::missing();
    };
    let ink = status_ink(&status);
    let old = lifecycle(&status) == Lifecycle::Active && scene.age >= ACTIVE_BOUND;
    let cell = Cell::new(&status).ink(ink);
    match durations::age(scene.age).filter(|_| old) {
        Some(age) => cell.shown(format!("{status} ({age} ago)")),
        None => cell,
    }
}

/// A time: relative at a terminal, as it came elsewhere.
pub(crate) fn time(value: &Scalar, scene: Scene) -> Cell {
    let Some(text) = value.text() else {
        return Cell::missing();
    };
    let cell = Cell::new(&text).ink(Some(Ink::Dim));
    match UnixMs::parse(&text) {
        Some(then) => cell.shown(durations::ago(scene.now, then)),
        None => cell,
    }
}

/// Any value as text.
pub(crate) fn text(value: &Scalar) -> Cell {
    Cell::of(value.text())
}

/// An id.
pub(crate) fn id(value: &Scalar) -> Cell {
    text(value).ink(Some(Ink::Cyan))
}

#[cfg(test)]
mod tests;
