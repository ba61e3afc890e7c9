//! `docks runs result`: rewards, tests and errors of one trial.

mod print;
mod summary;

use std::io::Read;

use docks_artifacts::ArtifactType;
use serde_json::Value;

use crate::args::{Format, RunsResult};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::json;

use super::artifact_reader::ArtifactReader;
use super::line_reader::LineReader;
use summary::ResultSummary;

/// Largest result that is summarised, in bytes; `--format json` prints larger ones.
const MAX_BYTES: u64 = 64 << 20;

/// Shows the result of a trial.
///
/// # Errors
///
/// [`Kind::NotFound`] when the trial has none, and why the trial or its result cannot be read.
pub(super) async fn run(context: &Context, args: &RunsResult) -> Result<(), Failure> {
    let reader = ArtifactReader::new(context, &args.run_id, &args.trial_id)?;
    let trial = reader.trial().await?;
    let uris = trial.uris(ArtifactType::Result);
    let failed = |error| Failure::chain(Kind::Failed, "could not read the result", &error);
    // Some remotes store the result in the trial itself.
    let own = serde_json::from_str(trial.object.text()).unwrap_or(Value::Null);
    let own = summary::result_data(own);
    if uris.is_empty() && own.is_null() {
        return Err(trial.has_no(ArtifactType::Result));
    }
    reader.page();
    let output = &context.output;
    match context.global.format {
        Format::Json | Format::Jsonl => {
            if uris.is_empty() {
                output.line(own.to_string());
            }
            for uri in &uris {
                let mut lines = LineReader::new(reader.open(uri).await?, 0).map_err(failed)?;
                let mut piece = Vec::new();
                while lines.next(&mut piece).map_err(failed)? && !output.stdout_is_closed() {
                    output.data(&piece);
                    if lines.at_line_start() {
                        output.data("\n");
                    }
                }
                if !lines.at_line_start() {
                    output.data("\n");
                }
            }
        }
        Format::Table | Format::Tsv => {
            let mut summary = ResultSummary::default();
            summary.read(&own);
            for uri in &uris {
                let mut text = Vec::new();
                let file = reader.open(uri).await?;
                file.take(MAX_BYTES)
                    .read_to_end(&mut text)
                    .map_err(failed)?;
                match serde_json::from_slice(&text) {
                    Ok(value) => summary.read(&value),
                    Err(_) => summary.read_text(&String::from_utf8_lossy(&text)),
                }
            }
            output.data(summary.render(output.style().colour));
            if summary.is_empty() {
                output.line(json::indent(&own.to_string()));
            }
        }
    }
    output.flush()
}
