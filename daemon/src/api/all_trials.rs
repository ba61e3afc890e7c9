//! Trials of all evaluation runs in one list.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use bytes::Bytes;
use docks_proto::freshness::{AnsweredBy, CachePolicy};
use docks_proto::query::{DEFAULT_LIMIT, ListKind, ListQuery};
use docks_proto::routes::RunKind;

use super::error::ApiError;
use super::extract::PathIds;
use super::revalidate::{FreshnessRequirement, ListRows, read_through, revalidate_list};
use super::run::cache_key;
use super::status_seen::all_statuses_seen;
use super::wait_for_first_sweep::{missing_rows, wait_for_first_sweep};
use super::{Service, respond};
use crate::list_response::{ListResponse, Volatility};
use crate::registry::MirroredRemote;
use docksd_mirror::{AgeOfTrials, Confirmation, MirrorError, Resource, StatusScope, UnsettledRun};
use docksd_remote::RemoteError;
use docksd_sync::FetchKey;

/// Runs that are checked for trials that are not mirrored, or may still change.
const MAX_RUNS_CHECKED: usize = 10_000;
/// Runs whose missing trials one request waits for. More of them are left to the backfill.
const MAX_RUNS_FETCHED: usize = 50;
/// Active runs of a metered remote that count as watched when a client lists all trials.
const MAX_METERED_RUNS_WATCHED: usize = 10;
/// How often trials are fetched for one request while runs start or change.
const MAX_ATTEMPTS: usize = 5;
/// How long a request waits for trials that were never mirrored.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);

/// `GET /tenants/{tenant}/harbor/trials`
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    PathIds(tenant): PathIds<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let remote = service.open_for_reading(&headers, Some(&tenant)).await?;
    let requirement = service.freshness_requirement(&headers);
    let cache_key = cache_key(&uri);
    let now = service.monotonic_time();
    if let Some(response) = respond::cached_list(&remote, cache_key, requirement, now) {
        return Ok(response);
    }
    let query = ListQuery::parse(
        ListKind::AllTrials,
        uri.query().unwrap_or(""),
        DEFAULT_LIMIT,
    )?;
    let (mirror, wanted) = (&remote.mirror, &query);
    let found = read_fresh(&remote, requirement, |age| async move {
        let listing = mirror.list_all_trials(wanted, age).await?;
        let confirmed = listing.confirmation.clone();
        Ok((listing, confirmed))
    });
    let found = found.await?;
    let listing = &found.rows;
    let seen = all_statuses_seen(&remote, StatusScope::Trials, &query, listing.total).await?;
    let body = (listing.body.clone(), listing.total);
    let list = found
        .response(body, &remote, requirement)?
        .with_status_seen(seen);
    let now = service.monotonic_time();
    Ok(respond::list(
        &remote,
        cache_key,
        list,
        found.answered_by,
        now,
    ))
}

/// What was read of the trials of all runs, as fresh as a request needs it.
pub(super) struct FreshTrials<T> {
    pub(super) rows: T,
    pub(super) answered_by: AnsweredBy,
    /// Version of the mirror before it was read.
    version: u64,
    unsettled: Vec<UnsettledRun>,
    confirmed: Confirmation,
}

/// Makes the trials of all runs fresh enough for a request, and reads them: `read` also returns the confirmation.
pub(super) async fn read_fresh<T, F>(
    remote: &MirroredRemote,
    requirement: FreshnessRequirement,
    read: impl Fn(AgeOfTrials) -> F,
) -> Result<FreshTrials<T>, ApiError>
where
    F: Future<Output = Result<(T, Option<Confirmation>), MirrorError>>,
{
    let kind = RunKind::Evaluation;
    let mut answered_by = revalidate_list(remote, kind, ListRows::All, requirement).await?;
    wait_for_first_sweep(remote, kind, requirement.policy).await?;
    let age = if requirement.accepts_any_age() {
        AgeOfTrials::Unsettled
    } else {
        AgeOfTrials::All
    };
    let mut attempts = 0;
    loop {
        if fetch_trials(remote, requirement).await? {
            answered_by = AnsweredBy::Remote;
        }
        let version = remote.mirror.data_version();
        let unsettled = remote.mirror.unsettled_runs(MAX_RUNS_CHECKED).await?;
        let (rows, confirmed) = read(age).await?;
        let confirmed = confirmed.ok_or(ApiError::NotCached)?;
        if confirmed.at >= requirement.oldest_acceptable() {
            mark_active_runs_watched(remote, &unsettled);
            return Ok(FreshTrials {
                rows,
                answered_by,
                version,
                unsettled,
                confirmed,
            });
        }
        // A run has started or changed since its trials were fetched.
        attempts += 1;
        if attempts == MAX_ATTEMPTS {
            let why = "the runs change faster than their trials can be read".to_owned();
            let error = RemoteError::InvalidResponse { why };
            return Err(ApiError::FreshnessUnmet(error.into()));
        }
    }
}

impl<T> FreshTrials<T> {
    /// Takes the rows out.
    pub(super) fn split(self) -> (T, FreshTrials<()>) {
        let rest = FreshTrials {
            rows: (),
            answered_by: self.answered_by,
            version: self.version,
            unsettled: self.unsettled,
            confirmed: self.confirmed,
        };
        (self.rows, rest)
    }

    /// Makes the response of a body with the number of its rows before a cut.
    ///
    /// # Errors
    ///
    /// That of the mirror, if it is in trouble and the remote can still give everything.
    pub(super) fn response(
        &self,
        body: (Bytes, u64),
        remote: &MirroredRemote,
        requirement: FreshnessRequirement,
    ) -> Result<ListResponse, ApiError> {
        let mut incomplete = missing_rows(remote, &self.confirmed, requirement.policy)?;
        if incomplete.is_none() && self.unsettled.iter().any(|run| run.due) {
            incomplete = Some("the trials of some runs are not mirrored yet");
        }
        let active = self.unsettled.iter().any(|run| run.active);
        let list = ListResponse::new(
            self.version,
            body,
            self.confirmed.clone(),
            Resource::List(RunKind::Evaluation),
            Volatility::Changing { active },
        );
        Ok(list.with_incomplete(incomplete))
    }
}

/// Fetches the trials that are older than the request allows, of ended runs, too; or, if it allows any age, those
/// that were not mirrored when their run ended, one run after the other, unless there are too many.
///
/// Returns whether any were fetched.
async fn fetch_trials(
    remote: &MirroredRemote,
    requirement: FreshnessRequirement,
) -> Result<bool, ApiError> {
    if requirement.policy == CachePolicy::OnlyIfCached {
        return Ok(false);
    }
    if requirement.accepts_any_age() && remote.sync.reading().is_some() {
        return Ok(false);
    }
    if !requirement.accepts_any_age() {
        let since = requirement.oldest_acceptable();
        if remote.mirror.runs_with_trials_due_since(since).await? == 0 {
            return Ok(false);
        }
        let confirmed = remote.sync.confirm_all_trials(since).await;
        confirmed.map_err(ApiError::FreshnessUnmet)?;
        return Ok(true);
    }
    let unsettled = remote.mirror.unsettled_runs(MAX_RUNS_CHECKED).await?;
    let missing: Vec<&UnsettledRun> = unsettled.iter().filter(|run| run.due).collect();
    let too_many = missing.len() > MAX_RUNS_FETCHED && is_metered(remote);
    if missing.is_empty() || too_many {
        return Ok(false);
    }
    let fetch = async {
        for run in missing {
            // After a failure these trials are missing, and the response says so.
            let fetched = read_through(remote, trials_of(run), requirement.not_before());
            if let Err(error) = fetched.await {
                tracing::debug!(
                    run = run.id,
                    error = docks_proto::error::error_chain(&error),
                    "could not fetch trials"
                );
            }
        }
    };
    Ok(tokio::time::timeout(FETCH_TIMEOUT, fetch).await.is_ok())
}

fn trials_of(run: &UnsettledRun) -> FetchKey {
    FetchKey::Trials(run.id.clone())
}

/// Tells the sync engine that a client is interested in the trials of active runs.
fn mark_active_runs_watched(remote: &MirroredRemote, unsettled: &[UnsettledRun]) {
    let max = if is_metered(remote) {
        MAX_METERED_RUNS_WATCHED
    } else {
        MAX_RUNS_CHECKED
    };
    for run in unsettled.iter().filter(|run| run.active).take(max) {
        remote.sync.mark_watched(&Resource::Trials(run.id.clone()));
    }
}

/// Whether requests to the remote count against a budget.
fn is_metered(remote: &MirroredRemote) -> bool {
    !matches!(remote.kind, "harbor_jobs" | "harbor_server")
}
