//! Resolves what a path or a parameter names (a full id, an exact name, a unique prefix) to an object.

use docks_proto::event::ObjectKind;
use docks_proto::freshness::CachePolicy;
use docks_proto::object::{Lifecycle, RawObject, TrialFields, lifecycle, parse_list};
use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use super::error::ApiError;
use super::revalidate::{FreshnessRequirement, is_not_found, read_through, revalidate};
use super::wait_for_first_sweep::{is_complete, wait_for_first_sweep};
use crate::list_response::Volatility;
use crate::registry::MirroredRemote;
use docksd_mirror::{Confirmation, Resolution, Resource, StoredObject};
use docksd_sync::FetchKey;

/// Finds a run by full id, exact name or unique prefix. Asks the remote if the mirror has no match, or
/// only one that is gone; a run that is returned as gone need not be asked for again.
pub(super) async fn resolve_run(
    remote: &MirroredRemote,
    kind: RunKind,
    name: &str,
    requirement: FreshnessRequirement,
) -> Result<StoredObject, ApiError> {
    let policy = requirement.policy;
    if let Some(run) = mirrored_run(remote, kind, name).await? {
        if run.gone_at.is_some() {
            return confirm_gone(remote, kind, run, name, requirement).await;
        }
        // A name or prefix may also match rows that the first sweep has not fetched yet.
        if run.id == name || is_complete(remote, kind).await? {
            return Ok(run);
        }
        wait_for_first_sweep(remote, kind, policy).await?;
        if let Some(run) = mirrored_run(remote, kind, name).await? {
            return Ok(run);
        }
    }
    if policy == CachePolicy::OnlyIfCached {
        return Err(ApiError::NotCached);
    }
    if requirement.accepts_any_age() && is_of_other_kind(remote, kind, name).await? {
        return Err(run_not_found(kind, name, None));
    }
    let not_before = requirement.not_before();
    let key = FetchKey::Run(kind, name.to_owned());
    match read_through(remote, key, not_before).await {
        Ok(_) => {}
        // It may be a name or a prefix of a run that is not mirrored yet; then the list has it.
        Err(error) if is_not_found(&error) => {
            read_through(remote, FetchKey::List(kind), not_before).await?;
            wait_for_first_sweep(remote, kind, policy).await?;
        }
        Err(error) => return Err(error),
    }
    mirrored_run(remote, kind, name)
        .await?
        .ok_or_else(|| run_not_found(kind, name, None))
}

/// Asks the remote about a run that the mirror holds as gone: it may be back, or what was its id may be
/// the name of another run by now. The folder of a Harbor job has its name as id until the job has one.
///
/// A request that accepts any age does not ask if the list was confirmed after the run had gone.
async fn confirm_gone(
    remote: &MirroredRemote,
    kind: RunKind,
    gone: StoredObject,
    name: &str,
    requirement: FreshnessRequirement,
) -> Result<StoredObject, ApiError> {
    if requirement.policy == CachePolicy::OnlyIfCached {
        return Ok(gone);
    }
    if requirement.accepts_any_age() {
        let confirmed = remote.mirror.confirmation(&Resource::List(kind)).await?;
        if confirmed.is_some_and(|confirmed| Some(confirmed.at) >= gone.gone_at) {
            return Ok(gone);
        }
    }
    let changing = Volatility::Changing { active: false };
    for key in [FetchKey::Run(kind, gone.id.clone()), FetchKey::List(kind)] {
        // Without an answer of the remote, what the mirror knows is the best answer there is.
        if let Err(error) = revalidate(remote, key, None, changing, requirement).await
            && !requirement.accepts_any_age()
            && !is_not_found(&error)
        {
            return Err(error);
        }
    }
    let now = mirrored_run(remote, kind, name).await?;
    Ok(now.unwrap_or(gone))
}

/// Finds a run again that the remote no longer knows by its id: a Harbor job that had its name as id may have
/// its real id by now.
pub(super) async fn resolve_again(
    remote: &MirroredRemote,
    kind: RunKind,
    name: &str,
    run: &StoredObject,
) -> Result<Option<StoredObject>, ApiError> {
    let found = mirrored_run(remote, kind, name).await?;
    Ok(found.filter(|found| found.id != run.id && found.gone_at.is_none()))
}

/// Finds a run that is to be watched, and returns its id. An id names its own run here, even if it is also the
/// name of others: clients watch what they have found before.
pub(super) async fn resolve_watched_run(
    remote: &MirroredRemote,
    kinds: &[ObjectKind],
    name: &str,
    requirement: FreshnessRequirement,
) -> Result<String, ApiError> {
    for kind in RunKind::ALL {
        let of_trials = kind == RunKind::Evaluation && kinds.contains(&ObjectKind::Trial);
        let is_selected = kinds.is_empty() || kinds.contains(&kind.into()) || of_trials;
        let run = remote.mirror.run(kind, name).await?;
        if is_selected && run.is_some_and(|run| run.gone_at.is_none()) {
            return Ok(name.to_owned());
        }
    }
    let (_, run) = resolve_run_of_any_kind(remote, kinds, name, requirement).await?;
    Ok(run.id)
}

/// Finds a run of one of these kinds; both kinds of runs if the list is empty.
pub(super) async fn resolve_run_of_any_kind(
    remote: &MirroredRemote,
    kinds: &[ObjectKind],
    name: &str,
    requirement: FreshnessRequirement,
) -> Result<(RunKind, StoredObject), ApiError> {
    let only_runs = kinds == [ObjectKind::Run];
    let only_evaluations = !kinds.is_empty() && !kinds.contains(&ObjectKind::Run);
    let first = match only_runs {
        true => RunKind::Run,
        false => RunKind::Evaluation,
    };
    match resolve_run(remote, first, name, requirement).await {
        Ok(run) => Ok((first, run)),
        Err(ApiError::RunNotFound { .. }) if !only_runs && !only_evaluations => {
            let run = resolve_run(remote, RunKind::Run, name, requirement).await?;
            Ok((RunKind::Run, run))
        }
        Err(error) => Err(error),
    }
}

/// Whether what is named is a mirrored run of the other kind, and certainly not one of `kind`: the
/// mirror has that whole list. Commands that take both kinds try one after the other, and the remote
/// need not be asked each time for what is mirrored.
async fn is_of_other_kind(
    remote: &MirroredRemote,
    kind: RunKind,
    name: &str,
) -> Result<bool, ApiError> {
    let other = match kind {
        RunKind::Run => RunKind::Evaluation,
        RunKind::Evaluation => RunKind::Run,
    };
    let found = remote.mirror.resolve_run(other, name).await?;
    Ok(matches!(found, Resolution::Unique(_)) && is_complete(remote, kind).await?)
}

async fn mirrored_run(
    remote: &MirroredRemote,
    kind: RunKind,
    name: &str,
) -> Result<Option<StoredObject>, ApiError> {
    match remote.mirror.resolve_run(kind, name).await? {
        Resolution::Unique(id) => Ok(remote.mirror.run(kind, &id).await?),
        Resolution::Ambiguous(candidates) => Err(ApiError::Ambiguous {
            name: name.to_owned(),
            candidates,
        }),
        Resolution::NotFound => Ok(None),
    }
}

/// Finds a trial of a run. Fetches all trials of the run if the mirror has no match.
pub(super) async fn resolve_trial(
    remote: &MirroredRemote,
    run: &str,
    name: &str,
    requirement: FreshnessRequirement,
) -> Result<StoredObject, ApiError> {
    if let Some(trial) = mirrored_trial(remote, run, name).await? {
        return Ok(trial);
    }
    if requirement.policy == CachePolicy::OnlyIfCached {
        return Err(ApiError::NotCached);
    }
    let key = FetchKey::Trials(run.to_owned());
    match read_through(remote, key, requirement.not_before()).await {
        Ok(_) => {}
        Err(error) if is_not_found(&error) => return Err(trial_not_found(run, name)),
        Err(error) => return Err(error),
    }
    mirrored_trial(remote, run, name)
        .await?
        .ok_or_else(|| trial_not_found(run, name))
}

async fn mirrored_trial(
    remote: &MirroredRemote,
    run: &str,
    name: &str,
) -> Result<Option<StoredObject>, ApiError> {
    match remote.mirror.resolve_trial(run, name).await? {
        Resolution::Unique(id) => Ok(remote.mirror.trial(run, &id).await?),
        Resolution::Ambiguous(candidates) => Err(ApiError::Ambiguous {
            name: name.to_owned(),
            candidates,
        }),
        Resolution::NotFound => trial_of_attempt(remote, run, name).await,
    }
}

/// Finds the trial of which an attempt has this id: a `harbor serve` keeps all attempts, and names each of them.
async fn trial_of_attempt(
    remote: &MirroredRemote,
    run: &str,
    attempt: &str,
) -> Result<Option<StoredObject>, ApiError> {
    const UUID_CHARS: usize = 36;
    if remote.kind != "harbor_server" || attempt.len() != UUID_CHARS {
        return Ok(None);
    }
    let all = ListQuery {
        limit: 0,
        ..ListQuery::default()
    };
    let listing = remote.mirror.list_trials(run, &all).await?;
    let list = listing.and_then(|listing| parse_list(&listing.body).ok());
    for trial in list.into_iter().flat_map(|list| list.objects) {
        if has_attempt(&trial, attempt)
            && let Some(id) = TrialFields::from_object(&trial).id.text()
        {
            return Ok(remote.mirror.trial(run, &id).await?);
        }
    }
    Ok(None)
}

fn has_attempt(trial: &RawObject, attempt: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Trial {
        harbor: Harbor,
    }
    #[derive(serde::Deserialize)]
    struct Harbor {
        attempts: Vec<String>,
    }
    // Most trials need not be parsed.
    trial.text().contains(attempt)
        && serde_json::from_str::<Trial>(trial.text())
            .is_ok_and(|trial| trial.harbor.attempts.iter().any(|id| id == attempt))
}

/// Returns the error for a run that does not exist, or not any more.
pub(super) fn run_not_found(kind: RunKind, name: &str, gone_at: Option<UnixMs>) -> ApiError {
    ApiError::RunNotFound {
        kind,
        name: name.to_owned(),
        gone_at,
    }
}

/// Returns the error for a trial that does not exist.
pub(super) fn trial_not_found(run: &str, name: &str) -> ApiError {
    ApiError::TrialNotFound {
        run: run.to_owned(),
        name: name.to_owned(),
    }
}

/// Turns the remote's "not found" for a run into our own error for it.
pub(super) fn or_run_not_found(error: ApiError, kind: RunKind, name: &str) -> ApiError {
    if is_not_found(&error) {
        run_not_found(kind, name, None)
    } else {
        error
    }
}

/// Returns whether parts of this run can still change.
pub(super) fn volatility_of(run: &StoredObject) -> Volatility {
    match lifecycle(&run.status) {
        Lifecycle::Active => Volatility::Changing { active: true },
        Lifecycle::Terminal => Volatility::Ended(run.confirmed_at),
    }
}

/// Returns when an object was confirmed, in the form that lists have.
pub(super) fn confirmation_of(object: &StoredObject) -> Confirmation {
    Confirmation {
        at: object.confirmed_at,
        validator: None,
        complete: true,
    }
}

/// Tells the sync engine that a client is interested in a run, if it is active.
pub(super) fn mark_watched(remote: &MirroredRemote, kind: RunKind, run: &StoredObject) {
    if lifecycle(&run.status) == Lifecycle::Active {
        let resource = Resource::Run(kind, run.id.clone());
        remote.sync.mark_watched(&resource);
    }
}
