//! `docks runs failures`: why trials failed. The daemon sorts them.

mod markdown;
mod print;
mod several;

use docks_proto::client::Client;
use docks_proto::failures::{FailureCluster, FailureReport, FailuresQuery};
use docks_proto::query::ListQuery;

use super::daemon_answer::{take_answer, unreadable};
use super::listing::{RequestedList, check_status};
use super::point_in_time::point_in_time;
use super::print_object::{body_text, print_json, report_age};
use super::runs_trials;
use crate::args::{Format, RunsFailures};
use crate::ask::{Requester, Response, SeveralRemotes};
use crate::context::Context;
use crate::failure::Failure;

/// What is printed: a report, or those of several remotes.
struct Shown<'a> {
    /// The reports, each with its remote if they are of several.
    reports: Vec<(Option<&'a str>, &'a FailureReport)>,
    /// The clusters, biggest first.
    clusters: Vec<ShownCluster<'a>>,
    /// How many there are, also those that are not shown.
    clusters_total: u64,
}

/// A cluster, with its remote if there are several.
#[derive(Clone, Copy)]
struct ShownCluster<'a> {
    remote: Option<&'a str>,
    cluster: &'a FailureCluster,
}

impl<'a> Shown<'a> {
    fn of_one(report: &'a FailureReport) -> Self {
        let clusters = report.clusters.iter();
        Self {
            reports: vec![(None, report)],
            clusters: clusters
                .map(|cluster| ShownCluster {
                    remote: None,
                    cluster,
                })
                .collect(),
            clusters_total: report.clusters_total,
        }
    }

    /// Prints it, in another format than JSON.
    fn print(&self, context: &Context) {
        match context.global.format {
            Format::Markdown => context.output.data(markdown::report(self)),
            _ => print::print(context, self),
        }
    }
}

/// Shows why the trials of some runs failed.
///
/// # Errors
///
/// What is wrong with the options, and why the daemon cannot answer.
pub(super) async fn run(context: &Context, args: &RunsFailures) -> Result<(), Failure> {
    let query = query(context, args)?;
    match SeveralRemotes::of(context)?.filter(|several| several.remotes.len() > 1) {
        Some(several) => Box::pin(several::run(context, &several, query)).await,
        None => ask(context, &query).await,
    }
}

/// Asks about the runs of one remote, and prints its report.
async fn ask(context: &Context, query: &FailuresQuery) -> Result<(), Failure> {
    let requester = Requester::new(context)?;
    // Without a daemon that is what is said, and the remote is not asked about statuses.
    let client = requester.daemon().await?;
    for status in &query.filter.status {
        check_status(&requester, RequestedList::AllTrials, status).await?;
    }
    let answered = fetch(context, &client, query).await?;
    if context.global.format == Format::Json {
        print_json(context, &body_text(&answered.body), &answered);
    } else {
        Shown::of_one(&read(&answered)?).print(context);
    }
    context.output.flush()?;
    report_age(context, &answered.freshness);
    Ok(())
}

/// Asks the daemon about the runs of one remote.
async fn fetch(
    context: &Context,
    client: &Client,
    query: &FailuresQuery,
) -> Result<Response, Failure> {
    let answer = client.failures(query, context.global.allowed()).await;
    take_answer(context, client, answer)
}

fn read(answered: &Response) -> Result<FailureReport, Failure> {
    serde_json::from_slice(&answered.body).map_err(unreadable)
}

fn query(context: &Context, args: &RunsFailures) -> Result<FailuresQuery, Failure> {
    Ok(FailuresQuery {
        runs: args.run_ids.clone(),
        filter: ListQuery {
            limit: args.limit,
            offset: 0,
            status: args.status.iter().map(|s| s.trim().to_owned()).collect(),
            search: args.search.clone().filter(|text| !text.is_empty()),
            since: point_in_time(context, args.created.since.as_deref())?,
            until: point_in_time(context, args.created.until.as_deref())?,
            sort: None,
            trials: runs_trials::filter(&args.filters)?,
        },
    })
}
