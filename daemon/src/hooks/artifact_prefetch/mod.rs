//! Fetches the artifacts of a run into the cache when the run ends: `pull` in `daemon.toml`.
//!
//! [`RunEndCursor`] returns a run once its trials are confirmed after its end. `docks cache` lists
//! and removes what was fetched.

use std::sync::Arc;

use docks_artifacts::download::{Downloader, Options};
use docks_artifacts::layout::{ArtifactSelector, RunName, plan};
use docks_artifacts::{SilentObserver, TrialArtifacts};
use docks_proto::object::parse_list;
use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;

use crate::config::ArtifactPrefetch;
use crate::registry::{MirroredRemote, Registry};
use crate::run_end_cursor::{POLL_INTERVAL, RunEndCursor};
use docksd_mirror::MirrorError;

/// Key of the note that stores the cursor's position.
const NOTE_KEY: &str = "pulled_to";

/// Prefetches the artifacts of every run that ends; returns only if `settings` name no type.
pub async fn run(registry: Arc<Registry>, settings: ArtifactPrefetch) {
    if settings.kinds.is_empty() {
        return;
    }
    let mut cursor = RunEndCursor::new(NOTE_KEY, &[RunKind::Evaluation]);
    loop {
        for remote in registry.open_remotes() {
            if let Err(error) =
                prefetch_ended_runs(&registry, &settings, &remote, &mut cursor).await
            {
                let (remote, error) = (remote.location(), docks_proto::error::error_chain(&error));
                tracing::warn!(remote, error, "could not read which runs have ended");
            }
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn prefetch_ended_runs(
    registry: &Registry,
    settings: &ArtifactPrefetch,
    remote: &Arc<MirroredRemote>,
    cursor: &mut RunEndCursor,
) -> Result<(), MirrorError> {
    for event in cursor.poll(remote, registry.clock().as_ref()).await? {
        // Fetching twice does no harm, so a run is acknowledged afterwards.
        prefetch(registry, settings, remote, &event.run).await?;
        cursor.ack(remote, event.seq).await?;
    }
    Ok(())
}

async fn prefetch(
    registry: &Registry,
    settings: &ArtifactPrefetch,
    remote: &MirroredRemote,
    run: &str,
) -> Result<(), MirrorError> {
    let all = ListQuery {
        limit: 0,
        ..ListQuery::default()
    };
    let Some(listing) = remote.mirror.list_trials(run, &all).await? else {
        return Ok(());
    };
    let trials: Vec<_> = match parse_list(&listing.body) {
        Ok(list) => list
            .objects
            .iter()
            .map(TrialArtifacts::from_object)
            .collect(),
        Err(_) => return Ok(()),
    };
    let filter = ArtifactSelector {
        kinds: settings.kinds.clone(),
        ..ArtifactSelector::default()
    };
    let requests = plan(run, RunName::Whole, &trials, &filter).requests;
    let sources = registry.artifact_sources(remote, &settings.variables);
    let cache = registry.artifact_cache();
    let keys = requests
        .iter()
        .map(|request| sources.cache_key(&request.uri).hash);
    let recorded = cache.add_to_run(&sources.owner.run_key(run), keys);
    if let Err(error) = recorded {
        tracing::warn!(run, error = %error, "could not write to the artifact cache");
        return Ok(());
    }
    let downloader = Downloader {
        sources: &sources,
        cache: Some(&cache),
        options: Options::default(),
        observer: &SilentObserver,
    };
    let outcome = tokio::select! {
        outcome = downloader.pull(&requests, &cache) => outcome,
        // Perhaps to be forgotten: nothing may be cached for it any more.
        () = remote.closed() => return Ok(()),
    };
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
