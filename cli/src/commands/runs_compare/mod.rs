//! `docks runs compare`: the same tasks in several runs, side by side. The daemon compares; this asks and prints.

mod markdown;
mod print;
mod sides;
mod words;

use docks_proto::comparison::{By, Change, CompareQuery, Comparison, RunReference, TaskRow, Union};
use docks_proto::freshness::Freshness;

use crate::args::{CompareBy, OnlyChange, RunsCompare};
use crate::ask::{Requester, SeveralRemotes};
use crate::context::Context;
use crate::failure::{Failure, Kind};

use super::daemon_answer::take_answer;
use super::print_object::report_age;

pub(super) use markdown::{add_tasks_that_fell, side_table};
pub(super) use sides::Resolver;

/// Compares the other sides with the first.
///
/// # Errors
///
/// Why a run cannot be read, or no daemon answers.
pub(super) async fn run(context: &Context, args: &RunsCompare) -> Result<(), Failure> {
    let several = SeveralRemotes::of(context)?.filter(|several| several.remotes.len() > 1);
    let resolver = Resolver {
        context,
        several: several.as_ref(),
    };
    let sides: Vec<&[String]> = if args.first.is_empty() {
        args.run_ids.iter().map(std::slice::from_ref).collect()
    } else {
        vec![&args.first, &args.second]
    };
    let mut query = CompareQuery {
        metric: args.figure.metric.clone(),
        margin: args.figure.margin,
        on_these_tasks: args.on_these_tasks,
        by: match args.by {
            CompareBy::Task => By::Task,
            CompareBy::Agent => By::Agent,
            CompareBy::Model => By::Model,
            CompareBy::Dataset => By::Dataset,
        },
        union: match (args.latest, args.best) {
            (true, _) => Union::Latest,
            (_, true) => Union::Best,
            _ => Union::All,
        },
        ..CompareQuery::default()
    };
    for side in sides {
        let mut runs: Vec<RunReference> = Vec::new();
        for run in side {
            runs.push(resolver.run(run).await?);
        }
        query.sides.push(runs);
    }
    let (mut comparison, freshness) = ask(&resolver, &query).await?;
    comparison.tasks.retain(|row| is_shown(row, args));
    print::print(context, &comparison, &freshness)?;
    report_age(context, &freshness);
    Ok(())
}

/// Asks the daemon for a comparison.
///
/// # Errors
///
/// Why no daemon answers, or what it refused.
pub(super) async fn ask(
    resolver: &Resolver<'_>,
    query: &CompareQuery,
) -> Result<(Comparison, Freshness), Failure> {
    let context = resolver.context;
    let client = Requester::new(resolver.asked())?.daemon().await?;
    let answer = client.compare(query, context.global.allowed()).await;
    let response = take_answer(context, &client, answer)?;
    let comparison = serde_json::from_slice(&response.body)
        .map_err(|error| Failure::chain(Kind::Failed, "could not read the comparison", &error))?;
    Ok((comparison, response.freshness))
}

fn is_shown(row: &TaskRow, args: &RunsCompare) -> bool {
    let only = |change: OnlyChange| {
        row.change
            == Some(match change {
                OnlyChange::Better => Change::Better,
                OnlyChange::Worse => Change::Worse,
                OnlyChange::Unclear => Change::Unclear,
            })
    };
    let differs = row.change.is_some_and(|change| change != Change::Same);
    (args.only.is_empty() || args.only.iter().any(|change| only(*change)))
        && (!args.changed || differs)
}
