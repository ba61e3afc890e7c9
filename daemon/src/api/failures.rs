//! Why trials failed: `GET /v1/failures`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use docks_proto::failures::{FailureExample, FailureReport, FailuresQuery};
use docks_proto::object::RawObject;
use docks_proto::path_encoding::decode_path;
use docks_proto::routes::RunKind;
use docks_proto::settings::Target;
use docks_proto::trial::Trial;
use docks_statistics::failures::report;
use docks_statistics::trial::FactsList;
use docksd_harbor::read_end;

use super::error::ApiError;
use super::extract::{QueryParameters, bad_parameter};
use super::files::owner_folder;
use super::trial_facts::Computed;
use super::{Service, respond, trial_facts};
use crate::registry::MirroredRemote;

/// Lines of a log that are shown.
const LOG_LINES: usize = 5;
/// The end of a log in which they are looked for.
const LOG_BYTES: u64 = 4 << 10;
/// Most clusters whose examples are shown with their logs: each log is a file to open.
const MAX_CLUSTERS_WITH_LOGS: usize = 50;

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

/// A log on this machine.
struct LocalLog {
    /// The folder of its trial.
    folder: PathBuf,
    /// Its path in there.
    path: PathBuf,
}

/// Adds the last lines of the first log of each example, where logs are on this machine.
async fn add_logs(
    service: &Service,
    remote: &MirroredRemote,
    report: &mut FailureReport,
) -> Result<(), ApiError> {
    let Target::HarborJobs { dirs } = &remote.id.target else {
        return Ok(());
    };
    let clusters = report.clusters.iter_mut().take(MAX_CLUSTERS_WITH_LOGS);
    let mut examples: Vec<&mut FailureExample> =
        clusters.flat_map(|cluster| &mut cluster.examples).collect();
    let mut logs = Vec::new();
    for example in &examples {
        logs.push(local_log(remote, example).await?);
    }
    let dirs = dirs.clone();
    let read_all = move || -> Vec<Option<Vec<String>>> {
        let read = |log: LocalLog| read_end(&dirs, &log.folder, &log.path, LOG_BYTES).ok();
        let logs = logs.into_iter();
        logs.map(|log| Some(last_lines(&log.and_then(read)?)))
            .collect()
    };
    let name = format!("the logs of {}", remote.database.display());
    let found = service.registry.run_blocking(&name, read_all).await?;
    for (example, log) in examples.iter_mut().zip(found) {
        example.log = log;
    }
    Ok(())
}

/// Finds the first log of a trial; `None` if it has none.
async fn local_log(
    remote: &MirroredRemote,
    example: &FailureExample,
) -> Result<Option<LocalLog>, ApiError> {
    let (run_id, trial_id) = (&example.run_id, &example.trial_id);
    let run = remote.mirror.run(RunKind::Evaluation, run_id).await?;
    let trial = remote.mirror.trial(run_id, trial_id).await?;
    Ok(run.zip(trial).and_then(|(run, trial)| {
        let folder = owner_folder(&run.text, Some(&trial.text))?.path;
        let object = RawObject::parse(&trial.text).ok().flatten()?;
        let uri = Trial::from_object(&object).fields.logs_uri.text()?;
        let file = decode_path(uri.strip_prefix("file://")?);
        let path = file.strip_prefix(&folder).ok().map(Path::to_owned)?;
        Some(LocalLog { folder, path })
    }))
}

/// Returns the last lines of the end of a log. Its first line may be cut.
fn last_lines(end: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(end);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let shown = &lines[lines.len().saturating_sub(LOG_LINES)..];
    shown.iter().map(|line| (*line).to_owned()).collect()
}

fn to_json(report: &FailureReport) -> String {
    serde_json::to_string(report).expect("it contains only text and numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_a_log_have_text_in_them() {
        let log = b"cut\n1\n\n2\n3\r\n  \n4\n\xff5\n\n";
        assert_eq!(last_lines(log), ["1", "2", "3", "4", "\u{fffd}5"]);
        assert!(last_lines(b"").is_empty());
    }
}
