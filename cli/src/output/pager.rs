//! The pager of the user, at a terminal.

use std::io::{self, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use docks_proto::secret::SECRET_VARIABLES;

/// What the environment says about paging.
#[derive(Debug, Clone, Default)]
pub(crate) struct PagerSettings {
    /// `PAGER`; an empty value and `cat` mean that no pager is used.
    pub(crate) pager: Option<String>,
    /// Whether `LESS` is set, so that the user configures `less`.
    pub(crate) less: bool,
}

/// Pager if the environment names none.
const DEFAULT: &str = "less";

/// A running pager.
#[derive(Debug)]
pub(super) struct Pager {
    child: Child,
    /// Closed at the end, so that the pager sees the end of its input.
    input: Option<ChildStdin>,
}

impl Pager {
    /// Starts the pager; `None` if none is wanted or it cannot be started.
    pub(super) fn start(settings: &PagerSettings) -> Option<Self> {
        let line = settings.pager.as_deref().unwrap_or(DEFAULT);
        let mut words = line.split_whitespace();
        let program = words.next().filter(|program| *program != "cat")?;
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::piped());
        // It needs no token, and can start any other program.
        for secret in SECRET_VARIABLES {
            command.env_remove(secret);
        }
        if !settings.less {
            // Quit if the text fits on one screen, show colours, leave the text on the screen.
            command.env("LESS", "FRX");
        }
        let mut child = command.spawn().ok()?;
        let input = child.stdin.take();
        Some(Self { child, input })
    }

    /// Writes bytes to the pager.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.input {
            Some(input) => input.write_all(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Waits until the user quits the pager.
    pub(super) fn wait(mut self) {
        drop(self.input.take());
        self.child.wait().ok();
    }
}
