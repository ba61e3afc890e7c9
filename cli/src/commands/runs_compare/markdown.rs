//! A comparison as Markdown, for a comment on a pull request.

use docks_proto::comparison::{Change, Comparison, Figures, Side, TaskRow};

use super::words::{difference, label, verdict};
use crate::output::durations;
use crate::output::known;
use crate::output::lists;
use crate::output::markup::escaped_markdown;

/// Tasks that are named.
const MAX_TASKS: usize = 30;

/// Returns a comparison.
pub(super) fn comparison(comparison: &Comparison) -> String {
    let mut text = String::new();
    for sentence in &comparison.summary.text {
        text.push_str(&format!("**{}**\n\n", escaped_markdown(sentence)));
    }
    text.push_str(&side_table(comparison));
    let changed = comparison
        .tasks
        .iter()
        .filter(|row| row.change.is_some_and(|change| change != Change::Same));
    add_tasks(&mut text, "Tasks that differ", changed, comparison);
    text
}

/// Returns a table of the sides.
pub(crate) fn side_table(comparison: &Comparison) -> String {
    let mut text = "| run | id | solved | mean reward | errors | lost | cost | time per trial |\n\
                    | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for side in &comparison.runs {
        text.push_str(&side_row(side));
    }
    if comparison.summary.deltas.is_empty() {
        let delta = &comparison.summary.delta;
        text.push_str(&format!(
            "\nDifference in {}: {}, {} tasks, {}\n",
            escaped_markdown(&delta.metric),
            difference(delta),
            delta.n_tasks,
            verdict(delta.verdict)
        ));
    }
    text
}

fn side_row(side: &Side) -> String {
    let figures = &side.figures;
    let of = figures.ended;
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let reward = figures
        .reward
        .map(|reward| known::of(lists::short_number(reward), figures.reward_n, of));
    let cost = figures
        .cost_usd
        .map(|cost| known::of(lists::format_dollars(cost), figures.cost_n, of));
    let time = figures
        .duration_seconds
        .map(|seconds| known::of(durations::format_seconds(seconds), figures.duration_n, of));
    format!(
        "| {} | `{}` | {} | {} | {} | {} | {} | {} |\n",
        escaped_markdown(&label(side)),
        side.id.replace('`', ""),
        solved(figures, side),
        or_dash(reward),
        figures.errored,
        figures.lost,
        or_dash(cost),
        or_dash(time)
    )
}

fn solved(figures: &Figures, side: &Side) -> String {
    let share = side.rate.map_or_else(
        || "-".to_owned(),
        |rate| format!("{:.1} %", 100.0 * rate.value),
    );
    format!("{share} ({}/{})", figures.passed, figures.known)
}

/// Adds the tasks that are worse, or seem to be.
pub(crate) fn add_tasks_that_fell(text: &mut String, comparison: &Comparison) {
    let fell = comparison.tasks.iter().filter(|row| {
        let share = |at: usize| {
            let figures = &row.runs.get(at)?.figures;
            (figures.known > 0).then(|| figures.passed as f64 / figures.known as f64)
        };
        let is_less = share(0)
            .zip(share(1))
            .is_some_and(|(before, after)| after < before);
        row.change == Some(Change::Worse) || (is_less && row.change != Some(Change::Better))
    });
    add_tasks(text, "Tasks that fell", fell, comparison);
}

fn add_tasks<'a>(
    text: &mut String,
    heading: &str,
    rows: impl Iterator<Item = &'a TaskRow>,
    comparison: &Comparison,
) {
    let rows: Vec<&TaskRow> = rows.collect();
    if rows.is_empty() {
        return;
    }
    let labels = comparison
        .runs
        .iter()
        .map(|side| escaped_markdown(&label(side)));
    let labels: Vec<String> = labels.collect();
    text.push_str(&format!(
        "\n{heading}:\n\n| task | {} | change |\n| --- |{} --- |\n",
        labels.join(" | "),
        " --- |".repeat(labels.len())
    ));
    for row in rows.iter().take(MAX_TASKS) {
        let runs = row.runs.iter();
        let runs = runs.map(|run| format!("{}/{}", run.figures.passed, run.figures.known));
        let change = match row.change {
            Some(Change::Unclear) => "within noise",
            Some(change) => change.name(),
            None => "-",
        };
        let runs: Vec<String> = runs.collect();
        text.push_str(&format!(
            "| {} | {} | {change} |\n",
            escaped_markdown(&row.name()),
            runs.join(" | ")
        ));
    }
    if rows.len() > MAX_TASKS {
        text.push_str(&format!("\nand {} more\n", rows.len() - MAX_TASKS));
    }
}
