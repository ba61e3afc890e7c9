//! Notes of actions on runs, for mirrors that may not know of them.
//!
//! A command that stops a run without the daemon changes what the remote would say, and so does a
//! daemon that is killed before it has written the result. The sender of an action leaves a
//! note first, and the daemon shows nothing about that run as confirmed before the remote has
//! confirmed it again.
//!
//! Notes are small files in a directory beside the socket, which exists on every machine and
//! survives every process; where that is full or cannot be written, in one below `/tmp`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::credentials::files::create_private_dir;
use crate::paths::Paths;
use crate::routes::RunKind;
use crate::time::UnixMs;

/// How long an action may be under way; after that nobody waits for it any more.
const LONGEST_ACTION: Duration = Duration::from_secs(60);

/// How long a note is kept after its action. By then the mirror has confirmed the run, or says that the
/// remote is out of reach.
const KEPT_AFTER: Duration = Duration::from_secs(600);

/// Largest note that is read.
const MAX_BYTES: u64 = 16 << 10;

/// An action that was sent to a remote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionNote {
    /// The remote: an address and a tenant.
    pub target: String,
    /// Name of the kind of run, as [`RunKind::name`] returns it.
    kind: String,
    /// The run as it was named: a full id, a prefix or a name.
    pub run: String,
    /// When the action was sent, or when it ended.
    pub at: UnixMs,
    /// Whether it has ended, one way or another.
    pub ended: bool,
}

impl ActionNote {
    /// Returns the kind of run; `None` for one that only another release knows.
    #[must_use]
    pub fn kind(&self) -> Option<RunKind> {
        RunKind::ALL
            .into_iter()
            .find(|kind| kind.name() == self.kind)
    }

    /// Returns the time from which on the remote must have confirmed the run.
    ///
    /// While the action is under way, its effect may come at any moment.
    #[must_use]
    pub fn confirmed_from(&self, now: UnixMs) -> UnixMs {
        if self.ended {
            return self.at;
        }
        now.min(self.at.plus(LONGEST_ACTION))
    }

    fn is_old(&self, now: UnixMs) -> bool {
        now.since(self.at) > LONGEST_ACTION + KEPT_AFTER
    }
}

/// The directories of the notes, the second for when the first cannot be written.
#[derive(Debug, Clone)]
pub struct ActionNotes {
    directories: [PathBuf; 2],
}

/// When each directory was last changed; `None` for one that does not exist.
pub type NotesVersion = [Option<SystemTime>; 2];

/// A note of an action that is under way.
#[derive(Debug)]
pub struct OpenNote {
    path: PathBuf,
    note: ActionNote,
}

impl ActionNotes {
    /// Uses the directory beside the socket, and one outside the home.
    #[must_use]
    pub fn new(paths: &Paths) -> Self {
        let outside = paths.clone().with_socket_outside();
        let beside = |paths: &Paths| paths.run_dir().join("actions");
        Self {
            directories: [beside(paths), beside(&outside)],
        }
    }

    /// Leaves a note of an action that is about to be sent.
    ///
    /// # Errors
    ///
    /// The system's error; the action may be sent all the same.
    pub fn begin(
        &self,
        target: impl Into<String>,
        kind: RunKind,
        run: &str,
        now: UnixMs,
    ) -> io::Result<OpenNote> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
        let name = format!("{:016x}.json", u64::from_ne_bytes(random));
        let note = ActionNote {
            target: target.into(),
            kind: kind.name().to_owned(),
            run: run.to_owned(),
            at: now,
            ended: false,
        };
        let [first, second] = &self.directories;
        write_new(first, &name, &note).or_else(|_| write_new(second, &name, &note))
    }

    /// Returns when a note was last left, changed or taken away.
    #[must_use]
    pub fn version(&self) -> NotesVersion {
        self.directories
            .each_ref()
            .map(|directory| fs::metadata(directory).ok()?.modified().ok())
    }

    /// Reads all notes, each with its file, and removes old ones.
    #[must_use]
    pub fn read(&self, now: UnixMs) -> Vec<(PathBuf, ActionNote)> {
        let private = self.directories.iter().filter(|dir| is_private(dir));
        let entries = private.filter_map(|directory| fs::read_dir(directory).ok());
        let paths = entries.flatten().flatten().map(|entry| entry.path());
        let notes = paths.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
        notes
            .filter_map(|path| {
                let note = read_note(&path)?;
                if note.is_old(now) {
                    // Another process may have removed it.
                    fs::remove_file(&path).ok();
                    return None;
                }
                Some((path, note))
            })
            .collect()
    }
}

impl OpenNote {
    /// Says that the action has ended, and the mirror does not know how. `run` is the run's full id,
    /// if it is known by now.
    ///
    /// # Errors
    ///
    /// The system's error; the note then says that the action is under way.
    pub fn end(mut self, run: Option<String>, now: UnixMs) -> io::Result<()> {
        self.note.ended = true;
        self.note.at = now;
        if let Some(run) = run {
            self.note.run = run;
        }
        self.write()
    }

    /// Takes the note away: nothing was done, or the mirror knows.
    pub fn remove(self) {
        // If that fails, the run is confirmed once more than necessary.
        fs::remove_file(&self.path).ok();
    }

    fn write(&self) -> io::Result<()> {
        let draft = self.path.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)?;
        let text = serde_json::to_vec(&self.note)?;
        let written = file
            .write_all(&text)
            .and_then(|()| fs::rename(&draft, &self.path));
        if written.is_err() {
            fs::remove_file(&draft).ok();
        }
        written
    }
}

fn write_new(directory: &Path, name: &str, note: &ActionNote) -> io::Result<OpenNote> {
    create_private_dir(directory)?;
    if !is_private(directory) {
        return Err(io::Error::other("the directory is not ours"));
    }
    let open = OpenNote {
        path: directory.join(name),
        note: note.clone(),
    };
    open.write()?;
    Ok(open)
}

/// Whether nobody else can have left notes here: below `/tmp` anybody can create a directory.
fn is_private(directory: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let is_ours = |dir: &Path| {
        fs::symlink_metadata(dir)
            .is_ok_and(|found| found.is_dir() && found.uid() == own && found.mode() & 0o022 == 0)
    };
    is_ours(directory) && directory.parent().is_some_and(is_ours)
}

fn read_note(path: &Path) -> Option<ActionNote> {
    use std::io::Read;
    let file = fs::File::open(path).ok()?;
    let mut text = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_795_900_000_000);

    #[test]
    fn a_note_says_from_when_on_the_run_must_be_confirmed() {
        let home = tempfile::tempdir().unwrap();
        let notes = ActionNotes::new(&Paths {
            home: home.path().to_owned(),
            socket: home.path().join("run/docksd.sock"),
        });
        assert_eq!((notes.version(), notes.read(NOW).len()), ([None, None], 0));
        let later = |seconds| NOW.plus(Duration::from_secs(seconds));
        let open = notes.begin("remote", RunKind::Run, "ab", NOW).unwrap();
        let only = |now| notes.read(now).pop().map(|(_, note)| note);
        let under_way = only(NOW).unwrap();
        assert_eq!(under_way.kind(), Some(RunKind::Run));
        // Whenever it is read, only an answer from that moment on counts, for a minute.
        assert_eq!(under_way.confirmed_from(later(5)), later(5));
        assert_eq!(under_way.confirmed_from(later(500)), later(60));
        open.end(Some("abc".into()), later(7)).unwrap();
        let ended = only(NOW).unwrap();
        assert_eq!(ended.confirmed_from(later(500)), later(7));
        assert_eq!(ended.run, "abc");
        assert_eq!(only(later(3_600)), None);
        notes
            .begin("remote", RunKind::Run, "x", NOW)
            .unwrap()
            .remove();
        assert_eq!(only(NOW), None);
    }
}
