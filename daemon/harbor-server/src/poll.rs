//! Asking the server what changed. One request while nothing did; see `docs/harbor-serve.md`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use docksd_harbor::served::recalled_update;
use docksd_remote::{DeliveredRun, RemoteError};
use tokio::time::Instant;

use crate::archive::Archive;
use crate::attempts::Attempts;
use crate::client::ServerClient;
use crate::job::Job;
use crate::queries::{self, ActiveRow, CountRow, JobRow, micros};

/// How often everything is compared: the server's clock can step back, and its data be replaced.
const RECONCILE_EVERY: Duration = Duration::from_secs(300);
/// A row's time is when it was prepared, some seconds before others can see it.
pub(crate) const OVERLAP_US: i64 = 60_000_000;
/// Attempts that are read before the engine has taken them: it writes them more slowly than the server tells them.
const MAX_UNDELIVERED: usize = 5_000;
/// How long one poll reads jobs that were never read; the others are counted meanwhile.
const READING_TIME: Duration = Duration::from_millis(1_500);

/// All that is known of the server.
#[derive(Default)]
pub(crate) struct State {
    /// Its jobs, by id.
    pub(crate) jobs: BTreeMap<String, Job>,
    /// The number of the last poll that succeeded.
    pub(crate) succeeded_poll: u64,
    newest_us: Option<i64>,
    reconciled: Option<Instant>,
    is_version_checked: bool,
    /// What an earlier process delivered, until the first poll has used it.
    delivered: HashMap<String, DeliveredRun>,
}

impl State {
    /// Takes what an earlier process delivered, before the first poll.
    pub(crate) fn restore(&mut self, delivered: Vec<DeliveredRun>) {
        let by_id = delivered.into_iter().map(|run| (run.id.clone(), run));
        self.delivered = by_id.collect();
    }
}

/// What a poll needs besides the state.
pub(crate) struct Poller<'a> {
    pub(crate) client: &'a ServerClient,
    pub(crate) archive: &'a dyn Archive,
    pub(crate) now: Instant,
}

impl Poller<'_> {
    /// Asks what changed, and reads it.
    pub(crate) async fn poll(&self, state: &mut State) -> Result<(), RemoteError> {
        if !state.is_version_checked {
            self.client.check_version().await?;
            state.is_version_checked = true;
        }
        let due = state
            .reconciled
            .is_none_or(|at| self.now.duration_since(at) >= RECONCILE_EVERY);
        let active = if due {
            self.reconcile(state).await?
        } else {
            self.read_changed(state).await?
        };
        if let Some(active) = active {
            doubt_unlike(state, &active);
        }
        self.read_jobs(state).await?;
        self.read_phases(state).await;
        for job in state.jobs.values_mut() {
            job.is_undelivered |= job.rebuild()?;
        }
        Ok(())
    }

    /// Reads the rows of the jobs that changed; of all of them if their number shows that some are unknown.
    async fn read_changed(&self, state: &mut State) -> Result<Option<Vec<ActiveRow>>, RemoteError> {
        let since_us = state.newest_us.unwrap_or(0) - OVERLAP_US;
        let statements = [
            queries::count_jobs(),
            queries::changed_jobs(since_us),
            queries::active_attempts(),
        ];
        let (count, rows, active) = self
            .client
            .query(&statements, |[count, rows, active]| {
                let count: Vec<CountRow> = count.rows()?;
                let rows: Vec<JobRow> = rows.rows()?;
                let active = (!active.has_failed()).then(|| active.rows());
                Ok((count, rows, active.transpose()?))
            })
            .await?;
        let is_cut = rows.len() >= queries::JOBS_PER_PAGE;
        self.take_rows(state, &rows);
        let count = count.first().map_or(0, |row| row.count);
        let ended = |row: &ActiveRow| {
            let job = state.jobs.get(&row.job_id);
            job.is_none_or(|job| job.state.has_ended())
        };
        let has_unlike = active.iter().flatten().any(ended);
        if is_cut || count != state.jobs.len() as u64 || has_unlike {
            return self.reconcile(state).await;
        }
        Ok(active)
    }

    /// Reads the rows of all jobs, and forgets those that the server does not have.
    async fn reconcile(&self, state: &mut State) -> Result<Option<Vec<ActiveRow>>, RemoteError> {
        let mut seen = BTreeSet::new();
        let mut last = String::new();
        loop {
            let statements = [queries::jobs_after(&last), queries::active_attempts()];
            let (rows, active) = self
                .client
                .query(&statements, |[rows, active]| {
                    let rows: Vec<JobRow> = rows.rows()?;
                    let active = (!active.has_failed()).then(|| active.rows());
                    Ok((rows, active.transpose()?))
                })
                .await?;
            self.take_rows(state, &rows);
            seen.extend(rows.iter().map(|row| row.id.clone()));
            match rows.last() {
                Some(row) if rows.len() >= queries::JOBS_PER_PAGE => last.clone_from(&row.id),
                _ => {
                    state.jobs.retain(|id, _| seen.contains(id));
                    state.reconciled = Some(self.now);
                    return Ok(active);
                }
            }
        }
    }

    fn take_rows(&self, state: &mut State, rows: &[JobRow]) {
        for row in rows {
            match state.jobs.get_mut(&row.id) {
                Some(job) => job.set_row(row),
                None => {
                    let job = Job::new(row, self.client.base());
                    state.jobs.insert(row.id.clone(), job);
                }
            }
        }
        let newest = state.jobs.values().filter_map(|job| job.updated_us).max();
        state.newest_us = newest;
    }

    /// Reads the trials of jobs that changed, and of so many that were never read as there is time for; counts
    /// those of the others.
    async fn read_jobs(&self, state: &mut State) -> Result<(), RemoteError> {
        adopt_delivered(state);
        let changed: Vec<String> = state
            .jobs
            .values()
            .filter(|job| job.is_read() && !job.is_current())
            .map(|job| job.id.clone())
            .collect();
        for id in &changed {
            self.read_job(state, id).await?;
        }
        self.read_more(state, READING_TIME).await?;
        let uncounted: Vec<String> = state
            .jobs
            .values()
            .filter(|job| !job.is_current())
            .map(|job| job.id.clone())
            .collect();
        self.count_trials(state, &uncounted).await
    }

    /// Reads jobs that were never read for some time, newest first. Returns whether all have been read.
    pub(crate) async fn read_more(
        &self,
        state: &mut State,
        time: Duration,
    ) -> Result<bool, RemoteError> {
        let mut unread: Vec<(bool, Option<i64>, String)> = state
            .jobs
            .values()
            .filter(|job| !job.is_read())
            .map(|job| (!job.state.has_ended(), job.created_us, job.id.clone()))
            .collect();
        unread.sort_unstable();
        let started = Instant::now();
        while state.undelivered_attempts() < MAX_UNDELIVERED
            && let Some((_, _, id)) = unread.pop()
        {
            self.read_job(state, &id).await?;
            if started.elapsed() >= time {
                break;
            }
        }
        Ok(unread.is_empty())
    }
}

impl State {
    /// Returns how many attempts are kept for the engine, which has not taken them yet.
    fn undelivered_attempts(&self) -> usize {
        let is_behind = |job: &&Job| job.is_undelivered || job.delivered.is_none();
        let behind = self.jobs.values().filter(is_behind);
        let attempts = behind.filter_map(|job| job.attempts.as_ref());
        attempts.map(Attempts::len).sum()
    }
}

/// Takes over what an earlier process delivered completely of jobs that have not changed since.
fn adopt_delivered(state: &mut State) {
    let mut delivered = std::mem::take(&mut state.delivered);
    for job in state.jobs.values_mut() {
        let Some(run) = delivered.remove(&job.id) else {
            continue;
        };
        let objects = [run.run, run.evaluation];
        let is_same = objects.iter().all(|object| {
            let shown_us = recalled_update(object);
            shown_us.is_some() && shown_us == job.shown_update_us()
        });
        let has_trials = job.ended_validator() == Some(run.trials_validator);
        if is_same && has_trials {
            job.adopt(objects);
        }
    }
}

/// Doubts the jobs whose attempts under way are not those of the server: its clock may have stepped back.
fn doubt_unlike(state: &mut State, active: &[ActiveRow]) {
    let by_job: HashMap<&str, &ActiveRow> = active
        .iter()
        .map(|row| (row.job_id.as_str(), row))
        .collect();
    for job in state.jobs.values_mut().filter(|job| job.is_current()) {
        let Some(attempts) = &job.attempts else {
            continue;
        };
        let row = by_job.get(job.id.as_str());
        let theirs = row.map_or((0, None), |row| (row.count, micros(row.newest.as_deref())));
        if attempts.active() != theirs {
            job.doubt();
        }
    }
}
