//! Prints why trials failed: the summary, then the clusters.

use docks_proto::comparison::RateFigure;
use docks_proto::failures::{ClassCount, FailureExample, FailureReport};

use super::{Shown, ShownCluster};
use crate::args::Format;
use crate::context::Context;
use crate::output::clean;
use crate::output::figures::count;

/// Runs that the summary names; of more it says how many.
const MAX_NAMED: usize = 3;

/// Prints reports, in another format than JSON and Markdown.
pub(super) fn print(context: &Context, shown: &Shown<'_>) {
    let output = &context.output;
    match context.global.format {
        Format::Jsonl => output.json_lines(shown.clusters.iter().map(|cluster| cluster.named())),
        Format::Table if output.style().width.is_some() => {
            for line in summaries(shown) {
                output.line(clean::line(&line));
            }
            for cluster in &shown.clusters {
                output.line("");
                for line in block(*cluster) {
                    output.line(clean::line(&line));
                }
            }
            report_rest(context, shown);
        }
        Format::Table
        | Format::Tsv
        | Format::Json
        | Format::Markdown
        | Format::Csv
        | Format::Latex => {
            for line in summaries(shown) {
                output.message(line);
            }
            rows(context, shown);
            report_rest(context, shown);
        }
    }
}

/// Says how many clusters are not shown.
fn report_rest(context: &Context, found: &Shown<'_>) {
    let (shown, all) = (found.clusters.len() as u64, found.clusters_total);
    if shown < all {
        let text = format!("the biggest {shown} of {all} clusters; --limit 0 shows all");
        context.output.message(text);
    }
}

fn summaries(shown: &Shown<'_>) -> Vec<String> {
    let reports = shown.reports.iter();
    reports
        .flat_map(|(remote, report)| summary(*remote, report))
        .collect()
}

/// Says in a sentence each what may be said of all trials of a remote, which the first sentence names if there are
/// several.
pub(super) fn summary(remote: Option<&str>, report: &FailureReport) -> Vec<String> {
    let names: Vec<&str> = report
        .runs
        .iter()
        .take(MAX_NAMED)
        .map(|run| match run.name.as_str() {
            "" => run.id.as_str(),
            name => name,
        })
        .collect();
    let names = match report.runs.len() {
        0 => "no runs".to_owned(),
        all if all > MAX_NAMED => format!("{all} runs"),
        _ => names.join(", "),
    };
    let remote = remote.map_or_else(String::new, |remote| format!("{remote}: "));
    let mut first = format!(
        "{remote}{names}: {} of {} trials failed or have an error",
        report.failures, report.trials
    );
    let open = report.trials - report.ended;
    if open > 0 {
        first.push_str(&format!("; {open} have not ended"));
    }
    if report.undecided > 0 {
        first.push_str(&format!(
            "; of {} nothing says how they ended",
            report.undecided
        ));
    }
    let mut lines = vec![first];
    let (all, without) = (report.rate, report.rate_without_infrastructure);
    lines.extend(all.map(|rate| format!("solved: {}", rate_text(&rate))));
    let is_other = |rate: &RateFigure, than: Option<RateFigure>| {
        than.is_none_or(|than| (than.solved, than.attempts) != (rate.solved, rate.attempts))
    };
    let without = without.filter(|rate| is_other(rate, all));
    lines.extend(without.map(|rate| format!("without infrastructure: {}", rate_text(&rate))));
    let valid = report.rate_of_valid;
    let valid = valid.filter(|rate| is_other(rate, all) && is_other(rate, without));
    lines.extend(valid.map(|rate| format!("of valid rewards: {}", rate_text(&rate))));
    lines.extend(report.classes.iter().map(class_text));
    lines
}

fn rate_text(rate: &RateFigure) -> String {
    format!(
        "{:.1} % ({}/{}), between {:.1} and {:.1} %",
        100.0 * rate.value,
        rate.solved,
        rate.attempts,
        100.0 * rate.low,
        100.0 * rate.high
    )
}

fn class_text(class: &ClassCount) -> String {
    let causes: Vec<String> = class
        .causes
        .iter()
        .map(|cause| format!("{} {}", cause.trials, cause.cause))
        .collect();
    let solved = match class.solved {
        0 => String::new(),
        solved => format!("; {solved} solved all the same"),
    };
    format!(
        "{}: {} ({}{solved})",
        class.class.name(),
        class.trials,
        causes.join(", ")
    )
}

/// A cluster as a terminal shows it, with the log of its first trial.
fn block(shown: ShownCluster<'_>) -> Vec<String> {
    let ShownCluster { remote, cluster } = shown;
    let message = match cluster.message.as_str() {
        "" => String::new(),
        message => format!(": {message}"),
    };
    let mut lines = vec![
        format!(
            "{} \u{d7} {} / {}{message}",
            cluster.trials,
            cluster.class.name(),
            cluster.cause
        ),
        format!(
            "  decided by `{}`{}; {}, {}",
            cluster.decided_by,
            match cluster.errors.as_slice() {
                [] => String::new(),
                [error] if *error == cluster.decided_by => String::new(),
                errors => format!(" ({})", errors.join(", ")),
            },
            count(cluster.tasks, "task"),
            count(cluster.runs, "run")
        ),
    ];
    for (at, example) in cluster.examples.iter().enumerate() {
        let FailureExample {
            run_id,
            trial_id,
            task,
            ..
        } = example;
        // As other commands take it.
        let run = remote.map_or_else(|| run_id.clone(), |remote| format!("{remote}:{run_id}"));
        lines.push(format!("  {run} {trial_id} ({task})"));
        if at == 0 {
            let log = example.log.iter().flatten();
            lines.extend(log.map(|line| format!("    | {line}")));
        }
    }
    lines
}

/// A row for each cluster, for programs.
fn rows(context: &Context, shown: &Shown<'_>) {
    let names = [
        "trials",
        "solved",
        "class",
        "cause",
        "decided_by",
        "errors",
        "message",
        "runs",
        "tasks",
        "examples",
    ];
    let is_of_several = shown.reports.iter().any(|(remote, _)| remote.is_some());
    let row = |shown: &ShownCluster<'_>| {
        let cluster = shown.cluster;
        let examples = cluster.examples.iter();
        let examples: Vec<String> = examples
            .map(|example| format!("{}/{}", example.run_id, example.trial_id))
            .collect();
        let mut cells = vec![
            cluster.trials.to_string(),
            cluster.solved.to_string(),
            cluster.class.name().to_owned(),
            cluster.cause.clone(),
            cluster.decided_by.clone(),
            cluster.errors.join(","),
            cluster.message.clone(),
            cluster.runs.to_string(),
            cluster.tasks.to_string(),
            examples.join(","),
        ];
        cells.extend(shown.remote.map(str::to_owned));
        cells
    };
    let rows: Vec<Vec<String>> = shown.clusters.iter().map(row).collect();
    let names = names.into_iter().chain(is_of_several.then_some("remote"));
    context
        .output
        .data_rows(context.global.format, names, &rows);
}
