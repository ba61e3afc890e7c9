//! What the server says of single rollouts and not in its tables: phases of running ones, results of ended ones.

use std::time::Duration;

use docks_proto::id::path_segment;
use docksd_harbor::served::AttemptResult;
use docksd_remote::RemoteError;
use futures_util::future::try_join_all;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::attempts::LiveRollout;
use crate::job::Job;
use crate::poll::{Poller, State};

/// How long somebody who asked for a job is assumed to look at it.
const LOOKING_TIME: Duration = Duration::from_secs(15);
/// Pages of 100 running attempts of which the phases are read.
const MAX_LIVE_PAGES: usize = 10;
/// Results that are read at once.
const RESULTS_AT_ONCE: usize = 2;

#[derive(Deserialize)]
struct RolloutAnswer {
    rollout: RolloutDetail,
}

#[derive(Deserialize)]
struct RolloutDetail {
    state: String,
    result: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct RolloutPage {
    items: Vec<LiveRollout>,
    #[serde(default)]
    next_page_token: Option<String>,
}

impl Poller<'_> {
    /// Reads the phases of running trials of the jobs that somebody looks at. Without them they are shown as
    /// running, which they are.
    pub(crate) async fn read_phases(&self, state: &mut State) {
        let is_watched = |job: &&Job| {
            let looked = job.looked_at;
            let looked =
                looked.is_some_and(|at| self.now.saturating_duration_since(at) < LOOKING_TIME);
            looked && !job.state.has_ended() && job.attempts.is_some()
        };
        let watched: Vec<String> = state
            .jobs
            .values()
            .filter(is_watched)
            .map(|job| job.id.clone())
            .collect();
        for id in &watched {
            if let Err(error) = self.read_phases_of(state, id).await {
                debug!(job = id, error = %error, "could not read the phases of trials");
            }
        }
    }

    /// Reads the phases of a job's running trials.
    pub(crate) async fn read_phases_of(
        &self,
        state: &mut State,
        id: &str,
    ) -> Result<(), RemoteError> {
        let Some(job) = state.jobs.get_mut(id) else {
            return Ok(());
        };
        let mut token: Option<String> = None;
        for _ in 0..MAX_LIVE_PAGES {
            let path = running_rollouts(id, token.as_deref());
            let page: RolloutPage = self.client.get(path).await?;
            let changed = job
                .attempts
                .as_mut()
                .is_some_and(|attempts| attempts.take_live(&page.items));
            if changed {
                job.mark_dirty();
                // The job's own objects may show nothing of it.
                job.is_undelivered = true;
            }
            token = page.next_page_token.filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Reads the results of a job's trials for some time, newest first. Returns whether all have been read.
    pub(crate) async fn read_results(
        &self,
        job: &mut Job,
        time: Duration,
    ) -> Result<bool, RemoteError> {
        let Some(attempts) = &mut job.attempts else {
            return Ok(true);
        };
        let missing = attempts.without_result();
        let started = Instant::now();
        let mut left = missing.len();
        for ids in missing.chunks(RESULTS_AT_ONCE) {
            if started.elapsed() >= time {
                break;
            }
            let results = try_join_all(ids.iter().map(|id| self.result(id))).await?;
            for (id, result) in ids.iter().zip(results) {
                if let Some(result) = result {
                    attempts.set_result(id, result);
                    left -= 1;
                }
            }
        }
        if left < missing.len() {
            job.mark_dirty();
        }
        Ok(left == 0)
    }

    /// Reads the result of an attempt; `None` if it does not have one now.
    pub(crate) async fn result(&self, attempt: &str) -> Result<Option<AttemptResult>, RemoteError> {
        let path = match path_segment(attempt) {
            Ok(id) => format!("/rollouts/{id}"),
            Err(_) => return Ok(Some(AttemptResult::none())),
        };
        let rollout = match self.client.get::<RolloutAnswer>(path).await {
            Ok(answer) => answer.rollout,
            // It is gone together with its job, which the next poll notices.
            Err(RemoteError::Status { status: 404, .. }) => return Ok(None),
            // One that the server cannot give must not hide the others; the tables say how it ended.
            Err(
                error @ (RemoteError::InvalidResponse { .. }
                | RemoteError::Status { status: 500, .. }),
            ) => {
                warn!(attempt, error = %error, "could not read the result of an attempt");
                return Ok(Some(AttemptResult::none()));
            }
            Err(error) => return Err(error),
        };
        if !matches!(rollout.state.as_str(), "finished" | "cancelled") {
            return Ok(None);
        }
        let result = rollout.result.as_deref().map_or("null", RawValue::get);
        Ok(Some(
            AttemptResult::parse(result).unwrap_or_else(AttemptResult::none),
        ))
    }
}

/// Returns the path of the rollouts of a job that run. With a job and this order the server does not read all others.
fn running_rollouts(job: &str, token: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("job_ids", job)
        .append_pair("states", "running")
        .append_pair("states", "cancelling")
        .append_pair("sort", "id")
        .append_pair("page_size", "100");
    if let Some(token) = token {
        query.append_pair("page_token", token);
    }
    format!("/rollouts?{}", query.finish())
}
