//! What is read from a trial's JSON files.

use crate::format::json::{self, Object, Value};
use crate::format::times::{Utc, Written};

/// Agent as configured: what tells the variants of a job apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AgentKey {
    /// Name, or import path of a custom agent; `oracle` when nothing is configured.
    pub(crate) name: String,
    /// Model, `provider/model` or bare.
    pub(crate) model: Option<String>,
}

impl AgentKey {
    /// Reads an agent's configuration; Harbor leaves out what equals its default.
    pub(crate) fn read(agent: &Object<'_>) -> Self {
        Self {
            name: agent
                .text("name")
                .or_else(|| agent.text("import_path"))
                .unwrap_or_else(|| "oracle".to_owned()),
            model: agent.text("model_name"),
        }
    }
}

/// Task as configured.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TaskRef {
    /// Path of a local task, else the name of a packaged one.
    pub(crate) place: String,
    /// Commit of a task from git.
    pub(crate) commit: Option<String>,
    /// Name for people: last part of the path or name.
    pub(crate) slug: String,
    /// Dataset it belongs to.
    pub(crate) source: Option<String>,
}

impl TaskRef {
    /// Reads a task of a lock or a trial configuration.
    pub(crate) fn read(task: &Object<'_>) -> Self {
        let path = task.text("path");
        let name = task.text("name");
        let place = path.clone().or_else(|| name.clone()).unwrap_or_default();
        Self {
            slug: last_part(&place).to_owned(),
            place,
            commit: task.text("git_commit_id"),
            source: task.text("source"),
        }
    }
}

/// Returns what follows the last slash.
pub(crate) fn last_part(name: &str) -> &str {
    let name = name.trim_end_matches('/');
    name.rsplit('/').next().unwrap_or(name)
}

/// `config.json` of a trial.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrialConfig {
    /// Its task.
    pub(crate) task: TaskRef,
    /// Its agent.
    pub(crate) agent: AgentKey,
    /// Its job's UUID.
    pub(crate) job_id: Option<String>,
    /// Name of the job's folder when the trial was made; a copied folder has another.
    pub(crate) job_folder: Option<String>,
}

impl TrialConfig {
    /// Reads the file; `None` when it is not one complete object.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let value = json::parse(text).filter(|v| v.is_object())?;
        Some(Self::read(&value.object()))
    }

    fn read(top: &Object<'_>) -> Self {
        Self {
            task: TaskRef::read(&top.object("task")),
            agent: AgentKey::read(&top.object("agent")),
            job_id: top.text("job_id"),
            job_folder: top.text("trials_dir").map(|dir| last_part(&dir).to_owned()),
        }
    }
}

/// An exception that ended a trial or a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exception {
    /// Class name.
    pub(crate) kind: String,
    /// Its message; may be empty.
    pub(crate) message: String,
}

impl Exception {
    fn read(holder: &Object<'_>) -> Option<Self> {
        let info = holder.get("exception_info")?.object();
        Some(Self {
            kind: info
                .text("exception_type")
                .unwrap_or_else(|| "Exception".to_owned()),
            message: info.text("exception_message").unwrap_or_default(),
        })
    }
}

/// Tokens and cost.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    /// Input tokens, cached ones included.
    pub(crate) input_tokens: Option<u64>,
    /// Cached input tokens.
    pub(crate) cache_tokens: Option<u64>,
    /// Output tokens.
    pub(crate) output_tokens: Option<u64>,
    /// Cost in US dollars.
    pub(crate) cost_usd: Option<f64>,
}

impl Usage {
    fn read(result: &Object<'_>) -> Self {
        Self {
            input_tokens: result.count("n_input_tokens"),
            cache_tokens: result.count("n_cache_tokens"),
            output_tokens: result.count("n_output_tokens"),
            cost_usd: result.number("cost_usd"),
        }
    }

    /// Adds; what neither side knows stays unknown.
    pub(crate) fn plus(self, other: Self) -> Self {
        fn sum<T>(a: Option<T>, b: Option<T>, add: impl Fn(T, T) -> T) -> Option<T> {
            match (a, b) {
                (Some(a), Some(b)) => Some(add(a, b)),
                (a, b) => a.or(b),
            }
        }
        Self {
            input_tokens: sum(self.input_tokens, other.input_tokens, u64::saturating_add),
            cache_tokens: sum(self.cache_tokens, other.cache_tokens, u64::saturating_add),
            output_tokens: sum(self.output_tokens, other.output_tokens, u64::saturating_add),
            cost_usd: sum(self.cost_usd, other.cost_usd, |a, b| a + b),
        }
    }
}

/// One step of a trial of a multi-step task.
#[derive(Debug, Clone, Default)]
pub(crate) struct Step {
    /// Its name, also its folder's.
    pub(crate) name: String,
    /// Its rewards by key.
    pub(crate) rewards: Vec<(String, f64)>,
    /// What went wrong in it; does not make the trial an error.
    pub(crate) exception: Option<Exception>,
    /// Seconds of each phase, by name.
    pub(crate) phases: Vec<(&'static str, f64)>,
    /// Tokens and cost.
    pub(crate) usage: Usage,
}

/// `result.json` of a trial, written once at its end.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrialResult {
    /// UUID of this attempt; a retry has another.
    pub(crate) id: Option<String>,
    /// Full task name, for instance `tiny/hello-file`.
    pub(crate) task_name: Option<String>,
    /// Dataset.
    pub(crate) source: Option<String>,
    /// Its configuration, with defaults filled in.
    pub(crate) config: TrialConfig,
    /// Name that the agent reported.
    pub(crate) agent_name: Option<String>,
    /// Version that the agent reported.
    pub(crate) agent_version: Option<String>,
    /// Model that the agent reported, `provider/model`.
    pub(crate) agent_model: Option<String>,
    /// The same without its provider.
    pub(crate) agent_model_name: Option<String>,
    /// Tokens and cost, summed over steps.
    pub(crate) usage: Usage,
    /// Rewards by key.
    pub(crate) rewards: Vec<(String, f64)>,
    /// Whether there is a set of rewards, be it empty.
    pub(crate) graded: bool,
    /// What ended it, unless it ended by itself.
    pub(crate) exception: Option<Exception>,
    /// When it started.
    pub(crate) started: Option<Utc>,
    /// When it ended.
    pub(crate) finished: Option<Utc>,
    /// Seconds of each phase, by name.
    pub(crate) phases: Vec<(&'static str, f64)>,
    /// Steps, in order.
    pub(crate) steps: Vec<Step>,
}

/// Phases whose times Harbor notes.
const PHASES: [&str; 4] = [
    "environment_setup",
    "agent_setup",
    "agent_execution",
    "verifier",
];

impl TrialResult {
    /// Reads the file; `None` when it is not one complete object.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let value = json::parse(text).filter(|v| v.is_object())?;
        Some(Self::read(&value.object()))
    }

    /// Reads a result that also may be embedded in an old job result.
    pub(crate) fn read(top: &Object<'_>) -> Self {
        let agent = top.object("agent_info");
        let steps: Vec<Step> = top.items("step_results").into_iter().map(step).collect();
        let own = Usage::read(&top.object("agent_result"));
        let summed = steps
            .iter()
            .fold(Usage::default(), |sum, step| sum.plus(step.usage));
        Self {
            id: top.text("id"),
            task_name: top.text("task_name"),
            source: top.text("source"),
            config: TrialConfig::read(&top.object("config")),
            agent_name: agent.text("name"),
            agent_version: agent.text("version"),
            agent_model: model(&agent.object("model_info")),
            agent_model_name: agent.object("model_info").text("name"),
            // Multi-step trials have usage only in their steps.
            usage: if own == Usage::default() { summed } else { own },
            rewards: rewards(top),
            graded: top.object("verifier_result").get("rewards").is_some(),
            exception: Exception::read(top),
            started: top.text("started_at").and_then(|t| Written::utc(&t)),
            finished: top.text("finished_at").and_then(|t| Written::utc(&t)),
            phases: with_steps(phases(top), &steps),
            steps,
        }
    }
}

fn step(value: Value<'_>) -> Step {
    let step = value.object();
    Step {
        name: step.text("step_name").unwrap_or_default(),
        rewards: rewards(&step),
        exception: Exception::read(&step),
        phases: phases(&step),
        usage: Usage::read(&step.object("agent_result")),
    }
}

fn model(info: &Object<'_>) -> Option<String> {
    let name = info.text("name")?;
    Some(match info.text("provider") {
        Some(provider) => format!("{provider}/{name}"),
        None => name,
    })
}

fn rewards(holder: &Object<'_>) -> Vec<(String, f64)> {
    let rewards = holder.object("verifier_result").object("rewards");
    rewards
        .members()
        .filter_map(|(key, value)| Some((key.to_owned(), value.number()?)))
        .collect()
}

/// Adds what the steps took together, of phases that a trial of several steps has only in them.
fn with_steps(own: Vec<(&'static str, f64)>, steps: &[Step]) -> Vec<(&'static str, f64)> {
    let of = |phases: &[(&'static str, f64)], name| {
        let found = phases.iter().find(|(known, _)| *known == name);
        found.map(|(_, seconds)| *seconds)
    };
    let of_steps = |name| {
        let each = steps.iter().filter_map(|step| of(&step.phases, name));
        each.reduce(|sum, seconds| sum + seconds)
    };
    PHASES
        .into_iter()
        .filter_map(|name| Some((name, of(&own, name).or_else(|| of_steps(name))?)))
        .collect()
}

fn phases(top: &Object<'_>) -> Vec<(&'static str, f64)> {
    let seconds = |name| {
        let phase = top.object(name);
        let at = |key| phase.text(key).and_then(|t| Written::utc(&t));
        at("finished_at")?.seconds_since(at("started_at")?)
    };
    PHASES
        .into_iter()
        .filter_map(|name| Some((name, seconds(name)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_cost_of_steps_are_summed_and_their_errors_kept_apart() {
        let result = TrialResult::parse(
            r#"{"agent_result":null,"exception_info":null,"step_results":[
                {"step_name":"a","agent_result":{"n_input_tokens":3,"cost_usd":0.5},
                 "exception_info":{"exception_type":"AgentTimeoutError"}},
                {"step_name":"b","agent_result":{"n_input_tokens":4,"n_output_tokens":1}}]}"#,
        )
        .unwrap();
        assert_eq!(
            result.usage,
            Usage {
                input_tokens: Some(7),
                cache_tokens: None,
                output_tokens: Some(1),
                cost_usd: Some(0.5)
            }
        );
        assert_eq!(result.exception, None);
        assert_eq!(
            result.steps[0].exception.as_ref().unwrap().kind,
            "AgentTimeoutError"
        );
    }
}
