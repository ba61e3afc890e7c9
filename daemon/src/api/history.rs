//! The history of statuses: `GET /v1/history` and `GET /v1/changes`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use docks_proto::event::{Change, EventQuery, ObjectKind, ObjectState, Position};
use docks_proto::freshness::AnsweredBy;
use docks_proto::history::{DEFAULT_CHANGES, History, StatusChange, TimeRange};
use docks_proto::object::{Lifecycle, RawObject, lifecycle};
use docks_proto::query::Parameters;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use super::error::ApiError;
use super::extract::{QueryParameters, bad_parameter};
use super::resolve_id::{self, resolve_run_of_any_kind, resolve_trial};
use super::revalidate::freshness_of;
use super::{Service, respond};
use crate::list_response::Volatility;
use crate::registry::MirroredRemote;
use docksd_mirror::{Confirmation, Resource, StatusEvent, Subject};

/// Largest number of changes in one response, some tens of megabytes.
const MAX_CHANGES: u64 = 100_000;

/// `GET /v1/history`
pub(super) async fn history(
    State(service): State<Arc<Service>>,
    QueryParameters(parameters): QueryParameters,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let limit = change_limit(&parameters)?;
    let filter = EventQuery::from_parameters(&parameters).map_err(bad_parameter)?;
    let [run] = &filter.runs[..] else {
        let message = "give exactly one `run`".to_owned();
        return Err(ApiError::BadRequest(message));
    };
    let tenant = parameters.text("tenant");
    let remote = service.open_for_reading(&headers, tenant).await?;
    let requirement = service.freshness_requirement(&headers);
    let (kind, run) = resolve_run_of_any_kind(&remote, &filter.kinds, run, requirement).await?;
    let trial = match parameters.text("trial") {
        Some(trial) => Some(resolve_trial(&remote, &run.id, trial, requirement).await?),
        None => None,
    };
    let trial_id = trial.as_ref().map(|trial| trial.id.as_str());
    let (events, windows) = remote
        .mirror
        .run_history(kind, &run.id, trial_id, limit)
        .await?;
    let object = trial.as_ref().unwrap_or(&run);
    // The object may have changed since it was found; a change is stored together with it.
    // Of a Harbor job, the events are those of both kinds.
    let subject = match trial_id {
        Some(_) => Subject::Trial,
        None => Subject::Run(kind),
    };
    let last = events.iter().rev().find(|event| event.subject == subject);
    let last = last.map(|event| event.to.clone());
    let status = last.unwrap_or_else(|| object.status.clone());
    let history = History {
        kind: match trial_id {
            Some(_) => ObjectKind::Trial,
            None => kind.into(),
        },
        run_id: run.id.clone(),
        trial_id: trial_id.map(str::to_owned),
        name: object_name(&run.id, kind, trial_id, &object.text),
        ended: lifecycle(&status) == Lifecycle::Terminal,
        status,
        changes: events.iter().map(status_change).collect(),
        observation_windows: windows
            .iter()
            .map(|window| TimeRange {
                from: window.from.rfc3339(),
                until: window.until.rfc3339(),
            })
            .collect(),
        actions: match trial_id {
            Some(_) => Vec::new(),
            None => remote.mirror.actions(&run.id).await?,
        },
        now: service.wall_time().rfc3339(),
    };
    let confirmed = resolve_id::confirmation_of(object);
    let volatility = resolve_id::volatility_of(object);
    let freshness = freshness_of(&remote, &confirmed, volatility, AnsweredBy::Mirror);
    Ok(respond::object(json(&history), &freshness))
}

fn object_name(run: &str, kind: RunKind, trial: Option<&str>, text: &str) -> String {
    let object = RawObject::parse(text).ok().flatten();
    let state = object.map(|object| match trial {
        Some(_) => ObjectState::from_trial(run, &object),
        None => ObjectState::from_run(kind, &object),
    });
    state.map(|state| state.name).unwrap_or_default()
}

fn status_change(event: &StatusEvent) -> StatusChange {
    StatusChange {
        seq: event.seq,
        from: event.from.clone(),
        to: event.to.clone(),
        at: event.at.rfc3339(),
        observed_at: event.observed.rfc3339(),
        learned: event.provenance.name().to_owned(),
    }
}

/// `GET /v1/changes`
pub(super) async fn changes(
    State(service): State<Arc<Service>>,
    QueryParameters(parameters): QueryParameters,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let limit = change_limit(&parameters)?;
    let since = parameters.time("since").map_err(bad_parameter)?;
    let until = parameters.time("until").map_err(bad_parameter)?;
    let mut filter = EventQuery::from_parameters(&parameters).map_err(bad_parameter)?;
    let tenant = parameters.text("tenant");
    let remote = service.open_for_reading(&headers, tenant).await?;
    let requirement = service.freshness_requirement(&headers);
    for run in &mut filter.runs {
        let resolved = resolve_run_of_any_kind(&remote, &filter.kinds, run, requirement).await?;
        *run = resolved.1.id;
    }
    let since = since.unwrap_or(UnixMs(i64::MIN));
    let until = until.unwrap_or(UnixMs(i64::MAX));
    // Before the changes are read: they may be newer than what was confirmed, and not older.
    let confirmed = oldest_confirmation(&remote).await?;
    let history = remote.mirror.history_page(u64::MAX, 1, &filter).await?;
    let history = history.bounds.history_id;
    let events = remote
        .mirror
        .changes_between(since, until, &filter, limit)
        .await?;
    let changes = events.into_iter().map(|described| {
        let event = described.event;
        let position = Position {
            history,
            seq: event.seq,
        };
        Change {
            id: position.to_string(),
            seq: event.seq,
            from: event.from,
            at: event.at.rfc3339(),
            observed_at: event.observed.rfc3339(),
            learned: event.provenance.name().to_owned(),
            left_out: 0,
            object: described.object,
        }
    });
    let body = json(&changes.collect::<Vec<_>>());
    let volatility = Volatility::Changing { active: false };
    let freshness = freshness_of(&remote, &confirmed, volatility, AnsweredBy::Mirror);
    Ok(respond::object(body, &freshness))
}

/// What is known of all runs is as old as the older of their two lists.
async fn oldest_confirmation(remote: &MirroredRemote) -> Result<Confirmation, ApiError> {
    let mut oldest: Option<Confirmation> = None;
    for kind in RunKind::ALL {
        let confirmed = remote.mirror.confirmation(&Resource::List(kind)).await?;
        let Some(confirmed) = confirmed else { continue };
        if oldest.as_ref().is_none_or(|other| confirmed.at < other.at) {
            oldest = Some(confirmed);
        }
    }
    Ok(oldest.unwrap_or(Confirmation {
        at: UnixMs(0),
        validator: None,
        complete: false,
    }))
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("it contains only text and numbers")
}

/// Reads the maximum number of changes; 0 means as many as allowed.
fn change_limit(parameters: &Parameters) -> Result<usize, ApiError> {
    let limit = match parameters.number("limit").map_err(bad_parameter)? {
        None => DEFAULT_CHANGES,
        Some(0) => MAX_CHANGES,
        Some(limit) => limit.min(MAX_CHANGES),
    };
    Ok(usize::try_from(limit).unwrap_or(usize::MAX))
}
