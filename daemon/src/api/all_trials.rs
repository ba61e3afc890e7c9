//! Trials of all evaluation runs in one list.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use docks_proto::freshness::{AnsweredBy, CachePolicy};
use docks_proto::query::{DEFAULT_LIMIT, ListKind, ListQuery};
use docks_proto::routes::RunKind;

use super::error::ApiError;
use super::extract::Ids;
use super::revalidate::{self, Ask, freshen};
use super::run::question;
use super::wait_for_first_sweep;
use super::{Service, respond, status_seen};
use crate::list_response::{ListResponse, Volatility};
use crate::registry::MirroredRemote;
use docksd_mirror::{Confirmation, Resource, StatusScope, UnsettledRun};
use docksd_sync::FetchKey;

/// Runs that are looked at for trials that are not mirrored, or not for good.
const MOST: usize = 10_000;
/// Runs whose missing trials one question waits for; more than these the backfill brings in time.
const AWAITED: usize = 50;
/// Runs of a metered remote that count as watched when somebody looks at all trials.
const WATCHED: usize = 10;
/// How long a question waits for trials that were never mirrored.
const PATIENCE: Duration = Duration::from_secs(10);

/// `GET /tenants/{tenant}/harbor/trials`
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    Ids(tenant): Ids<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let source = service.source(&headers, Some(&tenant)).await?;
    let ask = service.ask(&headers);
    let question = question(&uri);
    if let Some(response) = respond::ready(&source, question, ask, service.monotonic()) {
        return Ok(response);
    }
    let query = ListQuery::parse(
        ListKind::AllTrials,
        uri.query().unwrap_or(""),
        DEFAULT_LIMIT,
    )?;
    let resource = Resource::List(RunKind::Evaluation);
    let volatility = Volatility::Changing { active: false };
    let confirmed = source.mirror.confirmation(&resource).await?;
    let want = FetchKey::List(RunKind::Evaluation);
    let mut from = freshen(&source, want, confirmed.as_ref(), volatility, ask).await?;
    wait_for_first_sweep::wait(&source, RunKind::Evaluation, ask.allowed).await?;
    if bring(&source, ask).await? {
        from = AnsweredBy::Remote;
    }
    let version = source.mirror.data_version();
    let loose = source.mirror.unsettled_runs(MOST).await?;
    watch(&source, &loose);
    let listing = source.mirror.list_all_trials(&query).await?;
    let confirmed = listing.confirmation.ok_or(ApiError::NotCached)?;
    let incomplete = if loose.iter().any(|run| run.due) {
        Some("the trials of some runs are not mirrored yet, so rows may be missing")
    } else {
        (!confirmed.complete).then(|| wait_for_first_sweep::why(&source))
    };
    let active = loose.iter().any(|run| run.active);
    let volatility = Volatility::Changing { active };
    let seen = status_seen::seen(&source, StatusScope::Trials, &query, listing.total).await?;
    let list = ListResponse::new(
        version,
        (listing.body, listing.total),
        confirmed,
        resource,
        volatility,
    )
    .with_incomplete(incomplete)
    .with_status_seen(seen);
    let now = service.monotonic();
    Ok(respond::list(&source, question, list, from, now))
}

/// Fetches trials, one run after the other: those that were never mirrored as they ended, if they
/// are few, and those that are older than asked. Tells whether any was fetched.
async fn bring(source: &MirroredRemote, ask: Ask) -> Result<bool, ApiError> {
    if ask.allowed == CachePolicy::OnlyIfCached {
        return Ok(false);
    }
    let loose = source.mirror.unsettled_runs(MOST).await?;
    if !ask.takes_anything() {
        let mut fetched = false;
        for run in &loose {
            fetched |= bring_one(source, run, ask).await? == AnsweredBy::Remote;
        }
        return Ok(fetched);
    }
    let missing: Vec<&UnsettledRun> = loose.iter().filter(|run| run.due).collect();
    let many = missing.len() > AWAITED && is_metered(source);
    if missing.is_empty() || many {
        return Ok(false);
    }
    let fetch = async {
        for run in missing {
            // What fails is missing, and the answer says so.
            if let Err(error) = revalidate::read_through(source, want(run), ask.not_before()).await
            {
                tracing::debug!(
                    run = run.id,
                    error = docks_proto::error::error_chain(&error),
                    "no trials"
                );
            }
        }
    };
    Ok(tokio::time::timeout(PATIENCE, fetch).await.is_ok())
}

async fn bring_one(
    source: &MirroredRemote,
    run: &UnsettledRun,
    ask: Ask,
) -> Result<AnsweredBy, ApiError> {
    let confirmed = run.trials_confirmed_at.map(|at| Confirmation {
        at,
        validator: None,
        complete: true,
    });
    let volatility = Volatility::Changing { active: run.active };
    match freshen(source, want(run), confirmed.as_ref(), volatility, ask).await {
        // It is gone since the list was read; the next sweep says so.
        Err(error) if revalidate::says_not_there(&error) => Ok(AnsweredBy::Mirror),
        other => other,
    }
}

fn want(run: &UnsettledRun) -> FetchKey {
    FetchKey::Trials(run.id.clone())
}

/// Tells the engine that somebody looks at the trials of the runs that go on.
fn watch(source: &MirroredRemote, loose: &[UnsettledRun]) {
    let most = if is_metered(source) { WATCHED } else { MOST };
    for run in loose.iter().filter(|run| run.active).take(most) {
        source.sync.mark_watched(&Resource::Trials(run.id.clone()));
    }
}

fn is_metered(source: &MirroredRemote) -> bool {
    source.kind != "harbor_jobs"
}
