//! Where artifacts of this command's remote lie, and the cache that keeps them.

use std::path::Path;
use std::time::Duration;

use docks_artifacts::cache::{Cache, RunKey, USUAL_LIMIT_BYTES};
use docks_artifacts::download::Asking;
use docks_artifacts::source::{
    AzureSettings, BucketSource, FileSource, GcsSettings, HttpSettings, HttpSource, S3Settings,
    Sources, Surroundings, same_origin,
};
use docks_proto::credentials::files;
use docks_proto::freshness::Allowed;
use docks_proto::paths::Places;
use docks_proto::secret::Token;
use docks_proto::settings::Target;
use docks_proto::time::UnixMs;

use crate::connect::Ladder;
use crate::failure::Failure;
use crate::size;

/// Longest silence of a server; there is no limit on the whole download.
const IDLE: Duration = Duration::from_secs(60);

/// Puts the places together that may be read for these addresses.
pub(super) fn sources<'a>(ladder: &Ladder, uris: impl IntoIterator<Item = &'a str>) -> Sources {
    let (api_url, jobs_dir) = match &ladder.profile.target {
        Target::DocksApi { api_url, .. } => (Some(api_url.clone()), None),
        Target::HarborJobs { dir } => (None, Some(dir.clone())),
    };
    // What the firmware calls the machine and its maker; other systems than Linux do not say.
    let firmware = |name: &str| text_of(Path::new("/sys/class/dmi/id").join(name).as_path());
    let machine = [firmware("product_name"), firmware("sys_vendor")]
        .map(Option::unwrap_or_default)
        .concat();
    let around = Surroundings {
        variables: &ladder.door.environment.stores,
        keys: &ladder.profile.extras.stores,
        file: &text_of,
        machine: &machine,
    };
    let token = api_url.as_ref().and_then(|url| token(ladder, uris, url));
    Sources {
        http: HttpSource::new(HttpSettings {
            token,
            api_url,
            insecure: ladder.profile.insecure,
            ca_file: ladder.profile.ca_file.clone(),
            idle: IDLE,
        }),
        files: FileSource::new(jobs_dir),
        buckets: BucketSource::new(
            GcsSettings::decide(around),
            S3Settings::decide(around),
            AzureSettings::decide(around),
            IDLE,
        ),
    }
}

/// Returns the cache of a home, as large as `docks.toml` allows.
///
/// # Errors
///
/// When a settings file cannot be read, or the size in it is none.
pub(super) fn cache_of_home(places: &Places, now: UnixMs) -> Result<Cache, Failure> {
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
pub(super) fn asking(ladder: &Ladder, allowed: Allowed) -> Asking {
    match (allowed, &ladder.profile.target) {
        // Files of this machine are there without any network.
        (Allowed::OnlyIfCached, Target::DocksApi { .. }) => Asking::Never,
        (Allowed::MaxAge(most), _) => Asking::IfOlderThan(most),
        _ => Asking::Always,
    }
}

/// Names a run in the cache.
pub(super) fn run_key(ladder: &Ladder, run_id: &str) -> RunKey {
    RunKey {
        remote: match &ladder.profile.target {
            Target::DocksApi { api_url, tenant } => format!("{api_url} {tenant}"),
            Target::HarborJobs { dir } => dir.display().to_string(),
        },
        run_id: run_id.to_owned(),
    }
}

/// Looks for the token only where the API itself serves artifacts: a keyring may ask its owner.
fn token<'a>(
    ladder: &Ladder,
    uris: impl IntoIterator<Item = &'a str>,
    api_url: &str,
) -> Option<Token> {
    let mut own = uris.into_iter().filter(|uri| same_origin(uri, api_url));
    own.next()?;
    ladder.token().ok().map(|found| found.token)
}

fn text_of(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}
