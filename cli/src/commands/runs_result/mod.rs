//! `docks runs result`: rewards, tests and errors of one trial.

#[cfg(test)]
mod fuzz;
mod print;
mod summary;

use std::io::Read;

use docks_artifacts::ArtifactType;
use docks_proto::repair::{self, NOT_NUMBERS};
use serde_json::Value;

use crate::args::{Format, RunsResult};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::OddValueReport;
use crate::output::json;

use super::artifact_reader::ArtifactReader;
use super::repairing_reader::print_file;
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
    let own = summary::result_data(repair::read(trial.object.text()));
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
                print_file(output, reader.open(uri).await?, true).map_err(failed)?;
            }
        }
        Format::Table | Format::Tsv | Format::Markdown | Format::Csv | Format::Latex => {
            let mut summary = ResultSummary::default();
            let mut odd_values = OddValueReport::new(output);
            summary.read(&own);
            for uri in &uris {
                let mut text = Vec::new();
                let file = reader.open(uri).await?;
                file.take(MAX_BYTES)
                    .read_to_end(&mut text)
                    .map_err(failed)?;
                let text = String::from_utf8_lossy(&text);
                match parse(&text) {
                    Some(value) => {
                        summary.read(&value);
                        odd_values.add("the result", &repair::repaired(&text));
                    }
                    None => summary.read_text(&text),
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

/// Parses a result; a lone `NaN` is a reward as text, like other files that are not JSON.
fn parse(text: &str) -> Option<Value> {
    let is_text = NOT_NUMBERS.contains(&text.trim());
    (!is_text).then(|| repair::parse(text))?
}
