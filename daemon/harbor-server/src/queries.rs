//! The statements that are sent to the server's `/query`, and their rows. Its views are Harbor's, not ours.
//!
//! The server's limits: 16 statements, 10,000 rows, 10 MiB and 5 s; beyond them there is an error instead of rows.

use docksd_harbor::served::{ServedCount, ServedState, parse_time};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Jobs that are read at once.
pub(crate) const JOBS_PER_PAGE: usize = 5_000;
/// Jobs whose trials are counted at once: a job has up to a dozen kinds of trials.
pub(crate) const COUNTED_JOBS: usize = 500;
/// Attempts that are read at once; with their artifacts, about 3 KiB each.
pub(crate) const ATTEMPTS_PER_PAGE: usize = 1_000;

const JOB: &str =
    "SELECT id, name, state, created_at, updated_at, started_at, finished_at FROM job";
const ROLLOUT: &str = "SELECT id, name, state, created_at, updated_at, started_at, finished_at, retry_index, \
     retry_ids, task_name, task_source, agent_name, agent_version, model_name, model_provider, error_type, \
     n_input_tokens, n_cached_input_tokens, n_output_tokens, cost_usd FROM rollout";

/// One statement with its parameters.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Statement(Vec<Value>);

impl Statement {
    fn new(sql: impl Into<String>, parameters: impl IntoIterator<Item = Value>) -> Self {
        let mut parts = vec![Value::String(sql.into())];
        parts.extend(parameters);
        Self(parts)
    }
}

/// A row of `job`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct JobRow {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: Option<String>,
    pub(crate) state: String,
    pub(crate) created_at: Option<String>,
    pub(crate) updated_at: Option<String>,
    pub(crate) started_at: Option<String>,
    pub(crate) finished_at: Option<String>,
}

/// A row of `rollout`.
#[derive(Debug, Deserialize)]
pub(crate) struct AttemptRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) created_at: Option<String>,
    pub(crate) updated_at: Option<String>,
    pub(crate) started_at: Option<String>,
    pub(crate) finished_at: Option<String>,
    pub(crate) retry_index: u32,
    /// A JSON list in a string.
    pub(crate) retry_ids: Option<String>,
    pub(crate) task_name: Option<String>,
    pub(crate) task_source: Option<String>,
    pub(crate) agent_name: Option<String>,
    pub(crate) agent_version: Option<String>,
    pub(crate) model_name: Option<String>,
    pub(crate) model_provider: Option<String>,
    pub(crate) error_type: Option<String>,
    pub(crate) n_input_tokens: Option<u64>,
    pub(crate) n_cached_input_tokens: Option<u64>,
    pub(crate) n_output_tokens: Option<u64>,
    pub(crate) cost_usd: Option<f64>,
}

/// What several rows of another view say about one attempt, as a JSON object in a string.
#[derive(Debug, Deserialize)]
pub(crate) struct OfAttempt {
    pub(crate) rollout_id: String,
    pub(crate) members: String,
}

/// How many attempts of a job have not ended, and when one of them last changed.
#[derive(Debug, Deserialize)]
pub(crate) struct ActiveRow {
    pub(crate) job_id: String,
    pub(crate) count: u64,
    pub(crate) newest: Option<String>,
}

/// How many attempts a job has, how many of them have not ended, and when one last changed.
#[derive(Debug, Deserialize)]
pub(crate) struct SummaryRow {
    pub(crate) count: u64,
    pub(crate) active: u64,
    pub(crate) newest: Option<String>,
}

/// A number of rows.
#[derive(Debug, Deserialize)]
pub(crate) struct CountRow {
    pub(crate) count: u64,
}

/// A job's configuration.
#[derive(Debug, Deserialize)]
pub(crate) struct ConfigRow {
    pub(crate) config: Option<String>,
}

/// The address of a job's plan.
#[derive(Debug, Deserialize)]
pub(crate) struct PlanRow {
    pub(crate) lock_uri: Option<String>,
}

/// A kind of trials of a job, and how many there are.
#[derive(Debug, Deserialize)]
pub(crate) struct KindRow {
    pub(crate) job_id: String,
    pub(crate) state: String,
    pub(crate) is_retry: u8,
    pub(crate) has_error: u8,
    pub(crate) outcome: Option<u8>,
    pub(crate) count: u64,
}

impl KindRow {
    /// Returns the counted trials; `None` for a state of a later release.
    pub(crate) fn counted(&self) -> Option<ServedCount> {
        Some(ServedCount {
            state: ServedState::parse(&self.state)?,
            is_retry: self.is_retry != 0,
            has_error: self.has_error != 0,
            has_reward: self.outcome.is_some(),
            is_solved: self.outcome == Some(1),
            count: self.count,
        })
    }
}

/// Counts all jobs.
pub(crate) fn count_jobs() -> Statement {
    Statement::new("SELECT count(*) AS count FROM job", [])
}

/// Selects jobs that changed at or after a time, in microseconds since 1970.
pub(crate) fn changed_jobs(since_us: i64) -> Statement {
    let sql = format!("{JOB} WHERE updated_at >= ? ORDER BY updated_at, id LIMIT {JOBS_PER_PAGE}");
    Statement::new(sql, [Value::String(time_text(since_us))])
}

/// Selects jobs by id, after the one with this id.
pub(crate) fn jobs_after(id: &str) -> Statement {
    let sql = format!("{JOB} WHERE id > ? ORDER BY id LIMIT {JOBS_PER_PAGE}");
    Statement::new(sql, [id.into()])
}

/// Selects one job.
pub(crate) fn job(id: &str) -> Statement {
    Statement::new(format!("{JOB} WHERE id = ?"), [id.into()])
}

/// Selects the configuration of a job.
pub(crate) fn config(id: &str) -> Statement {
    Statement::new("SELECT config FROM job WHERE id = ?", [id.into()])
}

/// Selects the address of the plan of a job.
pub(crate) fn plan(id: &str) -> Statement {
    Statement::new("SELECT lock_uri FROM job WHERE id = ?", [id.into()])
}

/// Counts the attempts that have not ended, by job.
pub(crate) fn active_attempts() -> Statement {
    let sql = "SELECT job_id, count(*) AS count, max(updated_at) AS newest FROM rollout \
         WHERE state IN ('queued', 'running', 'paused', 'cancelling') GROUP BY job_id LIMIT 10000";
    Statement::new(sql, [])
}

/// Summarises the attempts of a job.
pub(crate) fn summary_of_attempts(job: &str) -> Statement {
    let sql = "SELECT count(*) AS count, count(CASE WHEN state IN ('queued', 'running', 'paused', 'cancelling') \
         THEN 1 END) AS active, max(updated_at) AS newest FROM rollout WHERE job_id = ?";
    Statement::new(sql, [job.into()])
}

/// Counts the trials of jobs by state and outcome.
pub(crate) fn trial_kinds(jobs: &[&str]) -> Statement {
    let marks = vec!["?"; jobs.len()].join(",");
    let sql = format!(
        "SELECT job_id, state, retry_index > 0 AS is_retry, error_type IS NOT NULL AS has_error, \
         (SELECT CASE WHEN count(*) = 1 THEN max(value) ELSE max(CASE WHEN reward_key = 'reward' THEN value END) END = 1 \
         FROM rollout_reward WHERE rollout_id = rollout.id) AS outcome, count(*) AS count \
         FROM rollout WHERE is_latest_attempt AND job_id IN ({marks}) \
         GROUP BY job_id, state, is_retry, has_error, outcome"
    );
    Statement::new(sql, jobs.iter().map(|id| (*id).into()))
}

/// Which attempts of a job are read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AttemptRange<'a> {
    /// Those that changed at or after a time, in microseconds since 1970.
    ChangedSince(i64),
    /// So many after the one with this id.
    Page(&'a str, usize),
}

/// Selects attempts, their rewards and their artifacts, one row for each attempt: three statements.
pub(crate) fn attempts(job: &str, range: AttemptRange<'_>) -> [Statement; 3] {
    let (which, value) = match range {
        AttemptRange::ChangedSince(since_us) => (
            "job_id = ? AND updated_at >= ?".to_owned(),
            time_text(since_us),
        ),
        AttemptRange::Page(after, count) => (
            format!("job_id = ? AND id > ? ORDER BY id LIMIT {count}"),
            after.to_owned(),
        ),
    };
    let parameters = || [Value::from(job), Value::String(value.clone())];
    let of = format!("WHERE rollout_id IN (SELECT id FROM rollout WHERE {which})");
    [
        Statement::new(format!("{ROLLOUT} WHERE {which}"), parameters()),
        Statement::new(
            format!(
                "SELECT rollout_id, json_group_object(reward_key, value) AS members FROM rollout_reward {of} \
                 GROUP BY rollout_id"
            ),
            parameters(),
        ),
        Statement::new(
            format!(
                "SELECT rollout_id, json_group_object(path, uri) AS members FROM rollout_artifact {of} \
                 AND path NOT LIKE '%/' GROUP BY rollout_id"
            ),
            parameters(),
        ),
    ]
}

/// Writes a time as the server's tables have it: its strings are compared.
fn time_text(us: i64) -> String {
    let instant = Timestamp::from_microsecond(us.max(0)).unwrap_or(Timestamp::UNIX_EPOCH);
    instant.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string()
}

/// Reads an optional time.
pub(crate) fn micros(text: Option<&str>) -> Option<i64> {
    parse_time(text?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_server_compares_them() {
        let us = parse_time("2026-11-29T08:43:57.043832Z").unwrap();
        let text = time_text(us);
        assert_eq!(text, "2026-11-29T08:43:57.043832+00:00");
        // The server leaves out a fraction of 0.
        let whole = parse_time("2026-11-29T08:43:57Z").unwrap();
        assert!("2026-11-29T08:43:57+00:00" < time_text(whole).as_str());
        assert!(time_text(whole - 1).as_str() < "2026-11-29T08:43:57+00:00");
    }
}
