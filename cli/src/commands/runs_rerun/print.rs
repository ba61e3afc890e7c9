//! Prints what to run again: the trials, then the commands.

use std::path::{Path, PathBuf};

use docks_proto::rerun::{RerunPlan, RerunTrial};

use super::commands::{in_directory, joined, writing};
use crate::args::{Format, RunsRerun};
use crate::context::Context;
use crate::output::clean;
use crate::output::figures;
use crate::output::table::{Column, Shrink};

/// Trials that are named where only some are.
const MAX_NAMED: usize = 3;

/// Prints the trials, in another format than JSON.
pub(super) fn print(context: &Context, plan: &RerunPlan) {
    let output = &context.output;
    match context.global.format {
        Format::Jsonl => output.json_lines(&plan.trials),
        Format::Table if output.style().width.is_some() => {
            output.line(clean::line(&summary(plan)));
            if !plan.trials.is_empty() {
                output.line("");
                table(context, &plan.trials);
            }
        }
        _ => {
            output.message(summary(plan));
            separated(context, &plan.trials);
        }
    }
}

fn summary(plan: &RerunPlan) -> String {
    let name = match plan.run.as_str() {
        "" => &plan.run_id,
        name => name,
    };
    let selected = plan.selected_by.join(", ");
    match plan.trials.len() {
        0 => format!(
            "{name}: none of {} trials is to be run again ({selected})",
            plan.of
        ),
        trials => format!(
            "{name}: {trials} of {} trials to run again ({selected})",
            plan.of
        ),
    }
}

fn table(context: &Context, trials: &[RerunTrial]) {
    let columns = [
        ("trial", Shrink::Wrap(8)),
        ("task", Shrink::Wrap(8)),
        ("agent", Shrink::Wrap(8)),
        ("status", Shrink::Never),
        ("why", Shrink::Wrap(8)),
    ];
    let row = |trial: &RerunTrial| {
        vec![
            trial.id.clone(),
            figures::or_dash(&trial.task),
            figures::or_dash(&trial.agent),
            figures::or_dash(&trial.status),
            why(trial),
        ]
    };
    let rows: Vec<Vec<String>> = trials.iter().map(row).collect();
    let columns = columns.map(|(name, shrink)| Column::new(name, shrink));
    context
        .output
        .records(Format::Table, columns.to_vec(), &rows);
}

/// The class and cause of its failure, else by what it was selected.
fn why(trial: &RerunTrial) -> String {
    match &trial.reason {
        Some(reason) => format!("{} / {}", reason.class.name(), reason.cause),
        None => trial.selected_by.join(", "),
    }
}

/// Rows for programs.
fn separated(context: &Context, trials: &[RerunTrial]) {
    let names = [
        "id",
        "task",
        "agent",
        "status",
        "selected_by",
        "class",
        "cause",
        "decided_by",
    ];
    let row = |trial: &RerunTrial| {
        let reason = trial.reason.as_ref();
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        vec![
            trial.id.clone(),
            trial.task.clone(),
            trial.agent.clone(),
            trial.status.clone(),
            trial.selected_by.join(","),
            text(reason.map(|reason| reason.class.name())),
            text(reason.map(|reason| &*reason.cause)),
            text(reason.map(|reason| &*reason.decided_by)),
        ]
    };
    let rows: Vec<Vec<String>> = trials.iter().map(row).collect();
    context
        .output
        .data_rows(context.global.format, names, &rows);
}

/// Says which commands run them again. They are for people: in a pipe, they are on stderr beside the rows.
pub(super) fn say_how(
    context: &Context,
    args: &RunsRerun,
    plan: &RerunPlan,
    written: Option<&[PathBuf]>,
) {
    let output = &context.output;
    let is_terminal = output.style().width.is_some() && context.global.format == Format::Table;
    for line in how(context, args, plan, written) {
        match is_terminal {
            true => output.line(clean::line(&line)),
            false if line.is_empty() => {}
            false => output.message(line),
        }
    }
}

fn how(
    context: &Context,
    args: &RunsRerun,
    plan: &RerunPlan,
    written: Option<&[PathBuf]>,
) -> Vec<String> {
    let mut lines = Vec::new();
    if plan.trials.is_empty() {
        return lines;
    }
    let directory = plan.directory.as_deref();
    if let Some(resume) = &plan.resume {
        let replaces = match resume.replaces {
            0 => String::new(),
            1 => "; the folder of the former trial is removed".to_owned(),
            folders => format!("; the folders of {folders} former trials are removed"),
        };
        let starts = match resume.starts {
            0 => String::new(),
            starts => format!("; {starts} that never started are started"),
        };
        lines.extend([
            String::new(),
            format!("in the same job{replaces}{starts}:"),
            format!("  {}", in_directory(directory, &joined(&resume.arguments))),
        ]);
    }
    if let Some(first) = plan.configs.first() {
        lines.push(String::new());
        lines.push(match plan.configs.len() {
            1 => "as a job of their own:".to_owned(),
            jobs => format!(
                "as {jobs} jobs of their own, since not every task has as many attempts by every agent:"
            ),
        });
        let name = first.config.get("job_name").and_then(|name| name.as_str());
        let default = PathBuf::from(format!("{}.json", name.unwrap_or("rerun")));
        let files: Vec<PathBuf> = match written {
            Some(files) => files.to_vec(),
            None => {
                let file = default.display().to_string();
                lines.push(format!("  {}", writing(&context.global, args, &file)));
                let numbers = 1..=plan.configs.len();
                let numbered =
                    numbers.map(|number| super::config_files::numbered(&default, number));
                numbered.collect()
            }
        };
        for file in &files {
            lines.push(format!("  {}", running(directory, file)));
        }
    }
    if !plan.retries.is_empty() {
        lines.push(String::new());
        lines.push("in the same job:".to_owned());
        lines.extend(
            plan.retries
                .iter()
                .map(|words| format!("  {}", joined(words))),
        );
    }
    if plan.resume.is_none() && plan.configs.is_empty() && plan.retries.is_empty() {
        lines.push(String::new());
        lines.push(
            "docks cannot say how this remote runs them again; --quiet prints only their ids"
                .to_owned(),
        );
    }
    if !plan.left_out.is_empty() {
        lines.push(String::new());
    }
    for left in plan.left_out.iter().take(MAX_NAMED) {
        lines.push(format!("in no config: {}: {}", left.id, left.why));
    }
    let more = plan.left_out.len().saturating_sub(MAX_NAMED);
    if more > 0 {
        lines.push(format!(
            "in no config: {more} more; --format json names them"
        ));
    }
    if !plan.notes.is_empty() {
        lines.push(String::new());
        lines.extend(plan.notes.iter().map(|note| format!("note: {note}")));
    }
    lines
}

/// The command that runs a config; the file is found from the directory in which the job was run.
fn running(directory: Option<&str>, file: &Path) -> String {
    let absolute = std::path::absolute(file);
    let shown = absolute.as_deref().unwrap_or(file).display().to_string();
    in_directory(directory, &joined(["harbor", "run", "--config", &shown]))
}
