//! The cron jobs: sweep and upkeep, at their times in `daemon.toml`.
//!
//! A job only requests work of the sync engines, so a slow sync never overlaps itself.

use std::sync::{Arc, Weak};
use std::time::Duration;

use chrono::{DateTime, Local, Offset, TimeZone};
use croner::Cron;
use docks_proto::status::ScheduleStatus;
use docks_proto::time::UnixMs;
use tokio::sync::Mutex;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use crate::config::{JobSchedules, parse_cron};
use crate::registry::{MirroredRemote, Registry};
use docksd_mirror::Retention;
use docksd_sync::ScheduledWork;

/// Time between two checks of the UTC offset.
const CHECK_OFFSET_EVERY: Duration = Duration::from_secs(60);

/// The scheduled jobs.
pub struct Schedule {
    work: Work,
    state: Mutex<State>,
}

/// The jobs as they are scheduled now.
struct State {
    scheduler: JobScheduler,
    jobs: Jobs,
    /// The UTC offset of local time when the jobs were scheduled, in seconds.
    utc_offset_s: i32,
}

struct Jobs {
    sweep: Job,
    upkeep: Job,
}

/// What the jobs do, and when.
#[derive(Clone)]
struct Work {
    /// Weak, so that the scheduler does not keep the mirrors open.
    registry: Weak<Registry>,
    retention: Retention,
    /// A cron line of six fields, in local time.
    sweep: String,
    /// The same for the upkeep.
    upkeep: String,
}

impl Schedule {
    /// Starts the sweep and the upkeep.
    ///
    /// # Errors
    ///
    /// When the scheduler can't be started.
    pub async fn start(
        registry: &Arc<Registry>,
        schedules: &JobSchedules,
        retention: Retention,
    ) -> Result<Self, JobSchedulerError> {
        // Random, so that many machines do not send requests to one remote at the same time.
        let (second, minute) = (fastrand::u8(0..60), fastrand::u8(0..60));
        let work = Work {
            registry: Arc::downgrade(registry),
            retention,
            sweep: schedules.sweep.cron_line(minute, second),
            upkeep: schedules.upkeep.cron_line(minute, second),
        };
        let now = registry.clock().wall();
        let scheduler = JobScheduler::new().await?;
        let jobs = work.add_to(&scheduler).await?;
        scheduler.start().await?;
        Ok(Self {
            work,
            state: Mutex::new(State {
                scheduler,
                jobs,
                utc_offset_s: utc_offset_s(now),
            }),
        })
    }

    /// Keeps the jobs at their local times when the UTC offset changes; never returns.
    ///
    /// The scheduler stores the offset of the moment at which a job is added, so after a change to
    /// or from daylight saving time, or of the time zone, the jobs are added again.
    pub async fn follow_utc_offset(&self) {
        loop {
            tokio::time::sleep(CHECK_OFFSET_EVERY).await;
            let Some(registry) = self.work.registry.upgrade() else {
                return;
            };
            let offset_s = utc_offset_s(registry.clock().wall());
            drop(registry);
            if let Err(error) = self.set_utc_offset(offset_s).await {
                tracing::warn!(%error, "could not reschedule the cron jobs");
            }
        }
    }

    async fn set_utc_offset(&self, offset_s: i32) -> Result<(), JobSchedulerError> {
        let mut state = self.state.lock().await;
        if state.utc_offset_s == offset_s {
            return Ok(());
        }
        let jobs = self.work.add_to(&state.scheduler).await?;
        let old = std::mem::replace(&mut state.jobs, jobs);
        state.utc_offset_s = offset_s;
        for job in [old.sweep, old.upkeep] {
            state.scheduler.remove(&job.guid()).await?;
        }
        tracing::info!("the UTC offset has changed; the cron jobs are rescheduled");
        Ok(())
    }

    /// Reports when each job last succeeded for all remotes, and when it is next due.
    pub async fn status(&self, remotes: &[Arc<MirroredRemote>]) -> Vec<ScheduleStatus> {
        let all = |succeeded: fn(&MirroredRemote) -> Option<UnixMs>| {
            let times: Option<Vec<_>> = remotes.iter().map(|remote| succeeded(remote)).collect();
            times?.into_iter().min().map(UnixMs::rfc3339)
        };
        let mut state = self.state.lock().await;
        let (sweep, upkeep) = (state.jobs.sweep.guid(), state.jobs.upkeep.guid());
        let mut next_due = [None, None];
        for (next_due, job) in next_due.iter_mut().zip([sweep, upkeep]) {
            let next = state.scheduler.next_tick_for_job(job).await.ok().flatten();
            *next_due = next.map(|at| UnixMs(at.timestamp_millis()).rfc3339());
        }
        let [sweep_due, upkeep_due] = next_due;
        vec![
            ScheduleStatus {
                name: "sweep".to_owned(),
                cron: Some(self.work.sweep.clone()),
                last_success: all(|remote| remote.sync.health().last_sweep),
                next_due: sweep_due,
            },
            ScheduleStatus {
                name: "upkeep".to_owned(),
                cron: Some(self.work.upkeep.clone()),
                last_success: all(|remote| remote.sync.health().last_upkeep),
                next_due: upkeep_due,
            },
        ]
    }

    /// Stops the scheduler.
    pub async fn stop(&self) {
        if let Err(error) = self.state.lock().await.scheduler.shutdown().await {
            tracing::warn!(%error, "could not stop the cron jobs");
        }
    }
}

impl Work {
    async fn add_to(&self, scheduler: &JobScheduler) -> Result<Jobs, JobSchedulerError> {
        let jobs = Jobs {
            sweep: self.sweep_job()?,
            upkeep: self.upkeep_job()?,
        };
        scheduler.add(jobs.sweep.clone()).await?;
        scheduler.add(jobs.upkeep.clone()).await?;
        Ok(jobs)
    }

    fn sweep_job(&self) -> Result<Job, JobSchedulerError> {
        let work = self.clone();
        let upkeep = parse_cron(&self.upkeep).map_err(|_| JobSchedulerError::ParseSchedule)?;
        Job::new_tz(&self.sweep, Local, move |_, _| {
            let Some(registry) = work.registry.upgrade() else {
                return;
            };
            let now = local(registry.clock().wall());
            for remote in registry.open_remotes() {
                remote.sync.run_scheduled(ScheduledWork::Sweep);
                // A machine that is suspended at night does its upkeep during the day.
                if is_overdue(&upkeep, remote.sync.health().last_upkeep, &now) {
                    let missed = ScheduledWork::MissedUpkeep(work.retention);
                    remote.sync.run_scheduled(missed);
                }
            }
        })
    }

    fn upkeep_job(&self) -> Result<Job, JobSchedulerError> {
        let work = self.clone();
        Job::new_tz(&self.upkeep, Local, move |_, _| {
            let Some(registry) = work.registry.upgrade() else {
                return;
            };
            for remote in registry.open_remotes() {
                let upkeep = ScheduledWork::Upkeep(work.retention);
                remote.sync.run_scheduled(upkeep);
            }
        })
    }
}

/// Whether a job was due since it last succeeded.
fn is_overdue<Tz: TimeZone>(cron: &Cron, last_success: Option<UnixMs>, now: &DateTime<Tz>) -> bool {
    let Some(last_success) = last_success else {
        return true;
    };
    cron.find_previous_occurrence(now, true)
        .is_ok_and(|due| due.timestamp_millis() > last_success.0)
}

fn local(at: UnixMs) -> DateTime<Local> {
    DateTime::from_timestamp_millis(at.0)
        .unwrap_or_default()
        .with_timezone(&Local)
}

fn utc_offset_s(at: UnixMs) -> i32 {
    local(at).offset().fix().local_minus_utc()
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;
    use docks_proto::paths::Paths;
    use docksd_sync::SystemClock;

    use super::*;
    use crate::config::{Config, JobSchedule};
    use crate::registry::NetworkConnector;

    #[test]
    fn upkeep_is_overdue_only_after_a_due_time() {
        let weekly = parse_cron("0 0 4 * * 0").unwrap();
        let zone = FixedOffset::east_opt(2 * 3_600).unwrap();
        // A Thursday; the Sunday before it is the 3rd of May.
        let now = zone.with_ymd_and_hms(2026, 5, 7, 12, 0, 0).unwrap();
        let at = |day, hour| {
            let at = zone.with_ymd_and_hms(2026, 5, day, hour, 0, 0).unwrap();
            Some(UnixMs(at.timestamp_millis()))
        };
        assert!(is_overdue(&weekly, None, &now));
        assert!(is_overdue(&weekly, at(3, 3), &now));
        assert!(!is_overdue(&weekly, at(3, 5), &now));
        assert!(!is_overdue(&weekly, at(6, 5), &now));
    }

    #[tokio::test]
    async fn the_jobs_survive_a_change_of_the_utc_offset() {
        let home = tempfile::tempdir().unwrap();
        let mut config = Config::new(Paths {
            home: home.path().to_owned(),
            socket: home.path().join("run/docksd.sock"),
        });
        config.schedules.sweep = "15 4 * * *".parse().unwrap();
        let clock = Arc::new(SystemClock);
        let registry = Arc::new(Registry::new(&config, Box::new(NetworkConnector), clock));
        let schedule = Schedule::start(&registry, &config.schedules, config.retention)
            .await
            .unwrap();
        let before = schedule.status(&[]).await;
        assert_eq!(before[0].cron.as_deref(), Some("0 15 4 * * *"));
        assert_eq!(config.schedules.upkeep, JobSchedule::Nightly);
        assert!(
            before.iter().all(|job| job.next_due.is_some()),
            "{before:?}"
        );
        let offset_s = schedule.state.lock().await.utc_offset_s;
        schedule.set_utc_offset(offset_s + 3_600).await.unwrap();
        assert_eq!(schedule.status(&[]).await, before);
        schedule.stop().await;
    }
}
