//! Reading the attempts of a job, or counting them.

use std::collections::HashMap;

use docksd_remote::RemoteError;

use crate::attempts::Attempts;
use crate::client::QueryResult;
use crate::job::Job;
use crate::poll::{OVERLAP_US, Poller, State};
use crate::queries::{self, AttemptRange, ConfigRow, JobRow, KindRow, SummaryRow, micros};

impl Poller<'_> {
    /// Reads the attempts of a job: those that changed, or all.
    pub(crate) async fn read_job(&self, state: &mut State, id: &str) -> Result<(), RemoteError> {
        let Some(job) = state.jobs.get_mut(id) else {
            return Ok(());
        };
        if !job.is_doubted()
            && let Some(since_us) = job.attempts.as_ref().and_then(Attempts::newest_us)
            && self.read_delta(job, since_us - OVERLAP_US).await?
        {
            return Ok(());
        }
        self.read_whole(job).await
    }

    /// Reads the attempts that changed. Returns whether the job is whole after that.
    async fn read_delta(&self, job: &mut Job, since_us: i64) -> Result<bool, RemoteError> {
        let [rows, rewards, artifacts] =
            queries::attempts(&job.id, AttemptRange::ChangedSince(since_us));
        let (row, summary) = (queries::job(&job.id), queries::summary_of_attempts(&job.id));
        let statements = [row, summary, rows, rewards, artifacts];
        let mut attempts = job.attempts.take().unwrap_or_default();
        let read = self
            .client
            .query(&statements, |results| {
                if results.iter().any(QueryResult::has_failed) {
                    return Ok(None);
                }
                let [row, summary, of_attempts @ ..] = results;
                let row: Vec<JobRow> = row.rows()?;
                let summary: Vec<SummaryRow> = summary.rows()?;
                attempts.merge(&of_attempts, true)?;
                Ok(row.into_iter().next().zip(summary.into_iter().next()))
            })
            .await;
        // A clock that was set back gives changed attempts times that were asked for before.
        let is_whole = |summary: &SummaryRow| {
            summary.count == attempts.len() as u64
                && summary.active == attempts.active().0
                && micros(summary.newest.as_deref()) == attempts.newest_us()
        };
        match read {
            Ok(Some((row, summary))) if is_whole(&summary) => {
                job.set_row(&row);
                job.set_attempts(attempts);
                Ok(true)
            }
            read => {
                // Rows that were merged are true all the same.
                job.attempts = Some(attempts);
                read.map(|_| false)
            }
        }
    }

    async fn read_whole(&self, job: &mut Job) -> Result<(), RemoteError> {
        let mut attempts = Attempts::default();
        let (mut last, mut page) = (String::new(), queries::ATTEMPTS_PER_PAGE);
        let mut row: Option<JobRow> = None;
        loop {
            let [rows, rewards, artifacts] =
                queries::attempts(&job.id, AttemptRange::Page(&last, page));
            let (of_job, config) = (queries::job(&job.id), queries::config(&job.id));
            let statements = [of_job, config, rows, rewards, artifacts];
            let answer = self
                .client
                .query(&statements, |results| {
                    let [job, config, of_attempts @ ..] = results;
                    let too_much = of_attempts.iter().any(QueryResult::has_failed);
                    // Of one attempt there is nothing to divide; its files are told with its result.
                    if too_much && page > 1 {
                        return Ok(None);
                    }
                    let job: Vec<JobRow> = job.rows()?;
                    let config: Option<Vec<ConfigRow>> = config.rows().ok();
                    let [_, _, artifacts] = &of_attempts;
                    let merged = attempts.merge(&of_attempts, !artifacts.has_failed())?;
                    Ok(Some((job.into_iter().next(), config, merged)))
                })
                .await?;
            let Some((job_row, config, (largest, count))) = answer else {
                page = (page / 4).max(1);
                continue;
            };
            let config = config.into_iter().flatten().next();
            if let Some(config) = config.and_then(|row| row.config) {
                job.set_config(config);
            }
            row = row.or(job_row);
            match largest {
                Some(largest) if count >= page => last = largest,
                _ => break,
            }
        }
        // Pages are of several moments: what changed after the first one is found by its row.
        if let Some(row) = row {
            job.set_row(&row);
        }
        match job.attempts.take() {
            Some(before) => attempts.keep_results(before),
            None => attempts.recall(&self.archive.trials(&job.id).await),
        }
        job.set_attempts(attempts);
        Ok(())
    }

    /// Counts the trials of jobs. Where that takes the server too long, fewer at a time; one job is then read.
    pub(crate) async fn count_trials(
        &self,
        state: &mut State,
        ids: &[String],
    ) -> Result<(), RemoteError> {
        let mut chunks: Vec<&[String]> = ids.chunks(queries::COUNTED_JOBS).collect();
        while let Some(chunk) = chunks.pop() {
            let jobs: Vec<&str> = chunk.iter().map(String::as_str).collect();
            let rows: Option<Vec<KindRow>> = self
                .client
                .query(&[queries::trial_kinds(&jobs)], |[counted]| {
                    let counted = (!counted.has_failed()).then(|| counted.rows());
                    counted.transpose()
                })
                .await?;
            let Some(rows) = rows else {
                match chunk {
                    [id] => self.read_job(state, id).await?,
                    several => {
                        let (one, other) = several.split_at(several.len() / 2);
                        chunks.extend([one, other]);
                    }
                }
                continue;
            };
            let mut counts: HashMap<&str, Vec<_>> = HashMap::new();
            for row in &rows {
                counts.entry(&row.job_id).or_default().extend(row.counted());
            }
            for id in chunk {
                if let Some(job) = state.jobs.get_mut(id) {
                    job.set_counts(counts.remove(id.as_str()).unwrap_or_default());
                }
            }
        }
        Ok(())
    }
}
