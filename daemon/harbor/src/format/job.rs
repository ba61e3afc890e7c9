//! The JSON files of a job.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::format::json::{self, Object, Value};
use crate::format::json_tree::{self, Tree};
use crate::format::stated_outcomes::{NAMING, StatedOutcomes};
use crate::format::task::{AgentKey, TaskRef};
use crate::format::trial::TrialResult;
use crate::format::written_time::WrittenTime;
use crate::utc::Utc;

/// `result.json` of a job.
#[derive(Debug, Default)]
pub(crate) struct JobResult {
    /// UUID of the job.
    pub(crate) id: Option<String>,
    /// `started_at`.
    pub(crate) started: Option<WrittenTime>,
    /// `updated_at`.
    pub(crate) updated: Option<WrittenTime>,
    /// `finished_at`; written only once every trial has ended.
    pub(crate) finished: Option<WrittenTime>,
    /// Whether it has any counter or eval, which Harbor writes from the start.
    pub(crate) has_stats: bool,
    /// Harbor's own counters.
    pub(crate) counts: HarborCounters,
    /// `stats.evals`, passed on unchanged, but without the lists of names if there are many.
    pub(crate) evals: Option<Box<RawValue>>,
    /// Metrics of each eval: its name, and the name and value of each metric.
    pub(crate) metrics: Vec<(String, Vec<(String, f64)>)>,
    /// Input tokens, cached ones included.
    pub(crate) input_tokens: Option<u64>,
    /// Cached input tokens.
    pub(crate) cache_tokens: Option<u64>,
    /// Output tokens.
    pub(crate) output_tokens: Option<u64>,
    /// Cost in US dollars.
    pub(crate) cost_usd: Option<f64>,
    /// What the job's result says about each trial; used while the trial's own result is torn.
    pub(crate) outcomes: StatedOutcomes,
    /// Whether it has a key that Harbor writes: other programs have a file of this name, too.
    pub(crate) is_harbors: bool,
    /// Trial results that older releases embedded, by trial name.
    pub(crate) embedded: BTreeMap<String, TrialResult>,
}

/// Harbor's own counters, exactly as written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct HarborCounters {
    /// Planned trials.
    pub(crate) n_total_trials: Option<u64>,
    /// Ended trials, including errored and cancelled ones.
    pub(crate) n_completed_trials: Option<u64>,
    /// Trials with an exception, including cancelled ones.
    pub(crate) n_errored_trials: Option<u64>,
    /// Running trials.
    pub(crate) n_running_trials: Option<u64>,
    /// Trials that did not start.
    pub(crate) n_pending_trials: Option<u64>,
    /// Cancelled trials.
    pub(crate) n_cancelled_trials: Option<u64>,
    /// Discarded attempts that were retried.
    pub(crate) n_retries: Option<u64>,
}

/// Trials that `evals` may name. The lists of a job of thousands would make each list of jobs megabytes large, and each
/// trial says the same itself.
const MAX_NAMES: usize = 100;

/// Whether a member of the file is read deeper, by its depth: the counters, and each eval.
fn is_read_deeper(depth: usize, key: &str) -> bool {
    match depth {
        // Older releases wrote the counters under `status`.
        0 => ["stats", "status"].contains(&key),
        1 => key == "evals",
        2 => true,
        _ => false,
    }
}

impl JobResult {
    /// Parses the file; `None` unless it is one complete object.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let top = json_tree::parse(text, is_read_deeper)?;
        let nothing = Tree::default();
        let key = if top.has_inner("stats") {
            "stats"
        } else {
            "status"
        };
        let stats = top.inner(key).unwrap_or(&nothing);
        let written = |key| top.plain.text(key).and_then(|t| WrittenTime::parse(&t));
        let mut result = Self {
            id: top.plain.text("id"),
            started: written("started_at"),
            updated: written("updated_at"),
            finished: written("finished_at"),
            has_stats: !stats.is_empty(),
            counts: HarborCounters::read(&top.plain, &stats.plain),
            input_tokens: stats.plain.count("n_input_tokens"),
            cache_tokens: stats.plain.count("n_cache_tokens"),
            output_tokens: stats.plain.count("n_output_tokens"),
            cost_usd: stats.plain.number("cost_usd"),
            is_harbors: is_result_of_job(&top),
            embedded: read_embedded(&top.plain),
            ..Self::default()
        };
        if let Some(evals) = stats.inner("evals") {
            for (name, eval) in evals.inners() {
                let eval = &eval.unwrap_or(&nothing).plain;
                result.metrics.push((name.to_owned(), read_metrics(eval)));
                result.outcomes.add_eval(eval);
            }
            result.evals = if result.outcomes.name_more_than(MAX_NAMES) {
                without_names(evals)
            } else {
                let top = json::parse(text).map(Value::object);
                top.and_then(|top| Some(top.object(key).get("evals")?.raw()))
            };
        }
        Some(result)
    }
}

fn read_metrics(eval: &Object<'_>) -> Vec<(String, f64)> {
    let mut metrics = Vec::new();
    for metric in eval.items("metrics") {
        for (key, value) in metric.object().members() {
            metrics.extend(value.any_number().map(|n| (key.to_owned(), n)));
        }
    }
    metrics
}

/// Returns evals without the lists of trials.
fn without_names(evals: &Tree<'_>) -> Option<Box<RawValue>> {
    let evals = evals.inners().map(|(name, eval)| {
        let members = eval.into_iter().flat_map(|eval| eval.plain.members());
        let members = members.filter(|(key, _)| !NAMING.contains(key));
        let members = members.map(|(key, value)| (key.to_owned(), value.raw()));
        (name.to_owned(), members.collect::<BTreeMap<_, _>>())
    });
    serde_json::value::to_raw_value(&evals.collect::<BTreeMap<_, _>>()).ok()
}

/// Whether Harbor wrote a result.
fn is_result_of_job(top: &Tree<'_>) -> bool {
    let has_any = |keys: &[&str]| keys.iter().any(|key| top.has(key));
    has_any(&["n_total_trials", "trial_results"])
        || (top.has("stats") && has_any(&["id", "started_at", "finished_at"]))
}

fn read_embedded(top: &Object<'_>) -> BTreeMap<String, TrialResult> {
    let results = top.items("trial_results").into_iter().map(Value::object);
    results
        .filter_map(|result| Some((result.text("trial_name")?, TrialResult::read(&result))))
        .collect()
}

impl HarborCounters {
    /// Reads the counters; older files have fewer of them, under shorter names.
    fn read(top: &Object<'_>, stats: &Object<'_>) -> Self {
        Self {
            n_total_trials: top.count("n_total_trials"),
            n_completed_trials: stats
                .count("n_completed_trials")
                .or_else(|| stats.count("n_trials")),
            n_errored_trials: stats
                .count("n_errored_trials")
                .or_else(|| stats.count("n_errors")),
            n_running_trials: stats.count("n_running_trials"),
            n_pending_trials: stats.count("n_pending_trials"),
            n_cancelled_trials: stats.count("n_cancelled_trials"),
            n_retries: stats.count("n_retries"),
        }
    }
}

/// Keys of which each job's configuration has one.
const CONFIG_KEYS: [&str; 5] = [
    "job_name",
    "jobs_dir",
    "n_attempts",
    "n_concurrent_trials",
    "orchestrator",
];

/// `config.json` of a job; it omits fields that equal Harbor's default.
#[derive(Debug, Default)]
pub(crate) struct JobConfig {
    /// Names of the datasets, or their folders.
    pub(crate) datasets: Vec<String>,
    /// Location of the first dataset.
    pub(crate) dataset_uri: Option<String>,
    /// Attempts per task and agent.
    pub(crate) attempts: Option<u64>,
    /// Number of trials that run at once.
    pub(crate) concurrent_trials: Option<u64>,
    /// Where agents run: `docker` by default, or an import path.
    pub(crate) environment: String,
    /// How often a failed trial is retried.
    pub(crate) retries: u64,
    /// Whether this is the configuration of a lone trial, which also has a folder of its own.
    pub(crate) is_trial: bool,
    /// The name that the job was given; the folder may be called otherwise by now.
    pub(crate) job_name: Option<String>,
    /// Its agents.
    pub(crate) agents: Vec<AgentKey>,
    /// Whether it has a key that Harbor writes: other programs have a file of this name, too.
    pub(crate) is_harbors: bool,
}

impl JobConfig {
    /// Parses the file; `None` unless it is one complete object.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let value = json::parse(text).filter(|v| v.is_object())?;
        let top = value.object();
        let mut config = Self {
            attempts: top.count("n_attempts").or(Some(1)),
            concurrent_trials: top
                .count("n_concurrent_trials")
                .or_else(|| top.object("orchestrator").count("n_concurrent_trials")),
            environment: read_environment(&top),
            retries: top.object("retry").count("max_retries").unwrap_or(0),
            is_trial: top.get("trial_name").is_some(),
            is_harbors: CONFIG_KEYS.iter().any(|key| top.has(key)),
            job_name: top.text("job_name"),
            agents: top
                .items("agents")
                .into_iter()
                .map(|agent| AgentKey::read(&agent.object()))
                .collect(),
            ..Self::default()
        };
        for dataset in top.items("datasets") {
            let dataset = dataset.object();
            let name = dataset.text("name").or_else(|| dataset.text("path"));
            let uri = dataset.text("path").or_else(|| {
                let name = dataset.text("name")?;
                let version = dataset.text("version").or_else(|| dataset.text("ref"));
                Some(version.map_or_else(|| name.clone(), |v| format!("{name}@{v}")))
            });
            config.datasets.extend(name);
            config.dataset_uri = config.dataset_uri.or(uri);
        }
        Some(config)
    }
}

fn read_environment(top: &Object<'_>) -> String {
    let environment = top.object("environment");
    environment
        .text("type")
        .or_else(|| environment.text("import_path"))
        .unwrap_or_else(|| "docker".to_owned())
}

/// `lock.json` of a job: the only file that lists planned trials.
#[derive(Debug, Default)]
pub(crate) struct JobLock {
    /// When the job was first started.
    pub(crate) created: Option<Utc>,
    /// Release of Harbor.
    pub(crate) harbor_version: Option<String>,
    /// Every planned trial, in the order of starting, without its name.
    pub(crate) plan: Vec<PlannedTrial>,
}

/// A planned trial.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PlannedTrial {
    /// Its task.
    pub(crate) task: TaskRef,
    /// Its agent.
    pub(crate) agent: AgentKey,
}

impl JobLock {
    /// Parses the file; `None` unless it is one complete object.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let value = json::parse(text).filter(|v| v.is_object())?;
        let top = value.object();
        let plan = top.items("trials").into_iter().map(|trial| {
            let trial = trial.object();
            PlannedTrial {
                task: TaskRef::read(&trial.object("task")),
                agent: AgentKey::read(&trial.object("agent")),
            }
        });
        Some(Self {
            created: top
                .text("created_at")
                .and_then(|t| WrittenTime::parse_utc(&t)),
            harbor_version: top.object("harbor").text("version"),
            plan: plan.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_older_releases_are_read() {
        let result = JobResult::parse(
            r#"{"id":"x","n_total_trials":2,"stats":{"n_trials":2,"n_errors":1},
                "trial_results":[{"trial_name":"a__1","verifier_result":{"rewards":{"reward":1.0}}},7]}"#,
        )
        .unwrap();
        assert_eq!(result.counts.n_completed_trials, Some(2));
        assert_eq!(result.counts.n_errored_trials, Some(1));
        assert_eq!(
            result.embedded["a__1"].rewards,
            [("reward".to_owned(), 1.0)]
        );
        let result = JobResult::parse(r#"{"status":{"n_running_trials":3}}"#).unwrap();
        assert_eq!(result.counts.n_running_trials, Some(3));
    }

    #[test]
    fn fields_that_harbor_leaves_out_have_its_default() {
        let config =
            JobConfig::parse(r#"{"job_name":"x","datasets":[{"name":"d","version":"2"}]}"#)
                .unwrap();
        assert_eq!(
            (config.environment.as_str(), config.attempts),
            ("docker", Some(1))
        );
        assert_eq!(config.dataset_uri.as_deref(), Some("d@2"));
        let lock = JobLock::parse(r#"{"trials":[{"task":{"path":"t/a"}},null]}"#).unwrap();
        assert_eq!(
            (lock.plan.len(), lock.plan[0].agent.name.as_str()),
            (2, "oracle")
        );
    }
}
