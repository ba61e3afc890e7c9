//! Rows about docks itself, such as settings and profiles, in every format.

use serde::Serialize;
use serde_json::{Map, Value};

use super::Output;
use super::cell::Cell;
use super::markup;
use super::table::{Column, Shrink, Table};
use crate::args::Format;

impl Output {
    /// Prints rows in a format. JSON objects have the headings as keys, in lower case.
    pub(crate) fn records(&self, format: Format, columns: Vec<Column>, rows: &[Vec<String>]) {
        let object = |row: &Vec<String>| {
            let fields = columns.iter().zip(row);
            let field = |(column, text): (&Column, &String)| {
                (column.heading.to_lowercase(), Value::String(text.clone()))
            };
            Value::Object(fields.map(field).collect::<Map<_, _>>())
        };
        let headings = || -> Vec<&str> { columns.iter().map(|c| c.heading.as_ref()).collect() };
        match format {
            Format::Json => self.line(Value::Array(rows.iter().map(object).collect()).to_string()),
            Format::Jsonl => rows
                .iter()
                .for_each(|row| self.line(object(row).to_string())),
            Format::Csv => self.data(markup::csv(&headings(), rows)),
            Format::Markdown => self.data(markup::markdown(&headings(), rows)),
            Format::Latex => self.data(markup::latex(&headings(), rows)),
            Format::Table | Format::Tsv => {
                let mut table = Table::new(columns);
                for row in rows {
                    table.add_row(row.iter().map(Cell::new).collect());
                }
                self.table(format, &table);
            }
        }
    }

    /// Prints rows for programs, whose columns are never shortened.
    pub(crate) fn data_rows(
        &self,
        format: Format,
        names: impl IntoIterator<Item = &'static str>,
        rows: &[Vec<String>],
    ) {
        let columns = names.into_iter();
        let columns = columns.map(|name| Column::new(name, Shrink::Never));
        self.records(format, columns.collect(), rows);
    }

    /// Prints objects as lines of JSON.
    pub(crate) fn json_lines<T: Serialize>(&self, objects: impl IntoIterator<Item = T>) {
        for object in objects {
            let line = serde_json::to_string(&object);
            self.line(line.expect("it contains only text and numbers"));
        }
    }

    /// Prints a table in `format`, which is one of the two for tables; says which columns are
    /// hidden.
    pub(crate) fn table(&self, format: Format, table: &Table) {
        match (format, self.style.width) {
            (Format::Table, Some(width)) => {
                let rendered = table.render(width, self.style.colour);
                self.data(rendered.text);
                if !rendered.hidden.is_empty() {
                    // The table comes first, though it goes to another stream.
                    drop(self.flush());
                    let names = rendered.hidden.join(", ").to_lowercase();
                    self.message(format!("this terminal is too narrow for: {names}"));
                }
            }
            (format, _) => self.data(table.tsv(format == Format::Tsv)),
        }
    }
}
