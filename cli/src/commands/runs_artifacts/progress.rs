//! Reports downloads: progress bars at a terminal, lines in a pipe, paths on stdout.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::args::Format;
use crate::ask::Response;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::clean;
use crate::output::figures::count;
use docks_artifacts::download::ArtifactError;
use docks_artifacts::layout::RUN_FILES_DIRECTORY;
use docks_artifacts::source::display_uri;
use docks_artifacts::{ArtifactRequest, FileOrigin, FinishedFile, Observer};

use crate::commands::artifact_reader::lfs_pointer;
use crate::commands::print_object;

/// A pointer of Git LFS has three short lines.
const LARGEST_LFS_POINTER_BYTES: u64 = 1_024;

/// Observes the downloads and reports them.
pub(in crate::commands) struct Progress<'a> {
    context: &'a Context,
    requests: usize,
    answered: Response,
    bars: MultiProgress,
    overall: ProgressBar,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    files: HashMap<usize, ProgressBar>,
    bytes: u64,
    /// JSON rows, which are printed at the end.
    rows: Vec<(usize, String)>,
    /// Whether the header of the tab-separated rows has been printed.
    header: bool,
    /// Number of the first of the current requests among all.
    first: usize,
}

/// A downloaded file in JSON.
#[derive(Serialize)]
struct Row<'a> {
    path: String,
    size_bytes: u64,
    sha256: &'a str,
    r#type: &'a str,
    trial: &'a str,
    task: &'a str,
    /// Its URI, without signatures.
    source: String,
    /// Whether it did not have to be downloaded.
    cached: bool,
}

impl<'a> Progress<'a> {
    /// Prepares progress bars if stderr is a terminal.
    pub(in crate::commands) fn new(
        context: &'a Context,
        requests: &[ArtifactRequest],
        answered: &Response,
    ) -> Self {
        let terminal = context.output.style().stderr_terminal;
        let bars = MultiProgress::with_draw_target(if terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        });
        let overall = bars.add(ProgressBar::new(requests.len() as u64));
        overall.set_style(style("[{bar:24}] {pos}/{len} files  {msg}"));
        Self {
            context,
            requests: requests.len(),
            // The total counts trials, not files.
            answered: Response {
                total: None,
                ..answered.clone()
            },
            bars,
            overall,
            state: Mutex::default(),
        }
    }

    /// Reports that the downloads begin.
    pub(in crate::commands) fn begin(&self) {
        if self.context.output.style().stderr_terminal {
            self.overall.tick();
        } else {
            let files = count(self.requests as u64, "file");
            self.context.output.message(format!("downloading {files}"));
        }
    }

    /// Reports that further downloads begin, which are numbered from 0 again.
    pub(in crate::commands) fn begin_more(&self, count: usize) {
        let before = self.overall.length().unwrap_or(0);
        self.overall.set_length(before + count as u64);
        self.state().first = usize::try_from(before).unwrap_or(usize::MAX);
    }

    /// Removes the bars and prints what is printed at the end.
    pub(in crate::commands) fn finish(&self) -> Result<(), Failure> {
        self.overall.finish_and_clear();
        let output = &self.context.output;
        if self.context.global.format == Format::Json {
            let mut state = self.state();
            state.rows.sort_by_key(|(index, _)| *index);
            let rows: Vec<&str> = state.rows.iter().map(|(_, row)| row.as_str()).collect();
            let list = format!("[{}]", rows.join(","));
            print_object::print_json(self.context, &list, &self.answered);
        }
        output.flush()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remove_bar(&self, index: usize) {
        if let Some(bar) = self.state().files.remove(&index) {
            bar.finish_and_clear();
        }
    }

    /// Says so if a downloaded file is only a pointer of Git LFS. The bars are suspended.
    fn warn_of_pointer(&self, finished: &FinishedFile) {
        if finished.size_bytes > LARGEST_LFS_POINTER_BYTES {
            return;
        }
        let name = finished.path.to_string_lossy();
        let opened = File::open(&finished.path).ok();
        let failure = opened.and_then(|mut file| lfs_pointer(&mut file, &name));
        if let Some(failure) = failure {
            self.context.output.warn(failure.message);
        }
    }

    fn print(&self, index: usize, request: &ArtifactRequest, finished: &FinishedFile) {
        let output = &self.context.output;
        self.warn_of_pointer(finished);
        let path = finished.path.as_os_str();
        match self.context.global.format {
            // What was there already says nothing to people; the summary counts it.
            Format::Table if finished.origin == FileOrigin::Unchanged => return,
            Format::Table | Format::Markdown | Format::Csv | Format::Latex => {
                output.data(path.as_bytes());
                output.data("\n");
            }
            Format::Tsv => {
                if !std::mem::replace(&mut self.state().header, true) {
                    output.line("path\tsize_bytes\ttype\ttrial\tsha256\tcached");
                }
                output.line(format!(
                    "{}\t{}\t{}\t{}\t{}\t{}",
                    clean::line(&path.to_string_lossy()),
                    finished.size_bytes,
                    request.kind.name(),
                    clean::line(&request.trial_id),
                    finished.sha256,
                    finished.origin != FileOrigin::Fetched
                ));
            }
            Format::Json => {
                let row = row(request, finished);
                let mut state = self.state();
                let at = state.first + index;
                state.rows.push((at, row));
                return;
            }
            Format::Jsonl => output.line(row(request, finished)),
        }
        // A closed stdout is reported at the end; the downloads continue.
        output.flush().ok();
    }
}

impl Observer for Progress<'_> {
    fn began(&self, index: usize, request: &ArtifactRequest, size_bytes: Option<u64>, there: u64) {
        self.remove_bar(index);
        let bar = self.bars.insert_before(
            &self.overall,
            size_bytes.map_or_else(ProgressBar::no_length, ProgressBar::new),
        );
        bar.set_style(style(match size_bytes {
            Some(_) => "{bar:24} {bytes}/{total_bytes}  {msg}",
            None => "{bytes}  {msg}",
        }));
        bar.set_message(request.path_in_run());
        bar.set_position(there);
        self.state().files.insert(index, bar);
    }

    fn advanced(&self, index: usize, bytes: u64) {
        let mut state = self.state();
        state.bytes += bytes;
        self.overall
            .set_message(HumanBytes(state.bytes).to_string());
        if let Some(bar) = state.files.get(&index) {
            bar.inc(bytes);
        }
    }

    fn finished(&self, index: usize, request: &ArtifactRequest, finished: &FinishedFile) {
        self.remove_bar(index);
        self.overall.inc(1);
        self.bars.suspend(|| self.print(index, request, finished));
    }

    fn failed(&self, index: usize, request: &ArtifactRequest, why: &ArtifactError) {
        self.remove_bar(index);
        self.overall.inc(1);
        let directory = request.directories.get(1).map_or("", String::as_str);
        let owner = match (request.trial_id.as_str(), request.task.as_str()) {
            ("", "") if directory == RUN_FILES_DIRECTORY => "the run".to_owned(),
            ("", _) => format!("trial `{directory}`"),
            (id, _) => format!("trial `{id}`"),
        };
        self.bars.suspend(|| {
            self.context.output.warn(format!(
                "could not download {} of {owner}: {}",
                match request.kind.is_main() {
                    true => request.kind.name().to_owned(),
                    false => format!("`{}`", request.path_in_trial()),
                },
                why.chain()
            ));
        });
    }
}

fn row(request: &ArtifactRequest, finished: &FinishedFile) -> String {
    let row = Row {
        path: finished.path.to_string_lossy().into_owned(),
        size_bytes: finished.size_bytes,
        r#type: request.kind.name(),
        trial: &request.trial_id,
        sha256: finished.sha256.hex(),
        task: &request.task,
        source: display_uri(&request.uri),
        cached: finished.origin != FileOrigin::Fetched,
    };
    serde_json::to_string(&row).expect("strings and numbers can be serialised as JSON")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("templates are valid constants")
        .progress_chars("=> ")
}
