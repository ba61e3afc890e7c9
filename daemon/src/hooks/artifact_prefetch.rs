//! Pulls the artifacts of a run into the cache when it ends, if `daemon.toml` asks for that.
//!
//! A run that has ended is pulled once its trials were confirmed after that; [`crate::run_end_cursor`] tells.
//! `docks cache` looks after what is pulled.

use std::sync::Arc;

use docks_artifacts::cache::{Cache, RunKey, USUAL_LIMIT_BYTES};
use docks_artifacts::download::{Downloader, Options};
use docks_artifacts::layout::{RunName, Wanted, plan};
use docks_artifacts::source::StoreVariables;
use docks_artifacts::{ArtifactType, Silent, TrialArtifacts, size};
use docks_proto::object::parse_list;
use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;

use crate::registry::{Registry, Source};
use crate::run_end_cursor::{Ends, LOOK_AGAIN};
use docksd_mirror::MirrorError;

/// Note of a mirror: the change up to which ended runs were pulled.
const NOTE: &str = "pulled_to";

/// What is pulled, and with whose variables.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Which types; none at all is no pulling.
    pub kinds: Vec<ArtifactType>,
    /// Variables that the stores' own programs read.
    pub variables: StoreVariables,
}

/// Pulls what ends, for as long as the daemon runs.
pub async fn keep_pulling(registry: Arc<Registry>, settings: Settings) {
    if settings.kinds.is_empty() {
        return;
    }
    let mut ends = Ends::new(NOTE, &[RunKind::Evaluation]);
    loop {
        for source in registry.open_sources() {
            if let Err(error) = look(&registry, &settings, &source, &mut ends).await {
                let (remote, error) = (source.location(), docks_proto::error::error_chain(&error));
                tracing::warn!(remote, error, "could not look for runs to pull");
            }
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn look(
    registry: &Registry,
    settings: &Settings,
    source: &Arc<Source>,
    ends: &mut Ends,
) -> Result<(), MirrorError> {
    for event in ends.look(source, registry.clock().as_ref()).await? {
        // Pulled twice is pulled once, so it is noted when it is done.
        pull(registry, settings, source, &event.run).await?;
        ends.taken(source, event.seq).await?;
    }
    Ok(())
}

async fn pull(
    registry: &Registry,
    settings: &Settings,
    source: &Source,
    run: &str,
) -> Result<(), MirrorError> {
    let all = ListQuery {
        limit: 0,
        ..ListQuery::default()
    };
    let Some(listing) = source.mirror.list_trials(run, &all).await? else {
        return Ok(());
    };
    let trials: Vec<_> = match parse_list(&listing.body) {
        Ok(list) => list.objects.iter().map(TrialArtifacts::of).collect(),
        Err(_) => return Ok(()),
    };
    let wanted = Wanted {
        kinds: settings.kinds.clone(),
        ..Wanted::default()
    };
    let requests = plan(run, RunName::Whole, &trials, &wanted).requests;
    let sources = registry.reach(source, &settings.variables);
    let cache = cache(registry);
    let keys = requests.iter().map(|request| sources.key(&request.uri));
    let noted = cache.note_run(&RunKey::new(&source.target, run), keys);
    if let Err(error) = noted {
        tracing::warn!(run, error = %error, "could not write the cache of artifacts");
        return Ok(());
    }
    let downloader = Downloader {
        sources: &sources,
        cache: Some(&cache),
        options: Options::default(),
        observer: &Silent,
    };
    let outcome = downloader.pull(&requests, &cache).await;
    let (pulled, size_bytes) = (outcome.finished(), outcome.bytes());
    tracing::info!(
        run,
        pulled,
        size_bytes,
        "pulled {pulled} artifacts of `{run}`"
    );
    if let Some(error) = outcome
        .results
        .iter()
        .find_map(|result| result.as_ref().err())
    {
        let (failed, error) = (outcome.failed(), error.chain());
        tracing::warn!(
            run,
            failed,
            error,
            "could not pull {failed} artifacts of `{run}`"
        );
    }
    Ok(())
}

/// Opens the cache as it is now; a size that cannot be read counts as the usual one.
fn cache(registry: &Registry) -> Cache {
    let places = registry.places();
    let file = docks_proto::credentials::files::load(places).ok();
    let limit = file.and_then(|file| file.preferences().cache_limit.clone());
    let limit_bytes = limit.and_then(|text| size::parse(&text).ok());
    Cache::new(
        places.cache_dir().join("artifacts"),
        limit_bytes.unwrap_or(USUAL_LIMIT_BYTES),
        registry.clock().wall(),
    )
}
