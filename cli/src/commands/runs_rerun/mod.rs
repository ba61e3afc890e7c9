//! `docks runs rerun`: what to run again, and how. The daemon says it; nothing is run.

mod commands;
mod config_files;
mod print;

use docks_proto::query::ListQuery;
use docks_proto::rerun::{RerunPlan, RerunQuery, RerunSelector};

use super::daemon_answer::{take_answer, unreadable};
use super::listing::printable_id;
use super::print_object::{body_text, print_json, report_age};
use super::runs_trials::{named, words};
use crate::args::{Format, RunsRerun};
use crate::ask::Requester;
use crate::context::Context;
use crate::failure::Failure;

/// Shows which trials of a run to run again, and how.
///
/// # Errors
///
/// Why the daemon cannot answer, and why a config cannot be written.
pub(super) async fn run(context: &Context, args: &RunsRerun) -> Result<(), Failure> {
    let client = Requester::new(context)?.daemon().await?;
    let answer = client.rerun(&query(args), context.global.allowed()).await;
    let answered = take_answer(context, &client, answer)?;
    let plan: RerunPlan = serde_json::from_slice(&answered.body).map_err(unreadable)?;
    let output = &context.output;
    if context.global.format == Format::Json {
        print_json(context, &body_text(&answered.body), &answered);
    } else if args.quiet {
        let ids = plan.trials.iter().map(|trial| printable_id(&trial.id));
        for id in ids.collect::<Result<Vec<_>, _>>()? {
            output.line(id);
        }
    } else {
        print::print(context, &plan);
    }
    output.flush()?;
    let written = match &args.config {
        Some(file) => Some(config_files::write(context, &plan, file)?),
        None => None,
    };
    if !args.quiet && context.global.format != Format::Json {
        print::say_how(context, args, &plan, written.as_deref());
    }
    output.flush()?;
    report_age(context, &answered.freshness);
    Ok(())
}

fn query(args: &RunsRerun) -> RerunQuery {
    let flags = [
        (args.failed, RerunSelector::Failed),
        (args.infra, RerunSelector::Infra),
        (args.lost, RerunSelector::Lost),
        (args.unclear, RerunSelector::Unclear),
    ];
    let flags = flags.into_iter().filter(|(given, _)| *given);
    let errors = words(&args.error).into_iter().map(RerunSelector::Error);
    RerunQuery {
        run: args.run_id.clone(),
        select: flags.map(|(_, selector)| selector).chain(errors).collect(),
        filter: ListQuery {
            limit: 0,
            trials: named(&args.agents, &args.task),
            ..ListQuery::default()
        },
    }
}
