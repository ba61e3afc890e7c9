//! Reads results of Harbor, in CTRF, or with plain fields.

use docks_proto::repair;
use serde_json::Value;

/// Number of lines at the end of a traceback that are shown.
const MAX_TRACE_LINES: usize = 20;

/// Rewards, tests, errors and costs of a result.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ResultSummary {
    pub(super) rewards: Vec<(String, String)>,
    /// Passed tests, of how many.
    pub(super) tests: Option<(u64, u64)>,
    pub(super) failed_tests: Vec<String>,
    pub(super) errors: Vec<String>,
    pub(super) facts: Vec<(&'static str, String)>,
    /// JSON that contains none of these.
    pub(super) other: Vec<String>,
}

/// Returns input tokens with cached ones.
fn all_input(input: &Value, cached: &Value) -> Value {
    match (input.as_u64(), cached.as_u64()) {
        (Some(input), Some(cached)) if cached > input => input.saturating_add(cached).into(),
        _ => input.clone(),
    }
}

/// Returns `result_data` of a trial, which is an object or a JSON text of one.
pub(super) fn result_data(mut trial: Value) -> Value {
    match trial.get_mut("result_data").map(Value::take) {
        Some(Value::String(text)) => repair::read(&text),
        Some(other) => other,
        None => Value::Null,
    }
}

impl ResultSummary {
    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds one result.
    pub(super) fn read(&mut self, value: &Value) {
        let before = self.len();
        let verified = &value["verifier_result"];
        self.add_rewards(verified.get("rewards").unwrap_or(&Value::Null));
        self.add_rewards(&value["rewards"]);
        self.add_ctrf(&value["results"]);
        self.add_exception(&value["exception_info"], "");
        for step in value["step_results"].as_array().into_iter().flatten() {
            let name = text_of(&step["step_name"]);
            self.add_exception(&step["exception_info"], &format!("step {name}: "));
        }
        if let Some(reward) = scalar_text(&value["reward"]) {
            self.add_reward("reward", reward);
        }
        if let (Some(passed), Some(all)) = (
            integer(&value["tests_passed"]),
            integer(&value["tests_total"]),
        ) {
            self.tests = self.tests.or(Some((passed, all)));
        }
        for key in ["error_message", "error", "error_code"] {
            if let Some(text) = value[key].as_str()
                && !self.errors.iter().any(|known| known.contains(text))
            {
                self.errors.push(text.to_owned());
            }
        }
        let agent = &value["agent_result"];
        let input = [
            (&agent["n_input_tokens"], &agent["n_cache_tokens"]),
            (&value["prompt_tokens"], &value["cached_tokens"]),
        ];
        let [agent_input, value_input] = input.map(|(input, cached)| all_input(input, cached));
        for (name, found) in [
            ("tokens in", &agent_input),
            ("tokens out", &agent["n_output_tokens"]),
            ("cost in $", &agent["cost_usd"]),
            ("tokens in", &value_input),
            ("tokens out", &value["completion_tokens"]),
            ("cost in $", &value["cost_usd"]),
            ("seconds", &value["duration_seconds"]),
            ("started", &value["started_at"]),
            ("ended", &value["finished_at"]),
        ] {
            if let Some(text) = scalar_text(found)
                && !self.facts.iter().any(|(known, _)| *known == name)
            {
                self.facts.push((name, text));
            }
        }
        let numbers = |fields: &serde_json::Map<String, Value>| {
            !fields.is_empty() && fields.values().all(Value::is_number)
        };
        if before == self.len() && value.as_object().is_some_and(numbers) {
            self.add_rewards(value);
        }
        if before == self.len() && !value.is_null() {
            self.other.push(value.to_string());
        }
    }

    /// Adds a result that is not JSON: a single reward, or text to show unchanged.
    pub(super) fn read_text(&mut self, text: &str) {
        let text = text.trim();
        if text.parse::<f64>().is_ok() {
            self.add_reward("reward", text.to_owned());
        } else if !text.is_empty() {
            self.errors.push(text.to_owned());
        }
    }

    fn len(&self) -> usize {
        self.rewards.len()
            + self.errors.len()
            + self.facts.len()
            + usize::from(self.tests.is_some())
    }

    fn add_rewards(&mut self, value: &Value) {
        for (name, value) in value.as_object().into_iter().flatten() {
            if let Some(text) = scalar_text(value) {
                self.add_reward(name, text);
            }
        }
    }

    fn add_reward(&mut self, name: &str, text: String) {
        let known = self.rewards.iter_mut().find(|(known, _)| known == name);
        match known {
            Some(_) => {}
            None => self.rewards.push((name.to_owned(), text)),
        }
    }

    fn add_ctrf(&mut self, results: &Value) {
        let Some(tests) = results["tests"].as_array() else {
            return;
        };
        let passed = |test: &&Value| test["status"] == "passed";
        self.tests = Some((
            tests.iter().filter(passed).count() as u64,
            tests.len() as u64,
        ));
        for test in tests.iter().filter(|test| test["status"] == "failed") {
            let message = test["message"].as_str().unwrap_or_default();
            let message = message.lines().next().unwrap_or_default();
            let name = text_of(&test["name"]);
            self.failed_tests.push(if message.is_empty() {
                name
            } else {
                format!("{name}: {message}")
            });
        }
    }

    fn add_exception(&mut self, info: &Value, of: &str) {
        if !info.is_object() {
            return;
        }
        let mut text = format!(
            "{of}{}: {}",
            text_of(&info["exception_type"]),
            text_of(&info["exception_message"])
        );
        let trace = text_of(&info["exception_traceback"]);
        let lines: Vec<_> = trace.lines().collect();
        let left_out = lines.len().saturating_sub(MAX_TRACE_LINES);
        for line in lines.iter().skip(left_out) {
            text.push_str("\n  ");
            text.push_str(line);
        }
        self.errors.push(text);
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Returns a number, a boolean or a string as text; nothing for anything else.
fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

fn integer(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(values: &[&str]) -> String {
        let mut summary = ResultSummary::default();
        for text in values {
            summary.read(&serde_json::from_str(text).unwrap());
        }
        summary.render(false)
    }

    #[test]
    fn results_of_every_format_are_read() {
        let harbor = r#"{"verifier_result":{"rewards":{"reward":0.5}},"agent_result":{"cost_usd":0.1},
            "exception_info":{"exception_type":"AgentTimeoutError","exception_message":"late\u001b[2J","exception_traceback":"a\nb"}}"#;
        assert_eq!(
            printed(&[harbor]),
            "Rewards\n  reward  0.5\n\nErrors\n  AgentTimeoutError: late\n    a\n    b\n\nFacts\n  cost in $  0.1\n"
        );
        let ctrf = r#"{"results":{"tests":[{"name":"a","status":"passed"},{"name":"b","status":"failed","message":"no\nmore"}]}}"#;
        assert_eq!(
            printed(&[ctrf]),
            "Tests\n  1 of 2 passed\n\nFailed tests\n  b: no\n"
        );
        assert_eq!(
            printed(&[r#"{"speed":1,"style":0.5}"#]),
            "Rewards\n  speed  1\n  style  0.5\n"
        );
        let docks = r#"{"reward":1,"tests_passed":3,"tests_total":"4","error":"late"}"#;
        assert_eq!(
            printed(&[docks]),
            "Rewards\n  reward  1\n\nTests\n  3 of 4 passed\n\nErrors\n  late\n"
        );
    }

    #[test]
    fn result_data_is_read_as_an_object_and_as_text() {
        let object: Value = serde_json::from_str(r#"{"result_data":{"reward":1}}"#).unwrap();
        let text: Value = serde_json::from_str(r#"{"result_data":"{\"reward\":1}"}"#).unwrap();
        assert_eq!(result_data(object), result_data(text));
    }
}
