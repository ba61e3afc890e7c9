//! A line of the live view: texts with their colours, cut to the terminal's width.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::output::cell::TextStyle;
use crate::output::clean;

/// A line of texts with their colours.
#[derive(Debug, Default)]
pub(super) struct StyledLine(Vec<(String, Option<TextStyle>)>);

impl StyledLine {
    /// Appends a text in a colour.
    pub(super) fn text(mut self, text: impl AsRef<str>, style: Option<TextStyle>) -> Self {
        // Text of a remote must not control the terminal.
        self.0
            .push((clean::line(text.as_ref()).into_owned(), style));
        self
    }

    /// Appends a text without a colour.
    pub(super) fn plain(self, text: impl AsRef<str>) -> Self {
        self.text(text, None)
    }

    /// Returns its width in columns.
    pub(super) fn width(&self) -> usize {
        self.0.iter().map(|(text, _)| text.width()).sum()
    }

    /// Cuts it to the terminal's width and adds the colours.
    pub(super) fn render(self, width: usize, colour: bool) -> String {
        let mut left = width;
        let mut out = String::new();
        let whole = self.width() <= width;
        for (text, style) in self.0 {
            let room = if whole { left } else { left.saturating_sub(1) };
            let shown = cut(&text, room);
            left -= shown.width();
            match style.filter(|_| colour) {
                Some(style) => {
                    let style = style.style();
                    out.push_str(&format!("{style}{shown}{style:#}"));
                }
                None => out.push_str(shown),
            }
            if shown.len() < text.len() {
                out.push('…');
                break;
            }
        }
        out
    }
}

/// Returns the beginning of a text that fits into `width` columns.
pub(super) fn cut(text: &str, width: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > width {
            return text.get(..at).unwrap_or(text);
        }
    }
    text
}
