//! `docks runs failures`: why trials failed. The daemon sorts them.

mod markdown;
mod print;

use docks_proto::failures::{FailureReport, FailuresQuery};
use docks_proto::query::ListQuery;

use super::daemon_answer::{take_answer, unreadable};
use super::listing::{RequestedList, check_status};
use super::one_remote::find_remote;
use super::point_in_time::point_in_time;
use super::print_object::{body_text, print_json, report_age};
use super::runs_trials;
use crate::args::{Format, RunsFailures};
use crate::ask::{Requester, SeveralRemotes};
use crate::context::Context;
use crate::failure::Failure;

/// Shows why the trials of some runs failed.
///
/// # Errors
///
/// What is wrong with the options, and why the daemon cannot answer.
pub(super) async fn run(context: &Context, args: &RunsFailures) -> Result<(), Failure> {
    let mut query = query(context, args)?;
    match SeveralRemotes::of(context)?.filter(|several| several.remotes.len() > 1) {
        Some(several) => {
            let about_all = "--all-runs is about the runs of one remote";
            let own = find_remote(context, &several, &mut query.runs, about_all).await?;
            ask(own, &query).await
        }
        None => ask(context, &query).await,
    }
}

async fn ask(context: &Context, query: &FailuresQuery) -> Result<(), Failure> {
    let requester = Requester::new(context)?;
    let client = requester.daemon().await?;
    for status in &query.filter.status {
        check_status(&requester, RequestedList::AllTrials, status).await?;
    }
    let answer = client.failures(query, context.global.allowed()).await;
    let answered = take_answer(context, &client, answer)?;
    if context.global.format == Format::Json {
        print_json(context, &body_text(&answered.body), &answered);
    } else {
        let report: FailureReport = serde_json::from_slice(&answered.body).map_err(unreadable)?;
        match context.global.format {
            Format::Markdown => context.output.data(markdown::report(&report)),
            _ => print::print(context, &report),
        }
    }
    context.output.flush()?;
    report_age(context, &answered.freshness);
    Ok(())
}

fn query(context: &Context, args: &RunsFailures) -> Result<FailuresQuery, Failure> {
    Ok(FailuresQuery {
        runs: args.run_ids.clone(),
        filter: ListQuery {
            limit: args.limit,
            offset: 0,
            status: args.status.iter().map(|s| s.trim().to_owned()).collect(),
            search: args.search.clone().filter(|text| !text.is_empty()),
            since: point_in_time(context, args.since.as_deref())?,
            until: point_in_time(context, args.until.as_deref())?,
            sort: None,
            trials: runs_trials::filter(&args.filters)?,
        },
    })
}
