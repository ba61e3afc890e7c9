//! `docks runs diff`: what the agent changed.

use docks_artifacts::ArtifactType;

use crate::args::{Format, RunsDiff};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::cell::TextStyle;
use crate::output::clean;

use super::artifact_reader::ArtifactReader;
use super::line_reader::LineReader;

/// Shows the diff of a trial, with colour if it is enabled.
///
/// # Errors
///
/// [`Kind::NotFound`] when the trial has none, and why the trial or its diff cannot be read.
pub(super) async fn run(context: &Context, args: &RunsDiff) -> Result<(), Failure> {
    if context.global.format != Format::Table {
        return Err(Failure::usage("a diff is always text").hint("omit --format"));
    }
    let reader = ArtifactReader::new(context, &args.run_id, &args.trial_id)?;
    let trial = reader.trial().await?;
    let uris = trial.uris(ArtifactType::Diff);
    if uris.is_empty() {
        return Err(trial.has_no(ArtifactType::Diff));
    }
    reader.page();
    let output = &context.output;
    let failed = |error| Failure::chain(Kind::Failed, "could not read the diff", &error);
    for uri in uris {
        let file = reader.open(&uri).await?;
        let mut lines = LineReader::new(file, 0).map_err(failed)?;
        let mut piece = Vec::new();
        let mut at_line_start = true;
        let mut style = None;
        while lines.next(&mut piece).map_err(failed)? {
            if at_line_start {
                style = line_style(&piece);
            }
            let text = clean::text_with_tabs(&piece);
            match style.filter(|_| output.style().colour) {
                Some(style) => {
                    let style = style.style();
                    output.data(format!("{style}{text}{style:#}"));
                }
                None => output.data(text),
            }
            at_line_start = lines.at_line_start();
            if at_line_start {
                output.data("\n");
            }
            if output.stdout_is_closed() {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }
    output.flush()
}

fn line_style(line: &[u8]) -> Option<TextStyle> {
    let heads: [&[u8]; 8] = [
        b"diff ",
        b"index ",
        b"--- ",
        b"+++ ",
        b"new file",
        b"deleted file",
        b"rename ",
        b"similarity ",
    ];
    if heads.iter().any(|head| line.starts_with(head)) {
        return Some(TextStyle::Bold);
    }
    match line.first() {
        Some(b'+') => Some(TextStyle::Green),
        Some(b'-') => Some(TextStyle::Red),
        Some(b'@') => Some(TextStyle::Cyan),
        _ => None,
    }
}
