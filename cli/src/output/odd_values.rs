//! Says with `--verbose` which values are not what they should be, and where they are.

use docks_proto::repair::odd_values;

use super::Output;

/// Lines that a command writes about odd values; more would hide the rest of stderr.
const MAX_LINES: usize = 10;

/// The odd values of one answer.
#[derive(Debug)]
pub(crate) struct OddValueReport<'a> {
    output: &'a Output,
    lines_left: usize,
}

impl<'a> OddValueReport<'a> {
    /// Starts a report, which writes nothing without `--verbose`.
    pub(crate) fn new(output: &'a Output) -> Self {
        let lines_left = match output.is_verbose() {
            true => MAX_LINES,
            false => 0,
        };
        Self { output, lines_left }
    }

    /// Returns whether anything more would be written.
    pub(crate) fn is_wanted(&self) -> bool {
        self.lines_left > 0
    }

    /// Names the odd values of a JSON text, which belongs to `owner`.
    pub(crate) fn add(&mut self, owner: &str, text: &str) {
        if !self.is_wanted() {
            return;
        }
        for odd in odd_values(text, self.lines_left) {
            let (path, what) = (odd.path, odd.what);
            self.output.verbose(format!("{owner}: {path} {what}"));
            self.lines_left -= 1;
        }
        if self.lines_left == 0 {
            self.output.verbose("there may be more odd values");
        }
    }
}
