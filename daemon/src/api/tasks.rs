//! Tasks over all runs: `GET /v1/tasks`, and `GET /v1/task-history`, which is about one of them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use docks_proto::error::Candidate;
use docks_proto::tasks::{TaskHistoryQuery, TasksQuery};
use docks_statistics::tasks::{history as history_of, list as list_of};
use docks_statistics::trial::FactsList;
use docksd_mirror::FactsAtTask;
use serde::Serialize;

use super::Service;
use super::error::ApiError;
use super::extract::{QueryParameters, bad_parameter};
use super::trial_facts::{self, Computed};

/// Most tasks that a refusal names.
const MAX_CANDIDATES: usize = 20;

/// `GET /v1/tasks`
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    QueryParameters(parameters): QueryParameters,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let query = TasksQuery::parse(uri.query().unwrap_or("")).map_err(bad_parameter)?;
    let remote = service
        .open_for_reading(&headers, parameters.text("tenant"))
        .await?;
    let requirement = service.freshness_requirement(&headers);
    let rules = Arc::clone(&service.failure_rules);
    let filter = query.filter.clone();
    let compute = |facts: FactsList| {
        computed(move || {
            let (tasks, total) = list_of(&facts, &query, &rules);
            to_json(&tasks, total)
        })
    };
    trial_facts::of_all_runs(&service, &remote, &uri, &filter, requirement, compute).await
}

/// `GET /v1/task-history`
pub(super) async fn history(
    State(service): State<Arc<Service>>,
    QueryParameters(parameters): QueryParameters,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let query = TaskHistoryQuery::parse(uri.query().unwrap_or("")).map_err(bad_parameter)?;
    if query.task.is_empty() {
        return Err(ApiError::BadRequest("give a `task`".to_owned()));
    }
    let remote = service
        .open_for_reading(&headers, parameters.text("tenant"))
        .await?;
    let requirement = service.freshness_requirement(&headers);
    let rules = Arc::clone(&service.failure_rules);
    let (mirror, filter) = (&remote.mirror, query.filter.clone());
    let task = query.task.clone();
    let read = |age| mirror.trial_facts_at_task(&task, &filter, age);
    let compute = |found: FactsAtTask| async move {
        let facts = found_at_task(found, &query.task)?;
        computed(move || {
            let history = history_of(&facts, &query, &rules);
            to_json(&history, history.rows_total)
        })
        .await
    };
    trial_facts::cached(&service, &remote, &uri, requirement, read, compute).await
}

/// Returns the facts of the one task that was meant.
fn found_at_task(found: FactsAtTask, name: &str) -> Result<FactsList, ApiError> {
    match found {
        FactsAtTask::Found(facts) => Ok(facts),
        FactsAtTask::NotFound => Err(ApiError::TaskNotFound {
            name: name.to_owned(),
        }),
        FactsAtTask::Ambiguous(tasks) => {
            let tasks = tasks.into_iter().take(MAX_CANDIDATES);
            let candidate = |id| Candidate {
                id,
                name: None,
                status: None,
                location: None,
            };
            Err(ApiError::Ambiguous {
                name: name.to_owned(),
                candidates: tasks.map(candidate).collect(),
            })
        }
    }
}

/// Computes away from the threads that serve requests: many trials take tenths of a second.
async fn computed(
    compute: impl FnOnce() -> Computed + Send + 'static,
) -> Result<Computed, ApiError> {
    let computing = tokio::task::spawn_blocking(compute);
    computing.await.map_err(|_| ApiError::Panicked)
}

fn to_json<T: Serialize>(value: &T, total: u64) -> Computed {
    Computed {
        body: serde_json::to_string(value).expect("it contains only text and numbers"),
        total,
    }
}
