//! `docks runs failures`: why trials failed. The daemon sorts them.

mod markdown;
mod print;

use docks_proto::failures::{FailureReport, FailuresQuery};
use docks_proto::query::ListQuery;
use docks_proto::time::{UnixMs, parse_point_in_time};
use jiff::tz::TimeZone;

use super::daemon_answer::{take_answer, unreadable};
use super::listing::{RequestedList, check_status};
use super::of_several::Wanted;
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
            let at = find_remote(context, &several, &mut query.runs).await?;
            ask(&several.remotes[at].context, &query).await
        }
        None => ask(context, &query).await,
    }
}

/// Finds the one of several remotes that has all of the runs, and replaces what names them by their ids.
async fn find_remote(
    context: &Context,
    several: &SeveralRemotes,
    runs: &mut [String],
) -> Result<usize, Failure> {
    let mut remote: Option<(usize, String)> = None;
    for run in runs {
        let found = several
            .find(context, Wanted::Evaluation, run, false)
            .await?;
        match &remote {
            Some((index, first)) if *index != found.index => {
                return Err(Failure::usage(format!(
                    "these runs are in different remotes: `{first}` and `{run}`"
                ))
                .hint("look at one remote after the other, with -p NAME"));
            }
            _ => remote = Some((found.index, run.clone())),
        }
        *run = found.id;
    }
    let remote = remote.map(|(index, _)| index);
    remote.ok_or_else(|| {
        Failure::usage("--all-runs is about the runs of one remote").hint("name it with -p NAME")
    })
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
    let when = |text: &Option<String>| -> Result<Option<UnixMs>, Failure> {
        // The time zone is read from files, so only if an option needs it.
        let read = |text: &String| parse_point_in_time(text, context.now, &TimeZone::system());
        let point = text.as_ref().map(read).transpose();
        point.map_err(|bad| Failure::usage(bad.to_string()))
    };
    Ok(FailuresQuery {
        runs: args.run_ids.clone(),
        filter: ListQuery {
            limit: args.limit,
            offset: 0,
            status: args.status.iter().map(|s| s.trim().to_owned()).collect(),
            search: args.search.clone().filter(|text| !text.is_empty()),
            since: when(&args.since)?,
            until: when(&args.until)?,
            sort: None,
            trials: runs_trials::filter(&args.filters)?,
        },
    })
}
