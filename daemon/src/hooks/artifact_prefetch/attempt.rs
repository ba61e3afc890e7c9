//! One attempt to fetch what is left of a run's artifacts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use docks_artifacts::cache::Cache;
use docks_artifacts::download::{
    ArtifactError, Downloader, FinishedFile, Observer, Options, Outcome, SilentObserver,
};
use docks_artifacts::layout::{ArtifactSelector, RunName, plan};
use docks_artifacts::media::plan_media;
use docks_artifacts::owner::RunKey;
use docks_artifacts::source::Sources;
use docks_artifacts::{ArtifactRequest, ArtifactType, TrialArtifacts};
use docks_proto::object::parse_list;
use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;
use tokio::sync::Notify;

use super::backlog::{AttemptResult, PendingRun};
use crate::config::ArtifactPrefetch;
use crate::registry::{MirroredRemote, Registry};
use crate::run_end_cursor::trials_are_confirmed;
use docksd_mirror::MirrorError;

/// Downloads of one run at once; several runs are fetched at a time.
const CONCURRENCY: usize = 4;

/// Failures in a row after which the attempt ends: the store is down, and asking it for thousands of
/// objects more, each with its own time limit, would take the slot for hours.
const MAX_FAILURES_IN_A_ROW: usize = 8;

/// Fetches what is left of the artifacts of `pending`, and records there what is done.
pub(super) async fn fetch(
    registry: &Registry,
    settings: &ArtifactPrefetch,
    remote: &MirroredRemote,
    pending: &mut PendingRun,
    yield_now: &Notify,
) -> AttemptResult {
    tokio::select! {
        result = fetch_all(registry, settings, remote, pending, yield_now) => {
            result.unwrap_or_else(|error| failure(docks_proto::error::error_chain(&error)))
        }
        // Perhaps to be forgotten: nothing may be cached for it any more.
        () = remote.closed() => AttemptResult::Closed,
    }
}

fn failure(error: String) -> AttemptResult {
    AttemptResult::Failed {
        error,
        lasting: false,
    }
}

async fn fetch_all(
    registry: &Registry,
    settings: &ArtifactPrefetch,
    remote: &MirroredRemote,
    pending: &mut PendingRun,
    yield_now: &Notify,
) -> Result<AttemptResult, MirrorError> {
    let mirror = &remote.mirror;
    let all = ListQuery {
        limit: 0,
        ..ListQuery::default()
    };
    let Some(listing) = mirror.list_trials(&pending.run, &all).await? else {
        let found = mirror.run(RunKind::Evaluation, &pending.run).await?;
        return Ok(match found {
            Some(_) => failure("its trials are not mirrored yet".to_owned()),
            None => AttemptResult::RunGone,
        });
    };
    let Ok(list) = parse_list(&listing.body) else {
        return Ok(failure("the list of its trials cannot be read".to_owned()));
    };
    let trials: Vec<_> = list
        .objects
        .iter()
        .map(TrialArtifacts::from_object)
        .collect();
    let filter = ArtifactSelector {
        kinds: settings.kinds.clone(),
        ..ArtifactSelector::default()
    };
    let requests = plan(&pending.run, RunName::Whole, &trials, &filter).requests;
    let sources = registry.artifact_sources(remote, &settings.variables);
    let cache = registry.artifact_cache();
    let keys = requests
        .iter()
        .map(|request| sources.cache_key(&request.uri).hash);
    let run_key = sources.owner.run_key(&pending.run);
    let recorded = cache.add_to_run(&run_key, keys);
    if let Err(error) = recorded {
        return Ok(failure(format!(
            "could not write to the artifact cache: {error}"
        )));
    }
    let requests = left_to_fetch(requests, &sources, &cache, pending);
    let progress = AttemptProgress::default();
    let downloader = Downloader {
        sources: &sources,
        cache: Some(&cache),
        options: Options {
            concurrency: CONCURRENCY,
            ..Options::default()
        },
        observer: &progress,
    };
    let requests = Arc::new(requests);
    let pulling = async {
        let outcome = downloader.pull(&requests, &cache).await;
        pull_media(
            &downloader,
            Arc::clone(&requests),
            outcome,
            trials,
            &run_key,
        )
        .await
    };
    let (has_yielded, media) = tokio::select! {
        media = pulling => (false, media),
        () = progress.too_many_failures.notified() => (false, Ok(())),
        () = yield_now.notified() => (true, Ok(())),
    };
    let counts = progress.into_counts();
    counts.log(&pending.run);
    // What a trajectory points to is found by reading it again.
    let is_done =
        |index: &&usize| media.is_ok() || requests[**index].kind != ArtifactType::Trajectory;
    let fetched = counts.fetched.iter().filter(is_done);
    let fetched = fetched.map(|index| sources.cache_key(&requests[*index].uri).hash);
    pending.fetched.extend(fetched);
    if has_yielded {
        return Ok(AttemptResult::Yielded);
    }
    if let Some(error) = counts.error {
        let lasting = counts.lasting == counts.failed;
        return Ok(AttemptResult::Failed { error, lasting });
    }
    if let Err(error) = media {
        return Ok(failure(error));
    }
    // What the remote did not show yet may have further artifacts.
    Ok(
        match trials_are_confirmed(mirror, &pending.run, pending.observed_ms).await? {
            true => AttemptResult::Complete,
            false => failure("its trials are not confirmed since its end".to_owned()),
        },
    )
}

/// Fetches the images and sounds to which the fetched trajectories point; one that is not there is none.
async fn pull_media(
    downloader: &Downloader<'_>,
    requests: Arc<Vec<ArtifactRequest>>,
    outcome: Outcome,
    trials: Vec<TrialArtifacts>,
    run_key: &RunKey,
) -> Result<(), String> {
    let Some(cache) = downloader.cache else {
        return Ok(());
    };
    // Trajectories are read, which may take long.
    let planning = tokio::task::spawn_blocking(move || plan_media(&requests, &outcome, &trials));
    let media = planning.await.map_err(|error| error.to_string())?;
    if media.is_empty() {
        return Ok(());
    }
    let keys = media
        .iter()
        .map(|request| downloader.sources.cache_key(&request.uri).hash);
    cache
        .add_to_run(run_key, keys)
        .map_err(|error| format!("could not write to the artifact cache: {error}"))?;
    let downloader = Downloader {
        observer: &SilentObserver,
        ..*downloader
    };
    let outcome = downloader.pull(&media, cache).await;
    let failed = outcome.results.into_iter().filter_map(Result::err);
    match failed.filter(|error| !error.is_absent()).last() {
        Some(error) => Err(error.chain()),
        None => Ok(()),
    }
}

/// Returns the requests that no earlier attempt has done. Each attempt starts at another place, so
/// that a store that is down does not hide one that is up.
fn left_to_fetch(
    requests: Vec<ArtifactRequest>,
    sources: &Sources,
    cache: &Cache,
    pending: &PendingRun,
) -> Vec<ArtifactRequest> {
    let is_left = |request: &ArtifactRequest| {
        let key = sources.cache_key(&request.uri).hash;
        !pending.fetched.contains(&key) && !cache.is_cached_since(&key, pending.since_ms)
    };
    let mut left: Vec<_> = requests.into_iter().filter(is_left).collect();
    if !left.is_empty() {
        let start = pending.failures as usize * MAX_FAILURES_IN_A_ROW % left.len();
        left.rotate_left(start);
    }
    left
}

/// What an attempt has done so far; kept apart from the download, which may be stopped.
#[derive(Default)]
struct AttemptProgress {
    counts: Mutex<Counts>,
    too_many_failures: Notify,
}

#[derive(Default)]
struct Counts {
    /// Indices of the requests that are done.
    fetched: Vec<usize>,
    size_bytes: u64,
    failed: usize,
    /// How many of the failures are the fault of the address.
    lasting: usize,
    failed_in_a_row: usize,
    /// The first cause; one that can pass, if there is one.
    error: Option<String>,
}

impl AttemptProgress {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn into_counts(self) -> Counts {
        self.counts
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn log(&self, run: &str) {
        let (pulled, size_bytes) = (self.fetched.len(), self.size_bytes);
        if pulled > 0 || self.error.is_none() {
            tracing::info!(
                run,
                pulled,
                size_bytes,
                "pulled {pulled} artifacts of `{run}`"
            );
        }
        if let Some(error) = &self.error {
            let failed = self.failed;
            tracing::warn!(
                run,
                failed,
                error,
                "could not pull {failed} artifacts of `{run}`"
            );
        }
    }
}

impl Observer for AttemptProgress {
    fn began(&self, _: usize, _: &ArtifactRequest, _: Option<u64>, _: u64) {}

    fn advanced(&self, _: usize, _: u64) {}

    fn finished(&self, index: usize, _: &ArtifactRequest, finished: &FinishedFile) {
        let mut counts = self.counts();
        counts.fetched.push(index);
        counts.size_bytes += finished.size_bytes;
        counts.failed_in_a_row = 0;
    }

    fn failed(&self, _: usize, _: &ArtifactRequest, why: &ArtifactError) {
        let mut counts = self.counts();
        counts.failed += 1;
        if why.is_lasting() {
            counts.lasting += 1;
            counts.error.get_or_insert_with(|| why.chain());
            return;
        }
        let is_first = counts.failed == counts.lasting + 1;
        if is_first {
            counts.error = Some(why.chain());
        }
        counts.failed_in_a_row += 1;
        if counts.failed_in_a_row >= MAX_FAILURES_IN_A_ROW {
            self.too_many_failures.notify_one();
        }
    }
}
