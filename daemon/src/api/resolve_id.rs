//! From what is written in a path to the object that is meant.

use docks_proto::freshness::CachePolicy;
use docks_proto::object::{Lifecycle, lifecycle};
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use super::error::ApiError;
use super::revalidate::{Ask, read_through, says_not_there};
use super::wait_for_first_sweep;
use crate::list_response::Volatility;
use crate::registry::MirroredRemote;
use docksd_mirror::{Confirmation, Resolution, Resource, StoredObject};
use docksd_sync::FetchKey;

/// Finds a run by full id, exact name or unique prefix, asking the remote if the mirror has none.
pub(super) async fn run(
    source: &MirroredRemote,
    kind: RunKind,
    given: &str,
    ask: Ask,
) -> Result<StoredObject, ApiError> {
    if let Some(stored) = mirrored_run(source, kind, given).await? {
        // A name or prefix may fit rows, too, that the first sweep has yet to bring.
        if stored.id == given || wait_for_first_sweep::is_whole(source, kind).await? {
            return Ok(stored);
        }
        wait_for_first_sweep::wait(source, kind, ask.allowed).await?;
        if let Some(stored) = mirrored_run(source, kind, given).await? {
            return Ok(stored);
        }
    }
    if ask.allowed == CachePolicy::OnlyIfCached {
        return Err(ApiError::NotCached);
    }
    let want = FetchKey::Run(kind, given.to_owned());
    match read_through(source, want, ask.not_before()).await {
        Ok(_) => {}
        // A name or a prefix of something that the mirror has not seen yet: its list knows.
        Err(error) if says_not_there(&error) => {
            read_through(source, FetchKey::List(kind), ask.not_before()).await?;
            wait_for_first_sweep::wait(source, kind, ask.allowed).await?;
        }
        Err(error) => return Err(error),
    }
    mirrored_run(source, kind, given)
        .await?
        .ok_or_else(|| no_run(kind, given, None))
}

async fn mirrored_run(
    source: &MirroredRemote,
    kind: RunKind,
    given: &str,
) -> Result<Option<StoredObject>, ApiError> {
    match source.mirror.resolve_run(kind, given).await? {
        Resolution::Unique(id) => Ok(source.mirror.run(kind, &id).await?),
        Resolution::Ambiguous(candidates) => Err(ApiError::Ambiguous {
            given: given.to_owned(),
            candidates,
        }),
        Resolution::NotFound => Ok(None),
    }
}

/// Finds a trial of a run; when the mirror has none, the run's trials are asked for as a whole.
pub(super) async fn trial(
    source: &MirroredRemote,
    run: &str,
    given: &str,
    ask: Ask,
) -> Result<StoredObject, ApiError> {
    if let Some(stored) = mirrored_trial(source, run, given).await? {
        return Ok(stored);
    }
    let no_trial = || ApiError::NoTrial {
        run: run.to_owned(),
        given: given.to_owned(),
    };
    if ask.allowed == CachePolicy::OnlyIfCached {
        return Err(ApiError::NotCached);
    }
    match read_through(source, FetchKey::Trials(run.to_owned()), ask.not_before()).await {
        Ok(_) => {}
        Err(error) if says_not_there(&error) => return Err(no_trial()),
        Err(error) => return Err(error),
    }
    mirrored_trial(source, run, given)
        .await?
        .ok_or_else(no_trial)
}

async fn mirrored_trial(
    source: &MirroredRemote,
    run: &str,
    given: &str,
) -> Result<Option<StoredObject>, ApiError> {
    match source.mirror.resolve_trial(run, given).await? {
        Resolution::Unique(id) => Ok(source.mirror.trial(run, &id).await?),
        Resolution::Ambiguous(candidates) => Err(ApiError::Ambiguous {
            given: given.to_owned(),
            candidates,
        }),
        Resolution::NotFound => Ok(None),
    }
}

/// Says that there is no such run.
pub(super) fn no_run(kind: RunKind, given: &str, gone_at: Option<UnixMs>) -> ApiError {
    ApiError::NoRun {
        kind,
        given: given.to_owned(),
        gone_at,
    }
}

/// Returns what decides how soon something of this run is old.
pub(super) fn volatility_of_run(run: &StoredObject) -> Volatility {
    match lifecycle(&run.status) {
        Lifecycle::Active => Volatility::Changing { active: true },
        Lifecycle::Terminal => Volatility::Ended(run.confirmed_at),
    }
}

/// Returns when an object was confirmed, in the form that lists have.
pub(super) fn confirmed(stored: &StoredObject) -> Confirmation {
    Confirmation {
        at: stored.confirmed_at,
        validator: None,
        complete: true,
    }
}

/// Tells the engine that somebody looks at a run.
pub(super) fn touch_run(source: &MirroredRemote, kind: RunKind, run: &StoredObject) {
    if lifecycle(&run.status) == Lifecycle::Active {
        source
            .sync
            .mark_watched(&Resource::Run(kind, run.id.clone()));
    }
}
