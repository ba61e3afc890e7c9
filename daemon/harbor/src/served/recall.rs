//! Reads a result back from the object of a trial, so that it need not be asked for again after a restart.

use docks_proto::object::RawObject;

use super::{MAPPING, parse_time};
use crate::format::json::{self, Object, Value};
use crate::format::trial::{Exception, PHASES, StepResult, TrialResult};
use crate::format::usage::Usage;

/// Returns when the job of an object last changed, in microseconds since 1970, if the object says all of it and was
/// built by the present mapping.
#[must_use]
pub fn recalled_update(run: &RawObject) -> Option<i64> {
    let top = json::parse(run.text())?.object();
    let harbor = top.object("harbor");
    let is_complete = harbor.get("complete").and_then(Value::flag) == Some(true);
    let is_current = harbor.count("mapping") == Some(u64::from(MAPPING));
    let updated = top
        .text("updated_at")
        .filter(|_| is_complete && is_current)?;
    parse_time(&updated)
}

/// Returns the id of the attempt and its result, if the object was built of a result.
pub(super) fn recall(trial: &RawObject) -> Option<(String, TrialResult)> {
    let top = json::parse(trial.text())?.object();
    let harbor = top.object("harbor");
    if harbor.get("complete").and_then(Value::flag) != Some(true) {
        return None;
    }
    let data = top.object("result_data");
    let steps: Vec<StepResult> = harbor
        .items("steps")
        .into_iter()
        .map(|step| read_step(&step.object()))
        .collect();
    // The trial's message is that of its own exception, or names the step.
    let own = data.text("error_code").zip(data.text("error_message"));
    let of_step = steps.iter().any(|step| step.exception.is_some());
    let exception = own
        .filter(|(_, message)| !(of_step && message.starts_with("step ")))
        .map(|(kind, message)| exception(kind, &message));
    let result = TrialResult {
        task_name: harbor.text("task_name"),
        agent_name: harbor.text("agent"),
        agent_version: harbor.text("agent_version"),
        agent_model: harbor.text("model"),
        agent_model_name: harbor.text("reported_model"),
        usage: read_usage(&data),
        rewards: read_rewards(&data),
        has_rewards: data.object("rewards").members().next().is_some(),
        reward_valid: harbor.get("valid").and_then(Value::flag),
        exception,
        phases: read_phases(&harbor),
        steps,
        ..TrialResult::default()
    };
    Some((harbor.text("trial_uuid")?, result))
}

fn read_step(step: &Object<'_>) -> StepResult {
    StepResult {
        name: step.text("name").unwrap_or_default(),
        rewards: read_rewards(step),
        exception: step.text("error_code").map(|kind| Exception {
            message: step.text("error_message").unwrap_or_default(),
            ..Exception::of_kind(&kind)
        }),
        phases: read_phases(step),
        usage: read_usage(step),
    }
}

/// Takes the type away from the beginning of a message, where `TrialState` puts it.
fn exception(kind: String, message: &str) -> Exception {
    let rest = message.strip_prefix(kind.as_str());
    let rest = rest.and_then(|rest| rest.strip_prefix(": "));
    Exception {
        message: rest.unwrap_or_default().to_owned(),
        keeps_reward: None,
        kind,
    }
}

fn read_usage(holder: &Object<'_>) -> Usage {
    Usage {
        input_tokens: holder.count("prompt_tokens"),
        cache_tokens: holder.count("cached_tokens"),
        output_tokens: holder.count("completion_tokens"),
        cost_usd: holder.get("cost_usd").and_then(Value::any_number),
    }
}

fn read_rewards(holder: &Object<'_>) -> Vec<(String, f64)> {
    let rewards = holder.object("rewards");
    let number = |(key, value): (&str, Value<'_>)| Some((key.to_owned(), value.any_number()?));
    rewards.members().filter_map(number).collect()
}

fn read_phases(holder: &Object<'_>) -> Vec<(&'static str, f64)> {
    let phases = holder.object("phase_seconds");
    let seconds = |name: &'static str| Some((name, phases.number(name)?));
    PHASES.into_iter().filter_map(seconds).collect()
}
