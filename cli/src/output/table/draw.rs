//! Draws cells in columns: cuts or wraps them to a width, pads and styles them.

use unicode_width::UnicodeWidthStr;

use super::super::cell::{Cell, TextStyle};
use super::{GAP, Shrink};

/// Longer cells fit no terminal, and measuring them takes time.
const MAX_CELL_CHARS: usize = 1_000;

/// How a column is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    /// To the left.
    Left,
    /// To the right.
    Right,
}

/// A cell that fits its column.
pub(super) struct Drawn {
    lines: Vec<String>,
    style: Option<TextStyle>,
}

impl Drawn {
    /// Cuts or wraps a cell to `width` columns.
    pub(super) fn fit(cell: &Cell, shrink: Shrink, width: usize) -> Self {
        let lines = match shrink {
            Shrink::Wrap(_) => wrap(&cell.display, width),
            Shrink::Id => vec![cut(&cell.display, width, false)],
            Shrink::Cut(_) | Shrink::Never => vec![cut(&cell.display, width, true)],
        };
        Self {
            lines,
            style: cell.style,
        }
    }

    fn width(&self) -> usize {
        let widths = self.lines.iter().map(|line| text_width(line));
        widths.max().unwrap_or(0)
    }
}

/// Draws rows of cells in columns.
pub(super) fn draw(rows: &[Vec<Drawn>], aligns: &[Align], colour: bool) -> String {
    let mut widths = vec![0; aligns.len()];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.width().max(*width);
        }
    }
    let mut out = String::new();
    for row in rows {
        let height = row.iter().map(|cell| cell.lines.len()).max().unwrap_or(0);
        for number in 0..height.max(1) {
            let cells = row.iter().zip(widths.iter().zip(aligns));
            let cells = cells.map(|(cell, (&width, &align))| {
                let line = cell.lines.get(number).map_or("", String::as_str);
                (line, cell.style, width, align)
            });
            out.push_str(&aligned_line(cells, colour));
            out.push('\n');
        }
    }
    out
}

/// Draws one line of cells: text, style, width and alignment of each. It does not end in spaces.
fn aligned_line<'a>(
    cells: impl Iterator<Item = (&'a str, Option<TextStyle>, usize, Align)>,
    colour: bool,
) -> String {
    let mut out = String::new();
    let mut spaces = 0;
    for (text, style, width, align) in cells {
        let padding = width.saturating_sub(text_width(text));
        if align == Align::Right {
            spaces += padding;
        }
        let trimmed = text.trim_end();
        if !trimmed.is_empty() {
            out.extend(std::iter::repeat_n(' ', std::mem::take(&mut spaces)));
            out.push_str(&TextStyle::paint(style, trimmed, colour));
        }
        spaces += text_width(text) - text_width(trimmed) + GAP;
        if align == Align::Left {
            spaces += padding;
        }
    }
    out
}

/// Returns a text with spaces up to `width` columns.
pub(crate) fn pad(text: &str, width: usize) -> String {
    let padding = width.saturating_sub(text_width(text));
    format!("{text}{:padding$}", "")
}

/// Returns how many columns of a terminal a text takes.
pub(crate) fn text_width(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    let end = text.char_indices().nth(MAX_CELL_CHARS).map(|(end, _)| end);
    end.and_then(|end| text.get(..end)).unwrap_or(text).width()
}

/// Cuts a text to `width` columns.
fn cut(text: &str, width: usize, ellipsis: bool) -> String {
    if text_width(text) <= width && text.len() <= MAX_CELL_CHARS * 4 {
        return text.to_owned();
    }
    let room = if ellipsis {
        width.saturating_sub(1)
    } else {
        width
    };
    let (fitting, _) = split_fitting(text, room);
    let mut out = fitting.to_owned();
    if ellipsis {
        out.truncate(out.trim_end().len());
        out.push('…');
    }
    out
}

/// Splits a text after what fits into `width` columns.
fn split_fitting(text: &str, width: usize) -> (&str, &str) {
    let mut fitting = ("", text);
    for (start, c) in text.char_indices().take(MAX_CELL_CHARS) {
        match text.split_at_checked(start + c.len_utf8()) {
            Some(split) if split.0.width() <= width => fitting = split,
            _ => break,
        }
    }
    fitting
}

/// Breaks a text into lines of at most `width` columns, between words if possible.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    while text_width(rest) > width || rest.len() > MAX_CELL_CHARS * 4 {
        let (mut line, mut after) = split_fitting(rest, width);
        if line.is_empty() {
            // A line has at least one character, even if that is wider than the column.
            let first = rest.chars().next().map_or(0, char::len_utf8);
            (line, after) = rest.split_at(first);
        }
        if !after.starts_with(' ')
            && let Some(space) = line.rfind(' ').filter(|&space| space > 0)
        {
            (line, after) = rest.split_at(space);
        }
        lines.push(line.trim_end().to_owned());
        rest = after.trim_start();
    }
    lines.push(rest.to_owned());
    lines
}
