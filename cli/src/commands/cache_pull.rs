//! `docks cache pull`: downloads the artifacts of runs into the cache.

use docks_artifacts::download::{Downloader, Options};
use docks_proto::settings::Target;
use indicatif::HumanBytes;

use crate::args::CachePull;
use crate::ask::Requester;
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::figures::count;

use super::runs_artifacts::progress::Progress;
use super::runs_artifacts::{add_media, check_all_downloaded, describe_special_cases, plan_media};
use super::{artifact_selection, artifact_sources};

/// Pulls one run after the other; stops at the first failure that is not about single files.
///
/// # Errors
///
/// [`Kind::SomeArtifacts`] when some could not be downloaded, and why a run was not found.
pub(super) async fn run(context: &Context, args: &CachePull) -> Result<(), Failure> {
    if context.global.offline {
        return Err(Failure::usage(
            "--offline cannot be used with `docks cache pull`, which needs the remote",
        )
        .hint("omit --offline, or read what was pulled before"));
    }
    let requester = Requester::new(context)?;
    let mut result = Ok(());
    for given in &args.run_ids {
        match pull_run(context, &requester, args, given).await {
            Err(failure) if failure.kind == Kind::SomeArtifacts => result = Err(failure),
            done => done?,
        }
    }
    result
}

async fn pull_run(
    context: &Context,
    requester: &Requester<'_>,
    args: &CachePull,
    given: &str,
) -> Result<(), Failure> {
    let allowed = context.global.allowed();
    let found =
        artifact_selection::select_artifacts(context, requester, given, &args.filter).await?;
    let mut plan = found.plan(matches!(
        requester.remote.profile.target,
        Target::DocksApi { .. }
    ));
    if plan.requests.is_empty() {
        return Err(artifact_selection::nothing_selected(
            &found,
            &plan,
            &args.filter,
            given,
        ));
    }
    let sources = artifact_sources::sources(&requester.remote, found.uris())?;
    let cache = artifact_sources::open_cache(&requester.remote.endpoint.places, context.now)?;
    let progress = Progress::new(context, &plan.requests, &found.response);
    progress.begin();
    let downloader = Downloader {
        sources: &sources,
        cache: Some(&cache),
        options: Options {
            concurrency: args.jobs.into(),
            overwrite: false,
            revalidation: artifact_sources::revalidation(&requester.remote, allowed),
        },
        observer: &progress,
    };
    // The run is recorded first, so that its pin protects its artifacts from later ones.
    let keys = plan
        .requests
        .iter()
        .map(|request| sources.cache_key(&request.uri).hash);
    let run = sources.owner.run_key(&found.run.id);
    cache
        .add_to_run(&run, keys)
        .map_err(|error| Failure::chain(Kind::Failed, "could not write the cache", &error))?;
    let mut outcome = downloader.pull(&plan.requests, &cache).await;
    let media = plan_media(&found, &plan, &outcome);
    if !media.is_empty() {
        let keys = media
            .iter()
            .map(|request| sources.cache_key(&request.uri).hash);
        cache
            .add_to_run(&run, keys)
            .map_err(|error| Failure::chain(Kind::Failed, "could not write the cache", &error))?;
        progress.begin_more(media.len());
        let of_media = downloader.pull(&media, &cache).await;
        add_media(&mut plan, &mut outcome, media, of_media);
    }
    progress.finish()?;
    context.output.message(format!(
        "run `{}`: {} ({}) in the cache{}",
        found.run.id,
        count(outcome.finished() as u64, "file"),
        HumanBytes(outcome.bytes()),
        describe_special_cases(&plan, &outcome)
    ));
    check_all_downloaded(&plan, &outcome)
}
