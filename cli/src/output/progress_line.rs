//! One line about work that takes long: it moves at a terminal, and is written now and then in a pipe.

use std::time::{Duration, Instant};

use super::Output;
use super::spinner::Spinner;

/// How often progress is written in a pipe.
const LINE_INTERVAL: Duration = Duration::from_secs(2);

/// Progress on stderr. Dropping it removes the moving line.
pub(crate) struct ProgressLine<'a> {
    output: &'a Output,
    spinner: Option<Spinner>,
    last_line: Instant,
}

impl<'a> ProgressLine<'a> {
    /// Begins without a text.
    pub(crate) fn new(output: &'a Output) -> Self {
        let at_terminal = output.style().stderr_terminal;
        Self {
            output,
            spinner: at_terminal.then(|| Spinner::show(String::new())),
            last_line: Instant::now(),
        }
    }

    /// Shows a text; in a pipe only if the last one is some time ago.
    pub(crate) fn show(&mut self, text: String) {
        if let Some(spinner) = &self.spinner {
            spinner.set_text(text);
        } else if self.last_line.elapsed() >= LINE_INTERVAL {
            self.output.message(text);
            self.last_line = Instant::now();
        }
    }

    /// Shows a text at a terminal only.
    pub(crate) fn show_at_terminal(&self, text: String) {
        if let Some(spinner) = &self.spinner {
            spinner.set_text(text);
        }
    }
}
