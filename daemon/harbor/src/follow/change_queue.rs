//! What events said, kept until it is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use docksd_remote::ChangeDetection;

/// Trials of one job beyond which all of it is looked at.
const MOST_TRIALS: usize = 256;

/// Which part of a job may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Its own files and these of its folders.
    Folders(BTreeSet<OsString>),
    /// All of it.
    Whole,
}

impl Part {
    /// Returns both together.
    pub(super) fn and(mut self, other: Part) -> Part {
        self.join(other);
        self
    }

    fn join(&mut self, other: Part) {
        match (&mut *self, other) {
            (Part::Folders(have), Part::Folders(more)) if have.len() < MOST_TRIALS => {
                have.extend(more);
            }
            _ => *self = Part::Whole,
        }
    }
}

/// What is to be looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Dirt {
    /// Jobs by folder.
    pub(crate) jobs: BTreeMap<PathBuf, Part>,
    /// Events were lost, so anything may have changed.
    pub(crate) everything: bool,
    /// Something that was looked at already is other than what was handed out.
    told: bool,
}

impl Dirt {
    fn is_empty(&self) -> bool {
        self.jobs.is_empty() && !self.everything && !self.told
    }
}

#[derive(Debug, Default)]
struct Content {
    dirt: Dirt,
    lost: Vec<PathBuf>,
    following: ChangeDetection,
    wake_at: Option<Instant>,
}

/// Joins the system's events, which come on a thread of their own, with the looks.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    content: Mutex<Content>,
    filled: Notify,
}

impl Inbox {
    fn content(&self) -> MutexGuard<'_, Content> {
        // Only ever changed by single calls, so a panic elsewhere left it sound.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a job may have changed.
    pub(crate) fn put(&self, job: &Path, part: Part) {
        {
            let mut content = self.content();
            match content.dirt.jobs.get_mut(job) {
                Some(have) => have.join(part),
                None => drop(content.dirt.jobs.insert(job.to_owned(), part)),
            }
        }
        self.filled.notify_one();
    }

    /// Notes that anything may have changed.
    pub(crate) fn put_all(&self) {
        self.content().dirt.everything = true;
        self.filled.notify_one();
    }

    /// Notes that what was looked at is other than what was handed out.
    pub(crate) fn put_told(&self) {
        self.content().dirt.told = true;
        self.filled.notify_one();
    }

    /// Has everything that was looked at told again after a while.
    pub(crate) fn wake_in(&self, wait: Option<Duration>) {
        self.content().wake_at = wait.map(|wait| Instant::now() + wait);
    }

    /// Notes that a folder is gone or elsewhere, and its watch with it.
    pub(crate) fn put_lost(&self, folder: &Path) {
        self.content().lost.push(folder.to_owned());
    }

    /// Waits until there is something to look at.
    pub(crate) async fn filled(&self) {
        loop {
            let wake_at = {
                let mut content = self.content();
                if content.wake_at.is_some_and(|at| at <= Instant::now()) {
                    content.wake_at = None;
                    content.dirt.told = true;
                }
                if !content.dirt.is_empty() {
                    return;
                }
                content.wake_at
            };
            let filled = self.filled.notified();
            match wake_at {
                Some(at) => drop(tokio::time::timeout_at(at, filled).await),
                None => filled.await,
            }
        }
    }

    /// Takes what is to be looked at.
    pub(crate) fn take(&self) -> Dirt {
        std::mem::take(&mut self.content().dirt)
    }

    /// Takes the folders whose watches are lost.
    pub(super) fn take_lost(&self) -> Vec<PathBuf> {
        std::mem::take(&mut self.content().lost)
    }

    /// Returns how changes are learned.
    pub(crate) fn change_detection(&self) -> ChangeDetection {
        self.content().following.clone()
    }

    /// Sets how changes are learned.
    pub(crate) fn set_following(&self, following: ChangeDetection) {
        self.content().following = following;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(names: &[&str]) -> Part {
        Part::Folders(names.iter().map(OsString::from).collect())
    }

    #[tokio::test]
    async fn what_is_said_of_a_job_is_joined_until_it_is_taken() {
        let inbox = Inbox::default();
        inbox.put(Path::new("a"), folders(&["x"]));
        inbox.put(Path::new("a"), folders(&["y"]));
        inbox.put(Path::new("b"), folders(&["z"]));
        inbox.put(Path::new("b"), Part::Whole);
        inbox.filled().await;
        let dirt = inbox.take();
        assert_eq!(dirt.jobs[Path::new("a")], folders(&["x", "y"]));
        assert_eq!(dirt.jobs[Path::new("b")], Part::Whole);
        assert!(inbox.take().is_empty());
    }
}
