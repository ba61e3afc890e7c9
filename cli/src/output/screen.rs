//! The terminal as a screen of our own: drawn in place, and left as it was found.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};

use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::SignalKind;
use tokio::sync::mpsc;

/// Another screen, without a cursor, lines cut at the edge instead of broken.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// A terminal that knows these shows all that lies between at once; others ignore them.
const BEGIN: &str = "\x1b[?2026h";
const END: &str = "\x1b[?2026l";

/// The screen; what was there before is back when this is dropped.
#[derive(Debug)]
pub(crate) struct Screen {
    terminal: File,
    keys: mpsc::Receiver<u8>,
    before: Termios,
    shown: Vec<String>,
    entered: bool,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub(crate) fn open() -> io::Result<Self> {
        let terminal = OpenOptions::new().read(true).open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        let mut screen = Self {
            keys: keys(terminal.try_clone()?)?,
            terminal,
            before,
            shown: Vec::new(),
            entered: false,
        };
        screen.enter()?;
        Ok(screen)
    }

    /// Takes the terminal over, again after [`Screen::leave`].
    ///
    /// # Errors
    ///
    /// When the terminal has gone.
    pub(crate) fn enter(&mut self) -> io::Result<()> {
        let mut modes = self.before.clone();
        // Keys come as they are typed and are not shown; Ctrl-C stays a signal.
        modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        tcsetattr(&self.terminal, OptionalActions::Now, &modes)?;
        self.entered = true;
        self.shown.clear();
        write(ENTER)
    }

    /// Gives the terminal back as it was.
    pub(crate) fn leave(&mut self) {
        if !std::mem::replace(&mut self.entered, false) {
            return;
        }
        // A terminal that has gone needs nothing any more.
        drop(write(LEAVE));
        tcsetattr(&self.terminal, OptionalActions::Now, &self.before).ok();
    }

    /// Stops this process as Ctrl-Z would: the shell gets its terminal back, and we ours when we
    /// go on.
    pub(crate) fn stop(&mut self) -> io::Result<()> {
        self.leave();
        kill_process(getpid(), Signal::STOP).ok();
        self.enter()
    }

    /// Returns columns and lines.
    pub(crate) fn size(&self) -> (usize, usize) {
        let size = tcgetwinsize(&self.terminal);
        let told = size.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
        match told {
            Ok((columns, lines)) if columns > 0 && lines > 0 => (columns, lines),
            _ => (80, 24),
        }
    }

    /// Forgets what is shown, so that everything is drawn anew: the terminal has another size.
    pub(crate) fn resized(&mut self) -> io::Result<()> {
        self.shown.clear();
        write("\x1b[2J")
    }

    /// Shows lines; only those that differ from before are written.
    ///
    /// # Errors
    ///
    /// When the terminal has gone.
    pub(crate) fn draw(&mut self, lines: Vec<String>) -> io::Result<()> {
        let mut out = String::from(BEGIN);
        let rows = lines.len().max(self.shown.len());
        for row in 0..rows {
            let line = lines.get(row).map_or("", String::as_str);
            if self.shown.get(row).map(String::as_str) != Some(line) {
                // Erased first: after a line that fills the last column, its last letter would go.
                out.push_str(&format!("\x1b[{};1H\x1b[K{line}\x1b[0m", row + 1));
            }
        }
        self.shown = lines;
        if out.len() == BEGIN.len() {
            return Ok(());
        }
        out.push_str(END);
        write(&out)
    }

    /// Waits for a key; `None` when the terminal has gone. May be dropped while it waits.
    pub(crate) async fn key(&mut self) -> Option<u8> {
        self.keys.recv().await
    }
}

/// Returns the signal of Ctrl-Z, after which [`Screen::stop`] is due.
pub(crate) fn suspended() -> SignalKind {
    SignalKind::from_raw(Signal::TSTP.as_raw())
}

/// Reads keys on a thread of its own, which ends with the process: a terminal can only be waited
/// for by reading it.
fn keys(mut terminal: File) -> io::Result<mpsc::Receiver<u8>> {
    let (sender, keys) = mpsc::channel(16);
    std::thread::Builder::new()
        .name("keys".into())
        .spawn(move || {
            let mut byte = [0];
            loop {
                match terminal.read(&mut byte) {
                    Ok(1) if sender.blocking_send(byte[0]).is_ok() => {}
                    // Stopped, and gone on.
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    _ => return,
                }
            }
        })?;
    Ok(keys)
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
