//! The artifact sources of a remote, and the artifact cache.

use docks_artifacts::cache::{Cache, DEFAULT_LIMIT_BYTES};
use docks_artifacts::download::Revalidation;
use docks_artifacts::owner::{AddressOwner, RunKey};
use docks_artifacts::size;
use docks_artifacts::source::{SourceSettings, Sources, StoreHelper, same_origin};
use docks_proto::credentials::files;
use docks_proto::freshness::CachePolicy;
use docks_proto::mirrors;
use docks_proto::paths::Paths;
use docks_proto::secret::Token;
use docks_proto::settings::Target;
use docks_proto::time::UnixMs;

use crate::ask::SelectedRemote;
use crate::daemon_program::{docksd_command, find_docksd};
use crate::failure::Failure;

use super::mirror_list::owned_remote;

/// Builds the artifact sources of the remote, for these URIs.
///
/// # Errors
///
/// When it cannot be found out who asks.
pub(super) fn sources<'a>(
    remote: &SelectedRemote,
    uris: impl IntoIterator<Item = &'a str>,
) -> Result<Sources, Failure> {
    let profile = &remote.profile;
    let token = match &profile.target {
        Target::DocksApi { api_url, .. } => token(remote, uris, api_url),
        Target::HarborServer { .. } => profile.inline_token.clone(),
        Target::HarborJobs { .. } => None,
    };
    let environment = remote.endpoint.environment.clone();
    let helper = move || {
        let program = find_docksd(&environment).map_err(|failure| failure.message)?;
        let mut command = docksd_command(&program);
        command.args(["--helper", "stores"]);
        Ok(command)
    };
    let buckets = StoreHelper::new(helper, profile.artifact_settings.stores.clone());
    let owned = owned_remote(remote)?;
    let settings = SourceSettings {
        inherits: mirrors::inherits(&remote.file, &owned),
        remote: &owned,
        keys: &profile.artifact_settings.stores,
        token,
        hosts: profile.artifact_settings.hosts.clone(),
        trust: profile.trust.clone(),
    };
    Ok(settings.into_sources(Box::new(buckets)))
}

/// Opens the artifact cache, with the size limit of `docks.toml`.
///
/// # Errors
///
/// When a settings file cannot be read, or its size limit is invalid.
pub(super) fn open_cache(places: &Paths, now: UnixMs) -> Result<Cache, Failure> {
    let file = files::load(places).map_err(|error| Failure::usage(error.to_string()))?;
    let preferences = file.preferences();
    let limit_bytes = match &preferences.cache_limit {
        None => DEFAULT_LIMIT_BYTES,
        Some(text) => size::parse(text).map_err(|problem| {
            let path = preferences.path.display();
            Failure::usage(format!("`cache_limit` in {path}: {problem}"))
        })?,
    };
    Ok(Cache::new(
        places.cache_dir().join("artifacts"),
        limit_bytes,
        now,
    ))
}

/// Returns when cached artifacts are revalidated, from the options of the command.
pub(super) fn revalidation(remote: &SelectedRemote, allowed: CachePolicy) -> Revalidation {
    match (allowed, &remote.profile.target) {
        // Local files need no network.
        (CachePolicy::OnlyIfCached, Target::DocksApi { .. } | Target::HarborServer { .. }) => {
            Revalidation::Never
        }
        (CachePolicy::MaxAge(most), _) => Revalidation::IfOlderThan(most),
        _ => Revalidation::Always,
    }
}

/// Returns the key of a run in the cache.
///
/// # Errors
///
/// When it cannot be found out who asks.
pub(super) fn run_key(remote: &SelectedRemote, run_id: &str) -> Result<RunKey, Failure> {
    let owned = owned_remote(remote)?;
    let inherits = mirrors::inherits(&remote.file, &owned);
    let keys = &remote.profile.artifact_settings.stores;
    Ok(AddressOwner::new(&owned, inherits, keys).run_key(run_id))
}

/// Reads the token only if the API itself serves artifacts, since a keyring may prompt the user.
fn token<'a>(
    remote: &SelectedRemote,
    uris: impl IntoIterator<Item = &'a str>,
    api_url: &str,
) -> Option<Token> {
    let mut own = uris.into_iter().filter(|uri| same_origin(uri, api_url));
    own.next()?;
    remote.token().ok().map(|found| found.token)
}
