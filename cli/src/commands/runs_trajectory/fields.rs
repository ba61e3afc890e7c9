//! Reads the fields of steps, under the names that different agents use.

use docks_proto::repair::NOT_NUMBERS;
use docks_proto::trial::with_cached;
use serde_json::Value;

/// Returns the value of the first of these keys that has one.
pub(super) fn first<'a>(value: &'a Value, keys: &[&str]) -> &'a Value {
    let found = keys.iter().map(|key| &value[*key]);
    found
        .into_iter()
        .find(|value| !value.is_null())
        .unwrap_or(&Value::Null)
}

/// Returns the items of a list; another value is a list of one.
pub(super) fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        Value::Null => &[],
        one => std::slice::from_ref(one),
    }
}

/// Returns a value as text: the joined parts of a message, or JSON for other values.
pub(super) fn text_of(value: &Value) -> String {
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

/// Describes token counts.
pub(super) fn tokens(prompt: &Value, cached: &Value, completion: &Value) -> Option<String> {
    let all = prompt.as_f64().zip(cached.as_f64());
    let all = all.map(|(prompt, cached)| with_cached(prompt, cached).to_string());
    let (prompt, completion) = (all.or_else(|| number(prompt)), number(completion));
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

/// Formats a cost in dollars.
pub(super) fn cost(value: &Value) -> Option<String> {
    match value.as_f64() {
        Some(dollars) => Some(format!("${dollars:.4}")),
        None => number(value),
    }
}

/// Formats a number, or what was written where a number belongs: `NaN`.
pub(super) fn number(value: &Value) -> Option<String> {
    match value {
        Value::Number(_) => Some(value.to_string()),
        Value::String(text) if NOT_NUMBERS.contains(&text.as_str()) => Some(text.clone()),
        _ => None,
    }
}
