//! Answers that only the daemon gives.

use std::time::Duration;

use docks_proto::client::{Answer, Client, ClientError};
use docks_proto::freshness::{AnsweredBy, Freshness};

use crate::ask::Response;
use crate::context::Context;
use crate::failure::{Answerer, Failure, Kind};

/// Takes the daemon's answer, which always includes its freshness, and prints the exchanges of `--debug`.
///
/// # Errors
///
/// What the daemon refused, or why it did not answer.
pub(super) fn take_answer(
    context: &Context,
    client: &Client,
    answer: Result<Answer, ClientError>,
) -> Result<Response, Failure> {
    context
        .output
        .debug_exchanges(Answerer::Daemon.name(), client);
    let answer = answer.map_err(|error| Failure::from_client_error(&error, Answerer::Daemon))?;
    let unknown = || Freshness {
        as_of: context.now,
        age: Duration::ZERO,
        stale_reason: None,
        incomplete: None,
        notice: None,
        answered_by: AnsweredBy::Mirror,
    };
    Ok(Response {
        freshness: answer.freshness.unwrap_or_else(unknown),
        total: answer.total,
        status_seen: answer.status_seen,
        body: answer.body,
    })
}

/// Returns the failure for an answer that is not what it should be.
pub(super) fn unreadable(error: serde_json::Error) -> Failure {
    Failure::chain(Kind::Failed, "could not read the answer", &error)
}
