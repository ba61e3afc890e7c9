//! Prints a comparison in every format; the summary comes first.

use crate::args::Format;
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::clean;
use crate::output::durations;
use crate::output::lists;
use crate::output::table::{Column, Shrink};

use super::super::print_object::print_json_text;
use super::matrix::{Matrix, Outcome, Row, Sums};

/// Number of tasks that a line of the summary names.
const MAX_NAMED: usize = 10;

/// Prints a comparison.
pub(super) fn print(context: &Context, matrix: &Matrix) -> Result<(), Failure> {
    let output = &context.output;
    let failed = |error| Failure::chain(Kind::Failed, "could not write the comparison", &error);
    match context.global.format {
        Format::Json => {
            let text = serde_json::to_string(matrix).map_err(failed)?;
            print_json_text(context, text);
        }
        Format::Jsonl => {
            for row in &matrix.tasks {
                output.line(serde_json::to_string(row).map_err(failed)?);
            }
        }
        Format::Table if output.style().width.is_some() => {
            for line in summary(matrix) {
                output.line(clean::line(&line));
            }
            output.line("");
            table(context, matrix);
        }
        Format::Table | Format::Tsv => {
            for line in summary(matrix) {
                output.message(line);
            }
            separated(context, matrix);
        }
    }
    output.flush()
}

fn summary(matrix: &Matrix) -> Vec<String> {
    let mut lines: Vec<String> = matrix
        .runs
        .iter()
        .map(|run| {
            format!(
                "{}: {} of {} passed{} ({})",
                run.label(),
                run.all.passed,
                run.all.attempts,
                details(&run.all),
                run.status
            )
        })
        .collect();
    for (what, tasks) in [
        ("better", &matrix.better),
        ("worse", &matrix.worse),
        ("flaky", &matrix.flaky),
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

fn details(sums: &Sums) -> String {
    let known = [
        sums.reward
            .map(|reward| format!("reward {}", lists::short_number(reward))),
        sums.duration_seconds.map(durations::format_seconds),
        sums.cost_usd.map(|cost| format!("${cost:.3}")),
    ];
    let known = known.into_iter().flatten();
    known.map(|text| format!(", {text}")).collect()
}

fn table(context: &Context, matrix: &Matrix) {
    let runs = matrix.runs.iter();
    let mut columns = vec![Column::new("task", Shrink::Wrap(8))];
    columns.extend(runs.map(|run| Column::new(run.label(), Shrink::Wrap(8))));
    columns.push(Column::new("change", Shrink::Never));
    let rows: Vec<Vec<String>> = matrix
        .tasks
        .iter()
        .map(|row| {
            let cell = |outcome: &Outcome| match outcome.status {
                "missing" => "-".to_owned(),
                status => format!(
                    "{status} {}/{}{}",
                    outcome.sums.passed,
                    outcome.sums.attempts,
                    details(&outcome.sums)
                ),
            };
            let mut cells = vec![row.name()];
            cells.extend(row.runs.iter().map(cell));
            cells.push(row.change.unwrap_or("-").to_owned());
            cells
        })
        .collect();
    context.output.records(Format::Table, columns, &rows);
}

/// One line per task and run, for programs.
fn separated(context: &Context, matrix: &Matrix) {
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
    let of_several = matrix.runs.iter().any(|run| run.remote.is_some());
    if of_several {
        names.push("remote");
    }
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let line = |row: &Row, at: usize| {
        let outcome = &row.runs[at];
        let mut cells = vec![
            row.task.clone(),
            row.agent.clone().unwrap_or_default(),
            matrix.runs[at].id.clone(),
            outcome.status.to_owned(),
            outcome.sums.attempts.to_string(),
            outcome.sums.passed.to_string(),
            number(outcome.sums.reward),
            number(outcome.sums.duration_seconds),
            number(outcome.sums.cost_usd),
            row.change.unwrap_or_default().to_owned(),
            row.flaky.to_string(),
        ];
        if of_several {
            cells.push(matrix.runs[at].remote.clone().unwrap_or_default());
        }
        cells
    };
    let rows: Vec<_> = matrix
        .tasks
        .iter()
        .flat_map(|row| (0..row.runs.len()).map(move |at| line(row, at)))
        .collect();
    let columns = names.into_iter();
    let columns = columns.map(|name| Column::new(name, Shrink::Never));
    context
        .output
        .records(context.global.format, columns.collect(), &rows);
}
