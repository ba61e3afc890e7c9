//! Why trials failed: `GET /v1/failures`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use docks_proto::failures::{FailureReport, FailuresQuery};
use docks_statistics::failures::report;
use docks_statistics::trial::FactsList;

use super::error::ApiError;
use super::extract::{QueryParameters, bad_parameter};
use super::failure_logs::add_logs;
use super::trial_facts::Computed;
use super::{Service, respond, trial_facts};
use crate::registry::MirroredRemote;

/// `GET /v1/failures`
pub(super) async fn failures(
    State(service): State<Arc<Service>>,
    QueryParameters(parameters): QueryParameters,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let query = FailuresQuery::parse(uri.query().unwrap_or("")).map_err(bad_parameter)?;
    trial_facts::check_number_of_runs(&query.runs)?;
    let remote = service
        .open_for_reading(&headers, parameters.text("tenant"))
        .await?;
    let requirement = service.freshness_requirement(&headers);
    let filter = &query.filter;
    if !query.runs.is_empty() {
        let now = service.wall_time();
        let reading = trial_facts::of_runs(&remote, &query.runs, filter, requirement, now);
        let (facts, freshness) = reading.await?;
        let report = report_of(&service, &remote, facts, filter.limit).await?;
        return Ok(respond::object(to_json(&report), &freshness));
    }
    let compute = |facts: FactsList| async {
        let report = report_of(&service, &remote, facts, filter.limit).await?;
        Ok(Computed {
            body: to_json(&report),
            total: report.clusters_total,
        })
    };
    trial_facts::of_all_runs(&service, &remote, &uri, filter, requirement, compute).await
}

/// Sorts the trials, and adds the ends of logs.
async fn report_of(
    service: &Service,
    remote: &MirroredRemote,
    facts: FactsList,
    most_clusters: u64,
) -> Result<FailureReport, ApiError> {
    let rules = Arc::clone(&service.failure_rules);
    // Tenths of a second for 100,000 trials; requests of others go on beside it.
    let sorting = tokio::task::spawn_blocking(move || report(&facts, &rules, most_clusters));
    let mut report = sorting.await.map_err(|_| ApiError::Panicked)?;
    add_logs(service, remote, &mut report).await?;
    Ok(report)
}

fn to_json(report: &FailureReport) -> String {
    serde_json::to_string(report).expect("it contains only text and numbers")
}
