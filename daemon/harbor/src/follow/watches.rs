//! Which folders are watched: few, since each costs the system memory and there is a limit.
//!
//! Watched are the directory, each job's folder (the newest ones among finished jobs), and the
//! folders of trials that have not ended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use notify::{RecursiveMode, Watcher};

use crate::disk::cached_file::Stamp;
use crate::follow::change_queue::Part;

/// Folders of jobs that rest, at most; others are found by rescans.
const MOST_RESTING: usize = 4_096;

/// What is to be watched of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Whether it has a process, so that missing a change would matter.
    pub(crate) lives: bool,
    /// Folders, each with the number that tells it from an earlier one of the same name.
    pub(crate) folders: BTreeMap<PathBuf, u64>,
}

/// How much of what matters is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// All.
    Whole,
    /// Something of a living job is not.
    Lacking,
    /// Not even the directory is.
    Rootless,
}

#[derive(Debug, Default)]
struct Job {
    lives: bool,
    folders: BTreeMap<PathBuf, u64>,
    lacking: bool,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Watches<W> {
    root: PathBuf,
    root_at: Option<Stamp>,
    watcher: W,
    jobs: BTreeMap<PathBuf, Job>,
}

impl<W: Watcher> Watches<W> {
    /// Starts with none.
    pub(super) fn new(root: &Path, watcher: W) -> Self {
        Self {
            root: root.to_owned(),
            root_at: None,
            watcher,
            jobs: BTreeMap::new(),
        }
    }

    /// Watches the directory itself, again when another one took its place.
    pub(super) fn watch_root(&mut self) -> notify::Result<()> {
        let there = Stamp::of_directory(&self.root);
        match (&self.root_at, &there) {
            (Some(had), Some(has)) if had.same_place(has) => return Ok(()),
            (Some(_), _) => self.drop_all(),
            (None, _) => {}
        }
        self.root_at = None;
        self.watcher
            .watch(&self.root, RecursiveMode::NonRecursive)?;
        self.root_at = there;
        Ok(())
    }

    fn drop_all(&mut self) {
        for job in std::mem::take(&mut self.jobs).into_values() {
            for folder in job.folders.into_keys() {
                // It went with the folder, most likely.
                self.watcher.unwatch(&folder).ok();
            }
        }
        self.watcher.unwatch(&self.root).ok();
    }

    /// Takes that folders are gone, and all below them: their watches went with them.
    pub(super) fn forget(&mut self, lost: &[PathBuf]) {
        for path in lost {
            if *path == self.root {
                self.root_at = None;
            }
            for job in self.jobs.values_mut() {
                let below: Vec<PathBuf> = job
                    .folders
                    .range::<PathBuf, _>(path.clone()..)
                    .map(|(folder, _)| folder)
                    .take_while(|folder| folder.starts_with(path))
                    .cloned()
                    .collect();
                for folder in below {
                    self.watcher.unwatch(&folder).ok();
                    job.folders.remove(&folder);
                }
            }
        }
    }

    /// Watches what is wanted of a job and nothing else; returns the part of it that was not
    /// watched until now.
    pub(super) fn keep(&mut self, place: &Path, wanted: Option<Wanted>) -> Option<Part> {
        let mut job = self.jobs.remove(place).unwrap_or_default();
        let Some(wanted) = wanted else {
            self.release(job);
            return None;
        };
        for (folder, number) in &job.folders {
            if wanted.folders.get(folder) != Some(number) {
                self.watcher.unwatch(folder).ok();
            }
        }
        job.folders
            .retain(|folder, number| wanted.folders.get(folder) == Some(number));
        job.lives = wanted.lives;
        job.lacking = false;
        let mut added = None;
        if wanted.lives || self.resting() < MOST_RESTING {
            for (folder, number) in wanted.folders {
                if job.folders.contains_key(&folder) {
                    continue;
                }
                match self.watch(&folder, wanted.lives) {
                    Ok(()) => {
                        let part = part_of(place, &folder);
                        added = Some(match added {
                            Some(have) => part.and(have),
                            None => part,
                        });
                        job.folders.insert(folder, number);
                    }
                    Err(error) => job.lacking |= is_limit(&error),
                }
            }
        }
        self.jobs.insert(place.to_owned(), job);
        added
    }

    /// Watches one folder; for a living job, others make room.
    fn watch(&mut self, folder: &Path, lives: bool) -> notify::Result<()> {
        let watched = self.watcher.watch(folder, RecursiveMode::NonRecursive);
        match watched {
            Err(error) if lives && is_limit(&error) && self.make_room() => {
                self.watcher.watch(folder, RecursiveMode::NonRecursive)
            }
            watched => watched,
        }
    }

    fn make_room(&mut self) -> bool {
        let resting = self
            .jobs
            .values_mut()
            .find(|job| !job.lives && !job.folders.is_empty());
        let Some(job) = resting else { return false };
        for folder in std::mem::take(&mut job.folders).into_keys() {
            self.watcher.unwatch(&folder).ok();
        }
        true
    }

    fn release(&mut self, job: Job) {
        for folder in job.folders.into_keys() {
            self.watcher.unwatch(&folder).ok();
        }
    }

    /// Drops the watches of jobs that are no more.
    pub(super) fn retain(&mut self, is_there: impl Fn(&Path) -> bool) {
        let gone: BTreeSet<PathBuf> = self
            .jobs
            .keys()
            .filter(|name| !is_there(name))
            .cloned()
            .collect();
        for name in gone {
            if let Some(job) = self.jobs.remove(&name) {
                self.release(job);
            }
        }
    }

    /// Returns how many folders are watched.
    pub(super) fn count(&self) -> u64 {
        let root = u64::from(self.root_at.is_some());
        let jobs = self.jobs.values().map(|job| job.folders.len() as u64);
        root + jobs.sum::<u64>()
    }

    /// Tells how much of what matters is watched.
    pub(super) fn standing(&self) -> Standing {
        if self.root_at.is_none() {
            Standing::Rootless
        } else if self.jobs.values().any(|job| job.lives && job.lacking) {
            Standing::Lacking
        } else {
            Standing::Whole
        }
    }

    fn resting(&self) -> usize {
        self.jobs
            .values()
            .filter(|job| !job.lives && !job.folders.is_empty())
            .count()
    }
}

/// Returns the part of the job at `place` that a folder of it belongs to.
fn part_of(place: &Path, folder: &Path) -> Part {
    let below = folder.strip_prefix(place).ok();
    match below.and_then(|below| below.iter().next()) {
        Some(trial) => Part::Folders(BTreeSet::from([trial.to_owned()])),
        None => Part::Whole,
    }
}

fn is_limit(error: &notify::Error) -> bool {
    matches!(error.kind, notify::ErrorKind::MaxFilesWatch)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system that lets so many folders be watched.
    #[derive(Debug)]
    struct Limited {
        most: usize,
        watched: BTreeSet<PathBuf>,
    }

    impl Watcher for Limited {
        fn new<F: notify::EventHandler>(_: F, _: notify::Config) -> notify::Result<Self> {
            Ok(Self {
                most: usize::MAX,
                watched: BTreeSet::new(),
            })
        }

        fn watch(&mut self, path: &Path, _: RecursiveMode) -> notify::Result<()> {
            if self.watched.len() >= self.most {
                return Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch));
            }
            self.watched.insert(path.to_owned());
            Ok(())
        }

        fn unwatch(&mut self, path: &Path) -> notify::Result<()> {
            self.watched.remove(path);
            Ok(())
        }

        fn kind() -> notify::WatcherKind {
            notify::WatcherKind::NullWatcher
        }
    }

    fn watches(root: &Path, most: usize) -> Watches<Limited> {
        let limited = Limited {
            most,
            watched: BTreeSet::new(),
        };
        let mut watches = Watches::new(root, limited);
        watches.watch_root().unwrap();
        watches
    }

    fn wanted(lives: bool, folders: &[&str]) -> Option<Wanted> {
        let folders = folders.iter().map(|f| (PathBuf::from(f), 1)).collect();
        Some(Wanted { lives, folders })
    }

    #[test]
    fn only_what_is_wanted_stays_watched_and_only_news_is_new() {
        let dir = tempfile::tempdir().unwrap();
        let mut watches = watches(dir.path(), 100);
        let job = dir.path().join("a");
        let keep = |watches: &mut Watches<Limited>, folders: &[&str]| {
            let folders: Vec<PathBuf> = folders.iter().map(|f| job.join(f)).collect();
            let folders: Vec<&str> = folders.iter().filter_map(|f| f.to_str()).collect();
            watches.keep(&job, wanted(true, &folders))
        };
        assert_eq!(
            keep(&mut watches, &["", "t1", "t1/agent"]),
            Some(Part::Whole)
        );
        assert_eq!(keep(&mut watches, &["", "t1"]), None);
        assert_eq!(watches.count(), 3);
        watches.forget(&[job.join("t1")]);
        assert_eq!(watches.count(), 2);
        let only = Part::Folders(BTreeSet::from(["t1".into()]));
        assert_eq!(keep(&mut watches, &["", "t1"]), Some(only));
        assert_eq!(watches.keep(&job, None), None);
        assert_eq!((watches.count(), watches.watcher.watched.len()), (1, 1));
    }

    #[test]
    fn at_the_limit_finished_jobs_make_room_for_living_ones_and_then_it_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let mut watches = watches(dir.path(), 3);
        watches.keep(Path::new("/j/old"), wanted(false, &["/j/old"]));
        watches.keep(Path::new("/j/older"), wanted(false, &["/j/older"]));
        watches.keep(Path::new("/j/oldest"), wanted(false, &["/j/oldest"]));
        assert_eq!(watches.standing(), Standing::Whole);
        watches.keep(Path::new("/j/new"), wanted(true, &["/j/new", "/j/new/t1"]));
        assert_eq!((watches.count(), watches.standing()), (3, Standing::Whole));
        watches.keep(Path::new("/j/newer"), wanted(true, &["/j/newer"]));
        assert_eq!(watches.standing(), Standing::Lacking);
        watches.retain(|name| name == Path::new("/j/new"));
        assert_eq!(watches.standing(), Standing::Whole);
    }

    #[test]
    fn a_directory_that_was_replaced_is_watched_anew() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("jobs");
        std::fs::create_dir(&root).unwrap();
        let mut watches = watches(&root, 100);
        watches.keep(Path::new("/j/a"), wanted(true, &["/j/a"]));
        std::fs::rename(&root, dir.path().join("old")).unwrap();
        std::fs::create_dir(&root).unwrap();
        watches.watch_root().unwrap();
        assert_eq!((watches.count(), watches.standing()), (1, Standing::Whole));
    }
}
