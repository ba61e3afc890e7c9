//! Giving the engine what changed, and reading in the background what is still missing.

use std::sync::PoisonError;
use std::time::Duration;

use docks_proto::routes::RunKind;
use docksd_harbor::validators::{hash_objects, page, validator};
use docksd_remote::{Changes, CompleteRun, DeliveredTrials, RemoteError};
use tokio::time::Instant;
use tracing::debug;

use crate::Server;
use crate::attempts::Attempts;
use crate::job::Job;
use crate::poll::State;

/// Trials that are delivered at once, as far as one job has not more.
const MAX_TRIALS: usize = 5_000;
/// How long jobs are read, and results, before what is there is delivered.
const READING_TIME: Duration = Duration::from_millis(700);
/// Time between two pieces of background work: the server has one core for all.
const PAUSE: Duration = Duration::from_millis(2_100);
/// A job whose trials get their results one after another is delivered this often.
const DELIVER_EVERY: Duration = Duration::from_secs(30);
/// How long the trials of a job that ended are kept after somebody asked for them.
const KEPT_AFTER_LOOK: Duration = Duration::from_secs(60);
/// Attempts of such jobs after which no further job is kept: the engine looks at each once, one after the other.
const MAX_KEPT: usize = 2_000;

impl Server {
    /// Waits until there is something to deliver or to read.
    pub(crate) async fn wait_until_changed(&self) {
        loop {
            let wake_at = *self.wake_at.lock().unwrap_or_else(PoisonError::into_inner);
            let sleep = async {
                match wake_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.changed.notified() => return,
                () = self.rescheduled.notified() => {}
                () = sleep => {
                    let mut wake_at = self.wake_at.lock().unwrap_or_else(PoisonError::into_inner);
                    *wake_at = None;
                    return;
                }
            }
        }
    }

    fn wake_in(&self, pause: Option<Duration>) {
        let mut wake_at = self.wake_at.lock().unwrap_or_else(PoisonError::into_inner);
        *wake_at = pause.map(|pause| Instant::now() + pause);
        drop(wake_at);
        self.rescheduled.notify_one();
    }

    /// Reads for a moment what is missing, and returns the jobs that are not what the engine has.
    pub(crate) async fn deliver_changes(&self) -> Result<Changes, RemoteError> {
        let mut state = self.state.lock().await;
        let is_all_read = match self.read_in_background(&mut state).await {
            Ok(is_all_read) => is_all_read,
            Err(error) => {
                // The next poll says so, and goes on.
                debug!(error = %error, "could not read what is missing");
                true
            }
        };
        let now = Instant::now();
        let mut changes = Changes::default();
        let (mut trials, mut is_more) = (0, false);
        for job in state.jobs.values_mut() {
            if !job.is_undelivered || job.attempts.is_none() {
                continue;
            }
            if trials >= MAX_TRIALS {
                is_more = true;
                break;
            }
            let Some(run) = self.complete_run(job)? else {
                continue;
            };
            trials += run.trials.count();
            changes.runs.push(run);
            job.is_undelivered = false;
            job.delivered = Some(now);
        }
        state.drop_spare_attempts(now);
        if is_more {
            self.changed.notify_one();
        }
        self.wake_in((!is_all_read).then_some(PAUSE));
        Ok(changes)
    }

    /// Reads jobs that were never read, and results of trials. Returns whether nothing is missing.
    async fn read_in_background(&self, state: &mut State) -> Result<bool, RemoteError> {
        let poller = self.poller();
        let started = Instant::now();
        let mut is_all_read = poller.read_more(state, READING_TIME).await?;
        let left = READING_TIME.saturating_sub(started.elapsed());
        // One job after the other, so that the trials of few are in memory.
        if !left.is_zero()
            && let Some(id) = state.next_to_complete()
            && state
                .jobs
                .get(&id)
                .is_some_and(|job| job.attempts.is_none())
        {
            poller.read_job(state, &id).await?;
        }
        is_all_read &= !state.jobs.values().any(Job::lacks_results);
        let started = Instant::now();
        let mut jobs: Vec<&mut Job> = state
            .jobs
            .values_mut()
            .filter(|job| job.attempts.is_some())
            .collect();
        // What changed just now comes first.
        jobs.sort_by_key(|job| {
            let created = std::cmp::Reverse(job.created_us);
            (!job.is_undelivered, job.state.has_ended(), created)
        });
        for job in jobs {
            let left = READING_TIME.saturating_sub(started.elapsed());
            let has_all = match left.is_zero() {
                true => false,
                false => poller.read_results(job, left).await?,
            };
            is_all_read &= has_all;
            let is_due = job
                .delivered
                .is_none_or(|at| started.duration_since(at) >= DELIVER_EVERY);
            if (has_all || is_due || job.is_undelivered) && job.rebuild()? {
                job.is_undelivered = true;
            }
        }
        Ok(is_all_read)
    }

    fn complete_run(&self, job: &mut Job) -> Result<Option<CompleteRun>, RemoteError> {
        job.rebuild()?;
        let Some(trials) = job.trial_objects(self.client.base())? else {
            return Ok(None);
        };
        let [Some(run), Some(evaluation)] = RunKind::ALL.map(|kind| job.object(kind).cloned())
        else {
            return Ok(None);
        };
        let settled = job.settled_validator();
        Ok(Some(CompleteRun {
            id: job.id.clone(),
            run,
            evaluation,
            validator: settled.unwrap_or_else(|| validator(hash_objects(&trials))),
            trials: DeliveredTrials::Whole(page(trials)),
        }))
    }
}

impl State {
    /// Returns the newest job that has ended and of which results are missing.
    fn next_to_complete(&self) -> Option<String> {
        let lacking = self.jobs.values().filter(|job| job.lacks_results());
        let next = lacking.max_by_key(|job| (job.created_us, &job.id));
        next.map(|job| job.id.clone())
    }

    /// Drops attempts that can be read again, but not of the job whose results are being read, nor those that somebody
    /// looked at just now.
    fn drop_spare_attempts(&mut self, now: Instant) {
        let mut kept: Vec<String> = self.next_to_complete().into_iter().collect();
        let spare = |job: &&Job| job.attempts.is_some() && job.can_spare_attempts();
        let mut looked_at: Vec<(Instant, &Job)> = self
            .jobs
            .values()
            .filter(spare)
            .filter_map(|job| Some((job.looked_at?, job)))
            .filter(|(at, _)| now.duration_since(*at) < KEPT_AFTER_LOOK)
            .collect();
        looked_at.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        let mut attempts = 0;
        for (_, job) in looked_at {
            if attempts > MAX_KEPT {
                break;
            }
            attempts += job.attempts.as_ref().map_or(0, Attempts::len);
            kept.push(job.id.clone());
        }
        for job in self.jobs.values_mut() {
            if job.can_spare_attempts() && !kept.contains(&job.id) {
                job.drop_attempts();
            }
        }
    }
}
