//! Owns stdout and stderr: data goes to stdout, everything else to stderr.
//!
//! Nothing else in this crate prints. A closed pipe is not an error: later output is dropped.
//! Text from remotes and files passes through [`clean`] first.

pub(crate) mod cell;
pub(crate) mod detail;
pub(crate) mod durations;
pub(crate) mod figures;
#[cfg(test)]
pub(crate) mod fuzz;
pub(crate) mod json;
pub(crate) mod known;
pub(crate) mod lists;
pub(crate) mod markup;
mod odd_values;
mod pager;
pub(crate) mod progress_line;
mod prompt;
mod records;
pub(crate) mod screen;
pub(crate) mod spinner;
pub(crate) mod style;
pub(crate) mod table;

use std::io::{self, Write};
use std::sync::Mutex;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
pub(crate) use docks_proto::clean;
use docks_proto::client::Client;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::failure::{Failure, Kind};

pub(crate) use odd_values::OddValueReport;
pub(crate) use pager::PagerSettings;
pub(crate) use style::{OutputStyle, TerminalEnvironment};

/// The only way to stdout and stderr.
#[derive(Debug)]
pub(crate) struct Output {
    style: OutputStyle,
    stdout: Mutex<Stdout>,
}

#[derive(Debug)]
struct Stdout {
    buffer: Vec<u8>,
    /// Receives the data instead of stdout.
    pager: Option<pager::Pager>,
    /// The first error; nothing is written after one.
    error: Option<io::Error>,
}

/// Bytes that are buffered before they are written, so that a list takes few writes.
const BUFFER_BYTES: usize = 64 * 1024;
/// How often a command that waits looks whether its output is still read.
const READER_CHECK: Duration = Duration::from_millis(200);

impl Output {
    /// Takes how to print.
    pub(crate) fn new(style: OutputStyle) -> Self {
        Self {
            style,
            stdout: Mutex::new(Stdout {
                buffer: Vec::new(),
                pager: None,
                error: None,
            }),
        }
    }

    /// Returns the style.
    pub(crate) fn style(&self) -> &OutputStyle {
        &self.style
    }

    /// Writes data to stdout unchanged, without a line end.
    pub(crate) fn data(&self, text: impl AsRef<[u8]>) {
        let mut stdout = self.stdout.lock().expect("no printing panics");
        stdout.buffer.extend_from_slice(text.as_ref());
        if stdout.buffer.len() >= BUFFER_BYTES {
            stdout.write_out();
        }
    }

    /// Writes a line of data to stdout unchanged.
    pub(crate) fn line(&self, text: impl AsRef<str>) {
        self.data(format!("{}\n", text.as_ref()));
    }

    /// Writes the buffered data; long-running commands call it between their parts.
    ///
    /// # Errors
    ///
    /// When stdout cannot be written, for instance on a full disk. A closed pipe is not an error.
    pub(crate) fn flush(&self) -> Result<(), Failure> {
        let mut stdout = self.stdout.lock().expect("no printing panics");
        stdout.write_out();
        match &stdout.error {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::chain(
                Kind::Failed,
                "could not write the answer",
                error,
            )),
            _ => Ok(()),
        }
    }

    /// Sends the following data through the user's pager, if stdout is a terminal.
    pub(crate) fn start_pager(&self, settings: &PagerSettings) {
        if self.style.width.is_some() {
            let mut stdout = self.stdout.lock().expect("no printing panics");
            stdout.write_out();
            stdout.pager = pager::Pager::start(settings);
        }
    }

    /// Stops paging: waits until the user quits the pager.
    pub(crate) fn stop_pager(&self) {
        let pager = {
            let mut stdout = self.stdout.lock().expect("no printing panics");
            stdout.write_out();
            stdout.pager.take()
        };
        if let Some(pager) = pager {
            pager.wait();
        }
    }

    /// Whether stdout can no longer be written, for instance because its reader has quit.
    pub(crate) fn stdout_is_closed(&self) -> bool {
        self.stdout
            .lock()
            .expect("no printing panics")
            .error
            .is_some()
    }

    /// Whether nobody reads stdout any more, which a write would tell only when there is something to
    /// write. One system call.
    pub(crate) fn has_lost_reader(&self) -> bool {
        let stdout = io::stdout();
        let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
        let gone = PollFlags::ERR | PollFlags::HUP;
        self.stdout_is_closed()
            || (poll(&mut watched, Some(&Timespec::default())).is_ok()
                && watched
                    .iter()
                    .any(|stdout| stdout.revents().intersects(gone)))
    }

    /// Waits until nobody reads stdout any more.
    pub(crate) async fn reader_lost(&self) {
        while !self.has_lost_reader() {
            tokio::time::sleep(READER_CHECK).await;
        }
    }

    /// Writes a note about the answer to stderr.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        self.labelled("note", Style::new().bold(), text.as_ref());
    }

    /// Writes a warning to stderr.
    pub(crate) fn warn(&self, text: impl AsRef<str>) {
        let style = Style::new().bold().fg_color(Some(AnsiColor::Yellow.into()));
        self.labelled("warning", style, text.as_ref());
    }

    /// Writes a line to stderr without a label, for footers and progress.
    pub(crate) fn message(&self, text: impl AsRef<str>) {
        self.stderr(&format!("{}\n", clean::line(text.as_ref())));
    }

    /// Writes a line to stderr with `--verbose` or `--debug`.
    pub(crate) fn verbose(&self, text: impl AsRef<str>) {
        if self.is_verbose() {
            self.message(text);
        }
    }

    /// Whether `--verbose` or `--debug` was given.
    pub(crate) fn is_verbose(&self) -> bool {
        self.style.verbose || self.style.debug
    }

    /// With `--debug`, writes the requests of a client, who was asked, and how long each took.
    pub(crate) fn debug_exchanges(&self, peer: &str, client: &Client) {
        if self.style.debug {
            for exchange in client.take_exchanges() {
                self.message(format!("debug: {peer}: {exchange}"));
            }
        }
    }

    /// Prints why a command failed: message, candidates, hints.
    pub(crate) fn print_failure(&self, failure: &Failure) {
        let style = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        self.labelled("error", style, &failure.message);
        for candidate in &failure.candidates {
            let id = clean::line(&candidate.id);
            let rest: Vec<_> = [&candidate.name, &candidate.status, &candidate.location]
                .into_iter()
                .flatten()
                .map(|text| clean::line(text).into_owned())
                .collect();
            self.stderr(format!("  {id}  {}", rest.join("  ")).trim_end());
            self.stderr("\n");
        }
        for hint in &failure.hints {
            self.labelled("hint", Style::new().bold(), hint);
        }
    }

    fn labelled(&self, label: &str, style: Style, text: &str) {
        let text = clean::line(text);
        if self.style.stderr_colour {
            self.stderr(&format!("{style}{label}:{style:#} {text}\n"));
        } else {
            self.stderr(&format!("{label}: {text}\n"));
        }
    }

    /// Writes to stderr; a failure cannot be reported anywhere.
    fn stderr(&self, text: &str) {
        drop(io::stderr().lock().write_all(text.as_bytes()));
    }
}

impl Stdout {
    fn write_out(&mut self) {
        if self.error.is_none() && !self.buffer.is_empty() {
            self.error = match &mut self.pager {
                Some(pager) => pager.write(&self.buffer).err(),
                None => {
                    let mut stdout = io::stdout().lock();
                    let written = stdout.write_all(&self.buffer);
                    written.and_then(|()| stdout.flush()).err()
                }
            };
        }
        self.buffer.clear();
    }
}
