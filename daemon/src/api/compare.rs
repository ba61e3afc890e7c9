//! Compares runs: `GET /v1/compare`, and `GET /v1/saved-run`, which returns a run in the form in which it can be kept
//! for later comparisons.

use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use docks_proto::comparison::{
    CompareQuery, RemoteReference, RunReference, SAVED_RUN_FORMAT, SavedRun,
};
use docks_proto::freshness::Freshness;
use docks_proto::query::Parameters;
use docks_statistics::comparison::{RunTrials, SideTrials, compare as compare_sides};
use docks_statistics::comparison::{facts_of_saved, save};
use docks_statistics::trial::FactsList;
use docksd_mirror::{Confirmation, FactsSelection, Resource};
use futures_util::future::try_join_all;

use super::error::ApiError;
use super::extract::{QueryParameters, bad_parameter, remote_request};
use super::resolve_id;
use super::revalidate::{FreshnessRequirement, freshness_of, oldest};
use super::trial::fresh_run_with_trials;
use super::{Service, respond};
use crate::registry::{RemoteRequest, RemoteSelector};

/// Largest file with a saved run; one of 100,000 trials has some 40 MB.
const MAX_SAVED_BYTES: u64 = 256 << 20;

/// Most runs of one comparison.
const MAX_RUNS: usize = 100;

/// A run with all that comparisons need.
enum LoadedRun {
    Mirrored {
        remote: Option<String>,
        facts: FactsList,
    },
    Saved(SavedRun),
}

impl LoadedRun {
    fn trials(&self) -> RunTrials<'_> {
        match self {
            Self::Saved(saved) => facts_of_saved(saved),
            Self::Mirrored { remote, facts } => {
                let run = facts.runs().next();
                run.map_or_else(RunTrials::default, |(run, trials)| RunTrials {
                    remote: remote.clone(),
                    run: run.clone(),
                    trials: trials.collect(),
                })
            }
        }
    }
}

/// `GET /v1/compare`
pub(super) async fn compare(
    State(service): State<Arc<Service>>,
    QueryParameters(parameters): QueryParameters,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let query = CompareQuery::from_parameters(&parameters).map_err(bad_parameter)?;
    let runs: usize = query.sides.iter().map(Vec::len).sum();
    if query.sides.len() < 2 {
        return Err(ApiError::BadRequest(
            "give at least two of `side`".to_owned(),
        ));
    }
    if runs > MAX_RUNS {
        return Err(ApiError::BadRequest(format!(
            "{runs} runs are too many for one comparison; at most {MAX_RUNS}"
        )));
    }
    let loading = query.sides.iter().map(|side| {
        let loading = side
            .iter()
            .map(|run| load(&service, &headers, &parameters, run));
        try_join_all(loading)
    });
    let loaded = try_join_all(loading).await?;
    let ages = loaded
        .iter()
        .flatten()
        .filter_map(|(_, freshness)| freshness.clone());
    let freshness = oldest(ages, service.wall_time());
    // Seconds, of many trials; requests of others go on beside it.
    let computing = tokio::task::spawn_blocking(move || {
        let sides: Vec<SideTrials<'_>> = loaded
            .iter()
            .map(|side| {
                let runs = side.iter().map(|(run, _)| run.trials());
                SideTrials::new(runs.collect(), query.union)
            })
            .collect();
        to_json(&compare_sides(&sides, &query))
    });
    let body = computing.await.map_err(|_| ApiError::Panicked)?;
    Ok(respond::object(body, &freshness))
}

/// `GET /v1/saved-run`
pub(super) async fn saved_run(
    State(service): State<Arc<Service>>,
    QueryParameters(parameters): QueryParameters,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Some(run) = parameters.text("run") else {
        return Err(ApiError::BadRequest("give a `run`".to_owned()));
    };
    let reference = RunReference::of_request(run);
    let (loaded, freshness) = load(&service, &headers, &parameters, &reference).await?;
    let LoadedRun::Mirrored { facts, .. } = loaded else {
        return Err(ApiError::NotCached);
    };
    let mut runs = facts.runs();
    let (run, trials) = runs.next().ok_or(ApiError::NotCached)?;
    let freshness = oldest(freshness.into_iter(), service.wall_time());
    Ok(respond::object(to_json(&save(run, trials)), &freshness))
}

/// Reads a run, from the mirror of its remote or from a file. A file has no age of its own.
async fn load(
    service: &Service,
    headers: &HeaderMap,
    parameters: &Parameters,
    reference: &RunReference,
) -> Result<(LoadedRun, Option<Freshness>), ApiError> {
    let (remote, name) = match reference {
        RunReference::Saved(path) => {
            let path = path.clone();
            let reading = tokio::task::spawn_blocking(move || read_saved(&path));
            let saved = reading.await.map_err(|_| ApiError::Panicked)??;
            return Ok((LoadedRun::Saved(saved), None));
        }
        RunReference::Mirrored { remote, run } => (remote, run),
    };
    let selector = remote.as_ref().map(|remote| match remote {
        RemoteReference::Profile(name) => RemoteSelector::Profile(name.clone()),
        RemoteReference::HarborJobs(dirs) => RemoteSelector::HarborJobs(dirs.clone()),
        RemoteReference::HarborServer(url) => RemoteSelector::HarborServer(url.clone()),
    });
    let label = remote.as_ref().map(|remote| match remote {
        RemoteReference::Profile(name) | RemoteReference::HarborServer(name) => name.clone(),
        RemoteReference::HarborJobs(dirs) => {
            let names: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
            names.join(":")
        }
    });
    let request = match selector {
        Some(selector) => RemoteRequest {
            selector,
            tenant: None,
            token: None,
        },
        None => remote_request(headers, parameters.text("tenant"))?,
    };
    let remote = service.open_request_for_reading(request, headers).await?;
    let requirement: FreshnessRequirement = service.freshness_requirement(headers);
    let (run, of_run, answered_by) = fresh_run_with_trials(&remote, name, requirement).await?;
    let selection = FactsSelection::Ids(vec![run.id.clone()]);
    let (facts, _) = remote.mirror.trial_facts(selection).await?;
    let confirmed = remote
        .mirror
        .confirmation(&Resource::Trials(run.id.clone()))
        .await?;
    let confirmed = confirmed.unwrap_or_else(|| resolve_id::confirmation_of(&run));
    let volatility = resolve_id::volatility_of(&run);
    remote.sync.mark_watched(&Resource::Trials(run.id.clone()));
    let mut freshness = freshness_of(&remote, &confirmed, volatility, answered_by);
    let unfinished = facts.runs().any(|(run, _)| !run.is_complete);
    if unfinished || !is_whole(&confirmed) {
        freshness.incomplete = Some(format!("trials of `{}` are still to come", run.id));
    }
    let loaded = LoadedRun::Mirrored {
        remote: label,
        facts,
    };
    // Its status is shown beside the figures of its trials.
    let freshness = oldest([of_run, freshness].into_iter(), service.wall_time());
    Ok((loaded, Some(freshness)))
}

fn is_whole(confirmed: &Confirmation) -> bool {
    confirmed.complete
}

/// Reads a saved run.
fn read_saved(path: &Path) -> Result<SavedRun, ApiError> {
    let refuse = |why: String| ApiError::BadRequest(format!("{}: {why}", path.display()));
    if !path.is_absolute() {
        return Err(refuse(
            "the path of a saved run must be absolute".to_owned(),
        ));
    }
    let length = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?;
    if !length.is_file() || length.len() > MAX_SAVED_BYTES {
        return Err(refuse(
            "not a file that `docks runs gate --save` wrote".to_owned(),
        ));
    }
    let text = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let saved: SavedRun = serde_json::from_slice(&text).map_err(|error| {
        refuse(format!(
            "not a file that `docks runs gate --save` wrote: {error}"
        ))
    })?;
    if saved.docks_saved_run > SAVED_RUN_FORMAT {
        return Err(refuse(
            "written by a newer docks; update this one".to_owned(),
        ));
    }
    Ok(saved)
}

fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("it contains only text and numbers")
}
