//! Faults in the JSON of a response.

use serde_json::{Value, json};

use super::Fault;

impl Fault {
    /// Changes a whole response.
    pub(super) fn alter_json(&self, value: &mut Value) {
        match self {
            Fault::Swapped => {
                *value = match objects(value).first() {
                    Some(first) if list_of(value).is_some() => first.clone(),
                    _ => json!([value.clone()]),
                }
            }
            Fault::Empty => {
                if let Some(list) = list_of(value) {
                    list.clear();
                }
            }
            Fault::Duplicates => {
                if let Some(list) = list_of(value) {
                    list.extend(list.clone());
                }
            }
            Fault::RepeatingCursor => {
                let items = objects(value);
                *value = json!({"items": items, "next_cursor": "again"});
            }
            _ => match list_of(value) {
                Some(list) => list
                    .iter_mut()
                    .enumerate()
                    .for_each(|(i, o)| self.alter_object(o, i)),
                None => self.alter_object(value, 0),
            },
        }
    }

    /// Changes one object.
    fn alter_object(&self, object: &mut Value, index: usize) {
        let Some(fields) = object.as_object_mut() else {
            return;
        };
        match self {
            Fault::NullFields => {
                let names: Vec<String> = fields.keys().filter(|n| *n != "id").cloned().collect();
                for name in names.iter().step_by(2) {
                    fields.insert(name.clone(), Value::Null);
                }
                for name in names.iter().skip(1).step_by(2).filter(|_| index % 2 == 1) {
                    fields.remove(name);
                }
            }
            Fault::UnknownFields => {
                fields.insert("status".to_owned(), json!("warming-up"));
                fields.insert("x_new".to_owned(), json!({"deep": [1, null, "\u{1b}[2J"]}));
            }
            Fault::StatusBackwards => {
                fields.insert("status".to_owned(), json!("running"));
            }
            _ => {}
        }
    }
}

/// Returns the list of a response, bare or wrapped.
fn list_of(value: &mut Value) -> Option<&mut Vec<Value>> {
    match value {
        Value::Array(list) => Some(list),
        Value::Object(fields) => ["items", "data"]
            .into_iter()
            .find(|key| fields.get(*key).is_some_and(Value::is_array))
            .and_then(|key| fields.get_mut(key)?.as_array_mut()),
        _ => None,
    }
}

fn objects(value: &mut Value) -> Vec<Value> {
    list_of(value).map(|list| list.clone()).unwrap_or_default()
}

/// Encodes objects with each key twice, the correct value last.
pub(super) fn double_keys(value: &Value) -> String {
    match value {
        Value::Array(list) => {
            let texts: Vec<String> = list.iter().map(double_keys).collect();
            format!("[{}]", texts.join(","))
        }
        Value::Object(fields) => {
            let first = fields.keys().map(|k| format!("{}:\"old\"", json!(k)));
            let second = fields.iter().map(|(k, v)| format!("{}:{v}", json!(k)));
            let texts: Vec<String> = first.chain(second).collect();
            format!("{{{}}}", texts.join(","))
        }
        other => other.to_string(),
    }
}
