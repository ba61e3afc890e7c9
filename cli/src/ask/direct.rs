//! Answers a request from the remote itself, with the same result as from the daemon.
//!
//! A remote supports neither filters nor order nor prefixes of ids, and how it pages is not
//! specified; all of that is done here.

use bytes::Bytes;
use docks_proto::client::{Answer, Client, ClientError, list_all_runs, list_all_trials};
use docks_proto::freshness::{AnsweredBy, CachePolicy, Freshness};
use docks_proto::object::{RawObject, RunFields};
use docks_proto::query::{ListKind, ListQuery, Row, apply_query};
use docks_proto::routes::{Action, RunKind};
use docks_proto::time::UnixMs;
use docks_proto::trial;
use std::time::Duration;

use super::request::{Request, Response};
use super::resolve::{Resolved, resolve};
use crate::failure::{Failure, Kind, default_hint};

/// Sends a request to the remote.
///
/// The inner error says that the remote gave no answer, so that another server may be asked.
///
/// # Errors
///
/// The outer failure is final: an id that matches no object or several.
pub(super) async fn send(
    client: &Client,
    request: Request<'_>,
    command_start: UnixMs,
) -> Result<Result<Response, ClientError>, Failure> {
    let outcome = match request {
        Request::Runs(kind, query) => list_runs(client, kind, query).await.map_err(Stop::Client),
        Request::Run(kind, given) => get_run(client, kind, given).await,
        Request::Trials(given, query) => list_trials(client, given, query).await,
        Request::AllTrials(query) => list_trials_of_all_runs(client, query)
            .await
            .map_err(Stop::Client),
        Request::Trial(run, trial) => get_trial(client, run, trial).await,
        Request::Files(..) => Err(Stop::Final(
            Failure::failed("only the daemon can list the files of a trial")
                .hint("start it with `docks daemon start`"),
        )),
        Request::Act(action, given) => act(client, action, given).await,
        Request::RetryTrial(..) => Err(Stop::Final(
            Failure::failed("only the daemon can run a single trial again")
                .hint("start it with `docks daemon start`"),
        )),
        Request::StopProcess(..) => Err(Stop::Final(
            Failure::failed("only the daemon can choose or kill the process of a run")
                .hint("start it with `docks daemon start`, or leave out --kill and --pid"),
        )),
    };
    match outcome {
        Ok((body, total)) => Ok(Ok(Response {
            body,
            total,
            status_seen: None,
            freshness: confirmed_at(command_start),
        })),
        Err(Stop::Client(error)) => Ok(Err(error)),
        Err(Stop::Final(failure)) => Err(failure),
    }
}

/// Returns the freshness of what the remote itself has just answered.
///
/// The start of the command is before the request, so the answer never looks younger than it is.
pub(super) fn confirmed_at(command_start: UnixMs) -> Freshness {
    Freshness {
        as_of: command_start,
        age: Duration::ZERO,
        stale_reason: None,
        incomplete: None,
        notice: None,
        answered_by: AnsweredBy::Remote,
    }
}

/// A body, and for lists the total where it is known.
type Body = (Bytes, Option<u64>);

/// Why a request has no response.
enum Stop {
    /// The remote gave no answer.
    Client(ClientError),
    /// No server could answer.
    Final(Failure),
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Self {
        Stop::Client(error)
    }
}

/// Returns whether the remote does not know an id in the form it was given.
///
/// A remote that validates ids refuses a prefix or a name with 422 instead of 404.
fn is_unknown_id(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Refused {
            status: 400 | 404 | 422,
            ..
        }
    )
}

async fn list_runs(client: &Client, kind: RunKind, query: &ListQuery) -> Result<Body, ClientError> {
    if !query.has_filters() && query.sort.is_none() && query.offset == 0 && query.limit > 0 {
        let head = list_all_runs(client, kind, Some(query.limit)).await?;
        let whole = (head.len() as u64) < query.limit;
        if whole || is_newest_first(&head) {
            let count = head.len() as u64;
            let (rows, _) = apply_query(ListKind::Runs, head, query);
            return Ok((join(&rows), whole.then_some(count)));
        }
    }
    let all = list_all_runs(client, kind, None).await?;
    let (rows, total) = apply_query(ListKind::Runs, all, query);
    Ok((join(&rows), Some(total)))
}

/// Returns whether the remote lists newest runs first, so that its first page is ours.
fn is_newest_first(rows: &[RawObject]) -> bool {
    rows.iter()
        .map(|row| Row::from_run(row).created)
        .is_sorted_by(|a, b| a >= b)
}

async fn get_run(client: &Client, kind: RunKind, given: &str) -> Result<Body, Stop> {
    match client.run(kind, given, CachePolicy::Default).await {
        Ok(answer) => Ok(body(answer)),
        Err(error) if is_unknown_id(&error) => {
            let id = full_run_id(client, kind, given).await?;
            Ok(body(client.run(kind, &id, CachePolicy::Default).await?))
        }
        Err(error) => Err(error.into()),
    }
}

async fn list_trials(client: &Client, given: &str, query: &ListQuery) -> Result<Body, Stop> {
    let (_, all) = all_trials_of_run(client, given).await?;
    let (rows, total) = apply_query(ListKind::Trials, all, query);
    Ok((join(&rows), Some(total)))
}

/// Lists the trials of one evaluation run after the other, since the remote has no such list.
async fn list_trials_of_all_runs(client: &Client, query: &ListQuery) -> Result<Body, ClientError> {
    let mut all = Vec::new();
    // Oldest first, the order in which a mirror would have stored them.
    let mut runs = list_all_runs(client, RunKind::Evaluation, None).await?;
    runs.reverse();
    for run in &runs {
        let row = Row::from_run(run);
        if RunFields::from_object(run).id.text().is_none() {
            continue;
        }
        let trials = match list_all_trials(client, &row.id).await {
            Ok(trials) => trials,
            // The run was deleted between the two requests.
            Err(error) if is_unknown_id(&error) => continue,
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

/// Fetches all trials of a run given by id, prefix or name; returns its full id, too.
async fn all_trials_of_run(client: &Client, given: &str) -> Result<(String, Vec<RawObject>), Stop> {
    match list_all_trials(client, given).await {
        Ok(all) if !all.is_empty() => return Ok((given.to_owned(), all)),
        // An empty list can mean that the remote did not look for the run itself.
        Ok(_) => {}
        Err(error) if is_unknown_id(&error) => {}
        Err(error) => return Err(error.into()),
    }
    let id = full_run_id(client, RunKind::Evaluation, given).await?;
    let all = list_all_trials(client, &id).await?;
    Ok((id, all))
}

async fn get_trial(client: &Client, run: &str, trial: &str) -> Result<Body, Stop> {
    match client.trial(run, trial, CachePolicy::Default).await {
        Ok(answer) => return Ok(body(answer)),
        Err(error) if is_unknown_id(&error) => {}
        Err(error) => return Err(error.into()),
    }
    let (run, all) = all_trials_of_run(client, run).await?;
    let rows: Vec<Row> = all.iter().map(Row::from_trial).collect();
    let id = only_match(resolve(&rows, trial), "trial", trial)?;
    Ok(body(client.trial(&run, &id, CachePolicy::Default).await?))
}

async fn act(client: &Client, action: Action, given: &str) -> Result<Body, Stop> {
    match client.perform(action, given).await {
        Ok(answer) => Ok(body(answer)),
        Err(error) if is_unknown_id(&error) => {
            let id = full_run_id(client, action.kind(), given).await?;
            if id == given {
                // The run exists, so this is the remote's answer to the action.
                return Err(error.into());
            }
            Ok(body(client.perform(action, &id).await?))
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
    only_match(resolve(&rows, given), noun, given)
}

/// Returns the only object that an id matches.
fn only_match(resolved: Resolved, noun: &str, given: &str) -> Result<String, Stop> {
    let failure = match resolved {
        Resolved::One(id) => return Ok(id),
        Resolved::Several(candidates) => Failure {
            candidates,
            ..Failure::new(
                Kind::Ambiguous,
                format!("`{given}` matches more than one {noun}"),
            )
        }
        .hint("type more of the id"),
        Resolved::NoMatch => {
            let mut failure = Failure::new(Kind::NotFound, format!("no {noun} `{given}`"));
            failure
                .hints
                .extend(default_hint(Kind::NotFound).map(str::to_owned));
            failure
        }
    };
    Err(Stop::Final(failure))
}

fn body(answer: Answer) -> Body {
    (answer.body, None)
}

/// Joins objects into a bare array, each as it arrived.
fn join(rows: &[RawObject]) -> Bytes {
    let texts: Vec<&str> = rows.iter().map(RawObject::text).collect();
    format!("[{}]", texts.join(",")).into()
}
