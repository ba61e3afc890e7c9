//! `docks tasks list`.

use docks_proto::tasks::{TaskFigures, TasksQuery};
use docks_proto::time::UnixMs;

use super::super::daemon_answer::{take_answer, unreadable};
use super::super::print_object::{body_text, print_json, report_age};
use super::super::runs_trials::words;
use super::filter;
use crate::args::{Format, TasksList};
use crate::ask::Requester;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::durations::format_ago;
use crate::output::figures;
use crate::output::table::{Column, Shrink};

/// Lists tasks over all runs.
///
/// # Errors
///
/// What is wrong with the options, and why the daemon cannot answer.
pub(crate) async fn run(context: &Context, args: &TasksList) -> Result<(), Failure> {
    let query = TasksQuery {
        sort: args.sort,
        search: args.search.clone().filter(|text| !text.is_empty()),
        datasets: words(&args.filters.dataset),
        filter: filter(context, &args.filters, args.limit)?,
    };
    let client = Requester::new(context)?.daemon().await?;
    let answer = client.list_tasks(&query, context.global.allowed()).await;
    let answered = take_answer(context, &client, answer)?;
    if context.global.format == Format::Json {
        print_json(context, &body_text(&answered.body), &answered);
    } else {
        let tasks: Vec<TaskFigures> = serde_json::from_slice(&answered.body).map_err(unreadable)?;
        match (context.global.format, context.output.style().width) {
            (Format::Jsonl, _) => context.output.json_lines(&tasks),
            (Format::Table, Some(_)) => table(context, &tasks),
            _ => separated(context, &tasks),
        }
    }
    context.output.flush()?;
    if let Some(total) = answered
        .total
        .filter(|total| (1..*total).contains(&args.limit))
    {
        context.output.message(format!("{} of {total}", args.limit));
    }
    report_age(context, &answered.freshness);
    Ok(())
}

/// Rows for people.
pub(super) fn table(context: &Context, tasks: &[TaskFigures]) {
    if tasks.is_empty() {
        context.output.message("no tasks");
        return;
    }
    let columns = [
        ("task", Shrink::Wrap(8)),
        ("dataset", Shrink::Wrap(8)),
        ("solved", Shrink::Never),
        ("flips", Shrink::Never),
        ("infra", Shrink::Never),
        ("cost", Shrink::Never),
        ("time", Shrink::Never),
        ("runs", Shrink::Never),
        ("changed", Shrink::Never),
    ];
    let columns = columns.map(|(name, shrink)| Column::new(name, shrink));
    let row = |task: &TaskFigures| {
        let change = task.last_change.as_ref().map(|change| {
            let at = change.at.as_deref().and_then(UnixMs::parse);
            let ago = at.map(|at| format!("{}, ", format_ago(context.now, at)));
            let (before, after) = (change.before, change.after);
            format!(
                "{}{}/{} to {}/{}",
                ago.unwrap_or_default(),
                before.solved,
                before.attempts,
                after.solved,
                after.attempts
            )
        });
        vec![
            task.task.clone(),
            figures::or_dash(&task.dataset),
            figures::rate(task.rate),
            figures::number(task.flip_rate),
            task.infrastructure.to_string(),
            figures::dollars(task.median_cost_usd),
            figures::seconds(task.median_duration_s),
            task.runs.to_string(),
            change.unwrap_or_else(figures::dash),
        ]
    };
    let rows: Vec<Vec<String>> = tasks.iter().map(row).collect();
    context
        .output
        .records(Format::Table, columns.to_vec(), &rows);
}

/// Rows for programs.
fn separated(context: &Context, tasks: &[TaskFigures]) {
    let names = [
        "task",
        "dataset",
        "runs",
        "configurations",
        "trials",
        "ended",
        "known",
        "solved",
        "rate",
        "low",
        "high",
        "flip_rate",
        "flip_n",
        "errored",
        "infrastructure",
        "median_cost_usd",
        "cost_n",
        "median_duration_s",
        "duration_n",
        "last_at",
        "changed_at",
        "changed_run_id",
        "changed_agent",
    ];
    let row = |task: &TaskFigures| {
        let rate = task.rate;
        let change = task.last_change.as_ref();
        vec![
            task.task.clone(),
            task.dataset.clone(),
            task.runs.to_string(),
            task.configurations.to_string(),
            task.trials.to_string(),
            task.ended.to_string(),
            task.known.to_string(),
            task.solved.to_string(),
            figures::exact(rate.map(|rate| rate.value)),
            figures::exact(rate.map(|rate| rate.low)),
            figures::exact(rate.map(|rate| rate.high)),
            figures::exact(task.flip_rate.value),
            task.flip_rate.n.to_string(),
            task.errored.to_string(),
            task.infrastructure.to_string(),
            figures::exact(task.median_cost_usd.value),
            task.median_cost_usd.n.to_string(),
            figures::exact(task.median_duration_s.value),
            task.median_duration_s.n.to_string(),
            task.last_at.clone().unwrap_or_default(),
            change
                .and_then(|change| change.at.clone())
                .unwrap_or_default(),
            change.map_or_else(String::new, |change| change.run_id.clone()),
            change.map_or_else(String::new, |change| change.agent.clone()),
        ]
    };
    let rows: Vec<Vec<String>> = tasks.iter().map(row).collect();
    context
        .output
        .data_rows(context.global.format, names, &rows);
}
