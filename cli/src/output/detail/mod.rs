//! Detail views: one object as labelled lines, in the layout of the Python client.

mod evaluation;
mod harbor;
mod run;
mod trial;

use super::cell::{Cell, TextStyle};
use super::clean;
use super::table::{pad, text_width};

pub(crate) use evaluation::evaluation;
pub(crate) use run::run;
pub(crate) use trial::trial;

/// A detail view.
#[derive(Debug, Default)]
pub(crate) struct Detail {
    lines: Vec<Line>,
}

#[derive(Debug)]
enum Line {
    /// Label and value at the margin.
    Title(&'static str, Cell),
    /// Indentation, label and value. Values of one indentation are aligned.
    Field(usize, String, Cell),
    /// Text that is formatted already.
    Text(String),
    Blank,
}

impl Detail {
    fn title(&mut self, label: &'static str, value: Cell) {
        self.lines.push(Line::Title(label, value.styled(None)));
    }

    fn field(&mut self, label: &str, value: Cell) {
        self.push_field(2, label, value);
    }

    /// Adds a field unless it has no value.
    fn optional_field(&mut self, label: &str, value: Option<String>) {
        if let Some(text) = value {
            self.field(label, Cell::new(text));
        }
    }

    /// Adds a field below a heading.
    fn nested_field(&mut self, label: &str, value: Cell) {
        self.push_field(4, label, value);
    }

    fn push_field(&mut self, indent: usize, label: &str, value: Cell) {
        let label = format!("{}:", clean::line(label));
        self.lines.push(Line::Field(indent, label, value));
    }

    fn heading(&mut self, label: &str) {
        self.blank();
        self.lines.push(Line::Text(format!("  {label}:\n")));
    }

    /// Adds formatted lines, indented below a heading.
    fn block(&mut self, text: &str) {
        for line in text.lines() {
            self.lines.push(Line::Text(format!("    {line}\n")));
        }
    }

    fn blank(&mut self) {
        self.lines.push(Line::Blank);
    }

    /// Formats the lines.
    pub(crate) fn render(&self, colour: bool) -> String {
        let label_width = |indent: usize| {
            let widths = self.lines.iter().filter_map(|line| match line {
                Line::Field(of, label, _) if *of == indent => Some(text_width(label)),
                _ => None,
            });
            widths.max().unwrap_or(0)
        };
        let mut out = String::new();
        for line in &self.lines {
            match line {
                Line::Title(label, value) => {
                    let label = Cell::new(format!("{label}:")).styled(Some(TextStyle::Cyan));
                    let (label, value) = (label.render(colour), value.render(colour));
                    out.push_str(&format!("{label} {value}\n"));
                }
                Line::Field(indent, label, value) => {
                    let label = pad(label, label_width(*indent) + 2);
                    let value = value.render(colour);
                    out.push_str(&format!("{:indent$}{label}{value}\n", ""));
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
