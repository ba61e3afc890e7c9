//! Formats one step: its source, message, tool calls, observations and costs.

use docks_proto::repair;
use serde_json::Value;

use crate::output::cell::TextStyle;
use crate::output::clean;

use super::fields::{cost, first, items, number, text_of, tokens};

/// Number of lines of a text that are shown without `--full`.
const MAX_LINES: usize = 8;

/// Number of characters of a line that are shown without `--full`.
const MAX_LINE_CHARS: usize = 160;

/// A step, of any agent.
pub(super) struct Step {
    /// Its own number, else its position.
    pub(super) number: u64,
    value: Value,
}

impl Step {
    /// Parses a step; one that is not an object is a message.
    pub(super) fn parse(text: &str, position: u64) -> Self {
        let value: Value = repair::read(text);
        Self {
            number: value
                .get("step_id")
                .and_then(Value::as_u64)
                .unwrap_or(position),
            value,
        }
    }

    /// Formats it as indented lines.
    pub(super) fn render(&self, full: bool, colour: bool) -> String {
        let v = &self.value;
        let mut page = Page {
            text: String::new(),
            full,
            colour,
        };
        page.heading(self.number, v);
        if !v.is_object() {
            page.block("  ", &text_of(v), None);
        }
        if full {
            let reasoning = first(
                v,
                &["reasoning_content", "reasoning", "thinking", "thought"],
            );
            page.block("  ~ ", &text_of(reasoning), Some(TextStyle::Dim));
        }
        page.block(
            "  ",
            &text_of(first(v, &["message", "content", "text"])),
            None,
        );
        for call in items(first(v, &["tool_calls", "actions", "action"])) {
            page.call(call);
        }
        let seen = first(v, &["observation", "observations", "result"]);
        let results = if seen["results"].is_array() {
            &seen["results"]
        } else {
            seen
        };
        for result in items(results) {
            let content = if result["content"].is_null() {
                result
            } else {
                &result["content"]
            };
            if !content.is_object() || result.get("content").is_some() {
                page.block("  < ", &text_of(content), Some(TextStyle::Dim));
            }
        }
        page.text.push('\n');
        page.text
    }
}

/// Formats the totals at the end of a trajectory.
pub(super) fn render_totals(text: &str, colour: bool) -> String {
    let v: &Value = &repair::read(text);
    let mut parts = Vec::new();
    parts.extend(number(&v["total_steps"]).map(|n| format!("{n} steps")));
    parts.extend(tokens(
        &v["total_prompt_tokens"],
        &v["total_cached_tokens"],
        &v["total_completion_tokens"],
    ));
    parts.extend(cost(&v["total_cost_usd"]));
    let line = format!("Total  {}", parts.join(", "));
    TextStyle::paint(Some(TextStyle::Bold), &line, colour) + "\n"
}

struct Page {
    text: String,
    full: bool,
    colour: bool,
}

impl Page {
    fn heading(&mut self, number: u64, v: &Value) {
        let who = text_of(first(v, &["source", "role", "type"]));
        let mut heading = format!("Step {number}  {}", clean::line(&who));
        let metrics = if v["metrics"].is_object() {
            &v["metrics"]
        } else {
            &v["usage"]
        };
        let mut more: Vec<String> = ["model_name", "timestamp"]
            .iter()
            .map(|key| text_of(&v[*key]))
            .filter(|text| !text.is_empty())
            .collect();
        more.extend(tokens(
            first(metrics, &["prompt_tokens", "input_tokens"]),
            first(metrics, &["cached_tokens", "cache_read_input_tokens"]),
            first(metrics, &["completion_tokens", "output_tokens"]),
        ));
        more.extend(cost(&metrics["cost_usd"]));
        heading = TextStyle::paint(Some(TextStyle::Bold), heading.trim_end(), self.colour);
        if !more.is_empty() {
            let more = more.join("  ");
            heading.push_str("  ");
            heading.push_str(&TextStyle::paint(
                Some(TextStyle::Dim),
                &clean::line(&more),
                self.colour,
            ));
        }
        self.text.push_str(&heading);
        self.text.push('\n');
    }

    fn call(&mut self, call: &Value) {
        let function = &call["function"];
        let name = first(call, &["function_name", "name", "tool"]);
        let name = if name.is_null() {
            &function["name"]
        } else {
            name
        };
        let arguments = first(call, &["arguments", "input", "args", "parameters"]);
        let arguments = if arguments.is_null() {
            &function["arguments"]
        } else {
            arguments
        };
        let arguments = match arguments {
            Value::Object(fields) if !fields.is_empty() => {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(key, value)| format!("{key}: {}", text_of(value)))
                    .collect();
                fields.join("\n")
            }
            other => text_of(other),
        };
        let name = text_of(name);
        let text = match (name.is_empty(), arguments.contains('\n')) {
            (true, _) => arguments,
            (false, true) => format!("{name}\n{arguments}"),
            (false, false) => format!("{name}  {arguments}"),
        };
        self.block("  > ", &text, Some(TextStyle::Cyan));
    }

    /// Adds a text with indented lines, cut without `--full`.
    fn block(&mut self, indent: &str, text: &str, style: Option<TextStyle>) {
        let text = text.trim_end();
        if text.is_empty() {
            return;
        }
        let lines = text.lines().count();
        let most = if self.full { lines } else { MAX_LINES };
        let further = " ".repeat(indent.len());
        for (at, line) in text.lines().take(most).enumerate() {
            let mut line = clean::text_with_tabs(line.as_bytes());
            if !self.full
                && let Some((end, _)) = line.char_indices().nth(MAX_LINE_CHARS)
            {
                line.truncate(end);
                line.push('…');
            }
            let indent = if at == 0 { indent } else { &further };
            let line = TextStyle::paint(style, &line, self.colour);
            self.text.push_str(&format!("{indent}{line}\n"));
        }
        if lines > most {
            let more = format!("{further}… {} more lines", lines - most);
            self.text
                .push_str(&TextStyle::paint(Some(TextStyle::Dim), &more, self.colour));
            self.text.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_shows_source_message_calls_and_costs() {
        let step = r#"{"step_id":2,"source":"agent","model_name":"m","message":"I look.",
            "reasoning_content":"hm","tool_calls":[{"function_name":"bash","arguments":{"command":"ls"}}],
            "observation":{"results":[{"content":"a\nb\u001b[31m"}]},
            "metrics":{"prompt_tokens":12,"completion_tokens":5,"cached_tokens":0,"cost_usd":0.004575}}"#;
        let rendered = Step::parse(step, 9).render(false, false);
        assert_eq!(
            rendered,
            "Step 2  agent  m  12 tokens in, 5 out  $0.0046\n  I look.\n  > bash  command: ls\n  < a\n    b\n\n"
        );
        let full = Step::parse(step, 9).render(true, false);
        assert!(full.contains("  ~ hm\n"), "{full}");
    }

    #[test]
    fn steps_of_other_agents_are_also_understood() {
        let step = r#"{"role":"assistant","content":[{"type":"text","text":"hello"}],
            "tool_calls":[{"function":{"name":"run","arguments":"{\"x\":1}"}}]}"#;
        let rendered = Step::parse(step, 3).render(false, false);
        assert_eq!(
            rendered,
            "Step 3  assistant\n  hello\n  > run  {\"x\":1}\n\n"
        );
        assert_eq!(
            Step::parse("\"just text\"", 1).render(false, false),
            "Step 1\n  just text\n\n"
        );
    }

    #[test]
    fn long_texts_are_cut_without_full() {
        let long = serde_json::json!({"message": "x\n".repeat(50)}).to_string();
        let cut = Step::parse(&long, 1).render(false, false);
        assert!(cut.contains("… 42 more lines"), "{cut}");
        assert_eq!(
            Step::parse(&long, 1)
                .render(true, false)
                .matches("  x\n")
                .count(),
            50
        );
    }
}
