//! Runs and evaluation runs: list, get, act.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use docks_proto::freshness::AnsweredBy;
use docks_proto::query::{DEFAULT_LIMIT, ListKind, ListQuery};
use docks_proto::routes::{Action, KILL, RunKind};

use super::error::ApiError;
use super::extract::{self, Ids};
use super::resolve_id;
use super::revalidate::{self, freshen};
use super::wait_for_first_sweep;
use super::{Service, respond, status_seen};
use crate::list_response::{ListResponse, Volatility};
use crate::registry::MirroredRemote;
use docksd_mirror::{Resource, StatusScope};
use docksd_sync::FetchKey;

/// How long an action may take; given up earlier, nobody would know what became of it.
const ACTION_PATIENCE: Duration = Duration::from_secs(40);

type Answered = Result<Response, ApiError>;

/// `GET /tenants/{tenant}/runs`
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    Ids(tenant): Ids<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Answered {
    list_kind(&service, RunKind::Run, &tenant, &uri, &headers).await
}

/// `GET /tenants/{tenant}/harbor/runs`
pub(super) async fn list_evaluations(
    State(service): State<Arc<Service>>,
    Ids(tenant): Ids<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Answered {
    list_kind(&service, RunKind::Evaluation, &tenant, &uri, &headers).await
}

async fn list_kind(
    service: &Service,
    kind: RunKind,
    tenant: &str,
    uri: &Uri,
    headers: &HeaderMap,
) -> Answered {
    let source = service.source(headers, Some(tenant)).await?;
    let ask = service.ask(headers);
    let question = question(uri);
    if let Some(response) = respond::ready(&source, question, ask, service.monotonic()) {
        return Ok(response);
    }
    let query = ListQuery::parse(ListKind::Runs, uri.query().unwrap_or(""), DEFAULT_LIMIT)?;
    let resource = Resource::List(kind);
    let volatility = Volatility::Changing { active: false };
    let confirmed = source.mirror.confirmation(&resource).await?;
    let from = freshen(
        &source,
        FetchKey::List(kind),
        confirmed.as_ref(),
        volatility,
        ask,
    )
    .await?;
    let mut version = source.mirror.data_version();
    let mut listing = source.mirror.list_runs(kind, &query).await?;
    if wait_for_first_sweep::lacks_rows(&query, &listing)
        && wait_for_first_sweep::wait(&source, kind, ask.allowed).await?
    {
        version = source.mirror.data_version();
        listing = source.mirror.list_runs(kind, &query).await?;
    }
    let incomplete = wait_for_first_sweep::lacks_rows(&query, &listing)
        .then(|| wait_for_first_sweep::why(&source));
    let active = wait_for_first_sweep::shows_active(&listing);
    let confirmed = listing.confirmation.ok_or(ApiError::NotCached)?;
    let volatility = Volatility::Changing { active };
    let seen = status_seen::seen(&source, StatusScope::Runs(kind), &query, listing.total).await?;
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

/// Returns what an answer is kept under: the path says which list, the query which part.
pub(super) fn question(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |both| both.as_str())
}

/// `GET /tenants/{tenant}/runs/{id}`
pub(super) async fn get(
    State(service): State<Arc<Service>>,
    Ids((tenant, id)): Ids<(String, String)>,
    headers: HeaderMap,
) -> Answered {
    get_kind(&service, RunKind::Run, &tenant, &id, &headers).await
}

/// `GET /tenants/{tenant}/harbor/runs/{id}`
pub(super) async fn get_evaluation(
    State(service): State<Arc<Service>>,
    Ids((tenant, id)): Ids<(String, String)>,
    headers: HeaderMap,
) -> Answered {
    get_kind(&service, RunKind::Evaluation, &tenant, &id, &headers).await
}

async fn get_kind(
    service: &Service,
    kind: RunKind,
    tenant: &str,
    given: &str,
    headers: &HeaderMap,
) -> Answered {
    let source = service.source(headers, Some(tenant)).await?;
    let ask = service.ask(headers);
    let mut stored = resolve_id::run(&source, kind, given, ask).await?;
    let mut from = AnsweredBy::Mirror;
    if stored.confirmed_at >= ask.began {
        // It was not in the mirror, and has just been read through.
        from = AnsweredBy::Remote;
    } else if stored.gone_at.is_none() || !ask.takes_anything() {
        let want = FetchKey::Run(kind, stored.id.clone());
        let confirmed = resolve_id::confirmed(&stored);
        let volatility = resolve_id::volatility_of_run(&stored);
        // An answer that takes back an end is believed when it is given twice.
        for _ in 0..2 {
            from = freshen(&source, want.clone(), Some(&confirmed), volatility, ask)
                .await
                .map_err(|error| not_there(error, kind, given))?;
            if from == AnsweredBy::Remote {
                stored = again(&source, kind, &stored.id).await?;
            }
            if ask.takes_anything() || stored.confirmed_at > confirmed.at {
                break;
            }
        }
    }
    if stored.gone_at.is_some() {
        return Err(resolve_id::no_run(kind, given, stored.gone_at));
    }
    resolve_id::touch_run(&source, kind, &stored);
    let volatility = resolve_id::volatility_of_run(&stored);
    let freshness =
        revalidate::freshness(&source, &resolve_id::confirmed(&stored), volatility, from);
    Ok(respond::object(stored.text, &freshness))
}

async fn again(
    source: &MirroredRemote,
    kind: RunKind,
    id: &str,
) -> Result<docksd_mirror::StoredObject, ApiError> {
    let stored = source.mirror.run(kind, id).await?;
    stored.ok_or_else(|| resolve_id::no_run(kind, id, None))
}

fn not_there(error: ApiError, kind: RunKind, given: &str) -> ApiError {
    if revalidate::says_not_there(&error) {
        resolve_id::no_run(kind, given, None)
    } else {
        error
    }
}

/// `POST /tenants/{tenant}/runs/{id}/stop`
pub(super) async fn stop(
    State(service): State<Arc<Service>>,
    Ids((tenant, id)): Ids<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Answered {
    act(&service, Action::Stop, &tenant, &id, (&uri, &headers)).await
}

/// `POST /tenants/{tenant}/harbor/runs/{id}/start`
pub(super) async fn start(
    State(service): State<Arc<Service>>,
    Ids((tenant, id)): Ids<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Answered {
    act(&service, Action::Start, &tenant, &id, (&uri, &headers)).await
}

/// `POST /tenants/{tenant}/harbor/runs/{id}/cancel`
pub(super) async fn cancel(
    State(service): State<Arc<Service>>,
    Ids((tenant, id)): Ids<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Answered {
    act(&service, Action::Cancel, &tenant, &id, (&uri, &headers)).await
}

async fn act(
    service: &Service,
    action: Action,
    tenant: &str,
    given: &str,
    (uri, headers): (&Uri, &HeaderMap),
) -> Answered {
    let source = service.source(headers, Some(tenant)).await?;
    let ask = service.ask(headers);
    let kind = action.kind();
    let kill = extract::parameters(&uri)?
        .flag(KILL)
        .map_err(extract::bad_parameter)?;
    let found = resolve_id::run(&source, kind, given, ask).await?;
    let acting = async {
        if kill {
            source.sync.kill(action, &found.id).await
        } else {
            source.sync.act(action, &found.id).await
        }
    };
    let object = tokio::time::timeout(ACTION_PATIENCE, acting)
        .await
        .map_err(|_| ApiError::TooSlow(ACTION_PATIENCE))?
        .map_err(|error| not_there(ApiError::Sync(error), kind, given))?;
    tracing::info!(action = action.segment(), run = found.id, "carried out");
    let stored = again(&source, kind, &found.id).await?;
    let volatility = resolve_id::volatility_of_run(&stored);
    let freshness = revalidate::freshness(
        &source,
        &resolve_id::confirmed(&stored),
        volatility,
        AnsweredBy::Remote,
    );
    Ok(respond::object(object.text().to_owned(), &freshness))
}
