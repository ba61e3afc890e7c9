//! Small tables about docks itself: profiles, settings, the daemon's remotes.

use serde_json::{Map, Value};
use unicode_width::UnicodeWidthStr;

use crate::args::Format;
use crate::context::Context;
use crate::output::clean;

/// Prints rows in the format that was asked for; each row has a cell per column.
pub(super) fn print(context: &Context, columns: &[&str], rows: &[Vec<String>]) {
    let output = &context.output;
    match context.global.format {
        Format::Json => {
            let all: Vec<Value> = rows.iter().map(|row| object(columns, row)).collect();
            output.line(Value::Array(all).to_string());
        }
        Format::Jsonl => {
            for row in rows {
                output.line(object(columns, row).to_string());
            }
        }
        Format::Tsv => {
            output.line(columns.join("\t"));
            separated(context, rows);
        }
        Format::Table if output.look().width.is_none() => separated(context, rows),
        Format::Table => aligned(context, columns, rows),
    }
}

fn object(columns: &[&str], row: &[String]) -> Value {
    let fields = columns.iter().zip(row);
    Value::Object(
        fields
            .map(|(name, cell)| (name.to_lowercase(), Value::String(cell.clone())))
            .collect::<Map<_, _>>(),
    )
}

fn separated(context: &Context, rows: &[Vec<String>]) {
    for row in rows {
        let cells: Vec<_> = row.iter().map(|cell| clean::line(cell)).collect();
        context.output.line(cells.join("\t"));
    }
}

fn aligned(context: &Context, columns: &[&str], rows: &[Vec<String>]) {
    let header: Vec<String> = columns.iter().map(|name| name.to_uppercase()).collect();
    let clean_rows: Vec<Vec<String>> = std::iter::once(&header)
        .chain(rows)
        .map(|row| row.iter().map(|c| clean::line(c).into_owned()).collect())
        .collect();
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| {
            let cells = clean_rows.iter().filter_map(|row| row.get(at));
            cells.map(|cell| cell.width()).max().unwrap_or(0)
        })
        .collect();
    for row in &clean_rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.width() + 2));
        }
        context.output.line(line.trim_end());
    }
}
