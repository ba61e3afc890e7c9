//! `docks runs gate`: whether a run is as good as a baseline, for CI.

use std::fs;
use std::io::Write;
use std::path::Path;

use docks_proto::comparison::{
    CompareQuery, Comparison, Gate, GateOutcome, GateQuery, RunReference,
};
use docks_proto::freshness::Freshness;

use super::daemon_answer::take_answer;
use super::print_object::{print_json_text, report_age};
use super::runs_compare::{Resolver, add_tasks_that_fell, ask, side_table};
use crate::args::{Format, RunsGate};
use crate::ask::{Requester, SeveralRemotes};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::json;
use crate::output::markup::escaped_markdown;

/// Judges a candidate, saves it, or both.
///
/// # Errors
///
/// [`Kind::GateDropped`] and [`Kind::GateUndecided`] by what the gate decides, and why it cannot.
pub(super) async fn run(context: &Context, args: &RunsGate) -> Result<(), Failure> {
    let several = SeveralRemotes::of(context)?.filter(|several| several.remotes.len() > 1);
    let resolver = Resolver {
        context,
        several: several.as_ref(),
    };
    let Some(baseline) = &args.baseline else {
        return save(context, args, several.as_ref()).await;
    };
    let query = CompareQuery {
        sides: vec![
            vec![resolver.run_or_file(baseline).await?],
            vec![resolver.run(&args.candidate).await?],
        ],
        metric: args.figure.metric.clone(),
        margin: args.figure.margin,
        gate: Some(GateQuery {
            max_drop: args.max_drop,
            is_strict: args.strict,
            min_tasks: args.min_n,
        }),
        ..CompareQuery::default()
    };
    let (comparison, freshness) = ask(&resolver, &query).await?;
    let Some(gate) = &comparison.gate else {
        return Err(Failure::failed("the daemon did not decide"));
    };
    print(context, &comparison, gate, &freshness)?;
    report_age(context, &freshness);
    match gate.outcome {
        GateOutcome::Held => save(context, args, several.as_ref()).await,
        GateOutcome::Dropped => Err(failure(Kind::GateDropped, "dropped", gate)),
        GateOutcome::CannotTell if gate.strict => Err(failure(
            Kind::GateDropped,
            "cannot tell, which fails with --strict",
            gate,
        )),
        GateOutcome::CannotTell => Err(failure(Kind::GateUndecided, "cannot tell", gate)),
    }
}

fn failure(kind: Kind, what: &str, gate: &Gate) -> Failure {
    Failure::new(kind, format!("{what}: {}", gate.reason))
}

fn print(
    context: &Context,
    comparison: &Comparison,
    gate: &Gate,
    freshness: &Freshness,
) -> Result<(), Failure> {
    let output = &context.output;
    let sentence = comparison.summary.text.join("; ");
    match context.global.format {
        Format::Json | Format::Jsonl => {
            let mut text = serde_json::to_string(comparison)
                .map_err(|error| Failure::chain(Kind::Failed, "could not write", &error))?;
            if context.global.meta {
                text = json::with_meta(freshness, None, &text);
            }
            match context.global.format {
                Format::Jsonl => output.line(text),
                _ => print_json_text(context, text),
            }
        }
        Format::Markdown => output.data(markdown(comparison, gate)),
        Format::Table | Format::Tsv | Format::Csv | Format::Latex => {
            super::print_facts(
                context,
                &[
                    row("gate", word(gate)),
                    row("why", &gate.reason),
                    row("verdict", &sentence),
                    row("allowed drop", &format!("{:.1} %", 100.0 * gate.max_drop)),
                ],
            );
        }
    }
    output.flush()
}

fn row(what: &str, value: &str) -> Vec<String> {
    vec![what.to_owned(), value.to_owned()]
}

fn word(gate: &Gate) -> &'static str {
    match gate.outcome {
        GateOutcome::Held => "held",
        GateOutcome::Dropped => "dropped",
        GateOutcome::CannotTell => "cannot tell",
    }
}

/// A comment for a pull request: decision, verdict, table, tasks that fell.
fn markdown(comparison: &Comparison, gate: &Gate) -> String {
    let mut text = format!(
        "### Gate: {}\n\n{}.\n\n",
        word(gate),
        escaped_markdown(&gate.reason)
    );
    for sentence in &comparison.summary.text {
        text.push_str(&format!("{}.\n\n", escaped_markdown(sentence)));
    }
    text.push_str(&side_table(comparison));
    add_tasks_that_fell(&mut text, comparison);
    text
}

/// Writes the candidate to the file that the options name.
async fn save(
    context: &Context,
    args: &RunsGate,
    several: Option<&SeveralRemotes>,
) -> Result<(), Failure> {
    let Some(file) = &args.save else {
        return Ok(());
    };
    let resolver = Resolver { context, several };
    let RunReference::Mirrored { run, .. } = resolver.run(&args.candidate).await? else {
        return Err(Failure::usage("only a run can be saved"));
    };
    // Of several remotes, the one that has it.
    let found = match several {
        Some(several) => Some(
            several
                .find(
                    context,
                    super::of_several::Wanted::Evaluation,
                    &args.candidate,
                    false,
                )
                .await?,
        ),
        None => None,
    };
    let own = found
        .as_ref()
        .map_or(context, |found| &found.remote.context);
    let client = Requester::new(own)?.daemon().await?;
    let answer = client.saved_run(&run, context.global.allowed()).await;
    let response = take_answer(context, &client, answer)?;
    write(file, &response.body).map_err(|error| {
        let doing = format!("could not write {}", file.display());
        Failure::chain(Kind::Failed, &doing, &error)
    })?;
    context
        .output
        .message(format!("saved `{}` as {}", args.candidate, file.display()));
    Ok(())
}

/// Writes a file whole or not at all: a pipeline that is stopped must not leave half a baseline.
fn write(file: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = file.with_file_name(name);
    let written = fs::File::create(&part).and_then(|mut open| {
        open.write_all(content)?;
        open.write_all(b"\n")?;
        open.sync_all()?;
        fs::rename(&part, file)
    });
    if written.is_err() {
        // The first error is the one to report.
        drop(fs::remove_file(&part));
    }
    written
}
