//! Job configs that run some trials again, and no others.
//!
//! A config has one number of attempts for all of its tasks and agents. So there is one for each number of attempts and
//! set of tasks, with the agents that need exactly these.

use std::collections::BTreeMap;
use std::path::Path;

use docks_proto::rerun::RerunConfig;
use serde_json::{Map, Value, json};

/// Fields of a trial's config that are about this one trial, and not of its job.
const OWN_FIELDS: [&str; 7] = [
    "task",
    "agent",
    "trial_name",
    "trials_dir",
    "job_id",
    "source_trial",
    "schema_version",
];

/// Fields of the job that its tasks and agents come from.
const PLAN_FIELDS: [&str; 3] = ["datasets", "source_jobs", "plugins"];

/// What a trial was run with.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TrialInput {
    task: Value,
    agent: Value,
    /// What else its config has, which is the same for all trials of a job.
    rest: Map<String, Value>,
}

impl TrialInput {
    /// Reads the config of a trial.
    ///
    /// # Errors
    ///
    /// Why it cannot be run again by a config.
    pub(super) fn of_config(mut config: Map<String, Value>) -> Result<Self, &'static str> {
        if config
            .get("source_trial")
            .is_some_and(|source| !source.is_null())
        {
            return Err("it graded an earlier trial again; `harbor job regrade` does that");
        }
        let task = config.remove("task").filter(Value::is_object);
        let task = task.ok_or("its config.json names no task")?;
        let agent = config.remove("agent").filter(Value::is_object);
        for field in OWN_FIELDS {
            config.remove(field);
        }
        Ok(Self {
            task,
            agent: agent.unwrap_or_else(default_agent),
            rest: config,
        })
    }

    /// Reads a trial that never started out of the job's lock, by its place from 1; `None` if it is not there.
    pub(super) fn of_lock(
        lock: Option<&Map<String, Value>>,
        place: usize,
        job: Option<&Map<String, Value>>,
    ) -> Option<Self> {
        let planned = lock?.get("trials")?.get(place.checked_sub(1)?)?;
        let locked = planned.get("task")?;
        let keys: &[(&str, &str)] = match locked.get("type")?.as_str()? {
            "local" => &[("path", "path")],
            "git" => &[
                ("path", "path"),
                ("git_url", "git_url"),
                ("git_commit_id", "git_commit_id"),
            ],
            "package" => &[("name", "name"), ("digest", "ref")],
            _ => return None,
        };
        let mut task = Map::new();
        for (from, to) in keys.iter().chain(&[("source", "source")]) {
            let value = locked.get(*from).filter(|value| !value.is_null());
            if let Some(value) = value {
                task.insert((*to).to_owned(), value.clone());
            }
        }
        let locked = planned.get("agent")?;
        let default = vec![default_agent()];
        let agents = job.and_then(|job| job.get("agents")?.as_array());
        let agents = agents.filter(|agents| !agents.is_empty());
        // Its own words in the job's config, with which others are alike; the lock has them with all defaults.
        let stated =
            |agent: &Value, key: &str| agent.get(key).filter(|value| !value.is_null()).cloned();
        let is_same = |agent: &&Value| {
            let keys = ["name", "import_path", "model_name"];
            keys.iter()
                .all(|key| stated(agent, key) == stated(locked, key))
        };
        let agent = agents.unwrap_or(&default).iter().find(is_same);
        Some(Self {
            task: Value::Object(task),
            agent: agent.unwrap_or(locked).clone(),
            rest: Map::new(),
        })
    }
}

/// Whom Harbor runs if no agent is given.
fn default_agent() -> Value {
    json!({"name": "oracle"})
}

/// Tasks as text, in their order.
type Tasks = Vec<String>;

/// Builds the configs that run these trials again. They go beside the folder of the job, under names that are free.
pub(super) fn build(
    job: Option<&Map<String, Value>>,
    folder: &Path,
    inputs: Vec<TrialInput>,
) -> Vec<RerunConfig> {
    let mut values: BTreeMap<String, Value> = BTreeMap::new();
    let mut name_of = |value: Value| {
        let text = value.to_string();
        values.entry(text.clone()).or_insert(value);
        text
    };
    let mut rest = Map::new();
    let mut attempts: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for input in inputs {
        if rest.is_empty() {
            rest = input.rest;
        }
        let (agent, task) = (name_of(input.agent), name_of(input.task));
        *attempts.entry(agent).or_default().entry(task).or_default() += 1;
    }
    let mut groups: BTreeMap<(u64, Tasks), Vec<String>> = BTreeMap::new();
    for (agent, tasks) in attempts {
        let mut by_number: BTreeMap<u64, Tasks> = BTreeMap::new();
        for (task, number) in tasks {
            by_number.entry(number).or_default().push(task);
        }
        for group in by_number {
            groups.entry(group).or_default().push(agent.clone());
        }
    }
    let mut base = job.cloned().unwrap_or(rest);
    for field in PLAN_FIELDS {
        base.remove(field);
    }
    let names = free_names(folder);
    let config = |(((number, tasks), agents), name): (((u64, Tasks), Vec<String>), String)| {
        let read = |texts: &[String]| -> Vec<Value> {
            let found = texts.iter().filter_map(|text| values.get(text));
            found.cloned().collect()
        };
        let mut config = base.clone();
        config.insert("job_name".to_owned(), name.into());
        if let Some(dir) = folder.parent().and_then(Path::to_str) {
            config.insert("jobs_dir".to_owned(), dir.into());
        }
        config.insert("n_attempts".to_owned(), number.into());
        config.insert("tasks".to_owned(), read(&tasks).into());
        config.insert("agents".to_owned(), read(&agents).into());
        RerunConfig {
            trials: number * (tasks.len() * agents.len()) as u64,
            config: Value::Object(config),
        }
    };
    groups.into_iter().zip(names).map(config).collect()
}

/// Names for jobs beside a folder: the first ones that no folder there has.
fn free_names(folder: &Path) -> impl Iterator<Item = String> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let name = name.into_owned();
    let beside = folder.parent().map(Path::to_owned);
    let numbered = (1_u64..).map(move |number| match number {
        1 => format!("{name}-rerun"),
        number => format!("{name}-rerun-{number}"),
    });
    numbered.filter(move |name| {
        let beside = beside.as_ref().map(|beside| beside.join(name));
        beside.is_none_or(|taken| !taken.exists())
    })
}

/// Whether a config has a task by a relative path on this machine.
pub(super) fn has_relative_path(config: &Value) -> bool {
    let tasks = config["tasks"].as_array();
    tasks.into_iter().flatten().any(|task| {
        let path = task["path"].as_str();
        task["git_url"].is_null() && path.is_some_and(|path| Path::new(path).is_relative())
    })
}
