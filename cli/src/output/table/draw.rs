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
    let widths: Vec<usize> = (0..aligns.len())
        .map(|at| rows.iter().map(|row| row[at].width()).max().unwrap_or(0))
        .collect();
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
    match text.char_indices().nth(MAX_CELL_CHARS) {
        Some((end, _)) => text[..end].width(),
        None => text.width(),
    }
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
    let mut out = text[..fitting_bytes(text, room)].to_owned();
    if ellipsis {
        out.truncate(out.trim_end().len());
        out.push('…');
    }
    out
}

/// Returns how many bytes of a text fit into `width` columns.
fn fitting_bytes(text: &str, width: usize) -> usize {
    let mut end = 0;
    for (start, c) in text.char_indices().take(MAX_CELL_CHARS) {
        let next = start + c.len_utf8();
        if text[..next].width() > width {
            break;
        }
        end = next;
    }
    end
}

/// Breaks a text into lines of at most `width` columns, between words if possible.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    while text_width(rest) > width || rest.len() > MAX_CELL_CHARS * 4 {
        // A line has at least one character, even if that is wider than the column.
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let end = fitting_bytes(rest, width).max(first);
        let at_space = match rest[end..].starts_with(' ') {
            true => Some(end),
            false => rest[..end].rfind(' ').filter(|&space| space > 0),
        };
        let end = at_space.unwrap_or(end);
        lines.push(rest[..end].trim_end().to_owned());
        rest = rest[end..].trim_start();
    }
    lines.push(rest.to_owned());
    lines
}
