//! What happened, from the history: `GET /v1/history` and `GET /v1/changes`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use docks_proto::event::{Change, EventQuery, ObjectKind, Position};
use docks_proto::freshness::AnsweredBy;
use docks_proto::history::{DEFAULT_CHANGES, History, StatusChange, TimeRange};
use docks_proto::object::{Lifecycle, RawObject, lifecycle};
use docks_proto::query::{Parameters, QueryError};
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use super::error::ApiError;
use super::events::any_run;
use super::{Service, extract, resolve_id, respond, revalidate};
use crate::list_response::Volatility;
use crate::registry::MirroredRemote;
use docksd_mirror::{Confirmation, Resource, StatusEvent};

/// Changes in one answer, whatever is asked: some tens of megabytes.
const MOST: u64 = 100_000;

/// `GET /v1/history`
pub(super) async fn of_one(
    State(service): State<Arc<Service>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let parameters = extract::parameters(&uri)?;
    let given = Given::from_parameters(&parameters).map_err(extract::bad_parameter)?;
    let wanted = EventQuery::from_parameters(&parameters).map_err(extract::bad_parameter)?;
    let [run] = &wanted.runs[..] else {
        return Err(ApiError::Request("name one `run`".to_owned()));
    };
    let source = service.source(&headers, parameters.text("tenant")).await?;
    let ask = service.ask(&headers);
    let (kind, run) = any_run(&source, &wanted.kinds, run, ask).await?;
    let trial = match &given.trial {
        Some(trial) => Some(resolve_id::trial(&source, &run.id, trial, ask).await?),
        None => None,
    };
    let trial_id = trial.as_ref().map(|trial| trial.id.as_str());
    let most = given.most();
    let (events, looks) = source
        .mirror
        .run_history(kind, &run.id, trial_id, most)
        .await?;
    let shown = trial.as_ref().unwrap_or(&run);
    let history = History {
        kind: match trial_id {
            Some(_) => ObjectKind::Trial,
            None => kind.into(),
        },
        run_id: run.id.clone(),
        trial_id: trial_id.map(str::to_owned),
        name: name_of(&run.id, kind, trial_id, &shown.text),
        status: shown.status.clone(),
        ended: lifecycle(&shown.status) == Lifecycle::Terminal,
        changes: events.iter().map(entry).collect(),
        observation_windows: looks
            .iter()
            .map(|look| TimeRange {
                from: look.from.rfc3339(),
                until: look.until.rfc3339(),
            })
            .collect(),
        now: service.wall().rfc3339(),
    };
    let volatility = resolve_id::volatility_of_run(shown);
    let freshness = revalidate::freshness(
        &source,
        &resolve_id::confirmed(shown),
        volatility,
        AnsweredBy::Mirror,
    );
    Ok(respond::object(json(&history), &freshness))
}

fn name_of(run: &str, kind: RunKind, trial: Option<&str>, text: &str) -> String {
    use docks_proto::event::ObjectState;
    let object = RawObject::parse(text).ok().flatten();
    let state = object.map(|object| match trial {
        Some(_) => ObjectState::from_trial(run, &object),
        None => ObjectState::from_run(kind, &object),
    });
    state.map(|state| state.name).unwrap_or_default()
}

fn entry(event: &StatusEvent) -> StatusChange {
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
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let parameters = extract::parameters(&uri)?;
    let given = Given::from_parameters(&parameters).map_err(extract::bad_parameter)?;
    let mut wanted = EventQuery::from_parameters(&parameters).map_err(extract::bad_parameter)?;
    let source = service.source(&headers, parameters.text("tenant")).await?;
    let ask = service.ask(&headers);
    for run in &mut wanted.runs {
        *run = any_run(&source, &wanted.kinds, run, ask).await?.1.id;
    }
    let since = given.since.unwrap_or(UnixMs(i64::MIN));
    let until = given.until.unwrap_or(UnixMs(i64::MAX));
    let history = source
        .mirror
        .history_page(u64::MAX, 1, &wanted)
        .await?
        .bounds
        .history_id;
    let told = (source.mirror)
        .changes_between(since, until, &wanted, given.most())
        .await?;
    let changes = told.into_iter().map(|told| Change {
        id: Position {
            history,
            seq: told.event.seq,
        }
        .to_string(),
        seq: told.event.seq,
        from: told.event.from.clone(),
        at: told.event.at.rfc3339(),
        observed_at: told.event.observed.rfc3339(),
        learned: told.event.provenance.name().to_owned(),
        left_out: 0,
        object: told.object,
    });
    let body = json(&changes.collect::<Vec<_>>());
    let confirmed = older(&source).await?;
    let volatility = Volatility::Changing { active: false };
    let freshness = revalidate::freshness(&source, &confirmed, volatility, AnsweredBy::Mirror);
    Ok(respond::object(body, &freshness))
}

/// What is known of all runs is as old as the older of their lists.
async fn older(source: &MirroredRemote) -> Result<Confirmation, ApiError> {
    let mut oldest: Option<Confirmation> = None;
    for kind in RunKind::ALL {
        let confirmed = source.mirror.confirmation(&Resource::List(kind)).await?;
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
    serde_json::to_string(value).expect("it holds only texts and numbers")
}

/// The parameters of a history other than its filter.
#[derive(Debug, Default)]
struct Given {
    trial: Option<String>,
    since: Option<UnixMs>,
    until: Option<UnixMs>,
    limit: Option<u64>,
}

impl Given {
    fn from_parameters(parameters: &Parameters) -> Result<Self, QueryError> {
        Ok(Self {
            trial: parameters.text("trial").map(str::to_owned),
            since: parameters.time("since")?,
            until: parameters.time("until")?,
            limit: parameters.number("limit")?,
        })
    }

    fn most(&self) -> usize {
        let most = match self.limit {
            None => DEFAULT_CHANGES,
            Some(0) => MOST,
            Some(limit) => limit.min(MOST),
        };
        usize::try_from(most).unwrap_or(usize::MAX)
    }
}
