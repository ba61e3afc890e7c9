//! `docks runs logs`: shows or follows the logs of one trial.

mod follow;

use std::fs::File;

use docks_artifacts::ArtifactType;
use docks_artifacts::sanitise::source_name;

use crate::args::{Format, RunsLogs};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::grep::Grep;
use crate::output::clean;

use super::artifact_reader::{ArtifactReader, lfs_pointer};
use super::line_reader::{self, LineReader};
use super::recording;
use follow::{Followed, REQUEST_INTERVAL};

/// Bytes of a log after which other work, such as Ctrl-C, gets a chance.
const YIELD_EVERY_BYTES: u64 = 1 << 20;

/// Shows the logs of a trial.
///
/// # Errors
///
/// [`Kind::NotFound`] when the trial has none, and why the trial or its logs cannot be read.
pub(super) async fn run(context: &Context, args: &RunsLogs) -> Result<(), Failure> {
    if context.global.format != Format::Table {
        return Err(Failure::usage("logs are always text").hint("omit --format"));
    }
    let reader = ArtifactReader::new(context, &args.run_id, &args.trial_id)?;
    let mut trial = reader.trial().await?;
    if args.follow {
        while trial.active() && trial.logs().is_empty() {
            tokio::time::sleep(REQUEST_INTERVAL).await;
            trial = reader.trial_again().await?;
        }
    }
    let named = trial.logs();
    if named.is_empty() {
        return Err(trial.has_no(ArtifactType::Logs));
    }
    if !args.follow {
        reader.page();
    }
    let mut printer = Printer {
        context,
        grep: args.grep.as_ref(),
        several: named.len() > 1,
        shown: None,
    };
    let grows = args.follow && trial.active();
    let mut logs = Vec::new();
    let (all, mut pointers) = (named.len(), 0);
    for (path, uri) in named {
        if recording::is_recording(&uri) {
            let name = source_name(&uri);
            let hint = recording::how_to_play(&uri, &args.run_id, Some(&args.trial_id));
            context.output.message(format!("{name}: {hint}"));
            continue;
        }
        let mut file = reader.open_any(&uri).await?;
        if let Some(failure) = lfs_pointer(&mut file, &uri) {
            pointers += 1;
            if pointers == all {
                return Err(failure);
            }
            context.output.message(failure.message);
            continue;
        }
        let again = file.try_clone().map_err(unreadable)?;
        let at_bytes = printer.print_start(&uri, file, args.tail, grows).await?;
        if context.output.stdout_is_closed() {
            return Ok(());
        }
        if args.follow {
            logs.push(Followed::after(&reader, path, uri, again, at_bytes)?);
        }
    }
    if args.follow {
        follow::follow(&reader, &mut printer, logs, trial).await?;
    }
    Ok(())
}

struct Printer<'a> {
    context: &'a Context,
    grep: Option<&'a Grep>,
    /// Whether lines need the name of their log.
    several: bool,
    /// The log whose name was printed last.
    shown: Option<String>,
}

impl Printer<'_> {
    /// Prints a log from its start, or its last lines; returns where it ends now.
    async fn print_start(
        &mut self,
        uri: &str,
        mut file: File,
        tail: Option<u64>,
        grows: bool,
    ) -> Result<u64, Failure> {
        let Some(count) = tail else {
            return self.print_from(uri, file, 0, grows).await;
        };
        let Some(grep) = self.grep else {
            let start = line_reader::start_of_last(&mut file, count).map_err(unreadable)?;
            return self.print_from(uri, file, start, grows).await;
        };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let again = file.try_clone().map_err(unreadable)?;
        let found = line_reader::last_matching(file, count, grep, grows);
        let (found, end_bytes) = found.map_err(unreadable)?;
        let mut piece = Vec::new();
        for at_bytes in found {
            let file = again.try_clone().map_err(unreadable)?;
            let mut line = LineReader::new(file, at_bytes).map_err(unreadable)?;
            if line.next(&mut piece).map_err(unreadable)? {
                self.print(uri, &piece, true);
            }
        }
        self.context.output.flush()?;
        Ok(end_bytes)
    }

    /// Prints a log from a place; returns where it ends now.
    ///
    /// While a log grows, a line is searched once it is complete.
    async fn print_from(
        &mut self,
        uri: &str,
        file: File,
        from_bytes: u64,
        grows: bool,
    ) -> Result<u64, Failure> {
        let size_bytes = file.metadata().map_err(unreadable)?.len();
        // A log that became shorter was started again.
        let from_bytes = if size_bytes < from_bytes {
            0
        } else {
            from_bytes
        };
        let mut lines = LineReader::new(file, from_bytes).map_err(unreadable)?;
        let mut scan = self.grep.map(Grep::scan);
        let (mut piece, mut yielded_at) = (Vec::new(), from_bytes);
        loop {
            if let Some(scan) = &mut scan {
                lines.skip_non_matching(scan).map_err(unreadable)?;
            }
            let at_bytes = lines.at_bytes();
            if !lines.next(&mut piece).map_err(unreadable)? {
                break;
            }
            if grows && scan.is_some() && lines.may_grow(&piece) {
                self.context.output.flush()?;
                return Ok(at_bytes);
            }
            if self.grep.is_none_or(|grep| grep.matches(&piece)) {
                self.print(uri, &piece, lines.at_line_start());
            }
            if lines.at_bytes() - yielded_at > YIELD_EVERY_BYTES {
                yielded_at = lines.at_bytes();
                tokio::task::yield_now().await;
                if self.context.output.stdout_is_closed() {
                    break;
                }
            }
        }
        self.context.output.flush()?;
        Ok(lines.at_bytes())
    }

    fn print(&mut self, uri: &str, piece: &[u8], whole: bool) {
        let output = &self.context.output;
        if self.several && self.shown.as_deref() != Some(uri) {
            let blank = if self.shown.is_some() { "\n" } else { "" };
            let name = clean::line(&source_name(uri)).into_owned();
            output.line(format!("{blank}==> {name} <=="));
            self.shown = Some(uri.to_owned());
        }
        output.data(clean::text_with_tabs(piece));
        if whole || self.grep.is_some() {
            output.data("\n");
        }
    }
}

fn unreadable(error: std::io::Error) -> Failure {
    Failure::chain(Kind::Failed, "could not read the log", &error)
}
