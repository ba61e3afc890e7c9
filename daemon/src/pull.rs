//! Pulls the artifacts of a run into the cache when it ends, if `daemon.toml` asks for that.
//!
//! Goes by the history: a run that was seen to end is pulled once its trials were confirmed
//! after that. How far the history was followed is a note in the mirror, so that a run that ended
//! shortly before the daemon did is pulled by the next one. What ended before anybody asked for
//! pulling is left alone. `docks cache` looks after what is pulled.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use docks_artifacts::cache::{Cache, RunKey, USUAL_LIMIT_BYTES};
use docks_artifacts::download::{Downloader, Options};
use docks_artifacts::layout::{RunName, Wanted, plan};
use docks_artifacts::source::StoreVariables;
use docks_artifacts::{ArtifactType, Silent, TrialArtifacts, size};
use docks_proto::event::EventQuery;
use docks_proto::object::{Phase, parse_list, phase};
use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;
use docks_proto::settings::Target;

use crate::mirror::{MirrorError, Resource, StatusEvent, Subject};
use crate::registry::{Registry, Source};

/// Between two looks at what changed.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Changes that are read at once.
const BATCH: usize = 1_024;

/// How long the trials of an ended run are waited for; then what is known of them has to do.
const PATIENCE: Duration = Duration::from_secs(120);

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

/// How far one remote's history was followed.
struct Followed {
    commit: Option<u64>,
    seq: u64,
    /// Runs that ended and whose trials are waited for, since when.
    waiting: Vec<(StatusEvent, Duration)>,
}

/// Pulls what ends, for as long as the daemon runs.
pub async fn keep_pulling(registry: Arc<Registry>, settings: Settings) {
    if settings.kinds.is_empty() {
        return;
    }
    let mut followed: HashMap<Target, Followed> = HashMap::new();
    loop {
        for source in registry.open_sources() {
            let looked = look(&registry, &settings, &source, &mut followed).await;
            if let Err(error) = looked {
                let (remote, error) = (source.location(), crate::chain(&error));
                tracing::warn!(remote, error, "could not look for runs to pull");
            }
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn look(
    registry: &Registry,
    settings: &Settings,
    source: &Source,
    followed: &mut HashMap<Target, Followed>,
) -> Result<(), MirrorError> {
    let mirror = &source.mirror;
    if !followed.contains_key(&source.target) {
        let noted = mirror.note(NOTE).await?.and_then(|text| text.parse().ok());
        let seq = match noted {
            Some(seq) => seq,
            // Asked for pulling for the first time: what ended before is left alone.
            None => {
                let end = mirror
                    .scan(u64::MAX >> 1, 1, &EventQuery::default())
                    .await?;
                mirror.put_note(NOTE, &end.end.last.to_string()).await?;
                end.end.last
            }
        };
        let begun = Followed {
            commit: None,
            seq,
            waiting: Vec::new(),
        };
        followed.insert(source.target.clone(), begun);
    }
    let Some(state) = followed.get_mut(&source.target) else {
        return Ok(());
    };
    let commit = *mirror.commits().borrow();
    if state.commit != Some(commit) {
        let now = registry.clock().monotonic();
        let mut more = true;
        while more {
            let events = mirror.events(state.seq, BATCH).await?;
            more = events.len() == BATCH;
            state.seq = events.last().map_or(state.seq, |event| event.seq);
            let ended = events.into_iter().filter(has_ended);
            state.waiting.extend(ended.map(|event| (event, now)));
        }
        state.commit = Some(commit);
    }
    let waiting = std::mem::take(&mut state.waiting);
    let mut handled = false;
    for (event, since) in waiting {
        let trials = Resource::Trials(event.run.clone());
        let confirmed = mirror.confirmed(&trials).await?;
        let late = registry.clock().monotonic().saturating_sub(since) > PATIENCE;
        if late || confirmed.is_some_and(|confirmed| confirmed.at > event.observed) {
            pull(registry, settings, source, &event.run).await?;
            handled = true;
        } else {
            state.waiting.push((event, since));
        }
    }
    if handled {
        // One that is still waited for is not done, whatever came after it.
        let first = state.waiting.iter().map(|(event, _)| event.seq - 1).min();
        let done = first.unwrap_or(state.seq);
        mirror.put_note(NOTE, &done.to_string()).await?;
    }
    Ok(())
}

/// Tells whether a run was seen to end; one that had ended when it was first seen was not.
fn has_ended(event: &StatusEvent) -> bool {
    let was_active = event.from.as_deref().map(phase) == Some(Phase::Active);
    event.subject == Subject::Run(RunKind::Evaluation)
        && was_active
        && phase(&event.to) == Phase::Terminal
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
