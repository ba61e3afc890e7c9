//! One step for people: who, what was said, called and seen, what it cost.

use serde_json::Value;

use crate::output::cell::TextStyle;
use crate::output::clean;

/// Lines of a text that are shown unless all are wanted.
const MOST_LINES: usize = 8;

/// Characters of a line that are shown unless all are wanted.
const MOST_CHARS: usize = 160;

/// A step, read leniently.
pub(super) struct Step {
    /// Its own number, else its place.
    pub(super) number: u64,
    value: Value,
}

impl Step {
    /// Reads a step; one that is no object is a message.
    pub(super) fn of(text: &str, place: u64) -> Self {
        let value: Value = serde_json::from_str(text).unwrap_or(Value::Null);
        Self {
            number: value["step_id"].as_u64().unwrap_or(place),
            value,
        }
    }

    /// Writes it as indented lines.
    pub(super) fn print(&self, full: bool, colour: bool) -> String {
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

/// Writes the sums at the end.
pub(super) fn totals(text: &str, colour: bool) -> String {
    let v: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let mut said = Vec::new();
    said.extend(number(&v["total_steps"]).map(|n| format!("{n} steps")));
    said.extend(tokens(
        &v["total_prompt_tokens"],
        &v["total_cached_tokens"],
        &v["total_completion_tokens"],
    ));
    said.extend(cost(&v["total_cost_usd"]));
    painted(
        &format!("Total  {}", said.join(", ")),
        TextStyle::Bold,
        colour,
    ) + "\n"
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
        heading = painted(heading.trim_end(), TextStyle::Bold, self.colour);
        if !more.is_empty() {
            let more = more.join("  ");
            heading.push_str("  ");
            heading.push_str(&painted(&clean::line(&more), TextStyle::Dim, self.colour));
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
        let said = match arguments {
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
        let text = match (name.is_empty(), said.contains('\n')) {
            (true, _) => said,
            (false, true) => format!("{name}\n{said}"),
            (false, false) => format!("{name}  {said}"),
        };
        self.block("  > ", &text, Some(TextStyle::Cyan));
    }

    /// Writes a text, each line indented, cut unless all is wanted.
    fn block(&mut self, indent: &str, text: &str, ink: Option<TextStyle>) {
        let text = text.trim_end();
        if text.is_empty() {
            return;
        }
        let lines = text.lines().count();
        let most = if self.full { lines } else { MOST_LINES };
        let further = " ".repeat(indent.len());
        for (at, line) in text.lines().take(most).enumerate() {
            let mut line = clean::text_with_tabs(line.as_bytes());
            if !self.full
                && let Some((end, _)) = line.char_indices().nth(MOST_CHARS)
            {
                line.truncate(end);
                line.push('…');
            }
            let indent = if at == 0 { indent } else { &further };
            let line = match ink {
                Some(ink) => painted(&line, ink, self.colour),
                None => line,
            };
            self.text.push_str(&format!("{indent}{line}\n"));
        }
        if lines > most {
            let more = format!("{further}… {} more lines", lines - most);
            self.text
                .push_str(&painted(&more, TextStyle::Dim, self.colour));
            self.text.push('\n');
        }
    }
}

/// Returns the first of these keys that holds something.
fn first<'a>(value: &'a Value, keys: &[&str]) -> &'a Value {
    let found = keys.iter().map(|key| &value[*key]);
    found
        .into_iter()
        .find(|value| !value.is_null())
        .unwrap_or(&Value::Null)
}

fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        Value::Null => &[],
        one => std::slice::from_ref(one),
    }
}

/// Returns a value as text: parts of a message joined, what is no text as JSON.
fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let parts: Vec<_> = parts.iter().map(text_of).collect();
            parts.join("\n")
        }
        Value::Object(part) => match (part.get("text"), part.get("type")) {
            (Some(Value::String(text)), _) => text.clone(),
            (_, Some(Value::String(kind))) if part.contains_key("source") => format!("[{kind}]"),
            _ => value.to_string(),
        },
        other => other.to_string(),
    }
}

fn tokens(prompt: &Value, cached: &Value, completion: &Value) -> Option<String> {
    let (prompt, completion) = (number(prompt), number(completion));
    let cached = number(cached).filter(|cached| cached != "0");
    let cached = cached.map_or_else(String::new, |cached| format!(" ({cached} cached)"));
    match (prompt, completion) {
        (Some(prompt), Some(completion)) => {
            Some(format!("{prompt} tokens in{cached}, {completion} out"))
        }
        (Some(prompt), None) => Some(format!("{prompt} tokens in{cached}")),
        (None, Some(completion)) => Some(format!("{completion} tokens out")),
        (None, None) => None,
    }
}

fn cost(value: &Value) -> Option<String> {
    value.as_f64().map(|dollars| format!("${dollars:.4}"))
}

fn number(value: &Value) -> Option<String> {
    value.as_f64().map(|_| value.to_string())
}

fn painted(text: &str, ink: TextStyle, colour: bool) -> String {
    if colour && !text.is_empty() {
        let style = ink.style();
        format!("{style}{text}{style:#}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_says_who_what_and_how_much() {
        let step = r#"{"step_id":2,"source":"agent","model_name":"m","message":"I look.",
            "reasoning_content":"hm","tool_calls":[{"function_name":"bash","arguments":{"command":"ls"}}],
            "observation":{"results":[{"content":"a\nb\u001b[31m"}]},
            "metrics":{"prompt_tokens":12,"completion_tokens":5,"cached_tokens":0,"cost_usd":0.004575}}"#;
        let printed = Step::of(step, 9).print(false, false);
        assert_eq!(
            printed,
            "Step 2  agent  m  12 tokens in, 5 out  $0.0046\n  I look.\n  > bash  command: ls\n  < a\n    b\n\n"
        );
        let full = Step::of(step, 9).print(true, false);
        assert!(full.contains("  ~ hm\n"), "{full}");
    }

    #[test]
    fn steps_of_other_agents_are_read_too() {
        let step = r#"{"role":"assistant","content":[{"type":"text","text":"hello"}],
            "tool_calls":[{"function":{"name":"run","arguments":"{\"x\":1}"}}]}"#;
        let printed = Step::of(step, 3).print(false, false);
        assert_eq!(
            printed,
            "Step 3  assistant\n  hello\n  > run  {\"x\":1}\n\n"
        );
        assert_eq!(
            Step::of("\"just text\"", 1).print(false, false),
            "Step 1\n  just text\n\n"
        );
    }

    #[test]
    fn long_texts_are_cut_unless_all_is_wanted() {
        let long = serde_json::json!({"message": "x\n".repeat(50)}).to_string();
        let cut = Step::of(&long, 1).print(false, false);
        assert!(cut.contains("… 42 more lines"), "{cut}");
        assert_eq!(
            Step::of(&long, 1)
                .print(true, false)
                .matches("  x\n")
                .count(),
            50
        );
    }
}
