//! Following a directory by file events, so that a change is seen when it happens.
//!
//! Events only say where to look; what is told always comes from a look at the
//! files. What no event showed (a limit reached, a file system of another
//! machine, a full queue) is found by the rescans that go on all the same.

mod change_queue;
mod event_filter;
mod watches;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::{Event, RecommendedWatcher};

use docksd_remote::ChangeDetection;

use crate::snapshot::jobs_directory::Root;
use crate::snapshot::scan::Index;
pub(super) use change_queue::{Inbox, Part};
pub(super) use watches::Wanted;
use watches::{Standing, Watches};

/// The watchers of all directories.
#[derive(Debug)]
pub(super) struct Followers {
    inbox: Arc<Inbox>,
    of: BTreeMap<PathBuf, Result<Follower, String>>,
}

impl Followers {
    /// Starts without any.
    pub(super) fn new(inbox: Arc<Inbox>) -> Self {
        Self {
            inbox,
            of: BTreeMap::new(),
        }
    }

    /// Begins to follow the directories that are there and are not followed yet.
    pub(super) fn start(&mut self, index: &Index) {
        let wanted = |dir: &PathBuf| index.roots.iter().any(|root| root.dir == *dir);
        self.of.retain(|dir, _| wanted(dir));
        for root in index.roots.iter().filter(|root| root.is_there()) {
            let before = self.of.remove(&root.dir);
            let follower = match before {
                Some(Ok(follower)) => Ok(follower),
                other => self.begin(root, index, other.and_then(Result::err)),
            };
            self.of.insert(root.dir.clone(), follower);
        }
        self.tell(index);
    }

    fn begin(
        &self,
        root: &Root,
        index: &Index,
        before: Option<String>,
    ) -> Result<Follower, String> {
        let started = Follower::start(&root.dir, &self.inbox);
        match started {
            Ok(mut follower) => {
                let jobs = index.jobs.keys().filter(|folder| root.holds(folder));
                follower.keep(index, jobs, &[]);
                // What happened before the watches were there.
                self.inbox.put_all();
                Ok(follower)
            }
            Err(why) => {
                let dir = root.dir.display();
                if before.as_ref() != Some(&why) {
                    tracing::warn!(%dir, why, "cannot follow {dir}; it is rescanned instead");
                }
                Err(why)
            }
        }
    }

    /// Brings the watches in line with what was just seen of some jobs.
    pub(super) fn keep<'a>(&mut self, index: &Index, names: impl Iterator<Item = &'a PathBuf>) {
        let names: Vec<&PathBuf> = names.collect();
        let lost = self.inbox.take_lost();
        for root in &index.roots {
            if let Some(Ok(follower)) = self.of.get_mut(&root.dir) {
                let names = names.iter().copied().filter(|name| root.holds(name));
                follower.keep(index, names, &lost);
            }
        }
        self.tell(index);
    }

    /// Drops the watches of jobs that are no more.
    pub(super) fn retain(&mut self, is_there: impl Fn(&Path) -> bool) {
        for follower in self.of.values_mut().flatten() {
            follower.watches.retain(&is_there);
        }
    }

    fn tell(&self, index: &Index) {
        let mut folders = 0;
        for root in &index.roots {
            let rescans = |why: String| {
                self.inbox
                    .set_following(ChangeDetection::Rescans { reason: why })
            };
            if !root.is_there() {
                return rescans(format!("{} is out of reach", root.given.display()));
            }
            match self.of.get(&root.dir).map(Result::as_ref) {
                Some(Ok(follower)) => match follower.lacks() {
                    None => folders += follower.watches.count(),
                    Some(why) => return rescans(why),
                },
                Some(Err(why)) => return rescans(why.clone()),
                None => return,
            }
        }
        self.inbox
            .set_following(ChangeDetection::Events { folders });
    }
}

/// The watcher of one directory.
#[derive(Debug)]
struct Follower {
    inbox: Arc<Inbox>,
    watches: Watches<RecommendedWatcher>,
}

impl Follower {
    /// Begins to follow; `Err` says for people why it cannot.
    fn start(dir: &Path, inbox: &Arc<Inbox>) -> Result<Self, String> {
        if crate::snapshot::processes::is_shared(dir) {
            return Err("the directory is on a network or shared file system".to_owned());
        }
        let (root, to) = (dir.to_owned(), Arc::clone(inbox));
        let hear = move |heard: notify::Result<Event>| match heard {
            Ok(event) => event_filter::sort(&root, &event, &to),
            Err(_) => to.put_all(),
        };
        let watcher = notify::recommended_watcher(hear).map_err(|error| in_words(&error))?;
        let mut watches = Watches::new(dir, watcher);
        watches.watch_root().map_err(|error| in_words(&error))?;
        Ok(Self {
            inbox: Arc::clone(inbox),
            watches,
        })
    }

    /// Brings the watches in line; those of `lost` folders went with them.
    ///
    /// What is watched only from now on may have changed since it was looked at, and so is
    /// looked at once more.
    fn keep<'a>(
        &mut self,
        index: &Index,
        names: impl Iterator<Item = &'a PathBuf>,
        lost: &[PathBuf],
    ) {
        self.watches.forget(lost);
        if let Err(error) = self.watches.watch_root() {
            tracing::debug!(%error, "could not watch a jobs directory");
        }
        for name in names {
            let wanted = index.jobs.get(name).map(|job| job.watched());
            if let Some(part) = self.watches.keep(name, wanted) {
                self.inbox.put(name, part);
            }
        }
    }

    /// Returns why events alone do not tell everything.
    fn lacks(&self) -> Option<String> {
        match self.watches.standing() {
            Standing::Whole => None,
            Standing::Lacking => Some(format!(
                "the system's limit of watched folders is reached at {} \
                 (fs.inotify.max_user_watches)",
                self.watches.count()
            )),
            Standing::Rootless => Some("the directory itself cannot be watched".to_owned()),
        }
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
