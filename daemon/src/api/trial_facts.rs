//! What figures are made of, of the trials of some runs, as fresh as a request needs it.

use axum::http::Uri;
use axum::response::Response;
use bytes::Bytes;
use docks_proto::freshness::Freshness;
use docks_proto::query::ListQuery;
use docks_proto::time::UnixMs;
use docks_statistics::trial::FactsList;
use docksd_mirror::{AgeOfTrials, Confirmation, FactsSelection, MirrorError, Resource};
use futures_util::future::try_join_all;

use super::error::ApiError;
use super::revalidate::{FreshnessRequirement, freshness_of, oldest};
use super::run::cache_key;
use super::trial::fresh_run_with_trials;
use super::{Service, all_trials, resolve_id, respond};
use crate::registry::MirroredRemote;

/// Most runs of one request.
const MAX_RUNS: usize = 100;

/// What was computed from the facts of trials.
pub(super) struct Computed {
    /// JSON.
    pub(super) body: String,
    /// How many rows there are, also those that are left out.
    pub(super) total: u64,
}

/// Refuses a request about too many runs.
pub(super) fn check_number_of_runs(runs: &[String]) -> Result<(), ApiError> {
    if runs.len() > MAX_RUNS {
        return Err(ApiError::BadRequest(format!(
            "{} runs are too many for one request; at most {MAX_RUNS}, or all",
            runs.len()
        )));
    }
    Ok(())
}

/// Responds with what is computed from the facts of all trials that meet the filters of a query.
pub(super) async fn of_all_runs<F>(
    service: &Service,
    remote: &MirroredRemote,
    uri: &Uri,
    filter: &ListQuery,
    requirement: FreshnessRequirement,
    compute: impl FnOnce(FactsList) -> F,
) -> Result<Response, ApiError>
where
    F: Future<Output = Result<Computed, ApiError>>,
{
    let mirror = &remote.mirror;
    let read = |age| mirror.matching_trial_facts(FactsSelection::All, filter, age);
    cached(service, remote, uri, requirement, read, compute).await
}

/// Responds with what is computed from what `read` returns of the trials of all runs. The response is kept until the
/// mirror changes.
pub(super) async fn cached<T, R, F>(
    service: &Service,
    remote: &MirroredRemote,
    uri: &Uri,
    requirement: FreshnessRequirement,
    read: impl Fn(AgeOfTrials) -> R,
    compute: impl FnOnce(T) -> F,
) -> Result<Response, ApiError>
where
    R: Future<Output = Result<(T, Option<Confirmation>), MirrorError>>,
    F: Future<Output = Result<Computed, ApiError>>,
{
    let (key, now) = (cache_key(uri), service.monotonic_time());
    if let Some(response) = respond::cached_list(remote, key, requirement, now) {
        return Ok(response);
    }
    let (rows, read) = all_trials::read_fresh(remote, requirement, read)
        .await?
        .split();
    let computed = compute(rows).await?;
    let body = (Bytes::from(computed.body), computed.total);
    let response = read.response(body, remote, requirement)?;
    let now = service.monotonic_time();
    Ok(respond::list(remote, key, response, read.answered_by, now))
}

/// Reads the facts of the trials of some evaluation runs that meet the filters of a query. A run that is named twice
/// is read once.
pub(super) async fn of_runs(
    remote: &MirroredRemote,
    names: &[String],
    filter: &ListQuery,
    requirement: FreshnessRequirement,
    now: UnixMs,
) -> Result<(FactsList, Freshness), ApiError> {
    let asking = names
        .iter()
        .map(|name| fresh_run_with_trials(remote, name, requirement));
    let mut found = try_join_all(asking).await?;
    let mut ids: Vec<String> = Vec::new();
    found.retain(|(run, ..)| {
        let is_new = !ids.contains(&run.id);
        if is_new {
            ids.push(run.id.clone());
        }
        is_new
    });
    // Before the trials are read: they may be newer than what was confirmed, and not older.
    let mut ages = Vec::new();
    for (run, of_run, answered_by) in found {
        let resource = Resource::Trials(run.id.clone());
        let confirmed = remote.mirror.confirmation(&resource).await?;
        let confirmed = confirmed.unwrap_or_else(|| resolve_id::confirmation_of(&run));
        let volatility = resolve_id::volatility_of(&run);
        remote.sync.mark_watched(&resource);
        let mut freshness = freshness_of(remote, &confirmed, volatility, answered_by);
        if !confirmed.complete {
            freshness.incomplete = Some(still_to_come(&run.id));
        }
        ages.extend([of_run, freshness]);
    }
    let selection = FactsSelection::Ids(ids);
    let reading = remote
        .mirror
        .matching_trial_facts(selection, filter, AgeOfTrials::All);
    let (facts, _) = reading.await?;
    let mut freshness = oldest(ages.into_iter(), now);
    if freshness.incomplete.is_none()
        && let Some((run, _)) = facts.runs().find(|(run, _)| !run.is_complete)
    {
        freshness.incomplete = Some(still_to_come(&run.id));
    }
    Ok((facts, freshness))
}

fn still_to_come(run: &str) -> String {
    format!("trials of `{run}` are still to come")
}
