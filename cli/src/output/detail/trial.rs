//! `docks runs trial`.

use docks_proto::object::{RawObject, Scalar};
use docks_proto::repair;
use docks_proto::trial::{Trial, UNKNOWN_ERROR};
use serde_json::Value;

use super::harbor;
use super::{Cell, Detail};
use crate::output::cell::TextStyle;
use crate::output::durations;
use crate::output::lists::{self, RowContext};
use crate::output::table::Table;

/// Builds the view of a trial: results, phases, steps and artifacts.
pub(crate) fn trial(object: &RawObject, row_context: RowContext, width: Option<usize>) -> Detail {
    let trial = Trial::from_object(object);
    let whole: Value = repair::read(object.text());
    let fields = &trial.fields;
    let mut detail = Detail::default();
    detail.title("Trial", lists::text_cell(&fields.id));
    detail.optional_field("Name", fields.name.text());
    detail.field("Task", lists::text_cell(&fields.task_slug));
    detail.optional_field("Dataset", trial.harbor.dataset.text());
    detail.field("Agent", Cell::from_option(trial.agent()));
    detail.field("Status", lists::trial_status_cell(&trial, row_context));
    detail.optional_field("Phase", trial.harbor.phase.text());
    if let Some(error) = lists::error_message(&trial) {
        detail.field("Error", Cell::new(error).styled(Some(TextStyle::Red)));
    }
    detail.field("Duration", lists::duration_cell(&trial));
    for (label, at) in [
        ("Created", &fields.created_at),
        ("Started", &fields.started_at),
        ("Ended", &fields.completed_at),
    ] {
        if label == "Created" || at.text().is_some() {
            detail.field(label, super::evaluation::time_with_age(at, row_context));
        }
    }
    results(&mut detail, &trial, &whole);
    let harbor = whole.get("harbor").unwrap_or(&Value::Null);
    phases(&mut detail, &harbor["phase_seconds"]);
    if let Some(table) = steps(&harbor["steps"]) {
        detail.heading("Steps");
        let width = width
            .unwrap_or(super::evaluation::PIPE_WIDTH)
            .saturating_sub(4);
        detail.block(&table.render(width, false).text);
    }
    artifacts(&mut detail, &trial, &whole);
    detail
}

fn results(detail: &mut Detail, trial: &Trial, whole: &Value) {
    let result = &trial.result;
    let shown_above = lists::error_message(trial);
    let detailed = result.error_message.text();
    let short = [&result.error_code, &result.error];
    let known = [
        ("Tests Passed", lists::tests_passed(trial)),
        ("Input Tokens", input_tokens(trial)),
        ("Cached Tokens", tokens(&result.cached_tokens)),
        ("Output Tokens", tokens(&result.completion_tokens)),
        ("Cost", trial.cost_usd().map(lists::format_dollars)),
        (
            "Error Code",
            short
                .into_iter()
                .find_map(Scalar::text)
                .filter(|kind| kind != UNKNOWN_ERROR && Some(kind) != shown_above.as_ref()),
        ),
        (
            "Error Detail",
            detailed.filter(|_| result.error_message.text() != shown_above),
        ),
    ];
    let mut lines: Vec<(String, String)> = rewards(trial, whole);
    let known = known.into_iter();
    lines.extend(known.filter_map(|(label, value)| Some((label.to_owned(), value?))));
    if lines.is_empty() {
        return;
    }
    detail.heading("Results");
    for (label, value) in lines {
        detail.nested_field(&label, Cell::new(value));
    }
}

/// Returns input tokens with cached ones, which some agents report beside them.
fn input_tokens(trial: &Trial) -> Option<String> {
    let all = trial.input_tokens();
    all.map(|all| all.to_string())
        .or_else(|| trial.result.prompt_tokens.text())
}

fn tokens(value: &Scalar) -> Option<String> {
    value.text()
}

/// Returns the reward, then the rewards under other keys.
fn rewards(trial: &Trial, whole: &Value) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let reward = trial.result.reward.text();
    lines.extend(reward.clone().map(|reward| ("Reward".to_owned(), reward)));
    let keys = whole
        .pointer("/result_data/rewards")
        .and_then(Value::as_object);
    let several = keys.is_some_and(|keys| keys.len() > 1);
    for (key, value) in keys.into_iter().flatten() {
        // A single key is the reward, whatever its name.
        if several && key != "reward" || reward.is_none() {
            lines.push((format!("Reward {key}"), text_of(value)));
        }
    }
    lines
}

/// Returns a reward as text: a number, or what was written in its place.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn phases(detail: &mut Detail, phases: &Value) {
    let Some(phases) = phases.as_object().filter(|phases| !phases.is_empty()) else {
        return;
    };
    detail.heading("Phases");
    for (key, label) in harbor::PHASES {
        if let Some(seconds) = phases.get(key).and_then(Value::as_f64) {
            detail.nested_field(label, Cell::new(durations::format_seconds(seconds)));
        }
    }
}

fn steps(steps: &Value) -> Option<Table> {
    let steps = steps.as_array().filter(|steps| !steps.is_empty())?;
    let mut table = Table::plain(&["STEP", "REWARD", "DURATION", "COST", "ERROR"]);
    for step in steps {
        let rewards: Vec<String> = step["rewards"]
            .as_object()
            .map(|rewards| match rewards.len() {
                1 => rewards.values().map(text_of).collect(),
                _ => (rewards.iter().map(|(k, v)| format!("{k} {}", text_of(v)))).collect(),
            })
            .unwrap_or_default();
        let seconds: f64 = step["phase_seconds"]
            .as_object()
            .into_iter()
            .flat_map(|phases| phases.values().filter_map(Value::as_f64))
            .sum();
        table.add_row(vec![
            Cell::from_option(step["name"].as_str().map(str::to_owned)),
            Cell::from_option((!rewards.is_empty()).then(|| rewards.join(", "))),
            Cell::from_option((seconds > 0.0).then(|| durations::format_seconds(seconds))),
            Cell::from_option(step["cost_usd"].as_f64().map(lists::format_dollars)),
            Cell::from_option(step["error_code"].as_str().map(str::to_owned)),
        ]);
    }
    Some(table)
}

/// Types of artifacts with their labels.
const TYPES: [(&str, &str); 4] = [
    ("logs", "Logs"),
    ("trajectory", "Trajectory"),
    ("diff", "Diff"),
    ("result", "Result"),
];

/// Lists the files if the remote reports them, else the URI of each type.
fn artifacts(detail: &mut Detail, trial: &Trial, whole: &Value) {
    let f = &trial.fields;
    let uris = [&f.logs_uri, &f.trajectory_uri, &f.diff_uri, &f.result_uri];
    let listed = whole.pointer("/harbor/artifacts").and_then(Value::as_array);
    detail.heading("Artifacts");
    if uris.iter().all(|uri| uri.text().is_none()) {
        detail.block(if listed.is_some() {
            "not available"
        } else {
            "none"
        });
        return;
    }
    for ((kind, label), uri) in TYPES.into_iter().zip(uris) {
        let files = listed.into_iter().flatten();
        let files: Vec<&Value> = files.filter(|file| file["type"] == kind).collect();
        let uri = uri.text();
        match (uri, files.first()) {
            // A hub has changed the URI, so the list does not apply here.
            (Some(uri), first) if first.is_none_or(|first| first["uri"] != uri) => {
                detail.nested_field(label, Cell::new(uri));
            }
            (Some(_), _) => {
                for file in files {
                    detail.nested_field(label, Cell::from_option(file_line(file)));
                }
            }
            (None, _) if listed.is_some() => detail.nested_field(label, Cell::new("not available")),
            (None, _) => {}
        }
    }
}

fn file_line(file: &Value) -> Option<String> {
    let path = file["path"].as_str().or_else(|| file["uri"].as_str())?;
    Some(match file["size_bytes"].as_u64() {
        Some(size) => format!("{path} ({})", indicatif::HumanBytes(size)),
        None => path.to_owned(),
    })
}
