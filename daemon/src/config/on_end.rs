//! `[[on_end]]` in `daemon.toml`: standing rules.

use docks_proto::time::parse_duration;
use toml_edit::{Item, TableLike, Value};

use super::file::text;
use crate::hooks::{Rule, Wish};

/// Reads all rules; what is wrong with one is said with its number.
pub(super) fn rules(item: &Item) -> Result<Vec<Rule>, String> {
    let tables: Vec<&dyn TableLike> = match item {
        Item::ArrayOfTables(tables) => tables.iter().map(|table| table as _).collect(),
        Item::Value(Value::Array(values)) => {
            let tables = values
                .iter()
                .map(|value| Some(value.as_inline_table()? as _));
            tables.collect::<Option<_>>().ok_or(NO_TABLES)?
        }
        _ => return Err(NO_TABLES.to_owned()),
    };
    let numbered = tables.into_iter().zip(1..);
    numbered
        .map(|(table, number)| rule(table).map_err(|problem| format!("rule {number}: {problem}")))
        .collect()
}

const NO_TABLES: &str = "it must be tables, each under `[[on_end]]`";

fn rule(table: &dyn TableLike) -> Result<Rule, String> {
    let mut wish = Wish::default();
    for (key, item) in table.iter() {
        take(&mut wish, key, item).map_err(|problem| format!("`{key}`: {problem}"))?;
    }
    Rule::decide(wish)
}

fn take(wish: &mut Wish, key: &str, item: &Item) -> Result<(), String> {
    match key {
        "profile" => wish.profiles = texts(item)?,
        "status" => wish.statuses = texts(item)?,
        "name" => wish.name = Some(text(item)?.to_owned()),
        "notify" => wish.notify = item.as_bool().ok_or("it must be true or false")?,
        "exec" => {
            // A text would ask for a shell, and for quoting.
            let problem = "it must be a list: the program, then its arguments";
            wish.exec = list(item).ok_or(problem)?;
            if wish.exec.is_empty() {
                return Err(problem.to_owned());
            }
        }
        "timeout" => {
            let time = parse_duration(text(item)?).map_err(|bad| bad.to_string())?;
            if time.is_zero() {
                return Err("it must be longer than nothing".to_owned());
            }
            wish.timeout = Some(time);
        }
        // Left out, a condition would make the rule one for everything.
        _ => return Err("no rule has such a key".to_owned()),
    }
    Ok(())
}

/// Reads one text, or a list of them; an empty list would be a rule for nothing.
fn texts(item: &Item) -> Result<Vec<String>, String> {
    let texts = match item.as_str() {
        Some(text) => vec![text.to_owned()],
        None => list(item).ok_or("it must be a text in quotes, or a list of texts")?,
    };
    match texts.is_empty() || texts.iter().any(String::is_empty) {
        true => Err("it must not be empty".to_owned()),
        false => Ok(texts),
    }
}

fn list(item: &Item) -> Option<Vec<String>> {
    let values = item.as_array()?.iter();
    values
        .map(|value| value.as_str().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::DaemonFile;

    #[test]
    fn what_is_wrong_with_a_rule_is_said_with_key_number_and_file() {
        for (rule, problem) in [
            ("notify = 1", "rule 2: `notify`: it must be true"),
            (
                "notify = true\nstauts = \"failed\"",
                "rule 2: `stauts`: no rule",
            ),
            (
                "notify = true\nstatus = \"running\"",
                "rule 2: `running` ends no run",
            ),
            (
                "notify = true\nstatus = []",
                "rule 2: `status`: it must not be empty",
            ),
            (
                "notify = true\nprofile = 3",
                "rule 2: `profile`: it must be a text",
            ),
            ("exec = \"rm -rf\"", "rule 2: `exec`: it must be a list"),
            ("exec = []", "rule 2: `exec`: it must be a list"),
            (
                "exec = [\"bin/x\"]",
                "rule 2: the program `bin/x` must be absolute",
            ),
            ("exec = [\"x\"]\ntimeout = \"soon\"", "rule 2: `timeout`: "),
            ("name = \"x\"", "rule 2: it does nothing"),
        ] {
            let text = format!("[[on_end]]\nnotify = true\n[[on_end]]\n{rule}\n");
            let error = DaemonFile::parse(Path::new("/h/daemon.toml"), &text).unwrap_err();
            let options = format!("`on_end` in /h/daemon.toml: {problem}");
            assert!(error.to_string().starts_with(&options), "{error}");
        }
        for text in ["on_end = true", "on_end = [1]", "[on_end]\nnotify = true"] {
            let error = DaemonFile::parse(Path::new("/h/daemon.toml"), text).unwrap_err();
            assert!(error.to_string().contains("[[on_end]]"), "{error}");
        }
    }

    #[test]
    fn rules_are_read_in_both_forms() {
        for text in [
            "[[on_end]]\nstatus = [\"failed\"]\nexec = [\"tell\", \"me\"]\ntimeout = \"5m\"\n",
            "on_end = [{ status = \"failed\", exec = [\"tell\", \"me\"], timeout = \"5m\" }]",
        ] {
            let file = DaemonFile::parse(Path::new("/h/daemon.toml"), text).unwrap();
            let said = format!("{file:?}");
            for part in ["[\"failed\"]", "[\"tell\", \"me\"]", "timeout: 300s"] {
                assert!(said.contains(part), "{said}");
            }
        }
    }
}
