//! The scoreboard: `GET /v1/score`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use docks_proto::score::ScoreQuery;
use docks_statistics::score::score as score_of;
use docks_statistics::trial::FactsList;

use super::error::ApiError;
use super::extract::{QueryParameters, bad_parameter};
use super::trial_facts::{self, Computed};
use super::{Service, respond};

/// `GET /v1/score`
pub(super) async fn score(
    State(service): State<Arc<Service>>,
    QueryParameters(parameters): QueryParameters,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let query = ScoreQuery::parse(uri.query().unwrap_or("")).map_err(bad_parameter)?;
    trial_facts::check_number_of_runs(&query.runs)?;
    let remote = service
        .open_for_reading(&headers, parameters.text("tenant"))
        .await?;
    let requirement = service.freshness_requirement(&headers);
    let (runs, filter) = (query.runs.clone(), query.filter.clone());
    let rules = Arc::clone(&service.failure_rules);
    let compute = |facts: FactsList| async move {
        // Tenths of a second for 100,000 trials; requests of others go on beside it.
        let computing = tokio::task::spawn_blocking(move || {
            let board = score_of(&facts, &query, &rules);
            let total = board.rows.len() as u64;
            let body = serde_json::to_string(&board).expect("it contains only text and numbers");
            Computed { body, total }
        });
        computing.await.map_err(|_| ApiError::Panicked)
    };
    if runs.is_empty() {
        return trial_facts::of_all_runs(&service, &remote, &uri, &filter, requirement, compute)
            .await;
    }
    let now = service.wall_time();
    let reading = trial_facts::of_runs(&remote, &runs, &filter, requirement, now);
    let (facts, freshness) = reading.await?;
    let board = compute(facts).await?;
    Ok(respond::object(board.body, &freshness))
}
