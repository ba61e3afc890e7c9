//! Trials of an evaluation run: list, get and retry.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use docks_proto::freshness::{AnsweredBy, Freshness};
use docks_proto::query::{ListKind, ListQuery};
use docks_proto::routes::{Action, RunKind};

use super::actor::Actor;
use super::error::ApiError;
use super::extract::PathIds;
use super::resolve_id::{
    self, or_run_not_found, resolve_again, resolve_run, resolve_trial, run_not_found,
    trial_not_found,
};
use super::revalidate::{FreshnessRequirement, freshness_of, is_not_found, revalidate};
use super::run::{self, ActionRequest, HandlerResult, act, cache_key};
use super::status_seen::all_statuses_seen;
use super::{Service, respond};
use crate::list_response::ListResponse;
use crate::registry::MirroredRemote;
use docksd_mirror::{Resource, StatusScope, StoredObject};
use docksd_remote::ActionTarget;
use docksd_sync::FetchKey;

/// By default all trials are returned.
const DEFAULT_LIMIT: u64 = 0;

/// `GET /tenants/{tenant}/harbor/runs/{id}/trials`
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    PathIds((tenant, run_name)): PathIds<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let remote = service.open_for_reading(&headers, Some(&tenant)).await?;
    let requirement = service.freshness_requirement(&headers);
    let cache_key = cache_key(&uri);
    let now = service.monotonic_time();
    if let Some(response) = respond::cached_list(&remote, cache_key, requirement, now) {
        return Ok(response);
    }
    let query = ListQuery::parse(ListKind::Trials, uri.query().unwrap_or(""), DEFAULT_LIMIT)?;
    let (run, answered_by) = fresh_trials(&remote, &run_name, requirement).await?;
    let volatility = resolve_id::volatility_of(&run);
    let resource = Resource::Trials(run.id.clone());
    let version = remote.mirror.data_version();
    let listing = remote.mirror.list_trials(&run.id, &query).await?;
    let listing = listing.ok_or(ApiError::NotCached)?;
    let confirmed = listing.confirmation.ok_or(ApiError::NotCached)?;
    let seen = all_statuses_seen(&remote, StatusScope::Trials, &query, listing.total).await?;
    let list = ListResponse::new(
        version,
        (listing.body, listing.total),
        confirmed,
        resource,
        volatility,
    )
    .with_status_seen(seen);
    let now = service.monotonic_time();
    Ok(respond::list(&remote, cache_key, list, answered_by, now))
}

/// Finds a run, and makes the mirror's copy of its trials fresh enough for a request. Returns the run and who answered.
pub(super) async fn fresh_trials(
    remote: &MirroredRemote,
    run_name: &str,
    requirement: FreshnessRequirement,
) -> Result<(StoredObject, AnsweredBy), ApiError> {
    let kind = RunKind::Evaluation;
    let mut run = existing_run(remote, run_name, requirement).await?;
    let mut revalidated = revalidate_trials(remote, &run, requirement).await;
    if !matches!(revalidated, Ok(AnsweredBy::Mirror))
        && let Some(renamed) = resolve_again(remote, kind, run_name, &run).await?
    {
        run = renamed;
        revalidated = revalidate_trials(remote, &run, requirement).await;
    }
    let answered_by = revalidated.map_err(|error| or_run_not_found(error, kind, run_name))?;
    Ok((run, answered_by))
}

/// Makes the mirror's copies of a run and of its trials fresh enough for a request that shows both. Returns the run,
/// how fresh it is itself, and who answered for its trials.
pub(super) async fn fresh_run_with_trials(
    remote: &MirroredRemote,
    name: &str,
    requirement: FreshnessRequirement,
) -> Result<(StoredObject, Freshness, AnsweredBy), ApiError> {
    let (run, freshness) = run::existing(remote, RunKind::Evaluation, name, requirement).await?;
    let (run, answered_by) = fresh_trials(remote, &run.id, requirement).await?;
    Ok((run, freshness, answered_by))
}

async fn revalidate_trials(
    remote: &MirroredRemote,
    run: &StoredObject,
    requirement: FreshnessRequirement,
) -> Result<AnsweredBy, ApiError> {
    let volatility = resolve_id::volatility_of(run);
    let resource = Resource::Trials(run.id.clone());
    let confirmed = remote.mirror.confirmation(&resource).await?;
    let key = FetchKey::Trials(run.id.clone());
    revalidate(remote, key, confirmed.as_ref(), volatility, requirement).await
}

/// `GET /tenants/{tenant}/harbor/runs/{id}/trials/{trial}`
pub(super) async fn get(
    State(service): State<Arc<Service>>,
    PathIds((tenant, run_name, name)): PathIds<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let remote = service.open_for_reading(&headers, Some(&tenant)).await?;
    let requirement = service.freshness_requirement(&headers);
    let run = existing_run(&remote, &run_name, requirement).await?;
    let (trial, freshness) = existing_trial(&remote, &run, &name, requirement).await?;
    Ok(respond::object(trial.text, &freshness))
}

/// Finds a trial that the remote still has, and revalidates it as required.
pub(super) async fn existing_trial(
    remote: &MirroredRemote,
    run: &StoredObject,
    name: &str,
    requirement: FreshnessRequirement,
) -> Result<(StoredObject, Freshness), ApiError> {
    let mut trial = resolve_trial(remote, &run.id, name, requirement).await?;
    let volatility = resolve_id::volatility_of(run);
    let mut answered_by = AnsweredBy::Remote;
    if trial.confirmed_at < requirement.received_at {
        let key = FetchKey::Trial {
            run: run.id.clone(),
            trial: trial.id.clone(),
        };
        let confirmed = resolve_id::confirmation_of(&trial);
        answered_by = revalidate(remote, key, Some(&confirmed), volatility, requirement)
            .await
            .map_err(|error| {
                if is_not_found(&error) {
                    trial_not_found(&run.id, name)
                } else {
                    error
                }
            })?;
        if answered_by == AnsweredBy::Remote {
            let reread = remote.mirror.trial(&run.id, &trial.id).await?;
            trial = reread.ok_or_else(|| trial_not_found(&run.id, name))?;
        }
    }
    if trial.gone_at.is_some() {
        return Err(trial_not_found(&run.id, name));
    }
    remote.sync.mark_watched(&Resource::Trials(run.id.clone()));
    let confirmed = resolve_id::confirmation_of(&trial);
    let freshness = freshness_of(remote, &confirmed, volatility, answered_by);
    Ok((trial, freshness))
}

/// Finds an evaluation run that the remote still has.
pub(super) async fn existing_run(
    remote: &MirroredRemote,
    name: &str,
    requirement: FreshnessRequirement,
) -> Result<StoredObject, ApiError> {
    let run = resolve_run(remote, RunKind::Evaluation, name, requirement).await?;
    match run.gone_at {
        Some(_) => Err(run_not_found(RunKind::Evaluation, name, run.gone_at)),
        None => Ok(run),
    }
}

/// `POST /tenants/{tenant}/harbor/runs/{id}/trials/{trial}/retry`
pub(super) async fn retry(
    State(service): State<Arc<Service>>,
    PathIds((tenant, id, trial)): PathIds<(String, String, String)>,
    actor: Option<Extension<Actor>>,
    headers: HeaderMap,
) -> HandlerResult {
    let remote = service.open_remote(&headers, Some(&tenant)).await?;
    let requirement = service.freshness_requirement(&headers);
    let run = existing_run(&remote, &id, requirement).await?;
    let (trial, _) = existing_trial(&remote, &run, &trial, requirement).await?;
    let target = ActionTarget::Trial(trial.id);
    let request = ActionRequest::new(Action::Retry, actor).on(target);
    act(&service, request, &tenant, &run.id, &headers).await
}
