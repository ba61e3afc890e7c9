//! The user's own pager, at a terminal.

use std::io::{self, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

/// What the environment says about paging; read by `main`.
#[derive(Debug, Clone, Default)]
pub(crate) struct PagerChoice {
    /// `PAGER`, empty when it is set to nothing, which means none, as `cat` does.
    pub(crate) pager: Option<String>,
    /// Whether `LESS` is set, so that its owner has decided how it behaves.
    pub(crate) less: bool,
}

/// Pager where the environment names none.
const USUAL: &str = "less";

/// A pager that runs.
#[derive(Debug)]
pub(super) struct Pager {
    child: Child,
    /// Taken away at the end, which tells the pager that there is no more.
    input: Option<ChildStdin>,
}

impl Pager {
    /// Starts it; `None` when none is wanted or none can be had.
    pub(super) fn start(choice: &PagerChoice) -> Option<Self> {
        let line = choice.pager.as_deref().unwrap_or(USUAL);
        let mut words = line.split_whitespace();
        let program = words.next().filter(|program| *program != "cat")?;
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::piped());
        // It needs no token, and can start whatever its user tells it to.
        command.env_remove("DOCKS_TOKEN");
        if !choice.less {
            // Short texts stay on the screen, colours show, nothing is cleared at the end.
            command.env("LESS", "FRX");
        }
        let mut child = command.spawn().ok()?;
        let input = child.stdin.take();
        Some(Self { child, input })
    }

    /// Hands bytes to it.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.input {
            Some(input) => input.write_all(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Waits until its user has seen enough.
    pub(super) fn end(mut self) {
        drop(self.input.take());
        self.child.wait().ok();
    }
}
