//! One value of a table or a detail view: what a terminal shows, what a pipe gets, and its style.

use anstyle::{AnsiColor, Style};

use super::clean;

/// Style of a text at a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextStyle {
    /// Success.
    Green,
    /// In progress.
    Blue,
    /// Waiting, or partial success.
    Yellow,
    /// Failure.
    Red,
    /// An id.
    Cyan,
    /// Secondary.
    Dim,
    /// A heading.
    Bold,
}

impl TextStyle {
    /// Returns the terminal's style.
    pub(crate) fn style(self) -> Style {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        match self {
            TextStyle::Green => colour(AnsiColor::Green),
            TextStyle::Blue => colour(AnsiColor::Blue),
            TextStyle::Yellow => colour(AnsiColor::Yellow),
            TextStyle::Red => colour(AnsiColor::Red),
            TextStyle::Cyan => colour(AnsiColor::Cyan),
            TextStyle::Dim => Style::new().dimmed(),
            TextStyle::Bold => Style::new().bold(),
        }
    }

    /// Wraps a text in the terminal's sequences, unless it is empty or there is no colour.
    pub(crate) fn paint(style: Option<TextStyle>, text: &str, colour: bool) -> String {
        match style.filter(|_| colour && !text.is_empty()) {
            Some(style) => format!("{}{text}{:#}", style.style(), style.style()),
            None => text.to_owned(),
        }
    }
}

/// One value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    /// What a terminal shows.
    pub(super) display: String,
    /// What a pipe gets.
    pub(super) full: String,
    pub(super) style: Option<TextStyle>,
}

impl Cell {
    /// Creates a cell from a text of any origin.
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        let full = clean::line(text.as_ref()).into_owned();
        Self {
            display: full.clone(),
            full,
            style: None,
        }
    }

    /// A missing value.
    pub(crate) fn missing() -> Self {
        Self {
            display: "-".to_owned(),
            ..Self::default()
        }
    }

    /// Creates a cell from a text that may be missing.
    pub(crate) fn from_option(text: Option<String>) -> Self {
        text.map_or_else(Self::missing, Self::new)
    }

    /// Shows another text at a terminal.
    #[must_use]
    pub(crate) fn with_display(mut self, text: impl AsRef<str>) -> Self {
        self.display = clean::line(text.as_ref()).into_owned();
        self
    }

    /// Sets the style; a missing value has none.
    #[must_use]
    pub(crate) fn styled(mut self, style: Option<TextStyle>) -> Self {
        self.style = style.filter(|_| !self.full.is_empty());
        self
    }

    /// Returns what a terminal shows, with or without colour.
    pub(crate) fn render(&self, colour: bool) -> String {
        TextStyle::paint(self.style, &self.display, colour)
    }
}
