//! Fetches whole lists from a remote whose paging is unknown.
//!
//! For commands that work without the daemon. How such a list is paged is decided by
//! [`ListWalk`]; this module sends the requests and collects the objects.

use std::collections::HashSet;
use std::future::Future;

use super::{Client, ClientError};
use crate::object::{RawList, RawObject, RunFields};
use crate::paging::{
    ListCapabilities, ListWalk, PageRequest, PageSummary, WalkOptions, may_refuse_limit,
};
use crate::routes::RunKind;

/// Fetches a whole list of runs, or its first `max` objects, in the remote's order.
///
/// Each object is returned once, and the requests end whatever the remote does.
///
/// # Errors
///
/// The first request that fails, refused limits and too large pages apart: part of a list is not an answer.
pub async fn list_all_runs(
    client: &Client,
    kind: RunKind,
    max: Option<u64>,
) -> Result<Vec<RawObject>, ClientError> {
    let path = client.routes().runs(kind);
    let fetch = |page: PageRequest| client.page(format!("{path}{}", page.query_string()));
    collect(WalkOptions::one_shot(max), fetch).await
}

/// Fetches all trials of a run: one answer, or several where the remote returns cursors.
///
/// # Errors
///
/// As [`list_all_runs`].
pub async fn list_all_trials(client: &Client, run: &str) -> Result<Vec<RawObject>, ClientError> {
    let path = client.routes().trials(run).map_err(ClientError::from)?;
    let fetch = |page: PageRequest| client.page(format!("{path}{}", page.query_string()));
    collect(WalkOptions::single_answer(), fetch).await
}

/// Walks through a list and returns its objects, each once.
async fn collect<F, A>(options: WalkOptions, fetch: F) -> Result<Vec<RawObject>, ClientError>
where
    F: Fn(PageRequest) -> A,
    A: Future<Output = Result<RawList, ClientError>>,
{
    // A command reads a list once, so what it learns ends with it.
    let mut learned = ListCapabilities::default();
    let mut walk = ListWalk::new(&learned, options);
    let mut objects = Vec::new();
    let mut seen = HashSet::new();
    while let Some(request) = walk.request() {
        match fetch(request).await {
            Ok(page) => {
                walk.accept(&summarise(&page), &mut learned);
                let new = |object: &RawObject| seen.insert(key(object));
                objects.extend(page.objects.into_iter().filter(new));
            }
            Err(ClientError::Refused { status, .. })
                if may_refuse_limit(status) && walk.refused(&mut learned) => {}
            // Rows that are large together come in smaller pages.
            Err(ClientError::Send(error)) if error.is_too_much() && walk.refused(&mut learned) => {}
            Err(error) => return Err(error),
        }
    }
    if let Some(max) = options.max_objects {
        objects.truncate(usize::try_from(max).unwrap_or(usize::MAX));
    }
    Ok(objects)
}

fn summarise(page: &RawList) -> PageSummary {
    PageSummary {
        ids: page.objects.iter().map(key).collect(),
        created: Vec::new(),
        len: page.objects.len(),
        next_cursor: page.next_cursor.clone(),
        total: page.total,
    }
}

/// Returns an object's id, or its text when it has none.
fn key(object: &RawObject) -> String {
    RunFields::from_object(object)
        .id
        .text()
        .unwrap_or_else(|| object.text().to_owned())
}

#[cfg(test)]
mod tests;
