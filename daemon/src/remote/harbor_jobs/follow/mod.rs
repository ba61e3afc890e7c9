//! Following a directory by file events, so that a change is seen when it happens.
//!
//! Events only say where to look; what is told always comes from a look at the
//! files. What no event showed (a limit reached, a file system of another
//! machine, a full queue) is found by the rescans that go on all the same.

mod filter;
mod inbox;
mod watches;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;

use notify::{Event, RecommendedWatcher};

use crate::remote::Following;

use super::look::Index;
pub(super) use inbox::{Inbox, Part};
pub(super) use watches::Wanted;
use watches::{Standing, Watches};

/// The watcher of one directory.
#[derive(Debug)]
pub(super) struct Follower {
    inbox: Arc<Inbox>,
    watches: Watches<RecommendedWatcher>,
}

impl Follower {
    /// Begins to follow; `Err` says for people why it cannot.
    pub(super) fn start(dir: &Path, inbox: &Arc<Inbox>) -> Result<Self, String> {
        if super::process::is_shared(dir) {
            return Err("the directory is on a network or shared file system".to_owned());
        }
        let (root, to) = (dir.to_owned(), Arc::clone(inbox));
        let hear = move |heard: notify::Result<Event>| match heard {
            Ok(event) => filter::sort(&root, &event, &to),
            Err(_) => to.put_all(),
        };
        let watcher = notify::recommended_watcher(hear).map_err(|error| in_words(&error))?;
        let mut watches = Watches::new(dir, watcher);
        watches.watch_root().map_err(|error| in_words(&error))?;
        let follower = Self {
            inbox: Arc::clone(inbox),
            watches,
        };
        follower.tell();
        Ok(follower)
    }

    /// Brings the watches in line with what was just seen of some jobs.
    ///
    /// What is watched only from now on may have changed since it was looked at, and so is
    /// looked at once more.
    pub(super) fn keep<'a>(&mut self, index: &Index, names: impl Iterator<Item = &'a OsString>) {
        self.watches.forget(&self.inbox.take_lost());
        if let Err(error) = self.watches.watch_root() {
            tracing::debug!(%error, "could not watch a jobs directory");
        }
        for name in names {
            let wanted = index.jobs.get(name).map(|job| job.watched());
            if let Some(part) = self.watches.keep(name, wanted) {
                self.inbox.put(name, part);
            }
        }
        self.tell();
    }

    /// Drops the watches of jobs that are no more.
    pub(super) fn retain(&mut self, is_there: impl Fn(&OsStr) -> bool) {
        self.watches.retain(is_there);
    }

    fn tell(&self) {
        self.inbox.set_following(match self.watches.standing() {
            Standing::Whole => Following::Events {
                folders: self.watches.count(),
            },
            Standing::Lacking => Following::Rescans {
                why: format!(
                    "the system's limit of watched folders is reached at {} \
                     (fs.inotify.max_user_watches)",
                    self.watches.count()
                ),
            },
            Standing::Rootless => Following::Rescans {
                why: "the directory itself cannot be watched".to_owned(),
            },
        });
    }
}

fn in_words(error: &notify::Error) -> String {
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => {
            "the system's limit of watched folders is reached (fs.inotify.max_user_watches)"
                .to_owned()
        }
        // What inotify says when too many programs use it.
        notify::ErrorKind::Io(io) if io.raw_os_error() == Some(24) => {
            "the system's limit of watchers is reached (fs.inotify.max_user_instances)".to_owned()
        }
        _ => format!("the system gives no file events: {error}"),
    }
}
