//! What the files of a job say about its times, its identity and its origin.

use crate::disk::file_version::FolderIdentity;
use crate::format::written_time::WrittenTime;
use crate::snapshot::job_snapshot::JobSnapshot;
use crate::snapshot::job_times::{JobTimes, TimeEvidence};
use crate::utc::Utc;

/// A file that is this much newer than the time written in it was copied, so its age says nothing.
const COPIED_US: i64 = 120_000_000;

impl JobSnapshot {
    /// Returns when the last trial with a result finished.
    fn last_trial_end(&self) -> Option<Utc> {
        let spans = [self.trials.utc_span(), self.trials.local_span()];
        spans.into_iter().filter_map(|span| span.last).max()
    }

    /// Returns when the job last wrote something.
    pub(crate) fn last_activity(&self, times: &JobTimes) -> Option<Utc> {
        let written = self.result.version().map(|s| s.modified());
        let last_trial = || self.last_trial_end();
        let stated = times.updated.or_else(last_trial).or(times.started);
        let copied =
            matches!((written, stated), (Some(w), Some(s)) if w.0.saturating_sub(s.0) > COPIED_US);
        if copied {
            return stated;
        }
        let own = [
            written,
            self.log.map(|s| s.modified()),
            self.config.version().map(|s| s.modified()),
            self.dir_version.map(|s| s.modified()),
        ];
        let trials = self.trials.by_name().values();
        let trials = trials.map(|t| t.files.newest_change);
        own.into_iter().chain(trials).flatten().max().or(stated)
    }

    /// Whether the folder was copied after Harbor wrote it, so that the times of its files mean nothing.
    pub(crate) fn is_copy(&self, times: &JobTimes) -> bool {
        if let Some(archive) = &self.archive {
            return archive.is_copy;
        }
        let (written, stated) = match self.result.version() {
            Some(version) => {
                let stated = times.updated.or(times.finished);
                let stated = stated.or_else(|| self.last_trial_end());
                (Some(version), stated.or(times.started))
            }
            // It is written at the start.
            None => (self.config.version(), times.started),
        };
        let written = written.map(|version| version.modified());
        matches!((written, stated), (Some(w), Some(s)) if w.distance_us(s) > COPIED_US)
    }

    /// Whether the job was put together from others by hand: Harbor always writes when it started and counters, and
    /// its trials name their job.
    pub(crate) fn is_merged(&self) -> bool {
        let Some(result) = self.result.content() else {
            return false;
        };
        let mut jobs = self.trials.job_ids();
        result.started.is_none()
            || !result.has_stats
            || jobs.any(|job| result.id.as_ref().is_some_and(|id| id != job))
    }

    /// Returns when the job started, was last updated and finished.
    pub(crate) fn times(&self) -> JobTimes {
        let result = self.result.content();
        let (mut utc, mut local) = (self.trials.utc_span(), self.trials.local_span());
        for trial in result.into_iter().flat_map(|r| r.embedded.values()) {
            let span = if trial.has_local_times {
                &mut local
            } else {
                &mut utc
            };
            span.add(trial);
        }
        let job_name = || self.config.content()?.job_name.as_deref();
        let named = WrittenTime::parse_name(&self.name);
        let modified = self
            .result
            .version()
            .or(self.log)
            .or(self.config.version())
            .map(|version| version.modified());
        TimeEvidence {
            started: result.and_then(|r| r.started),
            updated: result.and_then(|r| r.updated),
            finished: result.and_then(|r| r.finished),
            named: named.or_else(|| job_name().and_then(WrittenTime::parse_name)),
            lock_created: self.lock.content().and_then(|lock| lock.created),
            first_trial: utc.first,
            last_trial: utc.last,
            first_local_trial: local.first,
            configured: self.config.version().map(|version| version.modified()),
            modified,
        }
        .resolve()
    }

    /// Returns the job's UUID, from its result or the configuration of a trial.
    pub(crate) fn uuid(&self) -> Option<String> {
        if let Some(archive) = &self.archive {
            return archive.uuid.clone();
        }
        // Trials that stand alone may be of any job.
        if self.holds_lone_trials {
            return None;
        }
        let stated = self.result.content().and_then(|r| r.id.clone());
        stated.or_else(|| {
            self.trials
                .by_name()
                .values()
                .find_map(|trial| trial.config()?.job_id.clone())
        })
    }

    /// Returns which folder it is, whatever its name.
    pub(crate) fn folder_identity(&self) -> Option<FolderIdentity> {
        self.dir_version.map(|version| version.identity())
    }

    /// Whether the folder still has the name under which the job was started.
    pub(crate) fn has_original_name(&self) -> bool {
        if let Some(archive) = &self.archive {
            return archive.has_original_name;
        }
        let mut names = self
            .trials
            .by_name()
            .values()
            .filter_map(|t| t.config()?.job_folder.as_ref());
        names.next().is_none_or(|name| *name == self.name)
    }
}
