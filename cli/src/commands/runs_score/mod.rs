//! `docks runs score`: the scoreboard of agents, models, datasets or runs. The daemon computes it.

mod cells;
mod print;

use docks_proto::query::ListQuery;
use docks_proto::score::{ScoreQuery, ScoreReport};

use super::daemon_answer::{take_answer, unreadable};
use super::one_remote::find_remote;
use super::point_in_time::point_in_time;
use super::print_object::{body_text, print_json, report_age};
use super::runs_trials::{named, words};
use crate::args::{Format, RunsScore};
use crate::ask::{Requester, SeveralRemotes};
use crate::context::Context;
use crate::failure::Failure;

/// Shows the scoreboard of some runs, or of all.
///
/// # Errors
///
/// What is wrong with the options, and why the daemon cannot answer.
pub(super) async fn run(context: &Context, args: &RunsScore) -> Result<(), Failure> {
    let mut query = query(context, args)?;
    match SeveralRemotes::of(context)?.filter(|several| several.remotes.len() > 1) {
        Some(several) => {
            let about_all = "without a run, the scoreboard is about the runs of one remote";
            let own = find_remote(context, &several, &mut query.runs, about_all).await?;
            ask(own, args, &query).await
        }
        None => ask(context, args, &query).await,
    }
}

async fn ask(context: &Context, args: &RunsScore, query: &ScoreQuery) -> Result<(), Failure> {
    let client = Requester::new(context)?.daemon().await?;
    let answer = client.score(query, context.global.allowed()).await;
    let answered = take_answer(context, &client, answer)?;
    if context.global.format == Format::Json {
        print_json(context, &body_text(&answered.body), &answered);
    } else {
        let report: ScoreReport = serde_json::from_slice(&answered.body).map_err(unreadable)?;
        print::print(context, &report, args.matrix);
    }
    context.output.flush()?;
    report_age(context, &answered.freshness);
    Ok(())
}

fn query(context: &Context, args: &RunsScore) -> Result<ScoreQuery, Failure> {
    let mut by = Vec::new();
    for key in args.by.iter().map(|&by| by.into()) {
        if !by.contains(&key) {
            by.push(key);
        }
    }
    Ok(ScoreQuery {
        runs: args.run_ids.clone(),
        by,
        datasets: words(&args.dataset),
        filter: ListQuery {
            since: point_in_time(context, args.created.since.as_deref())?,
            until: point_in_time(context, args.created.until.as_deref())?,
            trials: named(&args.agents, &args.task),
            ..ScoreQuery::default().filter
        },
    })
}
