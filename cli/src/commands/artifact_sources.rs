//! Where artifacts of this command's remote lie, and the cache that keeps them.

use docks_artifacts::cache::{Cache, RunKey, USUAL_LIMIT_BYTES};
use docks_artifacts::download::Asking;
use docks_artifacts::size;
use docks_artifacts::source::{SourceSettings, Sources, StoreHelper, same_origin};
use docks_proto::credentials::files;
use docks_proto::freshness::CachePolicy;
use docks_proto::paths::Paths;
use docks_proto::secret::Token;
use docks_proto::settings::Target;
use docks_proto::time::UnixMs;

use crate::ask::{SelectedRemote, docksd_command, find_docksd};
use crate::failure::Failure;

/// Puts the places together that may be read for these addresses.
pub(super) fn sources<'a>(
    remote: &SelectedRemote,
    uris: impl IntoIterator<Item = &'a str>,
) -> Sources {
    let profile = &remote.profile;
    let token = match &profile.target {
        Target::DocksApi { api_url, .. } => token(remote, uris, api_url),
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
    SourceSettings {
        target: &profile.target,
        token,
        insecure: profile.insecure,
        ca_file: profile.ca_file.clone(),
    }
    .sources(Box::new(buckets))
}

/// Returns the cache of a home, as large as `docks.toml` allows.
///
/// # Errors
///
/// When a settings file cannot be read, or the size in it is none.
pub(super) fn cache_of_home(places: &Paths, now: UnixMs) -> Result<Cache, Failure> {
    let file = files::load(places).map_err(|error| Failure::usage(error.to_string()))?;
    let preferences = file.preferences();
    let limit_bytes = match &preferences.cache_limit {
        None => USUAL_LIMIT_BYTES,
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

/// Decides when places are asked again, from the options of the command.
pub(super) fn asking(remote: &SelectedRemote, allowed: CachePolicy) -> Asking {
    match (allowed, &remote.profile.target) {
        // Files of this machine are there without any network.
        (CachePolicy::OnlyIfCached, Target::DocksApi { .. }) => Asking::Never,
        (CachePolicy::MaxAge(most), _) => Asking::IfOlderThan(most),
        _ => Asking::Always,
    }
}

/// Names a run in the cache.
pub(super) fn run_key(remote: &SelectedRemote, run_id: &str) -> RunKey {
    RunKey::new(&remote.profile.target, run_id)
}

/// Looks for the token only where the API itself serves artifacts: a keyring may ask its owner.
fn token<'a>(
    remote: &SelectedRemote,
    uris: impl IntoIterator<Item = &'a str>,
    api_url: &str,
) -> Option<Token> {
    let mut own = uris.into_iter().filter(|uri| same_origin(uri, api_url));
    own.next()?;
    remote.token().ok().map(|found| found.token)
}
