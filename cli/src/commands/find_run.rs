//! Finds a run by its id, a prefix of it or its name, whatever kind it is.

use docks_proto::object::RawObject;
use docks_proto::routes::RunKind;

use super::print_object::{body_text, parse_object};
use crate::ask::{Request, Requester};
use crate::failure::{Failure, Kind};

/// Finds a run of one kind.
///
/// # Errors
///
/// Why there is none.
pub(super) async fn find_of_kind(
    requester: &Requester<'_>,
    kind: RunKind,
    given: &str,
) -> Result<RawObject, Failure> {
    let response = requester.request(Request::Run(kind, given)).await?;
    parse_object(&body_text(&response.body))
}

/// Finds an evaluation run or else a plain run.
///
/// # Errors
///
/// As [`find_of_kind`]; if there is neither, what is said of plain runs.
pub(super) async fn find_of_any_kind(
    requester: &Requester<'_>,
    given: &str,
) -> Result<(RunKind, RawObject), Failure> {
    if let Some(found) = evaluation(requester, given).await? {
        return Ok(found);
    }
    let plain = find_of_kind(requester, RunKind::Run, given).await?;
    // A Harbor job is both: it may have started since the first request. As a plain run it has no trials.
    let again = evaluation(requester, given).await?;
    Ok(again.unwrap_or((RunKind::Run, plain)))
}

async fn evaluation(
    requester: &Requester<'_>,
    given: &str,
) -> Result<Option<(RunKind, RawObject)>, Failure> {
    match find_of_kind(requester, RunKind::Evaluation, given).await {
        Ok(object) => Ok(Some((RunKind::Evaluation, object))),
        Err(failure) if failure.kind == Kind::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}
