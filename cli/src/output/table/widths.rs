//! Which columns a terminal has room for, and how wide each is.

use super::super::cell::Cell;
use super::draw::text_width;
use super::{Column, GAP, Hide, Shrink};

/// Ids shrink to this width before anything else shrinks below comfort; the Python client shows
/// twelve characters as well.
const COMFORTABLE_ID: usize = 12;
/// Ids never shrink below this width.
pub(super) const MIN_ID: usize = 8;
/// Texts, such as error messages, shrink to this width before an id loses a character: ids are
/// there to be copied.
const COMFORTABLE_TEXT: usize = 24;
/// Texts never shrink below this width.
const MIN_TEXT: usize = 4;

/// The visible columns of a table and their widths.
#[derive(Debug)]
pub(super) struct Layout {
    /// Indices of the visible columns.
    pub(super) columns: Vec<usize>,
    /// Widths of the visible columns.
    pub(super) widths: Vec<usize>,
    /// Indices of the columns that were hidden for lack of width.
    pub(super) hidden: Vec<usize>,
}

/// Fits columns into `width`, hiding some if they cannot shrink enough.
pub(super) fn fit(
    columns: &[Column],
    headings: &[Cell],
    rows: &[Vec<Cell>],
    width: usize,
) -> Layout {
    let measured = columns.iter().zip(headings).enumerate();
    let measured = measured.map(|(at, (column, heading))| {
        let cells: Vec<&Cell> = rows.iter().filter_map(|row| row.get(at)).collect();
        Measured::new(at, column, heading, &cells, width)
    });
    let mut visible: Vec<Measured> = measured
        .filter(|column| column.hide == Hide::Never || column.has_values)
        .collect();
    let mut hidden = Vec::new();
    let widths = loop {
        if let Some(widths) = shrink(&visible, width) {
            break widths;
        }
        let last = |hide| visible.iter().rposition(|column| column.hide == hide);
        match last(Hide::First).or_else(|| last(Hide::Last)) {
            Some(place) => hidden.insert(0, visible.remove(place).at),
            None => break shrink_to_minimum(&visible, width),
        }
    };
    Layout {
        columns: visible.iter().map(|column| column.at).collect(),
        widths,
        hidden,
    }
}

/// What is known of a column before it shrinks.
struct Measured {
    /// Its index.
    at: usize,
    hide: Hide,
    has_values: bool,
    shrink: Shrink,
    heading: usize,
    /// Width at which nothing is cut.
    natural: usize,
    /// Width at which an id differs from all others.
    unique: usize,
}

impl Measured {
    fn new(at: usize, column: &Column, heading: &Cell, cells: &[&Cell], width: usize) -> Self {
        let widths = cells.iter().map(|cell| text_width(&cell.display));
        let content = widths.max().unwrap_or(0);
        let heading = text_width(&heading.display);
        Self {
            at,
            hide: column.hide,
            has_values: cells.iter().any(|cell| !cell.full.is_empty()),
            shrink: column.shrink,
            heading,
            natural: match column.shrink {
                // Wider than the terminal is never needed.
                Shrink::Cut(_) | Shrink::Wrap(_) => content.min(width),
                Shrink::Id | Shrink::Never => content,
            }
            .max(heading),
            unique: match column.shrink {
                Shrink::Id => unique_width(cells.iter().map(|cell| cell.display.as_str())),
                _ => 0,
            },
        }
    }

    /// Returns the width of an id that is not below `min`, nor below what makes it unique.
    fn id_width(&self, min: usize) -> usize {
        match self.shrink {
            Shrink::Id => self.natural.min(self.unique.max(min)),
            _ => self.natural,
        }
    }
}

/// Returns how many columns of an id distinguish it from every other one.
pub(super) fn unique_width<'a>(ids: impl Iterator<Item = &'a str>) -> usize {
    let mut ids: Vec<&str> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    let shared = |(one, next): (&&str, &&str)| {
        let both = one.chars().zip(next.chars());
        let common: String = both.take_while(|(a, b)| a == b).map(|(a, _)| a).collect();
        // The first different character may be a wide one.
        text_width(&common) + 2
    };
    let longest = ids.iter().map(|id| text_width(id)).max().unwrap_or(0);
    let pairs = ids.iter().zip(ids.iter().skip(1));
    pairs.map(shared).max().unwrap_or(0).min(longest)
}

/// Returns widths that fit, if there are any. What shrinks first: long texts, ids to comfort,
/// other texts, ids to their minimum.
fn shrink(columns: &[Measured], width: usize) -> Option<Vec<usize>> {
    for min_id in [usize::MAX, COMFORTABLE_ID, MIN_ID] {
        let mut widths: Vec<usize> = columns.iter().map(|c| c.id_width(min_id)).collect();
        let comfortable = match min_id {
            usize::MAX => COMFORTABLE_TEXT,
            _ => 0,
        };
        shrink_texts(columns, &mut widths, width, |min, heading| {
            min.max(heading).max(comfortable)
        });
        if total(&widths) <= width {
            return Some(widths);
        }
    }
    None
}

/// Shrinks texts as far as they remain readable; ids stay unique, even if the table is too wide.
fn shrink_to_minimum(columns: &[Measured], width: usize) -> Vec<usize> {
    let mut widths: Vec<usize> = columns.iter().map(|c| c.id_width(MIN_ID)).collect();
    shrink_texts(columns, &mut widths, width, |_, _| MIN_TEXT);
    widths
}

/// Shrinks the widest text until all columns fit or every text has its minimal width.
fn shrink_texts(
    columns: &[Measured],
    widths: &mut [usize],
    width: usize,
    min_width: impl Fn(usize, usize) -> usize,
) {
    let minimums: Vec<Option<usize>> = columns
        .iter()
        .map(|column| match column.shrink {
            Shrink::Cut(min) | Shrink::Wrap(min) => Some(min_width(min, column.heading)),
            Shrink::Id | Shrink::Never => None,
        })
        .collect();
    while total(widths) > width {
        let shrinkable = widths.iter_mut().zip(&minimums);
        let shrinkable = shrinkable
            .filter_map(|(width, min)| min.is_some_and(|min| *width > min).then_some(width));
        match shrinkable.max_by_key(|width| **width) {
            Some(widest) => *widest -= 1,
            None => return,
        }
    }
}

fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}
