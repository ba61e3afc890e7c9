//! Decides whether the mirror is fresh enough for a request, and asks the remote if it is not.

use std::time::Duration;

use docks_proto::freshness::{AnsweredBy, CachePolicy, Freshness};
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use super::error::ApiError;
use crate::list_response::Volatility;
use crate::registry::MirroredRemote;
use docksd_mirror::{Confirmation, Resource};
use docksd_remote::FaultClass;
use docksd_sync::{FetchKey, SyncError};

/// How long a request waits for the remote: as long as the public Python client.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it waits when the mirror has an answer that is only too old to be sent by default.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(10);
/// An older answer is sent only if the request accepts it explicitly.
const MAX_DEFAULT_AGE: Duration = Duration::from_secs(7 * 86_400);
/// The hourly sweep confirms what has ended; after two missed ones it is stale.
const ENDED_STALE_AFTER: Duration = Duration::from_secs(2 * 3_600 + 600);

/// How fresh the response to a request must be.
#[derive(Debug, Clone, Copy)]
pub(super) struct FreshnessRequirement {
    /// How old the response may be.
    pub(super) policy: CachePolicy,
    /// When the request arrived.
    pub(super) received_at: UnixMs,
}

impl FreshnessRequirement {
    /// Whether the mirror may answer regardless of the answer's age.
    pub(super) fn accepts_any_age(&self) -> bool {
        matches!(
            self.policy,
            CachePolicy::Default | CachePolicy::OnlyIfCached
        )
    }

    /// Returns the time before which the response must not have been confirmed.
    pub(super) fn oldest_acceptable(&self) -> UnixMs {
        match self.policy {
            CachePolicy::Default | CachePolicy::OnlyIfCached => UnixMs(0),
            CachePolicy::MaxAge(max) => self.received_at.minus(max),
            CachePolicy::NoCache => self.received_at,
        }
    }

    /// Returns the earliest start of a fetch whose result is acceptable. A request that does not
    /// require a fresh answer shares a fetch that is already under way.
    pub(super) fn not_before(&self) -> UnixMs {
        if self.accepts_any_age() {
            UnixMs(0)
        } else {
            self.received_at
        }
    }
}

/// Which rows of a list of runs an answer needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListRows {
    /// Some of the newest, all of which each poll reads.
    Newest,
    /// Any.
    All,
}

/// Makes these rows of a list of runs fresh enough for the request. Returns who answered.
///
/// A request that accepts any age makes do with what polls confirm: the newest rows and all active runs.
pub(super) async fn revalidate_list(
    remote: &MirroredRemote,
    kind: RunKind,
    rows: ListRows,
    requirement: FreshnessRequirement,
) -> Result<AnsweredBy, ApiError> {
    let mut confirmed = remote.mirror.confirmation(&Resource::List(kind)).await?;
    let mut key = FetchKey::List(kind);
    if rows == ListRows::All && !requirement.accepts_any_age() {
        key = FetchKey::WholeList(kind);
        // An incomplete list says that rows are missing; those that are there are new.
        if let Some(confirmed) = confirmed.as_mut().filter(|list| list.complete) {
            confirmed.at = confirmed.at.min(remote.sync.whole_list_confirmed(kind));
        }
    }
    let volatility = Volatility::Changing { active: false };
    revalidate(remote, key, confirmed.as_ref(), volatility, requirement).await
}

/// Makes the mirror's copy of `key` fresh enough for the request. Returns who answered.
///
/// `confirmed` says when the remote last confirmed the mirror's copy; `None` if there is no copy.
pub(super) async fn revalidate(
    remote: &MirroredRemote,
    key: FetchKey,
    confirmed: Option<&Confirmation>,
    volatility: Volatility,
    requirement: FreshnessRequirement,
) -> Result<AnsweredBy, ApiError> {
    let age = |confirmed| remote.sync.freshness(Some(confirmed), false).age;
    let received_at = requirement.received_at;
    match (requirement.policy, confirmed) {
        (CachePolicy::OnlyIfCached, None) => Err(ApiError::NotCached),
        (CachePolicy::OnlyIfCached, Some(_)) => Ok(AnsweredBy::Mirror),
        (CachePolicy::NoCache, _) => fetch_fresh(remote, key, received_at).await,
        (CachePolicy::MaxAge(max), Some(confirmed)) if age(confirmed) <= max => {
            Ok(AnsweredBy::Mirror)
        }
        (CachePolicy::MaxAge(max), _) => fetch_fresh(remote, key, received_at.minus(max)).await,
        (CachePolicy::Default, None) => read_through(remote, key, UnixMs(0)).await,
        (CachePolicy::Default, Some(confirmed)) => {
            if !is_too_old(remote, confirmed, volatility) {
                return Ok(AnsweredBy::Mirror);
            }
            let since = received_at.minus(MAX_DEFAULT_AGE);
            let fetched = fetch(remote, key, since, REFRESH_TIMEOUT).await;
            fetched.map_err(FetchError::of_read)
        }
    }
}

/// Fetches what the mirror does not have, once for all requests that wait for it.
pub(super) async fn read_through(
    remote: &MirroredRemote,
    key: FetchKey,
    not_before: UnixMs,
) -> Result<AnsweredBy, ApiError> {
    let fetched = fetch(remote, key, not_before, FETCH_TIMEOUT).await;
    fetched.map_err(FetchError::of_read)
}

/// Fetches for a request that requires a fresh answer.
async fn fetch_fresh(
    remote: &MirroredRemote,
    key: FetchKey,
    not_before: UnixMs,
) -> Result<AnsweredBy, ApiError> {
    let fetched = fetch(remote, key, not_before, FETCH_TIMEOUT).await;
    fetched.map_err(|failed| match failed {
        FetchError::Remote(error) => ApiError::FreshnessUnmet(error),
        FetchError::TimedOut(limit) => ApiError::FreshnessTimedOut(limit),
    })
}

/// Why a fetch for a request failed.
enum FetchError {
    Remote(SyncError),
    /// The remote took longer than this.
    TimedOut(Duration),
}

impl FetchError {
    /// Returns the error of a request that did not require a fresh answer.
    fn of_read(self) -> ApiError {
        match self {
            Self::Remote(error) => ApiError::Sync(error),
            Self::TimedOut(limit) => ApiError::TooSlow(limit),
        }
    }
}

/// Asks the remote, for at most `limit`.
async fn fetch(
    remote: &MirroredRemote,
    key: FetchKey,
    not_before: UnixMs,
    limit: Duration,
) -> Result<AnsweredBy, FetchError> {
    match tokio::time::timeout(limit, remote.sync.refresh(key, not_before)).await {
        Ok(Ok(_)) => Ok(AnsweredBy::Remote),
        Ok(Err(error)) => Err(FetchError::Remote(error)),
        Err(_) => Err(FetchError::TimedOut(limit)),
    }
}

/// Whether an answer is so old that it is not sent by default.
pub(super) fn is_too_old(
    remote: &MirroredRemote,
    confirmed: &Confirmation,
    volatility: Volatility,
) -> bool {
    let proof = latest_proof(confirmed, volatility);
    remote.sync.freshness(Some(&proof), false).age > MAX_DEFAULT_AGE
}

/// Returns the freshness of an answer.
pub(super) fn freshness_of(
    remote: &MirroredRemote,
    confirmed: &Confirmation,
    volatility: Volatility,
    answered_by: AnsweredBy,
) -> Freshness {
    list_freshness_of(remote, None, confirmed, volatility, answered_by)
}

/// Returns the same of a list of runs of this kind, if it is one.
pub(super) fn list_freshness_of(
    remote: &MirroredRemote,
    kind: Option<RunKind>,
    confirmed: &Confirmation,
    volatility: Volatility,
    answered_by: AnsweredBy,
) -> Freshness {
    let active = volatility == Volatility::Changing { active: true };
    let mut freshness = match kind.filter(|_| answered_by == AnsweredBy::Mirror) {
        Some(kind) => remote.sync.list_freshness(kind, confirmed, active),
        None => remote.sync.freshness(Some(confirmed), active),
    };
    if let Volatility::Ended(_) = volatility {
        let proof = latest_proof(confirmed, volatility);
        let proof = remote.sync.freshness(Some(&proof), false);
        freshness.stale_reason = proof.stale_reason.filter(|_| proof.age > ENDED_STALE_AFTER);
    }
    // What has just been fetched for this request is what the remote says.
    if answered_by == AnsweredBy::Mirror
        && let Some(reason) = remote.settled_notes().unconfirmed.clone()
    {
        freshness.stale_reason = Some(reason);
    }
    freshness.answered_by = answered_by;
    freshness
}

/// Returns the age of an answer from several, which is that of the oldest; `now` if none of them has an age.
pub(super) fn oldest(ages: impl Iterator<Item = Freshness>, now: UnixMs) -> Freshness {
    let by_age = |a: Freshness, b: Freshness| {
        let incomplete = a.incomplete.clone().or_else(|| b.incomplete.clone());
        let stale_reason = a.stale_reason.clone().or_else(|| b.stale_reason.clone());
        let older = if a.as_of <= b.as_of { a } else { b };
        Freshness {
            incomplete,
            stale_reason,
            ..older
        }
    };
    ages.reduce(by_age).unwrap_or(Freshness {
        as_of: now,
        age: Duration::ZERO,
        stale_reason: None,
        incomplete: None,
        notice: None,
        answered_by: AnsweredBy::Mirror,
    })
}

/// Something that has ended does not change any more, so the last confirmation of its end counts.
fn latest_proof(confirmed: &Confirmation, volatility: Volatility) -> Confirmation {
    let mut latest = confirmed.clone();
    if let Volatility::Ended(end_confirmed_at) = volatility {
        latest.at = latest.at.max(end_confirmed_at);
    }
    latest
}

/// Whether the remote answered that the requested object does not exist.
pub(super) fn is_not_found(error: &ApiError) -> bool {
    match error {
        ApiError::Sync(error) | ApiError::FreshnessUnmet(error) => {
            error.class() == Some(FaultClass::NotFound)
        }
        _ => false,
    }
}
