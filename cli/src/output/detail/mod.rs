//! One object for people: labelled lines, laid out as in the Python client.

mod evaluation;
mod harbor;
mod run;
mod trial;

use super::cell::{Cell, Ink};

pub(crate) use evaluation::evaluation;
pub(crate) use run::run;
pub(crate) use trial::trial;

/// Lines of a detail.
#[derive(Debug, Default)]
pub(crate) struct Detail {
    lines: Vec<Line>,
}

#[derive(Debug)]
enum Line {
    /// Label and value at the margin.
    Title(&'static str, Cell),
    /// Label and value, indented so far and aligned with its neighbours.
    Field(usize, String, Cell),
    /// Text as it is laid out already.
    Text(String),
    Blank,
}

impl Detail {
    fn title(&mut self, label: &'static str, value: Cell) {
        self.lines.push(Line::Title(label, value.ink(None)));
    }

    fn field(&mut self, label: &str, value: Cell) {
        self.lines.push(Line::Field(2, label.to_owned(), value));
    }

    /// A field that is left out when it has no value.
    fn known(&mut self, label: &str, value: Option<String>) {
        if let Some(text) = value {
            self.field(label, Cell::new(text));
        }
    }

    fn inner(&mut self, label: &str, value: Cell) {
        self.lines.push(Line::Field(4, label.to_owned(), value));
    }

    fn heading(&mut self, label: &str) {
        self.blank();
        self.lines.push(Line::Text(format!("  {label}:\n")));
    }

    /// Lines that are laid out already, indented below a heading.
    fn block(&mut self, text: &str) {
        for line in text.lines() {
            self.lines.push(Line::Text(format!("    {line}\n")));
        }
    }

    fn blank(&mut self) {
        self.lines.push(Line::Blank);
    }

    /// Writes the lines.
    pub(crate) fn print(&self, colour: bool) -> String {
        let longest = |lines: &[Line], indent: usize| {
            let lengths = lines.iter().filter_map(|line| match line {
                Line::Field(at, label, _) if *at == indent => Some(label.len()),
                _ => None,
            });
            lengths.max().unwrap_or(0)
        };
        let mut out = String::new();
        for line in &self.lines {
            match line {
                Line::Title(label, value) => {
                    let label = Cell::new(format!("{label}:")).ink(Some(Ink::Cyan));
                    let (label, value) = (label.painted(colour), value.painted(colour));
                    out.push_str(&format!("{label} {value}\n"));
                }
                Line::Field(indent, label, value) => {
                    let label = format!("{label}:");
                    let room = longest(&self.lines, *indent) + 3;
                    let value = value.painted(colour);
                    out.push_str(&format!("{:indent$}{label:room$}{value}\n", ""));
                }
                Line::Text(text) => out.push_str(text),
                Line::Blank => out.push('\n'),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests;
