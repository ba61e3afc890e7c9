//! Tables: cut to the terminal's width, or tab-separated and whole.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement};
use unicode_width::UnicodeWidthStr;

use super::cell::{Cell, END, Ink};
#[cfg(test)]
use super::clean;

/// Spaces between two columns.
const GAP: usize = 2;
/// Ids are cut to this before anything else gives way; people know twelve from the Python client.
const ID_COMFORT: usize = 12;
/// Ids are never cut below this.
const ID_LEAST: usize = 8;
/// Longer texts, such as error messages, give way to this before an id loses a character: an id
/// is there to be copied.
const TEXT_COMFORT: usize = 24;
/// Names that people asked to see are never cut below this.
const TEXT_LEAST: usize = 4;
/// Longer cells fit no terminal, and measuring them takes time.
const CELL_MOST_CHARS: usize = 1_000;

/// How a column gives way when the terminal is narrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// An id: cut, but never below what tells it from the others.
    Id,
    /// A text: cut, but not below so many columns.
    Text(usize),
    /// Never cut.
    Whole,
}

/// One column.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// Heading.
    pub(crate) label: &'static str,
    /// How it gives way.
    pub(crate) fit: Fit,
    /// Aligned to the right.
    pub(crate) right: bool,
    /// Whether it may be left out.
    pub(crate) yields: Yields,
}

/// When a column is left out; one that may be is also left out when it has nothing to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Yields {
    /// Not at all.
    Never,
    /// As soon as all columns together do not fit.
    First,
    /// When leaving out others was not enough.
    Last,
}

/// Rows under headings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

/// A table laid out for a terminal.
#[derive(Debug)]
pub(crate) struct Laid {
    /// Lines with their ends.
    pub(crate) text: String,
    /// Headings of columns that were left out for lack of width.
    pub(crate) hidden: Vec<&'static str>,
}

impl Table {
    /// Starts a table.
    pub(crate) fn new(columns: Vec<Column>) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// Starts a table of texts that give way evenly.
    pub(crate) fn plain(labels: &[&'static str]) -> Self {
        let column = |label: &&'static str| Column {
            label,
            fit: Fit::Text(8),
            right: false,
            yields: Yields::Never,
        };
        Self::new(labels.iter().map(column).collect())
    }

    /// Adds a row; it has as many cells as there are columns.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    /// Writes tab-separated values, nothing cut.
    pub(crate) fn tsv(&self, header: bool) -> String {
        let mut out = String::new();
        let mut put = |cells: &mut dyn Iterator<Item = &str>| {
            for (index, cell) in cells.enumerate() {
                if index > 0 {
                    out.push('\t');
                }
                out.push_str(cell);
            }
            out.push('\n');
        };
        if header {
            put(&mut self.columns.iter().map(|column| column.label));
        }
        for row in &self.rows {
            put(&mut row.iter().map(|cell| cell.full.as_str()));
        }
        out
    }

    /// Lays the table out for a terminal of `width` columns.
    pub(crate) fn lay_out(&self, width: usize, colour: bool) -> Laid {
        let all = 0..self.columns.len();
        let natural: Vec<usize> = all.clone().map(|at| self.natural(at, width)).collect();
        let unique: Vec<usize> = all.clone().map(|at| self.unique(at)).collect();
        let mut kept: Vec<usize> = all.filter(|&at| self.worth_showing(at)).collect();
        let mut hidden = Vec::new();
        let widths = loop {
            if let Some(widths) = self.squeeze(&kept, &natural, &unique, width) {
                break widths;
            }
            let last = |wanted| {
                let mut places = kept.iter();
                places.rposition(|&at| self.columns[at].yields == wanted)
            };
            match last(Yields::First).or_else(|| last(Yields::Last)) {
                Some(place) => hidden.insert(0, self.columns[kept.remove(place)].label),
                None => break self.last_resort(&kept, &natural, &unique, width),
            }
        };
        Laid {
            text: self.draw(&kept, &widths, colour),
            hidden,
        }
    }

    /// Tells whether a column has a value in any row, or must be there anyway.
    fn worth_showing(&self, at: usize) -> bool {
        let mut rows = self.rows.iter();
        self.columns[at].yields == Yields::Never || rows.any(|row| !row[at].full.is_empty())
    }

    fn natural(&self, at: usize, width: usize) -> usize {
        let cells = self.rows.iter().map(|row| measure(&row[at].shown));
        let content = cells.max().unwrap_or(0);
        match self.columns[at].fit {
            // What cannot fit anyway need not be spread out.
            Fit::Text(_) => content.min(width),
            Fit::Id | Fit::Whole => content,
        }
        .max(self.columns[at].label.len())
    }

    /// Returns how many columns of an id tell it from every other one shown.
    fn unique(&self, at: usize) -> usize {
        if self.columns[at].fit != Fit::Id {
            return 0;
        }
        let mut ids: Vec<&str> = self.rows.iter().map(|row| row[at].shown.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        let shared = |pair: &[&str]| {
            let common: String = pair[0]
                .chars()
                .zip(pair[1].chars())
                .take_while(|(a, b)| a == b)
                .map(|(a, _)| a)
                .collect();
            // Both next characters may be wide ones.
            measure(&common) + 2
        };
        let longest = ids.iter().map(|id| measure(id)).max().unwrap_or(0);
        ids.windows(2).map(shared).max().unwrap_or(0).min(longest)
    }

    /// Finds widths that fit, giving way in order: long texts, ids to comfort, texts, ids to the
    /// least.
    fn squeeze(
        &self,
        kept: &[usize],
        natural: &[usize],
        unique: &[usize],
        width: usize,
    ) -> Option<Vec<usize>> {
        for id_least in [usize::MAX, ID_COMFORT, ID_LEAST] {
            let mut widths: Vec<usize> = kept.iter().map(|&at| natural[at]).collect();
            for (place, &at) in kept.iter().enumerate() {
                if self.columns[at].fit == Fit::Id {
                    widths[place] = natural[at].min(unique[at].max(id_least));
                }
            }
            let comfort = match id_least {
                usize::MAX => TEXT_COMFORT,
                _ => 0,
            };
            self.shrink_texts(kept, &mut widths, width, |floor, label| {
                floor.max(label).max(comfort)
            });
            if total(&widths) <= width {
                return Some(widths);
            }
        }
        None
    }

    /// Cuts texts as far as they can be read at all; ids stay unique, even past the edge.
    fn last_resort(
        &self,
        kept: &[usize],
        natural: &[usize],
        unique: &[usize],
        width: usize,
    ) -> Vec<usize> {
        let mut widths: Vec<usize> = kept
            .iter()
            .map(|&at| match self.columns[at].fit {
                Fit::Id => natural[at].min(unique[at].max(ID_LEAST)),
                _ => natural[at],
            })
            .collect();
        self.shrink_texts(kept, &mut widths, width, |_, _| TEXT_LEAST);
        widths
    }

    /// Takes from the widest text until all fits or every text is at its floor.
    fn shrink_texts(
        &self,
        kept: &[usize],
        widths: &mut [usize],
        width: usize,
        floor: impl Fn(usize, usize) -> usize,
    ) {
        let floors: Vec<Option<usize>> = kept
            .iter()
            .map(|&at| match self.columns[at].fit {
                Fit::Text(least) => Some(floor(least, self.columns[at].label.len())),
                Fit::Id | Fit::Whole => None,
            })
            .collect();
        while total(widths) > width {
            let widest = (0..widths.len())
                .filter(|&place| floors[place].is_some_and(|floor| widths[place] > floor))
                .max_by_key(|&place| widths[place]);
            match widest {
                Some(place) => widths[place] -= 1,
                None => return,
            }
        }
    }

    fn draw(&self, kept: &[usize], widths: &[usize], colour: bool) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        let heading = |(&at, &width): (&usize, &usize)| {
            marked(&cut(self.columns[at].label, width, true), Some(Ink::Bold))
        };
        table.set_header(kept.iter().zip(widths).map(heading).collect::<Vec<_>>());
        for row in &self.rows {
            let cell = |(&at, &width): (&usize, &usize)| {
                let ellipsis = self.columns[at].fit != Fit::Id;
                marked(&cut(&row[at].shown, width, ellipsis), row[at].ink)
            };
            table.add_row(kept.iter().zip(widths).map(cell).collect::<Vec<_>>());
        }
        for (place, &at) in kept.iter().enumerate() {
            if let Some(column) = table.column_mut(place) {
                column.set_padding((0, GAP as u16));
                if self.columns[at].right {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        let mut out = String::new();
        for line in table.lines() {
            out.push_str(&paint(line.trim_end(), colour));
            out.push('\n');
        }
        out
    }
}

fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

fn measure(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.chars()
            .take(CELL_MOST_CHARS)
            .collect::<String>()
            .width()
    }
}

/// Cuts a text to `width` columns.
fn cut(text: &str, width: usize, ellipsis: bool) -> String {
    if measure(text) <= width && text.len() <= CELL_MOST_CHARS * 4 {
        return text.to_owned();
    }
    let room = if ellipsis {
        width.saturating_sub(1)
    } else {
        width
    };
    let mut out = String::new();
    for c in text.chars() {
        out.push(c);
        if out.width() > room {
            out.pop();
            break;
        }
    }
    if ellipsis {
        out.truncate(out.trim_end().len());
        out.push('…');
    }
    out
}

fn marked(text: &str, ink: Option<Ink>) -> String {
    match ink {
        Some(ink) => format!("{}{text}{END}", ink.mark()),
        None => text.to_owned(),
    }
}

/// Replaces the marks by the terminal's sequences, or by nothing.
fn paint(line: &str, colour: bool) -> String {
    let mut out = String::with_capacity(line.len());
    let mut ink = None;
    for c in line.chars() {
        if c == END {
            if let Some(ink) = ink.take().filter(|_| colour) {
                out.push_str(&format!("{:#}", Ink::style(ink)));
            }
        } else if let Some(found) = Ink::ALL.into_iter().find(|ink| ink.mark() == c) {
            ink = Some(found);
            if colour {
                out.push_str(&found.style().to_string());
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests;
