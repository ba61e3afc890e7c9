//! What a result says, whoever wrote it: Harbor, CTRF, or plain fields.

use serde_json::Value;

use crate::output::cell::TextStyle;
use crate::output::clean;

/// Failed tests that are named; the rest is counted.
const MOST_TESTS: usize = 50;

/// Lines of a traceback that are shown, counted from its end.
const MOST_LINES: usize = 20;

/// Rewards, tests, errors and costs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    rewards: Vec<(String, String)>,
    tests: Option<(u64, u64)>,
    failed_tests: Vec<String>,
    errors: Vec<String>,
    facts: Vec<(&'static str, String)>,
    /// JSON that none of these are read from.
    other: Vec<String>,
}

/// Returns `result_data` of a trial, in object form or as the same object in a JSON text.
pub(super) fn result_data(mut trial: Value) -> Value {
    match trial["result_data"].take() {
        Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::Null),
        other => other,
    }
}

impl Findings {
    /// Tells whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads one result.
    pub(super) fn read(&mut self, value: &Value) {
        let before = self.count();
        self.rewards_of(&value["verifier_result"]["rewards"]);
        self.rewards_of(&value["rewards"]);
        self.ctrf(&value["results"]);
        self.exception(&value["exception_info"], "");
        for step in value["step_results"].as_array().into_iter().flatten() {
            let name = text_of(&step["step_name"]);
            self.exception(&step["exception_info"], &format!("step {name}: "));
        }
        if let Some(reward) = plain(&value["reward"]) {
            self.reward("reward", reward);
        }
        if let (Some(passed), Some(all)) =
            (whole(&value["tests_passed"]), whole(&value["tests_total"]))
        {
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
        for (name, found) in [
            ("tokens in", &agent["n_input_tokens"]),
            ("tokens out", &agent["n_output_tokens"]),
            ("cost in $", &agent["cost_usd"]),
            ("tokens in", &value["prompt_tokens"]),
            ("tokens out", &value["completion_tokens"]),
            ("cost in $", &value["cost_usd"]),
            ("seconds", &value["duration_seconds"]),
            ("started", &value["started_at"]),
            ("ended", &value["finished_at"]),
        ] {
            if let Some(text) = plain(found)
                && !self.facts.iter().any(|(known, _)| *known == name)
            {
                self.facts.push((name, text));
            }
        }
        let numbers = |fields: &serde_json::Map<String, Value>| {
            !fields.is_empty() && fields.values().all(Value::is_number)
        };
        if before == self.count() && value.as_object().is_some_and(numbers) {
            self.rewards_of(value);
        }
        if before == self.count() && !value.is_null() {
            self.other.push(value.to_string());
        }
    }

    /// Reads a result that is no JSON: a reward by itself, or something to show as it is.
    pub(super) fn read_text(&mut self, text: &str) {
        let text = text.trim();
        if text.parse::<f64>().is_ok() {
            self.reward("reward", text.to_owned());
        } else if !text.is_empty() {
            self.errors.push(text.to_owned());
        }
    }

    fn count(&self) -> usize {
        self.rewards.len()
            + self.errors.len()
            + self.facts.len()
            + usize::from(self.tests.is_some())
    }

    fn rewards_of(&mut self, value: &Value) {
        for (name, value) in value.as_object().into_iter().flatten() {
            if let Some(text) = plain(value) {
                self.reward(name, text);
            }
        }
    }

    fn reward(&mut self, name: &str, text: String) {
        let known = self.rewards.iter_mut().find(|(known, _)| known == name);
        match known {
            Some(_) => {}
            None => self.rewards.push((name.to_owned(), text)),
        }
    }

    fn ctrf(&mut self, results: &Value) {
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

    fn exception(&mut self, info: &Value, of: &str) {
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
        for line in &lines[lines.len().saturating_sub(MOST_LINES)..] {
            text.push_str("\n  ");
            text.push_str(line);
        }
        self.errors.push(text);
    }

    /// Writes what was found.
    pub(super) fn print(&self, colour: bool) -> String {
        let mut out = String::new();
        let mut part = |heading: &str, lines: Vec<String>, ink: Option<TextStyle>| {
            if lines.is_empty() {
                return;
            }
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(&painted(heading, Some(TextStyle::Bold), colour));
            out.push('\n');
            for line in lines.iter().flat_map(|text| text.lines()) {
                let line = clean::text_with_tabs(line.as_bytes());
                out.push_str(&format!("  {}\n", painted(&line, ink, colour)));
            }
        };
        let pairs = |pairs: &[(&str, &String)]| -> Vec<String> {
            let width = pairs.iter().map(|(name, _)| name.chars().count()).max();
            let width = width.unwrap_or(0).min(40);
            let line = |(name, value): &(&str, &String)| format!("{name:width$}  {value}");
            pairs.iter().map(line).collect()
        };
        let rewards: Vec<_> = self.rewards.iter().map(|(n, v)| (n.as_str(), v)).collect();
        part("Rewards", pairs(&rewards), None);
        if let Some((passed, all)) = self.tests {
            part("Tests", vec![format!("{passed} of {all} passed")], None);
        }
        let mut failed: Vec<_> = self.failed_tests.iter().take(MOST_TESTS).cloned().collect();
        if self.failed_tests.len() > MOST_TESTS {
            failed.push(format!("… {} more", self.failed_tests.len() - MOST_TESTS));
        }
        part("Failed tests", failed, Some(TextStyle::Red));
        part("Errors", self.errors.clone(), Some(TextStyle::Red));
        let facts: Vec<_> = self.facts.iter().map(|(n, v)| (*n, v)).collect();
        part("Facts", pairs(&facts), None);
        for other in &self.other {
            part("Result", vec![crate::output::json::indent(other)], None);
        }
        out
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Returns a number, a truth or a text; nothing for anything else.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn painted(text: &str, ink: Option<TextStyle>, colour: bool) -> String {
    match ink.filter(|_| colour && !text.is_empty()) {
        Some(ink) => {
            let style = ink.style();
            format!("{style}{text}{style:#}")
        }
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(values: &[&str]) -> String {
        let mut findings = Findings::default();
        for text in values {
            findings.read(&serde_json::from_str(text).unwrap());
        }
        findings.print(false)
    }

    #[test]
    fn results_of_every_maker_are_read() {
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
    fn result_data_is_read_as_object_and_as_text() {
        let object: Value = serde_json::from_str(r#"{"result_data":{"reward":1}}"#).unwrap();
        let text: Value = serde_json::from_str(r#"{"result_data":"{\"reward\":1}"}"#).unwrap();
        assert_eq!(result_data(object), result_data(text));
    }
}
