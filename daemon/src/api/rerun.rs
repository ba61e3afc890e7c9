//! What to run again: `GET /v1/rerun`.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use docks_proto::object::{Lifecycle, lifecycle};
use docks_proto::query::ListQuery;
use docks_proto::repair;
use docks_proto::rerun::{RerunPlan, RerunQuery, RerunSelector};
use docks_proto::settings::Target;
use docks_statistics::failures::RuleSet;
use docks_statistics::rerun::to_rerun;
use docks_statistics::trial::FactsList;
use docksd_harbor::{JobTrial, plan_rerun};
use docksd_mirror::StoredObject;
use serde::Deserialize;

use super::error::ApiError;
use super::extract::{QueryParameters, bad_parameter};
use super::files::owner_folder;
use super::trial::existing_run;
use super::{Service, respond, trial_facts};
use crate::registry::MirroredRemote;

/// `GET /v1/rerun`
pub(super) async fn rerun(
    State(service): State<Arc<Service>>,
    QueryParameters(parameters): QueryParameters,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let query = RerunQuery::parse(uri.query().unwrap_or("")).map_err(bad_parameter)?;
    if query.run.is_empty() {
        return Err(ApiError::BadRequest("give a `run`".to_owned()));
    }
    let remote = service
        .open_for_reading(&headers, parameters.text("tenant"))
        .await?;
    let requirement = service.freshness_requirement(&headers);
    let now = service.wall_time();
    let names = std::slice::from_ref(&query.run);
    let reading = trial_facts::of_runs(&remote, names, &query.filter, requirement, now);
    let (facts, freshness) = reading.await?;
    let run = existing_run(&remote, &query.run, requirement).await?;
    let rules = Arc::clone(&service.failure_rules);
    // Many trials take tenths of a second; requests of others go on beside it.
    let selecting = tokio::task::spawn_blocking(move || select(&facts, &query, &rules));
    let mut plan = selecting.await.map_err(|_| ApiError::Panicked)?;
    plan.run_id.clone_from(&run.id);
    match &remote.id.target {
        Target::HarborJobs { dirs } => {
            add_jobs(&service, &remote, &run, dirs.clone(), &mut plan).await?;
        }
        Target::HarborServer { .. } => add_retries(&mut plan),
        Target::DocksApi { .. } => {}
    }
    let body = serde_json::to_string(&plan).expect("it contains only text and numbers");
    Ok(respond::object(body, &freshness))
}

/// Selects the trials.
fn select(facts: &FactsList, query: &RerunQuery, rules: &RuleSet) -> RerunPlan {
    let selectors = query.selectors();
    let mut plan = RerunPlan {
        selected_by: selectors.iter().map(RerunSelector::name).collect(),
        ..RerunPlan::default()
    };
    for (run, trials) in facts.runs() {
        plan.run.clone_from(&run.name);
        plan.status.clone_from(&run.status);
        for trial in trials {
            plan.of += 1;
            plan.trials.extend(to_rerun(run, &trial, selectors, rules));
        }
    }
    plan
}

/// Of a `harbor serve`, which runs single trials again in their job.
fn add_retries(plan: &mut RerunPlan) {
    let retry = |trial: &str| {
        let words = ["docks", "runs", "retry", &plan.run_id, trial];
        words.map(str::to_owned).to_vec()
    };
    let trials = plan.trials.iter();
    plan.retries = trials.map(|trial| retry(&trial.id)).collect();
}

/// What of a trial's object says how it can be run again.
#[derive(Debug, Default, Deserialize)]
struct ListedTrial {
    id: String,
    name: Option<String>,
    result_uri: Option<String>,
    harbor: Option<ListedDetails>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ListedDetails {
    planned: Option<usize>,
    exceptions: Vec<String>,
    steps: Vec<serde::de::IgnoredAny>,
}

impl ListedTrial {
    fn of_job(self, selected: &HashSet<String>) -> JobTrial {
        let details = self.harbor.unwrap_or_default();
        JobTrial {
            selected: selected.contains(&self.id),
            id: self.id,
            folder: self.name,
            planned: details.planned,
            has_result: self.result_uri.is_some(),
            has_steps: !details.steps.is_empty(),
            exceptions: details.exceptions,
        }
    }
}

/// Of a jobs directory: how Harbor runs them again.
async fn add_jobs(
    service: &Service,
    remote: &MirroredRemote,
    run: &StoredObject,
    dirs: Vec<PathBuf>,
    plan: &mut RerunPlan,
) -> Result<(), ApiError> {
    let Some(folder) = owner_folder(&run.text, None) else {
        return Ok(());
    };
    // All of them, whatever the filters: a resumed job may run others, too.
    let all = ListQuery {
        limit: 0,
        ..ListQuery::default()
    };
    let listing = remote.mirror.list_trials(&run.id, &all).await?;
    let listing = listing.ok_or(ApiError::NotCached)?;
    let has_ended = lifecycle(&plan.status) == Lifecycle::Terminal;
    let selected = plan.trials.iter().map(|trial| trial.id.clone());
    let selected: HashSet<String> = selected.collect();
    let call = move || {
        let listed: Vec<ListedTrial> = repair::read(&String::from_utf8_lossy(&listing.body));
        let listed = listed.into_iter();
        let trials: Vec<JobTrial> = listed.map(|trial| trial.of_job(&selected)).collect();
        plan_rerun(&dirs, &folder.path, has_ended, &trials)
    };
    let name = format!("the configs of {}", remote.database.display());
    let found = service.registry.run_blocking(&name, call).await?;
    plan.directory = found.directory;
    plan.resume = found.resume;
    plan.configs = found.configs;
    plan.left_out = found.left_out;
    plan.notes = found.notes;
    Ok(())
}
