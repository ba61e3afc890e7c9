//! The moving line on stderr that says what a command waits for.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Frame interval.
const TICK: Duration = Duration::from_millis(120);

/// A moving line with a text, cleared when it is dropped. Only for a terminal.
#[derive(Debug)]
pub(crate) struct Spinner(ProgressBar);

impl Spinner {
    /// Shows a line with `text`, which may be empty.
    pub(crate) fn show(text: String) -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.set_message(text);
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// Replaces the text.
    pub(crate) fn set_text(&self, text: String) {
        self.0.set_message(text);
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
