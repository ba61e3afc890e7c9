//! Prints a scoreboard in every format but JSON: the rows, or the tasks with what each row did.

use docks_proto::comparison::RateFigure;
use docks_proto::score::{ScoreReport, ScoreRow, TaskScore};

use super::cells;
use crate::args::Format;
use crate::context::Context;
use crate::output::figures;
use crate::output::table::{Column, Shrink};

/// Tasks that the summary names for each row.
const MAX_NAMED: usize = 10;

/// Prints a scoreboard, or with `matrix` its tasks.
pub(super) fn print(context: &Context, report: &ScoreReport, matrix: bool) {
    let format = context.global.format;
    let at_terminal = context.output.style().width.is_some();
    match (format, matrix) {
        (Format::Jsonl, false) => context.output.json_lines(&report.rows),
        (Format::Jsonl, true) => context.output.json_lines(&report.tasks),
        (_, true) => print_matrix(context, report),
        (Format::Markdown | Format::Latex, _) => short_rows(context, report, format),
        (Format::Table, _) if at_terminal => short_rows(context, report, format),
        _ => complete_rows(context, report),
    }
    if matches!(format, Format::Table | Format::Tsv) {
        // The table comes first, though it goes to another stream.
        drop(context.output.flush());
        for line in summary(report) {
            context.output.message(line);
        }
    }
}

/// Rows for people.
fn short_rows(context: &Context, report: &ScoreReport, format: Format) {
    let k = cells::shown_k(&report.rows);
    let attempts = |rate: Option<RateFigure>| rate.map(|rate| (rate.solved, rate.attempts));
    let mut rows = report.rows.iter();
    let of_valid = rows.any(|row| attempts(row.rate) != attempts(row.rate_of_valid));
    let row = |row: &ScoreRow| -> Vec<(String, String)> {
        let keys = cells::keys(&row.key).into_iter();
        let mut found: Vec<(String, String)> = keys
            .filter_map(|(name, text)| Some((name.to_owned(), figures::or_dash(text?))))
            .collect();
        let mut add = |name: &str, text: String| found.push((name.to_owned(), text));
        add("solved", figures::rate(row.rate));
        if of_valid {
            add("of valid", figures::rate(row.rate_of_valid));
        }
        if let Some(k) = k {
            add(&format!("pass@{k}"), cells::by_k(&row.pass_at_k, k));
            add(&format!("pass^{k}"), cells::by_k(&row.pass_hat_k, k));
        }
        add("reward", figures::number(row.mean_reward));
        add("cost/trial", figures::dollars(row.cost_per_trial_usd));
        add("cost/solved", figures::dollars(row.cost_per_solved_usd));
        add("tokens/trial", figures::mean_count(row.tokens));
        add("time", figures::seconds(row.mean_duration_s));
        add("infra", row.infrastructure.to_string());
        add("ended", format!("{}/{}", row.ended, row.trials));
        add("leads", cells::leads(row));
        add("frontier", cells::frontier(row).to_owned());
        found
    };
    let rows: Vec<_> = report.rows.iter().map(row).collect();
    // All rows have the same columns.
    let Some(first) = rows.first() else {
        return;
    };
    let names = first.iter();
    let columns = names.map(|(name, _)| Column::new(name.clone(), Shrink::Wrap(8)));
    let columns = columns.collect();
    let texts = |row: Vec<(String, String)>| row.into_iter().map(|(_, text)| text).collect();
    let rows: Vec<Vec<String>> = rows.into_iter().map(texts).collect();
    context.output.records(format, columns, &rows);
}

/// Rows for programs; without a row there are headings all the same.
fn complete_rows(context: &Context, report: &ScoreReport) {
    let k = cells::shown_k(&report.rows);
    let headings = cells::complete(&ScoreRow::default(), k).into_iter();
    let headings = headings.map(|(name, _)| name);
    let row = |row: &ScoreRow| {
        let cells = cells::complete(row, k).into_iter();
        cells.map(|(_, text)| text).collect()
    };
    let rows: Vec<Vec<String>> = report.rows.iter().map(row).collect();
    context
        .output
        .data_rows(context.global.format, headings, &rows);
}

/// A line for each task, with what each row did at it.
fn print_matrix(context: &Context, report: &ScoreReport) {
    let labels: Vec<String> = report
        .rows
        .iter()
        .map(|row| cells::label(&row.key))
        .collect();
    let mut columns = vec![Column::new("task", Shrink::Wrap(8))];
    let of_rows = labels.iter();
    columns.extend(of_rows.map(|label| Column::new(label.clone(), Shrink::Wrap(8))));
    columns.push(Column::new("leads", Shrink::Wrap(8)));
    let line = |task: &TaskScore| {
        let mut cells = vec![task.task.clone()];
        cells.extend(task.rows.iter().map(|share| match share {
            Some(share) => format!("{}/{}", share.solved, share.attempts),
            None => figures::dash(),
        }));
        let leaders = task.leaders.iter().filter_map(|&at| labels.get(at));
        let leaders: Vec<&str> = leaders.map(String::as_str).collect();
        cells.push(leaders.join(", "));
        cells
    };
    let rows: Vec<Vec<String>> = report.tasks.iter().map(line).collect();
    context
        .output
        .records(context.global.format, columns, &rows);
}

/// What the rows are over, what to be careful about, and who leads on which tasks.
fn summary(report: &ScoreReport) -> Vec<String> {
    let trials: u64 = report.runs.iter().map(|run| run.trials).sum();
    let tasks = report.tasks.len() as u64;
    let mut lines = vec![format!(
        "{}, {}, {}; \u{b1} is half of the 95 % interval",
        figures::count(report.runs.len() as u64, "run"),
        figures::count(trials, "trial"),
        figures::count(tasks, "task")
    )];
    if report.rows.len() > 1 && report.tasks_common < tasks {
        lines.push(format!(
            "the rows tried different tasks, {} of {tasks} in common: `docks runs compare` pairs tasks",
            report.tasks_common
        ));
    }
    let partial = report.runs.iter().filter(|run| !run.complete).count();
    if partial > 0 {
        let what = figures::count(partial as u64, "run");
        lines.push(format!("of {what} not all trials are known"));
    }
    for (at, row) in report.rows.iter().enumerate() {
        let tasks = report.tasks.iter();
        let alone = tasks.filter(|task| task.leaders == [at]);
        let mut named: Vec<String> = alone.map(|task| task.task.clone()).collect();
        if named.is_empty() {
            continue;
        }
        let more = named.len().saturating_sub(MAX_NAMED);
        named.truncate(MAX_NAMED);
        if more > 0 {
            named.push(format!("and {more} more"));
        }
        let label = cells::label(&row.key);
        lines.push(format!("{label} leads on: {}", named.join(", ")));
    }
    lines
}
