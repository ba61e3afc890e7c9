//! Lists that were asked lately, ready to send again while nothing changed.
//!
//! A prompt or a status bar asks the same question many times a second. An
//! entry is good for one version of the mirror, so it is never older than SQLite.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use docks_proto::time::UnixMs;

use docksd_mirror::{Confirmation, Resource};

/// Bytes kept per remote; the idle daemon is to stay below 30 MB.
const MOST_BYTES: usize = 4 << 20;
/// A list beyond this is rare, and copying it out of SQLite is not what it costs.
const LARGEST: usize = 1 << 20;
/// Questions kept per remote.
const MOST_ENTRIES: usize = 512;

/// How often the engine is told that somebody looks; it remembers for a minute.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// A list as it is sent.
#[derive(Debug)]
pub struct Answer {
    /// Its rows, as a JSON array.
    pub body: Bytes,
    /// How many match before the cut.
    pub total: u64,
    /// When the remote confirmed it.
    pub confirmed: Confirmation,
    /// Which list.
    pub resource: Resource,
    /// What it is a list of.
    pub of: Of,
    /// Why rows may be missing, if they may.
    pub lacks: Option<&'static str>,
    /// Empty lists: whether the statuses asked for were ever seen.
    pub status_seen: Option<bool>,
    told_s: AtomicU64,
}

/// What decides how soon an answer is old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// A list of runs, or a run or trial that may still change.
    Changing {
        /// Whether it is known to be active.
        active: bool,
    },
    /// Something of a run that has ended, which was confirmed to have ended then.
    Ended(UnixMs),
}

impl Answer {
    /// Keeps a list.
    #[must_use]
    pub fn new(
        body: Bytes,
        total: u64,
        confirmed: Confirmation,
        resource: Resource,
        of: Of,
    ) -> Self {
        Self {
            body,
            total,
            confirmed,
            resource,
            of,
            lacks: None,
            status_seen: None,
            told_s: AtomicU64::new(0),
        }
    }

    /// Adds why rows may be missing, if they may.
    #[must_use]
    pub fn lacking(mut self, why: Option<&'static str>) -> Self {
        self.lacks = why;
        self
    }

    /// Adds whether the statuses that nothing has now were ever seen.
    #[must_use]
    pub fn seen(mut self, seen: Option<bool>) -> Self {
        self.status_seen = seen;
        self
    }

    /// Tells whether the engine should hear that somebody looks: now and then, not 10,000 times
    /// a second.
    #[must_use]
    pub fn tells(&self, now: Duration) -> bool {
        let now_s = now.as_secs().max(1);
        let last = self.told_s.load(Ordering::Relaxed);
        let due = last == 0 || now_s.saturating_sub(last) >= TELL_EVERY.as_secs();
        if due {
            self.told_s.store(now_s, Ordering::Relaxed);
        }
        due
    }
}

/// The answers of one remote.
#[derive(Debug, Default)]
pub struct Answers {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    version: u64,
    bytes: usize,
    answers: HashMap<Box<str>, Arc<Answer>>,
}

impl Answers {
    /// Returns the answer to a question, if it was kept at this version of the mirror.
    #[must_use]
    pub fn get(&self, question: &str, version: u64) -> Option<Arc<Answer>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.version != version {
            return None;
        }
        kept.answers.get(question).cloned()
    }

    /// Keeps an answer that was read after the mirror had this version.
    pub fn put(&self, question: &str, version: u64, answer: &Arc<Answer>) {
        let size = answer.body.len() + question.len();
        if size > LARGEST {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.version > version {
            return;
        }
        let full = kept.bytes + size > MOST_BYTES || kept.answers.len() >= MOST_ENTRIES;
        if kept.version < version || full {
            // Few questions are asked often, and those come back at once.
            *kept = Kept {
                version,
                ..Kept::default()
            };
        }
        if kept
            .answers
            .insert(question.into(), Arc::clone(answer))
            .is_none()
        {
            kept.bytes += size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use docks_proto::routes::RunKind;

    fn answer(bytes: usize) -> Arc<Answer> {
        let confirmed = Confirmation {
            at: UnixMs(1),
            validator: None,
            complete: true,
        };
        Arc::new(Answer::new(
            vec![b' '; bytes].into(),
            1,
            confirmed,
            Resource::List(RunKind::Run),
            Of::Changing { active: false },
        ))
    }

    #[test]
    fn an_answer_is_good_for_one_version_only() {
        let answers = Answers::default();
        answers.put("q", 7, &answer(10));
        assert!(answers.get("q", 7).is_some());
        assert!(answers.get("q", 8).is_none());
        answers.put("r", 8, &answer(10));
        assert!(answers.get("q", 8).is_none());
        answers.put("late", 7, &answer(10));
        assert!(answers.get("r", 8).is_some());
        assert!(answers.get("late", 8).is_none());
    }

    #[test]
    fn memory_stays_bounded_whatever_is_asked() {
        let answers = Answers::default();
        for i in 0..10_000 {
            answers.put(&format!("q{i}"), 1, &answer(50_000));
            let kept = answers.kept.lock().unwrap();
            assert!(kept.bytes <= MOST_BYTES && kept.answers.len() <= MOST_ENTRIES);
        }
        answers.put("huge", 1, &answer(LARGEST + 1));
        assert!(answers.get("huge", 1).is_none());
    }

    #[test]
    fn the_engine_is_told_now_and_then() {
        let answer = answer(1);
        assert!(answer.tells(Duration::from_secs(100)));
        assert!(!answer.tells(Duration::from_secs(104)));
        assert!(answer.tells(Duration::from_secs(105)));
    }
}
