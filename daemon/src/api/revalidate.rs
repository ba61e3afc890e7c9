//! How fresh an answer has to be, and getting it there.

use std::time::Duration;

use docks_proto::freshness::{AnsweredBy, CachePolicy, Freshness};
use docks_proto::time::UnixMs;

use super::error::ApiError;
use crate::list_response::Volatility;
use crate::registry::MirroredRemote;
use docksd_mirror::Confirmation;
use docksd_remote::FaultClass;
use docksd_sync::{FetchKey, SyncError};

/// How long a request waits for the remote: as long as the public Python client.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it waits when there is an answer, which is only too old to be given unasked.
const SHORT_PATIENCE: Duration = Duration::from_secs(10);
/// An answer beyond this age is not given unless it is asked for.
const TOO_OLD: Duration = Duration::from_secs(7 * 86_400);
/// What has ended is confirmed by the hourly sweep; two missed ones make it old.
const ENDED_BOUND: Duration = Duration::from_secs(2 * 3_600 + 600);

/// What one request asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    /// How old the answer may be.
    pub(super) allowed: CachePolicy,
    /// When the request began.
    pub(super) began: UnixMs,
}

impl Ask {
    /// Tells whether the mirror answers without a look at the answer's age.
    pub(super) fn takes_anything(&self) -> bool {
        matches!(
            self.allowed,
            CachePolicy::Default | CachePolicy::OnlyIfCached
        )
    }

    /// Returns when a request must have begun whose answer will do: whoever does not ask for a
    /// fresh one shares the request that is under way.
    pub(super) fn not_before(&self) -> UnixMs {
        if self.takes_anything() {
            UnixMs(0)
        } else {
            self.began
        }
    }
}

/// Makes the mirror's state of `want` good enough for `ask`; tells whether the remote was asked.
///
/// `confirmed` is when the mirror's state was confirmed, `None` when it has none.
pub(super) async fn freshen(
    source: &MirroredRemote,
    want: FetchKey,
    confirmed: Option<&Confirmation>,
    volatility: Volatility,
    ask: Ask,
) -> Result<AnsweredBy, ApiError> {
    let age = |confirmed| source.sync.freshness(Some(confirmed), false).age;
    match (ask.allowed, confirmed) {
        (CachePolicy::OnlyIfCached, None) => Err(ApiError::NotCached),
        (CachePolicy::OnlyIfCached, Some(_)) => Ok(AnsweredBy::Mirror),
        (CachePolicy::NoCache, _) => met(source, want, ask.began).await,
        (CachePolicy::MaxAge(most), Some(confirmed)) if age(confirmed) <= most => {
            Ok(AnsweredBy::Mirror)
        }
        (CachePolicy::MaxAge(most), _) => met(source, want, ask.began.minus(most)).await,
        (CachePolicy::Default, None) => read_through(source, want, UnixMs(0)).await,
        (CachePolicy::Default, Some(confirmed)) => {
            if !is_too_old(source, confirmed, volatility) {
                return Ok(AnsweredBy::Mirror);
            }
            let since = ask.began.minus(TOO_OLD);
            wait(source, want, since, SHORT_PATIENCE)
                .await
                .map_err(|failed| match failed {
                    Some(error) => ApiError::Sync(error),
                    None => ApiError::TooSlow(SHORT_PATIENCE),
                })
        }
    }
}

/// Asks the remote for what the mirror does not have, once for all who wait.
pub(super) async fn read_through(
    source: &MirroredRemote,
    want: FetchKey,
    not_before: UnixMs,
) -> Result<AnsweredBy, ApiError> {
    wait(source, want, not_before, PATIENCE)
        .await
        .map_err(|failed| match failed {
            Some(error) => ApiError::Sync(error),
            None => ApiError::TooSlow(PATIENCE),
        })
}

async fn met(
    source: &MirroredRemote,
    want: FetchKey,
    not_before: UnixMs,
) -> Result<AnsweredBy, ApiError> {
    wait(source, want, not_before, PATIENCE)
        .await
        .map_err(|failed| match failed {
            Some(error) => ApiError::Unmet(error),
            None => ApiError::UnmetInTime(PATIENCE),
        })
}

async fn wait(
    source: &MirroredRemote,
    want: FetchKey,
    not_before: UnixMs,
    patience: Duration,
) -> Result<AnsweredBy, Option<SyncError>> {
    match tokio::time::timeout(patience, source.sync.refresh(want, not_before)).await {
        Ok(Ok(_)) => Ok(AnsweredBy::Remote),
        Ok(Err(error)) => Err(Some(error)),
        Err(_) => Err(None),
    }
}

/// Tells whether an answer is so old that it is given only to those who ask for it.
pub(super) fn is_too_old(
    source: &MirroredRemote,
    confirmed: &Confirmation,
    volatility: Volatility,
) -> bool {
    let at = latest(confirmed, volatility);
    source.sync.freshness(Some(&at), false).age > TOO_OLD
}

/// Says how old an answer is.
pub(super) fn freshness(
    source: &MirroredRemote,
    confirmed: &Confirmation,
    volatility: Volatility,
    from: AnsweredBy,
) -> Freshness {
    let active = volatility == Volatility::Changing { active: true };
    let mut freshness = source.sync.freshness(Some(confirmed), active);
    if let Volatility::Ended(_) = volatility {
        let proof = source
            .sync
            .freshness(Some(&latest(confirmed, volatility)), false);
        freshness.stale_reason = proof.stale_reason.filter(|_| proof.age > ENDED_BOUND);
    }
    freshness.answered_by = from;
    freshness
}

/// What has ended changes no more: it is as good as the last proof that it has ended.
fn latest(confirmed: &Confirmation, volatility: Volatility) -> Confirmation {
    let mut latest = confirmed.clone();
    if let Volatility::Ended(seen) = volatility {
        latest.at = latest.at.max(seen);
    }
    latest
}

/// Tells whether the remote said that what was asked for is not there.
pub(super) fn says_not_there(error: &ApiError) -> bool {
    match error {
        ApiError::Sync(error) | ApiError::Unmet(error) => {
            error.class() == Some(FaultClass::NotFound)
        }
        _ => false,
    }
}
