//! Owns stdout and stderr: data goes to the first, everything else to the second.
//!
//! Nothing else in this crate prints. A closed pipe is not an error: what is
//! written after it is dropped. Text from elsewhere passes [`clean`] first.

pub(crate) mod cell;
pub(crate) mod detail;
pub(crate) mod durations;
pub(crate) mod json;
pub(crate) mod lists;
mod pager;
mod prompt;
pub(crate) mod screen;
pub(crate) mod style;
pub(crate) mod table;

use std::io::{self, BufRead, Write};
use std::sync::Mutex;

use anstyle::{AnsiColor, Style};
pub(crate) use docks_proto::clean;
use docks_proto::client::Client;

use crate::failure::{Failure, Kind};

pub(crate) use pager::PagerChoice;
pub(crate) use style::{Look, Surroundings};

/// The only way to stdout and stderr.
#[derive(Debug)]
pub(crate) struct Output {
    look: Look,
    stdout: Mutex<Stdout>,
}

#[derive(Debug)]
struct Stdout {
    buffer: Vec<u8>,
    /// Takes what is written, instead of stdout itself.
    pager: Option<pager::Pager>,
    /// The first error; nothing is written after it.
    error: Option<io::Error>,
}

/// Bytes that are gathered before they are written, so that a list is a few writes.
const BUFFER_BYTES: usize = 64 * 1024;

impl Output {
    /// Takes how to print.
    pub(crate) fn new(look: Look) -> Self {
        Self {
            look,
            stdout: Mutex::new(Stdout {
                buffer: Vec::new(),
                pager: None,
                error: None,
            }),
        }
    }

    /// Returns how to print.
    pub(crate) fn look(&self) -> &Look {
        &self.look
    }

    /// Writes data to stdout as it is, without a line end.
    pub(crate) fn data(&self, text: impl AsRef<[u8]>) {
        let mut stdout = self.stdout.lock().expect("no printing panics");
        stdout.buffer.extend_from_slice(text.as_ref());
        if stdout.buffer.len() >= BUFFER_BYTES {
            stdout.write_out();
        }
    }

    /// Writes a line of data to stdout as it is.
    pub(crate) fn line(&self, text: impl AsRef<str>) {
        self.data(format!("{}\n", text.as_ref()));
    }

    /// Writes out what is gathered; a command that takes long calls it between its parts.
    ///
    /// # Errors
    ///
    /// When stdout cannot be written, for instance a full disk; a closed pipe is none.
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

    /// Sends what follows through the user's pager, if stdout is a terminal.
    pub(crate) fn page(&self, choice: &PagerChoice) {
        if self.look.width.is_some() {
            let mut stdout = self.stdout.lock().expect("no printing panics");
            stdout.write_out();
            stdout.pager = pager::Pager::start(choice);
        }
    }

    /// Ends paging: waits until the user has seen enough.
    pub(crate) fn end_paging(&self) {
        let pager = {
            let mut stdout = self.stdout.lock().expect("no printing panics");
            stdout.write_out();
            stdout.pager.take()
        };
        if let Some(pager) = pager {
            pager.end();
        }
    }

    /// Tells whether the reader of stdout has gone, so that following something can end.
    pub(crate) fn reader_is_gone(&self) -> bool {
        self.stdout
            .lock()
            .expect("no printing panics")
            .error
            .is_some()
    }

    /// Says something about the answer on stderr.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        self.labelled("note", Style::new().bold(), text.as_ref());
    }

    /// Says on stderr that something was coped with.
    pub(crate) fn warn(&self, text: impl AsRef<str>) {
        let style = Style::new().bold().fg_color(Some(AnsiColor::Yellow.into()));
        self.labelled("warning", style, text.as_ref());
    }

    /// Writes a line to stderr without a label, for footers and progress.
    pub(crate) fn remark(&self, text: impl AsRef<str>) {
        self.stderr(&format!("{}\n", clean::line(text.as_ref())));
    }

    /// Writes a line to stderr when `--verbose` or `--debug` asks for it.
    pub(crate) fn verbose(&self, text: impl AsRef<str>) {
        if self.look.verbose || self.look.debug {
            self.remark(text);
        }
    }

    /// Writes what a client asked of whom, and how long that took, when `--debug` asks for it.
    pub(crate) fn exchanges(&self, whom: &str, client: &Client) {
        if self.look.debug {
            for exchange in client.take_exchanges() {
                self.remark(format!("debug: {whom}: {exchange}"));
            }
        }
    }

    /// Prints why a command failed: message, candidates, hints.
    pub(crate) fn failure(&self, failure: &Failure) {
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

    /// Asks a yes-or-no question at the terminal; anything but yes is no.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`] when nobody can be asked, since input is no terminal.
    pub(crate) fn confirm(&self, question: &str) -> Result<bool, Failure> {
        self.must_be_able_to_ask()?;
        self.stderr(&format!("{} [y/N] ", clean::line(question)));
        let mut answer = String::new();
        io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|error| Failure::chain(Kind::Failed, "could not read the answer", &error))?;
        Ok(matches!(
            answer.trim().to_ascii_lowercase().as_str(),
            "y" | "yes"
        ))
    }

    /// Tells whether there is somebody to ask, before anything is looked up for the question.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`] when input is no terminal.
    pub(crate) fn must_be_able_to_ask(&self) -> Result<(), Failure> {
        if self.can_ask() {
            return Ok(());
        }
        Err(Failure::usage("nobody can be asked: this is no terminal")
            .hint("add --force to do it without being asked"))
    }

    fn labelled(&self, label: &str, style: Style, text: &str) {
        let text = clean::line(text);
        if self.look.stderr_colour {
            self.stderr(&format!("{style}{label}:{style:#} {text}\n"));
        } else {
            self.stderr(&format!("{label}: {text}\n"));
        }
    }

    /// Writes to stderr; when even that fails there is nobody left to tell.
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
