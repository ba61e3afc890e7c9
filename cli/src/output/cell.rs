//! One value of a table or a detail: what a terminal shows, what a pipe gets, its colour.

use anstyle::{AnsiColor, Style};

use super::clean;

/// Colour of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    /// Well.
    Green,
    /// On its way.
    Blue,
    /// Waiting, or partly well.
    Yellow,
    /// Failed.
    Red,
    /// An id.
    Cyan,
    /// Of less interest.
    Dim,
    /// A heading.
    Bold,
}

impl Ink {
    pub(super) const ALL: [Ink; 7] = [
        Ink::Green,
        Ink::Blue,
        Ink::Yellow,
        Ink::Red,
        Ink::Cyan,
        Ink::Dim,
        Ink::Bold,
    ];

    /// Returns the terminal's style.
    pub(crate) fn style(self) -> Style {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        match self {
            Ink::Green => colour(AnsiColor::Green),
            Ink::Blue => colour(AnsiColor::Blue),
            Ink::Yellow => colour(AnsiColor::Yellow),
            Ink::Red => colour(AnsiColor::Red),
            Ink::Cyan => colour(AnsiColor::Cyan),
            Ink::Dim => Style::new().dimmed(),
            Ink::Bold => Style::new().bold(),
        }
    }

    /// A character without width that stands for the style until the layout is done.
    ///
    /// [`clean::line`] has taken such characters out of every text.
    pub(super) fn mark(self) -> char {
        let index = Ink::ALL.iter().position(|ink| *ink == self).unwrap_or(0);
        char::from_u32(0xe0101 + index as u32).unwrap_or(END)
    }
}

/// Ends a style until the layout is done.
pub(super) const END: char = '\u{e0100}';

/// One value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    pub(super) shown: String,
    pub(super) full: String,
    pub(super) ink: Option<Ink>,
}

impl Cell {
    /// Takes a text, from anywhere.
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        let full = clean::line(text.as_ref()).into_owned();
        Self {
            shown: full.clone(),
            full,
            ink: None,
        }
    }

    /// A value that is not there.
    pub(crate) fn missing() -> Self {
        Self {
            shown: "-".to_owned(),
            ..Self::default()
        }
    }

    /// Takes a text that may be missing.
    pub(crate) fn of(text: Option<String>) -> Self {
        text.map_or_else(Self::missing, Self::new)
    }

    /// Shows another text at a terminal.
    #[must_use]
    pub(crate) fn shown(mut self, text: impl AsRef<str>) -> Self {
        self.shown = clean::line(text.as_ref()).into_owned();
        self
    }

    /// Colours it; what is missing has no colour.
    #[must_use]
    pub(crate) fn ink(mut self, ink: Option<Ink>) -> Self {
        self.ink = ink.filter(|_| !self.full.is_empty());
        self
    }

    /// Returns what a terminal shows, coloured or not.
    pub(crate) fn painted(&self, colour: bool) -> String {
        match self.ink.filter(|_| colour) {
            Some(ink) => format!("{}{}{:#}", ink.style(), self.shown, ink.style()),
            None => self.shown.clone(),
        }
    }
}
