//! Prints a comparison in every format; the verdict comes first.

use docks_proto::comparison::{
    Comparison, Figures, Group, OutcomeStatus, Side, TaskOutcome, TaskRow,
};
use docks_proto::freshness::Freshness;

use super::super::print_object::print_json_text;
use super::markdown;
use super::words::{difference, label, verdict};
use crate::args::Format;
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::clean;
use crate::output::durations;
use crate::output::figures;
use crate::output::json;
use crate::output::known;
use crate::output::lists;
use crate::output::table::{Column, Shrink};

/// Number of tasks that a line of the summary names.
const MAX_NAMED: usize = 10;

/// Prints a comparison.
pub(super) fn print(
    context: &Context,
    comparison: &Comparison,
    freshness: &Freshness,
) -> Result<(), Failure> {
    let output = &context.output;
    let failed = |error| Failure::chain(Kind::Failed, "could not write the comparison", &error);
    match context.global.format {
        Format::Json => {
            let mut text = serde_json::to_string(comparison).map_err(failed)?;
            if context.global.meta {
                text = json::with_meta(freshness, None, &text);
            }
            print_json_text(context, text);
        }
        Format::Jsonl => {
            for row in &comparison.tasks {
                output.line(serde_json::to_string(row).map_err(failed)?);
            }
        }
        Format::Markdown => output.data(markdown::comparison(comparison)),
        Format::Table if output.style().width.is_some() => {
            for line in summary(comparison) {
                output.line(clean::line(&line));
            }
            output.line("");
            table(context, comparison);
        }
        Format::Table | Format::Tsv | Format::Csv | Format::Latex => {
            for line in summary(comparison) {
                output.message(line);
            }
            separated(context, comparison);
        }
    }
    output.flush()
}

fn summary(comparison: &Comparison) -> Vec<String> {
    let mut lines = comparison.summary.text.clone();
    let delta = &comparison.summary.delta;
    if delta.only_first + delta.only_other > 0 {
        lines.push(format!(
            "left out: {} tasks that only the first has, {} that only the second has",
            delta.only_first, delta.only_other
        ));
    }
    lines.extend(comparison.runs.iter().map(describe_side));
    for (what, tasks) in [
        ("better", &comparison.better),
        ("worse", &comparison.worse),
        ("differ, within noise", &comparison.unclear),
        ("flaky", &comparison.flaky),
    ] {
        let mut named: Vec<_> = tasks.iter().take(MAX_NAMED).cloned().collect();
        if tasks.len() > MAX_NAMED {
            named.push(format!("and {} more", tasks.len() - MAX_NAMED));
        }
        let names = if named.is_empty() {
            String::new()
        } else {
            format!(": {}", named.join(", "))
        };
        lines.push(format!("{} {what}{names}", tasks.len()));
    }
    lines
}

fn describe_side(side: &Side) -> String {
    let rate = side.rate.map_or_else(String::new, |rate| {
        let [value, low, high] = [rate.value, rate.low, rate.high].map(|share| 100.0 * share);
        format!(", {value:.1} % (95 % interval {low:.1} to {high:.1})")
    });
    format!(
        "{}: {} solved{rate}{} ({})",
        label(side),
        solved_of(&side.figures),
        details(&side.figures),
        side.status
    )
}

/// Solved of those that ended; those of which nothing says how they ended are named.
fn solved_of(figures: &Figures) -> String {
    let unknown = figures.ended.saturating_sub(figures.known);
    let also = match unknown {
        0 => String::new(),
        unknown => format!(" ({unknown} more ended, nothing says how)"),
    };
    format!("{} of {}{also}", figures.passed, figures.known)
}

fn details(figures: &Figures) -> String {
    let count = |count: u64, what: &str| (count > 0).then(|| format!("{count} {what}"));
    let of = figures.ended;
    let parts = [
        figures.reward.map(|reward| {
            known::of(
                format!("reward {}", lists::short_number(reward)),
                figures.reward_n,
                of,
            )
        }),
        figures
            .duration_seconds
            .map(|seconds| known::of(durations::format_seconds(seconds), figures.duration_n, of)),
        figures
            .cost_usd
            .map(|cost| known::of(lists::format_dollars(cost), figures.cost_n, of)),
        count(figures.errored, "with an error"),
        count(figures.lost, "lost"),
        count(figures.attempts.saturating_sub(of), "not ended"),
        count(
            figures.contradictory,
            "whose status and reward contradict each other",
        ),
    ];
    let parts = parts.into_iter().flatten();
    parts.map(|text| format!(", {text}")).collect()
}

fn table(context: &Context, comparison: &Comparison) {
    if !comparison.groups.is_empty() {
        return groups(context, comparison);
    }
    let runs = comparison.runs.iter();
    let mut columns = vec![Column::new("task", Shrink::Wrap(8))];
    columns.extend(runs.map(|run| Column::new(label(run), Shrink::Wrap(8))));
    columns.push(Column::new("change", Shrink::Never));
    let rows: Vec<Vec<String>> = comparison
        .tasks
        .iter()
        .map(|row| {
            let mut cells = vec![row.name()];
            cells.extend(row.runs.iter().map(cell));
            cells.push(row.change.map_or("-", |change| change.name()).to_owned());
            cells
        })
        .collect();
    context.output.records(Format::Table, columns, &rows);
}

fn cell(outcome: &TaskOutcome) -> String {
    match outcome.status {
        OutcomeStatus::Missing => "-".to_owned(),
        status => format!(
            "{} {}/{}{}",
            status.name(),
            outcome.figures.passed,
            outcome.figures.ended,
            details(&outcome.figures)
        ),
    }
}

fn groups(context: &Context, comparison: &Comparison) {
    let runs = comparison.runs.iter();
    let mut columns = vec![Column::new("name", Shrink::Wrap(8))];
    columns.extend(runs.map(|run| Column::new(label(run), Shrink::Wrap(8))));
    columns.push(Column::new("difference", Shrink::Wrap(8)));
    columns.push(Column::new("change", Shrink::Never));
    let row = |group: &Group| {
        let mut cells = vec![group.name.clone()];
        let figures = group.runs.iter();
        cells.extend(figures.map(|figures| match figures.attempts {
            0 => "-".to_owned(),
            _ => format!("{}{}", solved_of(figures), details(figures)),
        }));
        let verdict = group.delta.as_ref().map(|delta| verdict(delta.verdict));
        cells.push(group.delta.as_ref().map_or("-".to_owned(), difference));
        cells.push(verdict.unwrap_or("-").to_owned());
        cells
    };
    let rows: Vec<Vec<String>> = comparison.groups.iter().map(row).collect();
    let format = match context.global.format {
        Format::Tsv => Format::Tsv,
        _ => Format::Table,
    };
    context.output.records(format, columns, &rows);
}

/// One line per task and run, for programs.
fn separated(context: &Context, comparison: &Comparison) {
    if !comparison.groups.is_empty() {
        return groups(context, comparison);
    }
    let mut names = vec![
        "task",
        "agent",
        "run",
        "status",
        "attempts",
        "passed",
        "reward",
        "duration_seconds",
        "cost_usd",
        "change",
        "flaky",
    ];
    let of_several = comparison.runs.iter().any(|run| run.remote.is_some());
    if of_several {
        names.push("remote");
    }
    names.extend(["ended", "cost_n", "p_adjusted"]);
    let line = |row: &TaskRow, outcome: &TaskOutcome, run: &Side| {
        let figures = &outcome.figures;
        let mut cells = vec![
            row.task.clone(),
            row.agent.clone().unwrap_or_default(),
            run.id.clone(),
            outcome.status.name().to_owned(),
            figures.attempts.to_string(),
            figures.passed.to_string(),
            figures::exact(figures.reward),
            figures::exact(figures.duration_seconds),
            figures::exact(figures.cost_usd),
            row.change.map_or("", |change| change.name()).to_owned(),
            row.flaky.to_string(),
        ];
        if of_several {
            cells.push(run.remote.clone().unwrap_or_default());
        }
        cells.extend([
            figures.ended.to_string(),
            figures.cost_n.to_string(),
            figures::exact(row.p_adjusted),
        ]);
        cells
    };
    let rows: Vec<_> = comparison
        .tasks
        .iter()
        .flat_map(|row| {
            let runs = row.runs.iter().zip(&comparison.runs);
            runs.map(move |(outcome, run)| line(row, outcome, run))
        })
        .collect();
    context
        .output
        .data_rows(context.global.format, names, &rows);
}
