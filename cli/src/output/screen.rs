//! A full-screen view at the terminal, which is restored at the end.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::SignalKind;
use tokio::sync::mpsc;

/// Switches to the alternate screen, hides the cursor, cuts lines at the edge instead of wrapping.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// Synchronized output: a terminal that supports it shows everything in between at once; others
/// ignore it.
const BEGIN_UPDATE: &str = "\x1b[?2026h";
const END_UPDATE: &str = "\x1b[?2026l";

/// The modes to which a panic restores the terminal, while a view has taken it over.
static MODES_AFTER_PANIC: Mutex<Option<Termios>> = Mutex::new(None);

/// The screen; dropping it restores the terminal.
#[derive(Debug)]
pub(crate) struct Screen {
    terminal: File,
    keys: mpsc::Receiver<u8>,
    original_modes: Termios,
    shown: Vec<String>,
    entered: bool,
}

impl Screen {
    /// Takes over the terminal.
    ///
    /// # Errors
    ///
    /// When there is no terminal.
    pub(crate) fn open() -> io::Result<Self> {
        let terminal = OpenOptions::new().read(true).open("/dev/tty")?;
        let original_modes = tcgetattr(&terminal)?;
        let mut screen = Self {
            keys: read_keys(terminal.try_clone()?)?,
            terminal,
            original_modes,
            shown: Vec::new(),
            entered: false,
        };
        screen.enter()?;
        Ok(screen)
    }

    /// Takes over the terminal, again after [`Screen::leave`].
    ///
    /// # Errors
    ///
    /// When the terminal is closed.
    pub(crate) fn enter(&mut self) -> io::Result<()> {
        let mut modes = self.original_modes.clone();
        // Keys arrive one by one and are not echoed; Ctrl-C stays a signal.
        modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        restore_after_panic_to(Some(self.original_modes.clone()));
        tcsetattr(&self.terminal, OptionalActions::Now, &modes)?;
        self.entered = true;
        self.shown.clear();
        write(ENTER)
    }

    /// Restores the terminal.
    pub(crate) fn leave(&mut self) {
        if !std::mem::replace(&mut self.entered, false) {
            return;
        }
        // A terminal that is closed needs no restoring.
        drop(write(LEAVE));
        tcsetattr(&self.terminal, OptionalActions::Now, &self.original_modes).ok();
        restore_after_panic_to(None);
    }

    /// Suspends this process as Ctrl-Z does: restores the terminal for the shell, and takes it over
    /// again when the process continues.
    ///
    /// # Errors
    ///
    /// When the terminal is closed.
    pub(crate) fn suspend(&mut self) -> io::Result<()> {
        self.leave();
        kill_process(getpid(), Signal::STOP).ok();
        self.enter()
    }

    /// Returns the size of the terminal: columns and lines.
    pub(crate) fn size(&self) -> (usize, usize) {
        let size = tcgetwinsize(&self.terminal);
        let reported = size.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
        match reported {
            Ok((columns, lines)) if columns > 0 && lines > 0 => (columns, lines),
            _ => (80, 24),
        }
    }

    /// Clears the screen, so that the next drawing is complete: the terminal was resized.
    ///
    /// # Errors
    ///
    /// When the terminal is closed.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        self.shown.clear();
        write("\x1b[2J")
    }

    /// Draws lines; writes only those that changed.
    ///
    /// # Errors
    ///
    /// When the terminal is closed.
    pub(crate) fn draw(&mut self, lines: Vec<String>) -> io::Result<()> {
        let mut out = String::from(BEGIN_UPDATE);
        let rows = lines.len().max(self.shown.len());
        for row in 0..rows {
            let line = lines.get(row).map_or("", String::as_str);
            if self.shown.get(row).map(String::as_str) != Some(line) {
                // Erased first: after a line that fills the last column, erasing would remove its
                // last character.
                out.push_str(&format!("\x1b[{};1H\x1b[K{line}\x1b[0m", row + 1));
            }
        }
        self.shown = lines;
        if out.len() == BEGIN_UPDATE.len() {
            return Ok(());
        }
        out.push_str(END_UPDATE);
        write(&out)
    }

    /// Waits for a key; `None` when the terminal is closed. Can be cancelled.
    pub(crate) async fn next_key(&mut self) -> Option<u8> {
        self.keys.recv().await
    }
}

fn restore_after_panic_to(modes: Option<Termios>) {
    *MODES_AFTER_PANIC
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = modes;
}

/// Restores the terminal, if a view has taken it over, in a process that panics. Nothing is dropped
/// there, and the thread that panics may hold the lock of standard output, so this does not use it.
pub(crate) fn restore_after_panic() {
    let Some(modes) = MODES_AFTER_PANIC
        .try_lock()
        .ok()
        .and_then(|mut it| it.take())
    else {
        return;
    };
    if let Ok(mut terminal) = OpenOptions::new().read(true).write(true).open("/dev/tty") {
        terminal.write_all(LEAVE.as_bytes()).ok();
        tcsetattr(&terminal, OptionalActions::Now, &modes).ok();
    }
}

/// Returns the signal of Ctrl-Z, to be answered with [`Screen::suspend`].
pub(crate) fn suspend_signal() -> SignalKind {
    SignalKind::from_raw(Signal::TSTP.as_raw())
}

/// Reads keys on a separate thread, which lives as long as the process: waiting for a terminal
/// needs a blocking read.
fn read_keys(mut terminal: File) -> io::Result<mpsc::Receiver<u8>> {
    let (sender, keys) = mpsc::channel(16);
    std::thread::Builder::new()
        .name("keys".into())
        .spawn(move || {
            let mut byte = [0];
            loop {
                match terminal.read(&mut byte) {
                    Ok(1) if sender.blocking_send(byte[0]).is_ok() => {}
                    // The process was suspended and continues.
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
