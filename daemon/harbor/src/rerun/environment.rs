//! Variables that a config needs, since Harbor does not write secrets.

use std::collections::BTreeSet;

use serde_json::Value;

/// What Harbor writes in place of the middle of a secret that is in no variable of its environment.
const MASK: &str = "****";

/// Says which variables have to be set before some configs are run, and which values are to be replaced in them.
pub(super) fn notes(configs: &[&Value]) -> Vec<String> {
    let mut found = Found::default();
    for config in configs {
        found.look_at(config, false);
    }
    let list = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(", ");
    let mut notes = Vec::new();
    if !found.needed.is_empty() {
        notes.push(format!(
            "set these variables before: {}",
            list(found.needed)
        ));
    }
    if !found.masked.is_empty() {
        notes.push(format!(
            "Harbor masked these values; replace them in the config: {}",
            list(found.masked)
        ));
    }
    notes
}

#[derive(Default)]
struct Found {
    /// Variables of the environment that values are taken from.
    needed: BTreeSet<String>,
    /// Keys whose values are masked.
    masked: BTreeSet<String>,
}

impl Found {
    fn look_at(&mut self, value: &Value, is_environment: bool) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    if let (true, Some(text)) = (is_environment, value.as_str()) {
                        self.look_at_text(key, text);
                    }
                    self.look_at(value, key == "env");
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.look_at(item, false)),
            _ => {}
        }
    }

    fn look_at_text(&mut self, key: &str, text: &str) {
        let variable = text
            .strip_prefix("${")
            .and_then(|rest| rest.strip_suffix('}'));
        match variable {
            // With a default, it need not be set.
            Some(name) if !name.contains(":-") => {
                self.needed.insert(name.to_owned());
            }
            Some(_) => {}
            None if text.contains(MASK) => {
                self.masked.insert(key.to_owned());
            }
            None => {}
        }
    }
}
