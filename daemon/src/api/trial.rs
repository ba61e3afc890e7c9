//! Trials of an evaluation run: list and get.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use docks_proto::freshness::AnsweredBy;
use docks_proto::query::{ListKind, ListQuery};
use docks_proto::routes::RunKind;

use super::error::ApiError;
use super::extract::Ids;
use super::resolve_id;
use super::revalidate::{self, freshen};
use super::run::question;
use super::{Service, respond, status_seen};
use crate::list_response::ListResponse;
use docksd_mirror::{Resource, StatusScope};
use docksd_sync::FetchKey;

/// All trials, when nobody says how many.
const ALL: u64 = 0;

/// `GET /tenants/{tenant}/harbor/runs/{id}/trials`
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    Ids((tenant, given)): Ids<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let source = service.source(&headers, Some(&tenant)).await?;
    let ask = service.ask(&headers);
    let question = question(&uri);
    if let Some(response) = respond::ready(&source, question, ask, service.monotonic()) {
        return Ok(response);
    }
    let query = ListQuery::parse(ListKind::Trials, uri.query().unwrap_or(""), ALL)?;
    let run = resolve_id::run(&source, RunKind::Evaluation, &given, ask).await?;
    if run.gone_at.is_some() {
        return Err(resolve_id::no_run(RunKind::Evaluation, &given, run.gone_at));
    }
    let volatility = resolve_id::volatility_of_run(&run);
    let resource = Resource::Trials(run.id.clone());
    let confirmed = source.mirror.confirmation(&resource).await?;
    let want = FetchKey::Trials(run.id.clone());
    let from = freshen(&source, want, confirmed.as_ref(), volatility, ask)
        .await
        .map_err(|error| {
            if revalidate::says_not_there(&error) {
                resolve_id::no_run(RunKind::Evaluation, &given, None)
            } else {
                error
            }
        })?;
    let version = source.mirror.data_version();
    let listing = source.mirror.list_trials(&run.id, &query).await?;
    let listing = listing.ok_or(ApiError::NotCached)?;
    let confirmed = listing.confirmation.ok_or(ApiError::NotCached)?;
    let seen = status_seen::seen(&source, StatusScope::Trials, &query, listing.total).await?;
    let list = ListResponse::new(
        version,
        (listing.body, listing.total),
        confirmed,
        resource,
        volatility,
    )
    .with_status_seen(seen);
    let now = service.monotonic();
    Ok(respond::list(&source, question, list, from, now))
}

/// `GET /tenants/{tenant}/harbor/runs/{id}/trials/{trial}`
pub(super) async fn get(
    State(service): State<Arc<Service>>,
    Ids((tenant, given_run, given)): Ids<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let source = service.source(&headers, Some(&tenant)).await?;
    let ask = service.ask(&headers);
    let run = resolve_id::run(&source, RunKind::Evaluation, &given_run, ask).await?;
    if run.gone_at.is_some() {
        return Err(resolve_id::no_run(
            RunKind::Evaluation,
            &given_run,
            run.gone_at,
        ));
    }
    let no_trial = || ApiError::NoTrial {
        run: run.id.clone(),
        given: given.clone(),
    };
    let mut stored = resolve_id::trial(&source, &run.id, &given, ask).await?;
    let volatility = resolve_id::volatility_of_run(&run);
    let mut from = AnsweredBy::Remote;
    if stored.confirmed_at < ask.began {
        let want = FetchKey::Trial {
            run: run.id.clone(),
            trial: stored.id.clone(),
        };
        let confirmed = resolve_id::confirmed(&stored);
        // An answer that takes back an end is believed when it is given twice.
        for _ in 0..2 {
            from = freshen(&source, want.clone(), Some(&confirmed), volatility, ask)
                .await
                .map_err(|error| {
                    if revalidate::says_not_there(&error) {
                        no_trial()
                    } else {
                        error
                    }
                })?;
            if from == AnsweredBy::Remote {
                let again = source.mirror.trial(&run.id, &stored.id).await?;
                stored = again.ok_or_else(no_trial)?;
            }
            if ask.takes_anything() || stored.confirmed_at > confirmed.at {
                break;
            }
        }
    }
    source.sync.mark_watched(&Resource::Trials(run.id.clone()));
    let freshness =
        revalidate::freshness(&source, &resolve_id::confirmed(&stored), volatility, from);
    Ok(respond::object(stored.text, &freshness))
}
