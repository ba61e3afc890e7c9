//! Answers the daemon's questions from the remote itself.
//!
//! The remote knows neither filters nor order nor prefixes, and its paging is
//! not known; what comes out is the same as from the daemon.

use bytes::Bytes;
use docks_proto::client::{Answer, Client, ClientError, list_all_runs, list_all_trials};
use docks_proto::freshness::{AnsweredBy, CachePolicy, Freshness};
use docks_proto::object::{RawObject, RunFields};
use docks_proto::query::{ListKind, ListQuery, Row, apply_query};
use docks_proto::routes::{Action, RunKind};
use docks_proto::time::UnixMs;
use docks_proto::trial;
use std::time::Duration;

use super::request::{Answered, Question};
use super::resolve::{Fit, resolve};
use crate::failure::{Failure, Kind, usual_hint};

/// An answer, a failure to get one, or in the outer place a failure of our own making.
type Asked = Result<Result<Answered, ClientError>, Failure>;

/// Asks the remote.
///
/// # Errors
///
/// The outer failure is final: an id that fits nothing or several objects.
pub(super) async fn ask(client: &Client, question: Question<'_>, began: UnixMs) -> Asked {
    let done = match question {
        Question::Runs(kind, query) => runs(client, kind, query).await.map_err(Stop::Client),
        Question::Run(kind, given) => run(client, kind, given).await,
        Question::Trials(given, query) => trials(client, given, query).await,
        Question::AllTrials(query) => all_trials(client, query).await.map_err(Stop::Client),
        Question::Trial(run, trial) => one_trial(client, run, trial).await,
        Question::Act(action, given) => act(client, action, given).await,
        Question::Kill(..) => Err(Stop::Failure(
            Failure::failed("only the daemon can kill the process of a run")
                .hint("start it with `docks daemon start`, or leave out --kill"),
        )),
    };
    match done {
        Ok((body, total)) => Ok(Ok(Answered {
            body,
            total,
            status_seen: None,
            freshness: fresh(began),
        })),
        Err(Stop::Client(error)) => Ok(Err(error)),
        Err(Stop::Failure(failure)) => Err(failure),
    }
}

/// Freshness of what the remote itself has just said.
///
/// The command's beginning is before the request's, so it is never too young.
pub(super) fn fresh(began: UnixMs) -> Freshness {
    Freshness {
        as_of: began,
        age: Duration::ZERO,
        stale_reason: None,
        answered_by: AnsweredBy::Remote,
    }
}

/// Body, and for lists the total where it is known.
type Found = (Bytes, Option<u64>);

enum Stop {
    Client(ClientError),
    Failure(Failure),
}

impl std::convert::From<ClientError> for Stop {
    fn from(error: ClientError) -> Self {
        Stop::Client(error)
    }
}

/// Tells whether the remote does not know an id as it was given.
///
/// A remote that checks the form of ids answers a prefix or a name with 422 instead of 404.
fn unknown(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Refused {
            status: 400 | 404 | 422,
            ..
        }
    )
}

async fn runs(client: &Client, kind: RunKind, query: &ListQuery) -> Result<Found, ClientError> {
    if !query.has_filters() && query.sort.is_none() && query.offset == 0 && query.limit > 0 {
        let head = list_all_runs(client, kind, Some(query.limit)).await?;
        let whole = (head.len() as u64) < query.limit;
        if whole || newest_first(&head) {
            let count = head.len() as u64;
            let (rows, _) = apply_query(ListKind::Runs, head, query);
            return Ok((join(&rows), whole.then_some(count)));
        }
    }
    let all = list_all_runs(client, kind, None).await?;
    let (rows, total) = apply_query(ListKind::Runs, all, query);
    Ok((join(&rows), Some(total)))
}

/// Tells whether the head of the remote's list is the head of ours.
fn newest_first(rows: &[RawObject]) -> bool {
    rows.iter()
        .map(|row| Row::from_run(row).created)
        .is_sorted_by(|a, b| a >= b)
}

async fn run(client: &Client, kind: RunKind, given: &str) -> Result<Found, Stop> {
    match client.run(kind, given, CachePolicy::Default).await {
        Ok(answer) => Ok(found(answer)),
        Err(error) if unknown(&error) => {
            let id = full_run_id(client, kind, given).await?;
            Ok(found(client.run(kind, &id, CachePolicy::Default).await?))
        }
        Err(error) => Err(error.into()),
    }
}

async fn trials(client: &Client, given: &str, query: &ListQuery) -> Result<Found, Stop> {
    let (_, all) = trials_of(client, given).await?;
    let (rows, total) = apply_query(ListKind::Trials, all, query);
    Ok((join(&rows), Some(total)))
}

/// Goes over the evaluation runs one after the other, since the remote knows no such list.
async fn all_trials(client: &Client, query: &ListQuery) -> Result<Found, ClientError> {
    let mut all = Vec::new();
    // Oldest first, as a mirror would have come to know them.
    let mut runs = list_all_runs(client, RunKind::Evaluation, None).await?;
    runs.reverse();
    for run in &runs {
        let row = Row::from_run(run);
        if RunFields::from_object(run).id.text().is_none() {
            continue;
        }
        let trials = match list_all_trials(client, &row.id).await {
            Ok(trials) => trials,
            // It went between the two requests.
            Err(error) if unknown(&error) => continue,
            Err(error) => return Err(error),
        };
        for trial in &trials {
            let marked = trial::add_run_reference(trial.text(), &row.id, &row.name)
                .ok()
                .and_then(|text| RawObject::parse(&text).ok().flatten());
            all.extend(marked);
        }
    }
    let (rows, total) = apply_query(ListKind::AllTrials, all, query);
    Ok((join(&rows), Some(total)))
}

/// Fetches all trials of a run that is given by id, prefix or name; returns its full id, too.
async fn trials_of(client: &Client, given: &str) -> Result<(String, Vec<RawObject>), Stop> {
    match list_all_trials(client, given).await {
        Ok(all) if !all.is_empty() => return Ok((given.to_owned(), all)),
        // None can mean that the remote looks for trials, not for the run.
        Ok(_) => {}
        Err(error) if unknown(&error) => {}
        Err(error) => return Err(error.into()),
    }
    let id = full_run_id(client, RunKind::Evaluation, given).await?;
    let all = list_all_trials(client, &id).await?;
    Ok((id, all))
}

async fn one_trial(client: &Client, run: &str, trial: &str) -> Result<Found, Stop> {
    match client.trial(run, trial, CachePolicy::Default).await {
        Ok(answer) => return Ok(found(answer)),
        Err(error) if unknown(&error) => {}
        Err(error) => return Err(error.into()),
    }
    let (run, all) = trials_of(client, run).await?;
    let rows: Vec<Row> = all.iter().map(Row::from_trial).collect();
    let id = one(resolve(&rows, trial), "trial", trial)?;
    Ok(found(client.trial(&run, &id, CachePolicy::Default).await?))
}

async fn act(client: &Client, action: Action, given: &str) -> Result<Found, Stop> {
    match client.perform(action, given).await {
        Ok(answer) => Ok(found(answer)),
        Err(error) if unknown(&error) => {
            let id = full_run_id(client, action.kind(), given).await?;
            if id == given {
                // The run is there, so this is what the remote thinks of the action.
                return Err(error.into());
            }
            Ok(found(client.perform(action, &id).await?))
        }
        Err(error) => Err(error.into()),
    }
}

async fn full_run_id(client: &Client, kind: RunKind, given: &str) -> Result<String, Stop> {
    let all = list_all_runs(client, kind, None).await?;
    let rows: Vec<Row> = all.iter().map(Row::from_run).collect();
    let noun = match kind {
        RunKind::Run => "run",
        RunKind::Evaluation => "evaluation run",
    };
    one(resolve(&rows, given), noun, given)
}

/// Takes the one object that an id fits.
fn one(fit: Fit, noun: &str, given: &str) -> Result<String, Stop> {
    let failure = match fit {
        Fit::One(id) => return Ok(id),
        Fit::Several(candidates) => Failure {
            candidates,
            ..Failure::new(
                Kind::Ambiguous,
                format!("`{given}` fits more than one {noun}"),
            )
        }
        .hint("give more of the id"),
        Fit::Nothing => {
            let mut failure = Failure::new(Kind::NotFound, format!("no {noun} `{given}`"));
            failure
                .hints
                .extend(usual_hint(Kind::NotFound).map(str::to_owned));
            failure
        }
    };
    Err(Stop::Failure(failure))
}

fn found(answer: Answer) -> Found {
    (answer.body, None)
}

/// Writes the objects as a bare array, each as it arrived.
fn join(rows: &[RawObject]) -> Bytes {
    let texts: Vec<&str> = rows.iter().map(RawObject::text).collect();
    format!("[{}]", texts.join(",")).into()
}
