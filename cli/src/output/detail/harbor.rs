//! What a jobs directory tells of an evaluation run, for people: progress, errors, groups, sums.

use serde_json::{Map, Value};

use super::{Cell, Detail};
use crate::output::durations;
use crate::output::lists;
use crate::output::table::Table;

/// Words that are joined.
pub(super) type Names = Vec<String>;

/// Phases of a trial with their headings, in the order in which they come.
pub(super) const PHASES: [(&str, &str); 4] = [
    ("environment_setup", "Environment"),
    ("agent_setup", "Agent Set-up"),
    ("agent_execution", "Agent"),
    ("verifier", "Verifier"),
];

/// Statuses in the order in which they are told, as the counts call them.
const PROGRESS: [&str; 8] = [
    "passed",
    "failed",
    "errored",
    "cancelled",
    "running",
    "pending",
    "lost",
    "ungraded",
];

/// Adds what an evaluation run of a jobs directory tells besides the Docks API's own fields.
pub(super) fn add(detail: &mut Detail, harbor: &Value, room: usize) {
    let Some(harbor) = harbor.as_object() else {
        return;
    };
    detail.optional_field("Progress", progress(harbor));
    usage(detail, harbor);
    durations(detail, &harbor["durations"]);
    if let Some(table) = groups(&harbor["groups"]) {
        detail.heading("By agent, model and dataset");
        detail.block(&table.render(room, false).text);
    }
    if let Some(errors) = harbor["errors"].as_object().filter(|e| !e.is_empty()) {
        detail.heading("Errors");
        let mut errors: Vec<(&String, u64)> = errors
            .iter()
            .map(|(kind, count)| (kind, count.as_u64().unwrap_or_default()))
            .collect();
        errors.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let mut table = Table::plain(&["TYPE", "TRIALS"]);
        for (kind, count) in errors {
            table.add_row(vec![Cell::new(kind), Cell::new(count.to_string())]);
        }
        detail.block(&table.render(room, false).text);
    }
}

fn progress(harbor: &Map<String, Value>) -> Option<String> {
    let counts = harbor.get("trials")?;
    let number = |word: &str| counts[word].as_u64().unwrap_or_default();
    let said = |word: &&str| {
        let count = match *word {
            // A cancelled trial is among the errored ones, as Harbor counts.
            "errored" => number("errored").saturating_sub(number("cancelled")),
            "ungraded" => {
                let told = number("passed") + number("failed") + number("errored");
                number("ended").saturating_sub(told)
            }
            word => number(word),
        };
        (count > 0).then(|| format!("{count} {word}"))
    };
    let words: Names = PROGRESS.iter().filter_map(said).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn usage(detail: &mut Detail, harbor: &Map<String, Value>) {
    let number = |key: &str| harbor.get(key).and_then(Value::as_u64);
    let mut parts = Names::new();
    for (key, word) in [
        ("input_tokens", "in"),
        ("cache_tokens", "of them cached"),
        ("output_tokens", "out"),
    ] {
        parts.extend(number(key).map(|count| format!("{count} {word}")));
    }
    detail.optional_field("Tokens", (!parts.is_empty()).then(|| parts.join(", ")));
    let cost = harbor.get("cost_usd").and_then(Value::as_f64);
    detail.optional_field("Cost", cost.map(lists::format_dollars));
}

fn durations(detail: &mut Detail, durations: &Value) {
    let seconds = |key: &str| durations[key].as_f64().map(durations::format_seconds);
    detail.optional_field("Duration", seconds("job_seconds"));
    let trials = seconds("trial_seconds_mean").map(|mean| match seconds("trial_seconds_max") {
        Some(longest) => format!("{mean} on average, {longest} at most"),
        None => mean,
    });
    detail.optional_field("Per Trial", trials);
    let phases: Names = PHASES
        .iter()
        .filter_map(|(key, label)| {
            let mean = durations["phase_seconds_mean"][*key].as_f64()?;
            Some(format!(
                "{} {}",
                label.to_lowercase(),
                durations::format_seconds(mean)
            ))
        })
        .collect();
    detail.optional_field("Phases", (!phases.is_empty()).then(|| phases.join(", ")));
}

fn groups(groups: &Value) -> Option<Table> {
    let groups = groups.as_array().filter(|groups| !groups.is_empty())?;
    let mut table = Table::plain(&[
        "AGENT",
        "MODEL",
        "DATASET",
        "ENDED",
        "PASSED",
        "ERRORS",
        "MEAN REWARD",
        "PASS@K",
        "COST",
    ]);
    for group in groups {
        let text = |key: &str| Cell::from_option(group[key].as_str().map(str::to_owned));
        let count = |key: &str| group["trials"][key].as_u64().unwrap_or_default();
        table.add_row(vec![
            text("agent"),
            text("model"),
            text("dataset"),
            Cell::new(format!("{}/{}", count("ended"), count("total"))),
            Cell::new(count("passed").to_string()),
            Cell::new(count("errored").to_string()),
            Cell::from_option(mean(group)),
            Cell::from_option(pass_at_k(&group["pass_at_k"])),
            Cell::from_option(group["cost_usd"].as_f64().map(lists::format_dollars)),
        ]);
    }
    Some(table)
}

/// The mean reward; of several keys, each by its name.
fn mean(group: &Value) -> Option<String> {
    let means = group["mean_rewards"].as_object()?;
    let mut words = means
        .iter()
        .filter_map(|(key, mean)| Some((key, lists::short_number(mean.as_f64()?))));
    match means.len() {
        0 => None,
        1 => words.next().map(|(_, mean)| mean),
        _ => Some(
            words
                .map(|(key, mean)| format!("{key} {mean}"))
                .collect::<Names>()
                .join(", "),
        ),
    }
}

fn pass_at_k(values: &Value) -> Option<String> {
    let mut values: Vec<(u64, f64)> = values
        .as_object()?
        .iter()
        .filter_map(|(k, share)| Some((k.parse().ok()?, share.as_f64()?)))
        .collect();
    values.sort_by_key(|(k, _)| *k);
    let said = values
        .iter()
        .map(|(k, share)| format!("{k}: {}", lists::short_number(*share)));
    (!values.is_empty()).then(|| said.collect::<Names>().join(", "))
}
