//! The JSON files of a trial.

use crate::format::json::{self, Object, Value};
use crate::format::task::{AgentKey, TaskRef, last_part};
use crate::format::usage::Usage;
use crate::format::written_time::WrittenTime;
use crate::utc::Utc;

/// `config.json` of a trial.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrialConfig {
    /// Its task.
    pub(crate) task: TaskRef,
    /// Its agent.
    pub(crate) agent: AgentKey,
    /// Its name when it was created; a renamed folder has another one.
    pub(crate) trial_name: Option<String>,
    /// Its job's UUID.
    pub(crate) job_id: Option<String>,
    /// Name of the job's folder when the trial was created; a copied folder has another one.
    pub(crate) job_folder: Option<String>,
}

impl TrialConfig {
    /// Parses the file; `None` unless it is one complete object.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let value = json::parse(text).filter(|v| v.is_object())?;
        Some(Self::read(&value.object()))
    }

    fn read(top: &Object<'_>) -> Self {
        Self {
            task: TaskRef::read(&top.object("task")),
            agent: AgentKey::read(&top.object("agent")),
            trial_name: top.text("trial_name"),
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
    /// Its message, which may be empty.
    pub(crate) message: String,
    /// Whether a reward is valid in spite of it, as Harbor wrote since 0.25.
    pub(crate) keeps_reward: Option<bool>,
}

impl Exception {
    /// Creates an exception of which only the type is known.
    pub(crate) fn of_kind(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            message: String::new(),
            keeps_reward: None,
        }
    }

    fn read(holder: &Object<'_>) -> Option<Self> {
        let info = holder.get("exception_info")?.object();
        Some(Self {
            kind: info
                .text("exception_type")
                .unwrap_or_else(|| "Exception".to_owned()),
            message: info.text("exception_message").unwrap_or_default(),
            keeps_reward: ["policy_override", "policy"]
                .into_iter()
                .find_map(|policy| {
                    let valid = info.object(policy).get("has_valid_reward")?;
                    valid.flag()
                }),
        })
    }
}

/// One step of a trial of a multi-step task.
#[derive(Debug, Clone, Default)]
pub(crate) struct StepResult {
    /// Its name, also its folder's.
    pub(crate) name: String,
    /// Its rewards by key.
    pub(crate) rewards: Vec<(String, f64)>,
    /// The exception that ended it.
    pub(crate) exception: Option<Exception>,
    /// Seconds of each phase, by name.
    pub(crate) phases: Vec<(&'static str, f64)>,
    /// Tokens and cost.
    pub(crate) usage: Usage,
}

impl StepResult {
    /// Creates a step of which only its exception is known.
    pub(crate) fn failed(exception: Exception) -> Self {
        Self {
            exception: Some(exception),
            ..Self::default()
        }
    }
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
    /// The reported model without its provider.
    pub(crate) agent_model_name: Option<String>,
    /// Tokens and cost, summed over steps.
    pub(crate) usage: Usage,
    /// Rewards by key; one that is `NaN` is no grade.
    pub(crate) rewards: Vec<(String, f64)>,
    /// Whether the verifier reported rewards, even an empty set.
    pub(crate) has_rewards: bool,
    /// Whether the rewards are valid, as Harbor wrote since 0.25.
    pub(crate) reward_valid: Option<bool>,
    /// The exception that ended it.
    pub(crate) exception: Option<Exception>,
    /// When it started.
    pub(crate) started: Option<Utc>,
    /// When it ended.
    pub(crate) finished: Option<Utc>,
    /// Whether these are local times without an offset, as Harbor wrote until 0.1.32.
    pub(crate) has_local_times: bool,
    /// Seconds of each phase, by name.
    pub(crate) phases: Vec<(&'static str, f64)>,
    /// Steps, in order.
    pub(crate) steps: Vec<StepResult>,
}

/// The phases whose times Harbor records.
pub(crate) const PHASES: [&str; 4] = [
    "environment_setup",
    "agent_setup",
    "agent_execution",
    "verifier",
];

impl TrialResult {
    /// Parses the file; `None` unless it is one complete object.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let value = json::parse(text).filter(|v| v.is_object())?;
        Some(Self::read(&value.object()))
    }

    /// Returns the exception of the trial, then those of its steps.
    pub(crate) fn exceptions(&self) -> impl Iterator<Item = &Exception> {
        let steps = self.steps.iter().filter_map(|step| step.exception.as_ref());
        self.exception.iter().chain(steps)
    }

    /// Reads a result, which can also be embedded in an old job result.
    pub(crate) fn read(top: &Object<'_>) -> Self {
        let agent = top.object("agent_info");
        let steps: Vec<StepResult> = top
            .items("step_results")
            .into_iter()
            .map(read_step)
            .collect();
        let own = Usage::read(&top.object("agent_result"));
        let time = |key| top.text(key).and_then(|t| WrittenTime::parse(&t));
        let (started, finished) = (time("started_at"), time("finished_at"));
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
            agent_model: read_model(&agent.object("model_info")),
            agent_model_name: agent.object("model_info").text("name"),
            // Multi-step trials report usage only in their steps.
            usage: if own == Usage::default() { summed } else { own },
            rewards: read_rewards(top),
            has_rewards: top.object("verifier_result").get("rewards").is_some(),
            reward_valid: top.get("reward_valid").and_then(Value::flag),
            exception: Exception::read(top),
            started: started.map(WrittenTime::as_if_utc),
            finished: finished.map(WrittenTime::as_if_utc),
            has_local_times: matches!(started.or(finished), Some(WrittenTime::Local(_))),
            phases: add_step_phases(read_phases(top), &steps),
            steps,
        }
    }
}

fn read_step(value: Value<'_>) -> StepResult {
    let step = value.object();
    StepResult {
        name: step.text("step_name").unwrap_or_default(),
        rewards: read_rewards(&step),
        exception: Exception::read(&step),
        phases: read_phases(&step),
        usage: Usage::read(&step.object("agent_result")),
    }
}

fn read_model(info: &Object<'_>) -> Option<String> {
    let name = info.text("name")?;
    Some(match info.text("provider") {
        Some(provider) => format!("{provider}/{name}"),
        None => name,
    })
}

fn read_rewards(holder: &Object<'_>) -> Vec<(String, f64)> {
    let rewards = holder.object("verifier_result").object("rewards");
    rewards
        .members()
        .filter_map(|(key, value)| Some((key.to_owned(), value.any_number()?)))
        .collect()
}

/// Adds the sum over the steps for phases that a multi-step trial reports only in its steps.
fn add_step_phases(
    own: Vec<(&'static str, f64)>,
    steps: &[StepResult],
) -> Vec<(&'static str, f64)> {
    let seconds_of = |phases: &[(&'static str, f64)], name| {
        let found = phases.iter().find(|(known, _)| *known == name);
        found.map(|(_, seconds)| *seconds)
    };
    let sum_of_steps = |name| {
        let each = steps
            .iter()
            .filter_map(|step| seconds_of(&step.phases, name));
        each.reduce(|sum, seconds| sum + seconds)
    };
    PHASES
        .into_iter()
        .filter_map(|name| Some((name, seconds_of(&own, name).or_else(|| sum_of_steps(name))?)))
        .collect()
}

fn read_phases(top: &Object<'_>) -> Vec<(&'static str, f64)> {
    let seconds = |name| {
        let phase = top.object(name);
        let at = |key| phase.text(key).and_then(|t| WrittenTime::parse_utc(&t));
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
    fn tokens_and_cost_of_steps_are_summed_but_their_errors_are_not_the_trials() {
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
