//! `--dry-run`: what would be downloaded, and its size.

use docks_artifacts::layout::Plan;
use docks_artifacts::source::{Sources, display_uri};
use futures_util::{StreamExt, stream};
use indicatif::HumanBytes;
use serde::Serialize;

use crate::args::{Format, RunsArtifacts};
use crate::ask::Response;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::clean;
use crate::output::figures::count;

use super::super::print_object;

#[derive(Serialize)]
struct Row<'a> {
    path: String,
    /// `null` if the source does not report it.
    size_bytes: Option<u64>,
    r#type: &'a str,
    trial: &'a str,
    source: String,
}

/// Requests the size of each artifact and prints what would be written.
pub(super) async fn run(
    context: &Context,
    args: &RunsArtifacts,
    plan: &Plan,
    sources: &Sources,
    answered: &Response,
) -> Result<(), Failure> {
    let mut sizes: Vec<_> = stream::iter(plan.requests.iter().enumerate())
        .map(|(index, request)| async move { (index, sources.size(&request.uri).await) })
        .buffer_unordered(args.jobs.into())
        .collect()
        .await;
    sizes.sort_by_key(|(index, _)| *index);
    let (mut total_bytes, mut unknown) = (0, 0);
    let mut rows = Vec::new();
    for (request, (_, size)) in plan.requests.iter().zip(sizes) {
        let size_bytes = match size {
            Ok(size_bytes) => size_bytes,
            Err(error) => {
                context.output.warn(format!(
                    "{} of trial `{}`: {error}",
                    request.kind.name(),
                    request.trial_id
                ));
                None
            }
        };
        match size_bytes {
            Some(size_bytes) => total_bytes += size_bytes,
            None => unknown += 1,
        }
        let mut path = args.output.clone();
        path.extend(&request.directories);
        path.push(&request.file_name);
        rows.push(Row {
            path: path.to_string_lossy().into_owned(),
            size_bytes,
            r#type: request.kind.name(),
            trial: &request.trial_id,
            source: display_uri(&request.uri),
        });
    }
    print(context, &rows, answered);
    context.output.flush()?;
    let mut line = format!(
        "would download {} ({})",
        count(rows.len() as u64, "file"),
        HumanBytes(total_bytes)
    );
    if unknown > 0 {
        line.push_str(&format!(", and {unknown} of unknown size"));
    }
    context.output.message(line);
    Ok(())
}

fn print(context: &Context, rows: &[Row<'_>], answered: &Response) {
    let output = &context.output;
    let json = |row: &Row<'_>| {
        serde_json::to_string(row).expect("strings and numbers can be serialised as JSON")
    };
    match context.global.format {
        Format::Table | Format::Markdown | Format::Csv | Format::Latex => {
            for row in rows {
                output.line(clean::line(&row.path));
            }
        }
        Format::Tsv => {
            output.line("path\tsize_bytes\ttype\ttrial");
            for row in rows {
                let size = row.size_bytes.map_or_else(String::new, |s| s.to_string());
                let (path, trial) = (clean::line(&row.path), clean::line(row.trial));
                output.line(format!("{path}\t{size}\t{}\t{trial}", row.r#type));
            }
        }
        Format::Json => {
            let rows: Vec<String> = rows.iter().map(json).collect();
            let list = format!("[{}]", rows.join(","));
            let answered = Response {
                total: None,
                ..answered.clone()
            };
            print_object::print_json(context, &list, &answered);
        }
        Format::Jsonl => rows.iter().for_each(|row| output.line(json(row))),
    }
}
