//! Fields of an evaluation run in a jobs directory: progress, errors, groups and totals.

use docks_proto::trial::with_cached;
use serde_json::{Map, Value};

use super::{Cell, Detail};
use crate::output::durations;
use crate::output::known;
use crate::output::lists;
use crate::output::table::Table;

/// Phases of a trial with their labels, in order.
pub(super) const PHASES: [(&str, &str); 4] = [
    ("environment_setup", "Environment"),
    ("agent_setup", "Agent Set-up"),
    ("agent_execution", "Agent"),
    ("verifier", "Verifier"),
];

/// Statuses in display order, named as in the counts.
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

/// Adds the fields that the Docks API does not have.
pub(super) fn add_fields(detail: &mut Detail, harbor: &Value, width: usize) {
    let Some(harbor) = harbor.as_object() else {
        return;
    };
    let field = |key: &str| harbor.get(key).unwrap_or(&Value::Null);
    let note = harbor.get("note").and_then(Value::as_str);
    detail.optional_field("Note", note.map(str::to_owned));
    detail.optional_field("Progress", progress(harbor));
    usage(detail, harbor);
    add_durations(detail, field("durations"));
    if let Some(table) = groups(field("groups")) {
        detail.heading("By agent, model and dataset");
        detail.block(&table.render(width, false).text);
    }
    if let Some(errors) = field("errors").as_object().filter(|e| !e.is_empty()) {
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
        detail.block(&table.render(width, false).text);
    }
}

/// A pause between trials that is worth mentioning; setting up and ending a job takes less.
const LONG_PAUSE_SECONDS: f64 = 600.0;

fn progress(harbor: &Map<String, Value>) -> Option<String> {
    let counts = harbor.get("trials")?;
    let number = |word: &str| counts[word].as_u64().unwrap_or_default();
    let describe = |word: &&str| {
        let count = match *word {
            // Harbor counts cancelled trials among the errored ones.
            "errored" => number("errored").saturating_sub(number("cancelled")),
            "ungraded" => {
                let judged = ["passed", "failed", "errored"].map(number);
                let judged = judged.into_iter().fold(0, u64::saturating_add);
                let twice = number("passed_with_error");
                number("ended").saturating_add(twice).saturating_sub(judged)
            }
            word => number(word),
        };
        let also = match (*word, number("passed_with_error")) {
            ("passed", with_error) if with_error > 0 => format!(" ({with_error} with an error)"),
            _ => String::new(),
        };
        (count > 0).then(|| format!("{count} {word}{also}"))
    };
    let words: Vec<String> = PROGRESS.iter().filter_map(describe).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn usage(detail: &mut Detail, harbor: &Map<String, Value>) {
    let number = |key: &str| harbor.get(key).and_then(Value::as_f64);
    let cached = number("cache_tokens");
    let input = number("all_input_tokens").or_else(|| {
        let input = number("input_tokens")?;
        Some(with_cached(input, cached.unwrap_or(0.0)))
    });
    let mut parts = Vec::new();
    for (count, word) in [
        (input, "in"),
        (cached, "of them cached"),
        (number("output_tokens"), "out"),
    ] {
        parts.extend(count.map(|count| format!("{count} {word}")));
    }
    let ended = harbor
        .get("trials")
        .and_then(|trials| trials["ended"].as_u64());
    let count = |key: &str| harbor.get(key).and_then(Value::as_u64);
    let known = |figure: String, n: &str| known::of_some(figure, count(n), ended);
    let tokens = (!parts.is_empty()).then(|| known(parts.join(", "), "tokens_n"));
    detail.optional_field("Tokens", tokens);
    let cost = harbor.get("cost_usd").and_then(Value::as_f64);
    let cost = cost.map(|cost| known(lists::format_dollars(cost), "cost_n"));
    detail.optional_field("Cost", cost);
}

/// Returns how long a job took, and how long its trials ran if there were pauses, as before it was resumed.
fn job_duration(durations: &Value) -> Option<String> {
    let job = durations["job_seconds"].as_f64()?;
    let text = durations::format_seconds(job);
    Some(match durations["trials_active_seconds"].as_f64() {
        Some(active) if active + LONG_PAUSE_SECONDS < job => {
            format!(
                "{text}; trials ran for {}",
                durations::format_seconds(active)
            )
        }
        _ => text,
    })
}

fn add_durations(detail: &mut Detail, durations: &Value) {
    let seconds = |key: &str| durations[key].as_f64().map(durations::format_seconds);
    detail.optional_field("Duration", job_duration(durations));
    let trials = seconds("trial_seconds_mean").map(|mean| match seconds("trial_seconds_max") {
        Some(longest) => format!("{mean} on average, {longest} at most"),
        None => mean,
    });
    detail.optional_field("Per Trial", trials);
    let phases: Vec<String> = PHASES
        .iter()
        .filter_map(|(key, label)| {
            let mean = durations.get("phase_seconds_mean")?.get(key)?.as_f64()?;
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
        let trials = &group["trials"];
        let count = |key: &str| trials[key].as_u64().unwrap_or_default();
        table.add_row(vec![
            text("agent"),
            text("model"),
            text("dataset"),
            Cell::new(format!("{}/{}", count("ended"), count("total"))),
            Cell::new(count("passed").to_string()),
            Cell::new(count("errored").to_string()),
            Cell::from_option(mean(group)),
            Cell::from_option(pass_at_k(&group["pass_at_k"])),
            Cell::from_option(group["cost_usd"].as_f64().map(|cost| {
                let ended = trials["ended"].as_u64();
                known::of_some(lists::format_dollars(cost), group["cost_n"].as_u64(), ended)
            })),
        ]);
    }
    Some(table)
}

/// Returns the mean reward; with several keys, each with its name.
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
                .collect::<Vec<String>>()
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
    let parts = values
        .iter()
        .map(|(k, share)| format!("{k}: {}", lists::short_number(*share)));
    (!values.is_empty()).then(|| parts.collect::<Vec<String>>().join(", "))
}
