//! Tables: fitted to the width of a terminal, or tab-separated and complete.
//!
//! Everything that prints columns is drawn here. Cells are clean text, see [`Cell`].

mod draw;
mod widths;

use std::borrow::Cow;

use super::cell::{Cell, TextStyle};
#[cfg(test)]
use super::clean;

use draw::{Align, Drawn};
pub(crate) use draw::{pad, text_width};

/// Spaces between two columns.
const GAP: usize = 2;

/// How a column shrinks in a narrow terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shrink {
    /// An id: cut, but never below what distinguishes it from the others.
    Id,
    /// A text: cut, but not below this width.
    Cut(usize),
    /// A text: wrapped, but not below this width.
    Wrap(usize),
    /// Never.
    Never,
}

/// One column.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// Heading; terminals show it in upper case.
    pub(crate) heading: Cow<'static, str>,
    /// How it shrinks.
    pub(crate) shrink: Shrink,
    /// Whether it is aligned to the right.
    pub(crate) align_right: bool,
    /// Whether it may be hidden.
    pub(crate) hide: Hide,
}

/// When a column is hidden; a column that may be hidden is also hidden when it has no values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hide {
    /// Never.
    Never,
    /// As soon as the columns do not fit.
    First,
    /// When hiding others was not enough.
    Last,
}

impl Column {
    /// A column that shrinks in this way, aligned to the left and never hidden.
    pub(crate) fn new(heading: impl Into<Cow<'static, str>>, shrink: Shrink) -> Self {
        Self {
            heading: heading.into(),
            shrink,
            align_right: false,
            hide: Hide::Never,
        }
    }

    /// Sets when it is hidden.
    #[must_use]
    pub(crate) fn hidden(mut self, hide: Hide) -> Self {
        self.hide = hide;
        self
    }
}

/// Rows under headings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

/// A table as a terminal shows it.
#[derive(Debug)]
pub(crate) struct RenderedTable {
    /// Lines with their line ends.
    pub(crate) text: String,
    /// Headings of columns that were hidden for lack of width.
    pub(crate) hidden: Vec<String>,
}

impl Table {
    /// Creates a table without rows.
    pub(crate) fn new(columns: Vec<Column>) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// Creates a table of texts that are cut evenly.
    pub(crate) fn plain(headings: &[&'static str]) -> Self {
        let column = |heading: &&'static str| Column::new(*heading, Shrink::Cut(8));
        Self::new(headings.iter().map(column).collect())
    }

    /// Adds a row, which has one cell per column.
    pub(crate) fn add_row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    /// Formats tab-separated values, nothing cut.
    pub(crate) fn tsv(&self, header: bool) -> String {
        let mut out = String::new();
        if header {
            let headings = self.columns.iter().map(|column| column.heading.as_ref());
            push_tsv_line(&mut out, headings);
        }
        for row in &self.rows {
            push_tsv_line(&mut out, row.iter().map(|cell| cell.full.as_str()));
        }
        out
    }

    /// Renders the table for a terminal of `width` columns.
    pub(crate) fn render(&self, width: usize, colour: bool) -> RenderedTable {
        let headings: Vec<Cell> = self
            .columns
            .iter()
            .map(|column| Cell::new(column.heading.to_uppercase()).styled(Some(TextStyle::Bold)))
            .collect();
        let layout = widths::fit(&self.columns, &headings, &self.rows, width);
        let rows = std::iter::once(&headings).chain(&self.rows);
        let drawn: Vec<Vec<Drawn>> = rows
            .enumerate()
            .map(|(number, row)| {
                let columns = layout.columns.iter().zip(&layout.widths);
                let cell = |(&at, &width): (&usize, &usize)| {
                    // Headings are cut with an ellipsis, also those of ids.
                    let shrink = match (number, self.columns.get(at)?.shrink) {
                        (0, _) => Shrink::Cut(0),
                        (_, shrink) => shrink,
                    };
                    Some(Drawn::fit(row.get(at)?, shrink, width))
                };
                columns.filter_map(cell).collect()
            })
            .collect();
        let column = |at: &usize| self.columns.get(*at);
        let shown = layout.columns.iter().filter_map(column);
        let aligns = shown.map(|column| match column.align_right {
            true => Align::Right,
            false => Align::Left,
        });
        let hidden = layout.hidden.iter().filter_map(column);
        RenderedTable {
            text: draw::draw(&drawn, &aligns.collect::<Vec<_>>(), colour),
            hidden: hidden.map(|column| column.heading.to_string()).collect(),
        }
    }
}

/// Appends cells, which are clean, as one line of tab-separated values.
fn push_tsv_line<'a>(out: &mut String, cells: impl Iterator<Item = &'a str>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            out.push('\t');
        }
        out.push_str(cell);
    }
    out.push('\n');
}

#[cfg(test)]
mod tests;
