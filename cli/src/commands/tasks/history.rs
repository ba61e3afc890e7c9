//! `docks tasks history`.

use docks_proto::tasks::{TaskHistory, TaskHistoryQuery, TaskPeriod};

use super::super::daemon_answer::{take_answer, unreadable};
use super::super::print_object::{body_text, print_json, report_age};
use super::super::runs_trials::words;
use super::filter;
use super::list::table as print_figures;
use crate::args::{Format, TasksHistory};
use crate::ask::Requester;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::figures;
use crate::output::table::{Column, Shrink};

/// Shows a task over time.
///
/// # Errors
///
/// What is wrong with the options, and why the daemon cannot answer.
pub(crate) async fn run(context: &Context, args: &TasksHistory) -> Result<(), Failure> {
    let query = TaskHistoryQuery {
        by: args.by.into(),
        datasets: words(&args.filters.dataset),
        filter: filter(context, &args.filters, args.limit)?,
        ..TaskHistoryQuery::of_task(&args.task)
    };
    let client = Requester::new(context)?.daemon().await?;
    let answer = client.task_history(&query, context.global.allowed()).await;
    let answered = take_answer(context, &client, answer)?;
    if context.global.format == Format::Json {
        print_json(context, &body_text(&answered.body), &answered);
    } else {
        let history: TaskHistory = serde_json::from_slice(&answered.body).map_err(unreadable)?;
        match (context.global.format, context.output.style().width) {
            (Format::Jsonl, _) => context.output.json_lines(&history.rows),
            (Format::Table, Some(_)) => {
                print_figures(context, &history.tasks);
                context.output.line("");
                table(context, &history.rows);
            }
            _ => separated(context, &history.rows),
        }
        context.output.flush()?;
        let (shown, all) = (history.rows.len() as u64, history.rows_total);
        if shown < all {
            let text = format!("the newest {shown} of {all} rows; --limit 0 shows all");
            context.output.message(text);
        }
    }
    context.output.flush()?;
    report_age(context, &answered.freshness);
    Ok(())
}

/// Rows for people.
fn table(context: &Context, rows: &[TaskPeriod]) {
    let columns = [
        ("from", Shrink::Never),
        ("run", Shrink::Wrap(8)),
        ("agents", Shrink::Wrap(8)),
        ("solved", Shrink::Never),
        ("errors", Shrink::Never),
        ("infra", Shrink::Never),
        ("cost", Shrink::Never),
        ("time", Shrink::Never),
        ("ended", Shrink::Never),
    ];
    let columns = columns.map(|(name, shrink)| Column::new(name, shrink));
    let row = |row: &TaskPeriod| {
        let runs = || format!("{} runs", row.runs);
        vec![
            row.from.clone().unwrap_or_else(figures::dash),
            row.run.clone().unwrap_or_else(runs),
            row.agents.join(", "),
            figures::rate(row.rate),
            row.errored.to_string(),
            row.infrastructure.to_string(),
            figures::dollars(row.median_cost_usd),
            figures::seconds(row.median_duration_s),
            format!("{}/{}", row.ended, row.trials),
        ]
    };
    let rows: Vec<Vec<String>> = rows.iter().map(row).collect();
    context
        .output
        .records(Format::Table, columns.to_vec(), &rows);
}

/// Rows for programs.
fn separated(context: &Context, rows: &[TaskPeriod]) {
    let names = [
        "from",
        "run",
        "run_id",
        "status",
        "runs",
        "agents",
        "trials",
        "ended",
        "known",
        "solved",
        "rate",
        "low",
        "high",
        "errored",
        "infrastructure",
        "median_cost_usd",
        "cost_n",
        "median_duration_s",
        "duration_n",
    ];
    let row = |row: &TaskPeriod| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let rate = row.rate;
        vec![
            text(&row.from),
            text(&row.run),
            text(&row.run_id),
            text(&row.status),
            row.runs.to_string(),
            row.agents.join(","),
            row.trials.to_string(),
            row.ended.to_string(),
            row.known.to_string(),
            row.solved.to_string(),
            figures::exact(rate.map(|rate| rate.value)),
            figures::exact(rate.map(|rate| rate.low)),
            figures::exact(rate.map(|rate| rate.high)),
            row.errored.to_string(),
            row.infrastructure.to_string(),
            figures::exact(row.median_cost_usd.value),
            row.median_cost_usd.n.to_string(),
            figures::exact(row.median_duration_s.value),
            row.median_duration_s.n.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = rows.iter().map(row).collect();
    context
        .output
        .data_rows(context.global.format, names, &rows);
}
