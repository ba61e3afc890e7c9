//! Runs and evaluation runs: list, get, stop, start, cancel, pause, resume, retry.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use docks_proto::freshness::{AnsweredBy, Freshness};
use docks_proto::history::RunAction;
use docks_proto::paging::FIRST_LIMIT;
use docks_proto::query::{DEFAULT_LIMIT, ListKind, ListQuery, Parameters, Sort};
use docks_proto::routes::{Action, KILL, PID, ProcessStop, RunKind};

use super::actor::Actor;
use super::error::ApiError;
use super::extract::{PathIds, QueryParameters, bad_parameter};
use super::resolve_id::{self, or_run_not_found, resolve_again, resolve_run, run_not_found};
use super::revalidate::{
    FreshnessRequirement, ListRows, freshness_of, revalidate, revalidate_list,
};
use super::status_seen::all_statuses_seen;
use super::wait_for_first_sweep::{
    contains_active, may_lack_rows, missing_rows, wait_for_first_sweep,
};
use super::{Service, respond};
use crate::list_response::{ListResponse, Volatility};
use crate::registry::MirroredRemote;
use docksd_mirror::{Resource, StatusScope, StoredObject};
use docksd_remote::ActionTarget;
use docksd_sync::FetchKey;

/// The response of an action or a read.
pub(super) type HandlerResult = Result<Response, ApiError>;

/// `GET /tenants/{tenant}/runs`
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    PathIds(tenant): PathIds<String>,
    uri: Uri,
    headers: HeaderMap,
) -> HandlerResult {
    list_kind(&service, RunKind::Run, &tenant, &uri, &headers).await
}

/// `GET /tenants/{tenant}/harbor/runs`
pub(super) async fn list_evaluations(
    State(service): State<Arc<Service>>,
    PathIds(tenant): PathIds<String>,
    uri: Uri,
    headers: HeaderMap,
) -> HandlerResult {
    list_kind(&service, RunKind::Evaluation, &tenant, &uri, &headers).await
}

async fn list_kind(
    service: &Service,
    kind: RunKind,
    tenant: &str,
    uri: &Uri,
    headers: &HeaderMap,
) -> HandlerResult {
    let remote = service.open_for_reading(headers, Some(tenant)).await?;
    let requirement = service.freshness_requirement(headers);
    let cache_key = cache_key(uri);
    let now = service.monotonic_time();
    if let Some(response) = respond::cached_list(&remote, cache_key, requirement, now) {
        return Ok(response);
    }
    let query = ListQuery::parse(ListKind::Runs, uri.query().unwrap_or(""), DEFAULT_LIMIT)?;
    let resource = Resource::List(kind);
    let rows = if asks_for_newest(&query) {
        ListRows::Newest
    } else {
        ListRows::All
    };
    let answered_by = revalidate_list(&remote, kind, rows, requirement).await?;
    let mut version = remote.mirror.data_version();
    let mut listing = remote.mirror.list_runs(kind, &query).await?;
    if may_lack_rows(&query, &listing)
        && wait_for_first_sweep(&remote, kind, requirement.policy).await?
    {
        version = remote.mirror.data_version();
        listing = remote.mirror.list_runs(kind, &query).await?;
    }
    let active = contains_active(&listing);
    let confirmed = listing.confirmation.ok_or(ApiError::NotCached)?;
    let incomplete = missing_rows(&remote, &confirmed, requirement.policy)?;
    let scope = StatusScope::Runs(kind);
    let seen = all_statuses_seen(&remote, scope, &query, listing.total).await?;
    let list = ListResponse::new(
        version,
        (listing.body, listing.total),
        confirmed,
        resource,
        Volatility::Changing { active },
    )
    .with_incomplete(incomplete)
    .with_status_seen(seen);
    let now = service.monotonic_time();
    Ok(respond::list(&remote, cache_key, list, answered_by, now))
}

/// Whether the rows are among the newest of the list, all of which each poll reads.
fn asks_for_newest(query: &ListQuery) -> bool {
    let newest_first = Sort::default_for(ListKind::Runs);
    let last = query.offset.saturating_add(query.limit);
    !query.has_filters()
        && query.sort.is_none_or(|sort| sort == newest_first)
        && query.limit > 0
        && last <= u64::from(FIRST_LIMIT)
}

/// Returns the key of a list in the cache: the path names the list, the query the rows.
pub(super) fn cache_key(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |both| both.as_str())
}

/// `GET /tenants/{tenant}/runs/{id}`
pub(super) async fn get(
    State(service): State<Arc<Service>>,
    PathIds((tenant, id)): PathIds<(String, String)>,
    headers: HeaderMap,
) -> HandlerResult {
    get_kind(&service, RunKind::Run, &tenant, &id, &headers).await
}

/// `GET /tenants/{tenant}/harbor/runs/{id}`
pub(super) async fn get_evaluation(
    State(service): State<Arc<Service>>,
    PathIds((tenant, id)): PathIds<(String, String)>,
    headers: HeaderMap,
) -> HandlerResult {
    get_kind(&service, RunKind::Evaluation, &tenant, &id, &headers).await
}

async fn get_kind(
    service: &Service,
    kind: RunKind,
    tenant: &str,
    name: &str,
    headers: &HeaderMap,
) -> HandlerResult {
    let remote = service.open_for_reading(headers, Some(tenant)).await?;
    let requirement = service.freshness_requirement(headers);
    let (run, freshness) = existing(&remote, kind, name, requirement).await?;
    Ok(respond::object(run.text, &freshness))
}

/// Finds a run that the remote still has, and revalidates it as required.
pub(super) async fn existing(
    remote: &MirroredRemote,
    kind: RunKind,
    name: &str,
    requirement: FreshnessRequirement,
) -> Result<(StoredObject, Freshness), ApiError> {
    let mut run = resolve_run(remote, kind, name, requirement).await?;
    let mut answered_by = AnsweredBy::Mirror;
    if run.confirmed_at >= requirement.received_at {
        // It was not in the mirror and has just been fetched.
        answered_by = AnsweredBy::Remote;
    } else if run.gone_at.is_none() {
        let key = FetchKey::Run(kind, run.id.clone());
        let confirmed = resolve_id::confirmation_of(&run);
        let volatility = resolve_id::volatility_of(&run);
        let revalidated = revalidate(remote, key, Some(&confirmed), volatility, requirement).await;
        let asked = !matches!(revalidated, Ok(AnsweredBy::Mirror));
        if asked && let Some(renamed) = resolve_again(remote, kind, name, &run).await? {
            (run, answered_by) = (renamed, AnsweredBy::Remote);
        } else {
            answered_by = revalidated.map_err(|error| or_run_not_found(error, kind, name))?;
            if answered_by == AnsweredBy::Remote {
                run = reread(remote, kind, &run.id).await?;
            }
        }
    }
    if run.gone_at.is_some() {
        return Err(run_not_found(kind, name, run.gone_at));
    }
    resolve_id::mark_watched(remote, kind, &run);
    let freshness = run_freshness(remote, &run, answered_by);
    Ok((run, freshness))
}

async fn reread(
    remote: &MirroredRemote,
    kind: RunKind,
    id: &str,
) -> Result<StoredObject, ApiError> {
    let run = remote.mirror.run(kind, id).await?;
    run.ok_or_else(|| run_not_found(kind, id, None))
}

fn run_freshness(
    remote: &MirroredRemote,
    run: &StoredObject,
    answered_by: AnsweredBy,
) -> Freshness {
    let confirmed = resolve_id::confirmation_of(run);
    let volatility = resolve_id::volatility_of(run);
    freshness_of(remote, &confirmed, volatility, answered_by)
}

/// `POST /tenants/{tenant}/runs/{id}/stop`
pub(super) async fn stop(
    State(service): State<Arc<Service>>,
    PathIds((tenant, id)): PathIds<(String, String)>,
    QueryParameters(parameters): QueryParameters,
    actor: Option<Extension<Actor>>,
    headers: HeaderMap,
) -> HandlerResult {
    let request = ActionRequest::new(Action::Stop, actor).on(run_target(&parameters)?);
    act(&service, request, &tenant, &id, &headers).await
}

/// `POST /tenants/{tenant}/harbor/runs/{id}/start`
pub(super) async fn start(
    State(service): State<Arc<Service>>,
    PathIds((tenant, id)): PathIds<(String, String)>,
    QueryParameters(parameters): QueryParameters,
    actor: Option<Extension<Actor>>,
    headers: HeaderMap,
) -> HandlerResult {
    let request = ActionRequest::new(Action::Start, actor).on(run_target(&parameters)?);
    act(&service, request, &tenant, &id, &headers).await
}

/// `POST /tenants/{tenant}/harbor/runs/{id}/cancel`
pub(super) async fn cancel(
    State(service): State<Arc<Service>>,
    PathIds((tenant, id)): PathIds<(String, String)>,
    QueryParameters(parameters): QueryParameters,
    actor: Option<Extension<Actor>>,
    headers: HeaderMap,
) -> HandlerResult {
    let request = ActionRequest::new(Action::Cancel, actor).on(run_target(&parameters)?);
    act(&service, request, &tenant, &id, &headers).await
}

/// `POST /tenants/{tenant}/harbor/runs/{id}/pause`
pub(super) async fn pause(
    State(service): State<Arc<Service>>,
    PathIds((tenant, id)): PathIds<(String, String)>,
    actor: Option<Extension<Actor>>,
    headers: HeaderMap,
) -> HandlerResult {
    let request = ActionRequest::new(Action::Pause, actor);
    act(&service, request, &tenant, &id, &headers).await
}

/// `POST /tenants/{tenant}/harbor/runs/{id}/resume`
pub(super) async fn resume(
    State(service): State<Arc<Service>>,
    PathIds((tenant, id)): PathIds<(String, String)>,
    actor: Option<Extension<Actor>>,
    headers: HeaderMap,
) -> HandlerResult {
    let request = ActionRequest::new(Action::Resume, actor);
    act(&service, request, &tenant, &id, &headers).await
}

/// `POST /tenants/{tenant}/harbor/runs/{id}/retry`
pub(super) async fn retry(
    State(service): State<Arc<Service>>,
    PathIds((tenant, id)): PathIds<(String, String)>,
    actor: Option<Extension<Actor>>,
    headers: HeaderMap,
) -> HandlerResult {
    let request = ActionRequest::new(Action::Retry, actor);
    act(&service, request, &tenant, &id, &headers).await
}

fn run_target(parameters: &Parameters) -> Result<ActionTarget, ApiError> {
    let pid = parameters.number(PID).map_err(bad_parameter)?;
    let options = ProcessStop {
        kill: parameters.flag(KILL).map_err(bad_parameter)?,
        // A number that no process has names none.
        pid: pid.map(|pid| u32::try_from(pid).unwrap_or(u32::MAX)),
    };
    Ok(match options == ProcessStop::default() {
        true => ActionTarget::Run,
        false => ActionTarget::Process(options),
    })
}

/// An action, and who asks for it.
pub(super) struct ActionRequest {
    action: Action,
    target: ActionTarget,
    /// `None` for the daemon's own user.
    actor: Option<Extension<Actor>>,
}

impl ActionRequest {
    /// An action on the run itself.
    pub(super) fn new(action: Action, actor: Option<Extension<Actor>>) -> Self {
        Self {
            action,
            target: ActionTarget::Run,
            actor,
        }
    }

    /// The same, done to something else.
    pub(super) fn on(self, target: ActionTarget) -> Self {
        Self { target, ..self }
    }
}

/// Carries out an action, and responds with the run as it is then.
pub(super) async fn act(
    service: &Service,
    ActionRequest {
        action,
        target,
        actor,
    }: ActionRequest,
    tenant: &str,
    name: &str,
    headers: &HeaderMap,
) -> HandlerResult {
    let remote = service.open_remote(headers, Some(tenant)).await?;
    let requirement = service.freshness_requirement(headers);
    let kind = action.kind();
    let run = resolve_run(&remote, kind, name, requirement).await?;
    let acted = service
        .own_actions
        .carry_out(&remote, action, &target, &run.id, || service.wall_time())
        .await
        .map_err(|error| or_run_not_found(error, kind, name))?;
    let now = service.wall_time();
    let by = actor.as_ref().map(|Extension(Actor(name))| &**name);
    tracing::info!(
        action = action.segment(),
        run = run.id,
        by,
        "carried out an action"
    );
    if let Some(by) = by {
        let record = RunAction {
            action: action.segment().to_owned(),
            by: by.to_owned(),
            at: now.rfc3339(),
        };
        // The action is done, whether or not that can be recorded.
        if let Err(error) = remote.mirror.record_action(&run.id, record).await {
            let error = docks_proto::error::error_chain(&error);
            tracing::error!(error, "could not record who carried out an action");
        }
    }
    // What the remote made of it, whether or not the mirror could be written.
    let freshness = Freshness {
        as_of: now,
        age: Duration::ZERO,
        stale_reason: None,
        incomplete: None,
        notice: None,
        answered_by: AnsweredBy::Remote,
    };
    Ok(respond::object(acted.object.text().to_owned(), &freshness))
}
