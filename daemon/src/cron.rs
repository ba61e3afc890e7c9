//! The cron jobs. They only poke the engines; a slow sync then never overlaps itself.

use std::sync::Arc;

use docks_proto::status::ScheduleStatus;
use docks_proto::time::UnixMs;
use tokio::sync::Mutex;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use crate::registry::{MirroredRemote, Registry};
use docksd_mirror::Retention;
use docksd_sync::ScheduledWork;

/// When the jobs are due, as cron lines that begin with seconds, in UTC.
#[derive(Debug, Clone)]
pub struct Calendar {
    /// Of the full sweep.
    pub sweep: String,
    /// Of the upkeep.
    pub upkeep: String,
}

impl Default for Calendar {
    /// Hourly and nightly, each at a minute of this process's own, so that many machines do not ask
    /// one remote at once.
    fn default() -> Self {
        let (second, minute) = (fastrand::u8(0..60), fastrand::u8(0..60));
        Self {
            sweep: format!("{second} {minute} * * * *"),
            upkeep: format!("{second} {minute} 3 * * *"),
        }
    }
}

/// The two jobs.
pub struct Schedule {
    scheduler: Mutex<JobScheduler>,
    sweep: Job,
    upkeep: Job,
}

impl Schedule {
    /// Starts the sweep and the upkeep.
    ///
    /// # Errors
    ///
    /// When the scheduler cannot start.
    pub async fn start(
        registry: &Arc<Registry>,
        calendar: &Calendar,
        retention: Retention,
    ) -> Result<Self, JobSchedulerError> {
        // A machine that sleeps at night makes up for its upkeep by day.
        let hourly = [ScheduledWork::Sweep, ScheduledWork::MissedUpkeep(retention)];
        let sweep = job(&calendar.sweep, registry, hourly)?;
        let nightly = [ScheduledWork::Upkeep(retention)];
        let upkeep = job(&calendar.upkeep, registry, nightly)?;
        let scheduler = JobScheduler::new().await?;
        scheduler.add(sweep.clone()).await?;
        scheduler.add(upkeep.clone()).await?;
        scheduler.start().await?;
        Ok(Self {
            scheduler: Mutex::new(scheduler),
            sweep,
            upkeep,
        })
    }

    /// Says when the work of each job last ended well for all remotes, and when it is next due.
    pub async fn status(&self, sources: &[Arc<MirroredRemote>]) -> Vec<ScheduleStatus> {
        let all = |ended: fn(&MirroredRemote) -> Option<UnixMs>| {
            let ended: Option<Vec<_>> = sources.iter().map(|s| ended(s)).collect();
            ended?.into_iter().min().map(UnixMs::rfc3339)
        };
        vec![
            ScheduleStatus {
                name: "sweep".to_owned(),
                last_success: all(|source| source.sync.health().last_sweep),
                next_due: self.next(&self.sweep).await,
            },
            ScheduleStatus {
                name: "upkeep".to_owned(),
                last_success: all(|source| source.sync.health().last_upkeep),
                next_due: self.next(&self.upkeep).await,
            },
        ]
    }

    async fn next(&self, job: &Job) -> Option<String> {
        let mut scheduler = self.scheduler.lock().await;
        let next = scheduler.next_tick_for_job(job.guid()).await.ok()??;
        Some(UnixMs(next.timestamp_millis()).rfc3339())
    }

    /// Ends the scheduler.
    pub async fn stop(&self) {
        if let Err(error) = self.scheduler.lock().await.shutdown().await {
            tracing::warn!(%error, "the scheduler did not end");
        }
    }
}

fn job<const POKES: usize>(
    cron: &str,
    registry: &Arc<Registry>,
    pokes: [ScheduledWork; POKES],
) -> Result<Job, JobSchedulerError> {
    // Weak, or the scheduler would keep the mirrors open when everybody else is done.
    let registry = Arc::downgrade(registry);
    Job::new(cron, move |_, _| {
        let Some(registry) = registry.upgrade() else {
            return;
        };
        for source in registry.open_remotes() {
            pokes
                .into_iter()
                .for_each(|poke| source.sync.run_scheduled(poke));
        }
    })
}
