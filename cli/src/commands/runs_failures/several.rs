//! Why trials of several remotes failed: each remote is asked about its own runs, and their clusters are merged.
//!
//! Rates and their intervals are made of attempts by task, which only the daemons' mirrors know, so each remote keeps
//! its own.

use std::collections::BTreeMap;

use docks_proto::comparison::RateFigure;
use docks_proto::failures::{
    AnalysedRun, CauseCount, ClassCount, FailureClass, FailureCluster, FailureReport, FailuresQuery,
};
use docks_proto::freshness::Freshness;
use futures_util::future::join_all;
use serde::Serialize;

use super::{Shown, ShownCluster, fetch, read};
use crate::args::Format;
use crate::ask::{NamedRemote, Requester, SeveralRemotes};
use crate::commands::listing::{RequestedList, check_statuses};
use crate::commands::of_several::{Unanswered, Wanted};
use crate::commands::print_object::{print_json_text, report_remote_age};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::json::{self, RemoteMeta};

/// What one remote answered.
struct RemoteReport<'a> {
    remote: &'a NamedRemote,
    report: FailureReport,
    freshness: Freshness,
}

/// Shows why trials failed, of runs that may be in several remotes.
///
/// # Errors
///
/// When a run is in none of them or in several, and, after the others were printed, when a remote gave no answer.
pub(super) async fn run(
    context: &Context,
    several: &SeveralRemotes,
    query: FailuresQuery,
) -> Result<(), Failure> {
    let requested = requested(context, several, &query).await?;
    // What all runs are in is asked as if it were the only one.
    if let ([(remote, query)], true) = (&requested.queries[..], requested.unknown.is_empty()) {
        return super::ask(&remote.context, query).await;
    }
    check_statuses(several, RequestedList::AllTrials, &query.filter).await?;
    let asking = requested.queries.iter().map(|(remote, query)| async move {
        let client = Requester::new(&remote.context)?.daemon().await?;
        let answered = fetch(&remote.context, &client, query).await?;
        let report = read(&answered)?;
        Ok::<_, Failure>(RemoteReport {
            remote,
            report,
            freshness: answered.freshness,
        })
    });
    let mut unanswered = Unanswered::of(several);
    let mut answered = Vec::new();
    for ((remote, _), outcome) in requested.queries.iter().zip(join_all(asking).await) {
        match outcome {
            Ok(report) => answered.push(report),
            Err(failure) => unanswered.add(remote, failure),
        }
    }
    if answered.is_empty() {
        let mut failures = unanswered.failures.into_iter();
        let first = failures.next().map(|(name, mut failure)| {
            failure.message = format!("{name}: {}", failure.message);
            failure
        });
        return Err(first
            .or_else(|| requested.unknown.into_iter().next())
            .unwrap_or_else(|| Failure::failed("no remote gave an answer")));
    }
    let shown = merge(&answered, query.filter.limit);
    if context.global.format == Format::Json {
        print_json(context, &answered, &shown, &unanswered);
    } else {
        shown.print(context);
    }
    context.output.flush()?;
    for own in &answered {
        report_remote_age(context, &own.remote.name, &own.freshness);
    }
    unanswered.report(context);
    for failure in &requested.unknown {
        context.output.warn(&failure.message);
    }
    unanswered.into_result()?;
    match requested.unknown.len() {
        0 => Ok(()),
        count => Err(Failure::failed(format!(
            "{count} of {} runs could not be looked up",
            query.runs.len()
        ))),
    }
}

/// What each remote is asked.
struct Requested<'a> {
    queries: Vec<(&'a NamedRemote, FailuresQuery)>,
    /// Why it is not known which remote has some of the runs.
    unknown: Vec<Failure>,
}

/// Divides the runs among the remotes that have them; all are asked about all of theirs if none is named.
async fn requested<'a>(
    context: &Context,
    several: &'a SeveralRemotes,
    query: &FailuresQuery,
) -> Result<Requested<'a>, Failure> {
    let mut unknown = Vec::new();
    let mut of_remote: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for run in &query.runs {
        let found = several.find(context, Wanted::Evaluation, run, false).await;
        match found {
            Ok(found) => of_remote.entry(found.index).or_default().push(found.id),
            Err(failure) if is_about_the_run(&failure) => return Err(failure),
            Err(failure) => unknown.push(failure),
        }
    }
    if query.runs.is_empty() {
        of_remote = (0..several.remotes.len())
            .map(|at| (at, Vec::new()))
            .collect();
    }
    let queries = of_remote.into_iter().filter_map(|(at, runs)| {
        let query = FailuresQuery {
            runs,
            filter: query.filter.clone(),
        };
        Some((several.remotes.get(at)?, query))
    });
    Ok(Requested {
        queries: queries.collect(),
        unknown,
    })
}

/// Whether what was asked for cannot be answered, as opposed to a remote that does not answer.
fn is_about_the_run(failure: &Failure) -> bool {
    matches!(failure.kind, Kind::NotFound | Kind::Ambiguous | Kind::Usage)
}

/// Merges the clusters, biggest first, and keeps as many as are asked for; 0 is all.
fn merge<'a>(answered: &'a [RemoteReport<'_>], limit: u64) -> Shown<'a> {
    let clusters = answered.iter().flat_map(|own| {
        own.report.clusters.iter().map(|cluster| ShownCluster {
            remote: Some(&own.remote.name),
            cluster,
        })
    });
    let mut clusters: Vec<ShownCluster<'_>> = clusters.collect();
    // Stable: those of equal size stay in the order of the remotes.
    clusters.sort_by_key(|shown| std::cmp::Reverse(shown.cluster.trials));
    if limit > 0 {
        clusters.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    let reports = answered.iter();
    Shown {
        reports: reports
            .map(|own| (Some(own.remote.name.as_str()), &own.report))
            .collect(),
        clusters,
        clusters_total: answered.iter().map(|own| own.report.clusters_total).sum(),
    }
}

/// An object, and its remote if there are several.
#[derive(Serialize)]
pub(super) struct Named<'a, T> {
    #[serde(flatten)]
    value: &'a T,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote: Option<&'a str>,
}

impl<'a> ShownCluster<'a> {
    /// Returns the cluster as JSON has it.
    pub(super) fn named(self) -> Named<'a, FailureCluster> {
        Named {
            value: self.cluster,
            remote: self.remote,
        }
    }
}

/// How many trials there are, and the rates of those of one remote.
#[derive(Serialize)]
struct Figures {
    trials: u64,
    ended: u64,
    solved: u64,
    undecided: u64,
    failures: u64,
    rate: Option<RateFigure>,
    rate_of_valid: Option<RateFigure>,
    rate_without_infrastructure: Option<RateFigure>,
}

impl Figures {
    fn of(report: &FailureReport) -> Self {
        Self {
            trials: report.trials,
            ended: report.ended,
            solved: report.solved,
            undecided: report.undecided,
            failures: report.failures,
            rate: report.rate,
            rate_of_valid: report.rate_of_valid,
            rate_without_infrastructure: report.rate_without_infrastructure,
        }
    }
}

/// A report over several remotes: that of one, with sums. Rates are those of the remotes.
#[derive(Serialize)]
struct MergedReport<'a> {
    runs: Vec<Named<'a, AnalysedRun>>,
    #[serde(flatten)]
    sums: Figures,
    classes: Vec<ClassCount>,
    clusters: Vec<Named<'a, FailureCluster>>,
    clusters_total: u64,
    remotes: Vec<RemoteFigures<'a>>,
}

/// What is said of one of several remotes.
#[derive(Serialize)]
struct RemoteFigures<'a> {
    remote: &'a str,
    #[serde(flatten)]
    figures: Figures,
}

fn print_json(
    context: &Context,
    answered: &[RemoteReport<'_>],
    shown: &Shown<'_>,
    unanswered: &Unanswered,
) {
    let sum =
        |count: fn(&FailureReport) -> u64| answered.iter().map(|own| count(&own.report)).sum();
    let runs = answered.iter().flat_map(|own| {
        own.report.runs.iter().map(|run| Named {
            value: run,
            remote: Some(&*own.remote.name),
        })
    });
    let remotes = answered.iter().map(|own| RemoteFigures {
        remote: &own.remote.name,
        figures: Figures::of(&own.report),
    });
    let merged = MergedReport {
        runs: runs.collect(),
        sums: Figures {
            trials: sum(|report| report.trials),
            ended: sum(|report| report.ended),
            solved: sum(|report| report.solved),
            undecided: sum(|report| report.undecided),
            failures: sum(|report| report.failures),
            rate: None,
            rate_of_valid: None,
            rate_without_infrastructure: None,
        },
        classes: classes(answered.iter().flat_map(|own| &own.report.classes)),
        clusters: shown.clusters.iter().map(|shown| shown.named()).collect(),
        clusters_total: shown.clusters_total,
        remotes: remotes.collect(),
    };
    let mut text = serde_json::to_string(&merged).expect("it contains only text and numbers");
    let oldest = answered.iter().max_by_key(|own| own.freshness.age);
    if let Some(oldest) = oldest.filter(|_| context.global.meta) {
        let answered = answered.iter();
        let answered = answered.map(|own| RemoteMeta::answered(&own.remote.name, &own.freshness));
        let meta: Vec<RemoteMeta<'_>> = answered.chain(unanswered.meta()).collect();
        text = json::with_remotes_meta(&oldest.freshness, None, &meta, &text);
    }
    print_json_text(context, text);
}

/// Adds up the classes of several reports, and within them the causes.
fn classes<'a>(counts: impl Iterator<Item = &'a ClassCount>) -> Vec<ClassCount> {
    let mut sums: BTreeMap<FailureClass, (u64, u64, BTreeMap<&str, u64>)> = BTreeMap::new();
    for count in counts {
        let (trials, solved, causes) = sums.entry(count.class).or_default();
        *trials += count.trials;
        *solved += count.solved;
        for cause in &count.causes {
            *causes.entry(&cause.cause).or_default() += cause.trials;
        }
    }
    let sums = sums.into_iter().map(|(class, (trials, solved, causes))| {
        let mut causes: Vec<CauseCount> = causes
            .into_iter()
            .map(|(cause, trials)| CauseCount {
                cause: cause.to_owned(),
                trials,
            })
            .collect();
        causes.sort_by_key(|cause| std::cmp::Reverse(cause.trials));
        ClassCount {
            class,
            trials,
            solved,
            causes,
        }
    });
    sums.collect()
}
