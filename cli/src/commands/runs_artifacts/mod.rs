//! `docks runs artifacts`: downloads the artifacts of trials.
//!
//! Selects the trials, passes their URIs to [`docks_artifacts`] and reports the results. Nothing
//! about files or networks is decided here.

mod dry_run;
pub(super) mod progress;

use docks_artifacts::download::{ArtifactError, Downloader, Options, Outcome};
use docks_artifacts::layout::Plan;
use docks_artifacts::{ArtifactRequest, FileOrigin, media};
use docks_proto::settings::Target;
use indicatif::HumanBytes;

use crate::args::RunsArtifacts;
use crate::ask::Requester;
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::figures::count;

use super::artifact_selection::Selection;
use super::{artifact_selection, artifact_sources};
use progress::Progress;

/// Downloads artifacts.
///
/// # Errors
///
/// [`Kind::NotFound`] when there are none, [`Kind::SomeArtifacts`] when some
/// could not be downloaded, and why the run or its trials cannot be read.
pub(crate) async fn run(context: &Context, args: &RunsArtifacts) -> Result<(), Failure> {
    let requester = Requester::new(context)?;
    let allowed = context.global.allowed();
    let found =
        artifact_selection::select_artifacts(context, &requester, &args.run_id, &args.filter)
            .await?;
    let mut plan = found.plan(matches!(
        requester.remote.profile.target,
        Target::DocksApi { .. }
    ));
    if plan.requests.is_empty() {
        Progress::new(context, &plan.requests, &found.response).finish()?;
        return Err(artifact_selection::nothing_selected(
            &found,
            &plan,
            &args.filter,
            &args.run_id,
        ));
    }
    let sources = artifact_sources::sources(&requester.remote, found.uris())?;
    if args.dry_run {
        return dry_run::run(context, args, &plan, &sources, &found.response).await;
    }
    let cache = artifact_sources::open_cache(&requester.remote.endpoint.places, context.now)?;
    let progress = Progress::new(context, &plan.requests, &found.response);
    progress.begin();
    let downloader = Downloader {
        sources: &sources,
        cache: Some(&cache),
        options: Options {
            concurrency: args.jobs.into(),
            overwrite: args.overwrite,
            revalidation: artifact_sources::revalidation(&requester.remote, allowed),
        },
        observer: &progress,
    };
    let mut outcome = downloader.fetch(&plan.requests, &args.output).await;
    let media = plan_media(&found, &plan, &outcome);
    if !media.is_empty() {
        progress.begin_more(media.len());
        let of_media = downloader.fetch(&media, &args.output).await;
        add_media(&mut plan, &mut outcome, media, of_media);
    }
    progress.finish()?;
    let keys = plan
        .requests
        .iter()
        .map(|request| sources.cache_key(&request.uri).hash);
    let run = sources.owner.run_key(&found.run.id);
    // The download itself is complete, so a cache that cannot be written is not an error.
    cache.add_to_run(&run, keys).ok();
    summarise(context, args, &plan, &outcome);
    check_all_downloaded(&plan, &outcome)
}

/// Plans the downloads of what the downloaded trajectories point to.
pub(super) fn plan_media(
    found: &Selection,
    plan: &Plan,
    outcome: &Outcome,
) -> Vec<ArtifactRequest> {
    let mut media = media::plan_media(&plan.requests, outcome, found.owners());
    media.retain(|request| found.selector.matches(request));
    media
}

/// Adds what became of images and sounds. One that is not there is missing in the remote, as other artifacts
/// are that a trial does not have.
pub(super) fn add_media(
    plan: &mut Plan,
    outcome: &mut Outcome,
    media: Vec<ArtifactRequest>,
    of_media: Outcome,
) {
    for (request, result) in media.into_iter().zip(of_media.results) {
        if result.as_ref().is_err_and(ArtifactError::is_absent) {
            plan.unavailable += 1;
        } else {
            plan.requests.push(request);
            outcome.results.push(result);
        }
    }
}

/// Fails with exit code 12 if some artifacts could not be downloaded.
pub(super) fn check_all_downloaded(plan: &Plan, outcome: &Outcome) -> Result<(), Failure> {
    match outcome.failed() {
        0 => Ok(()),
        failed => Err(Failure::new(
            Kind::SomeArtifacts,
            format!(
                "{failed} of {} could not be downloaded",
                count(plan.requests.len() as u64, "artifact")
            ),
        )
        .hint("run the same command again to resume")),
    }
}

fn summarise(context: &Context, args: &RunsArtifacts, plan: &Plan, outcome: &Outcome) {
    let first = plan.requests.first();
    let directory = first.and_then(|request| request.directories.first());
    let directory = directory.map_or_else(|| args.output.clone(), |name| args.output.join(name));
    let mut line = format!(
        "{} ({}) in {}",
        count(outcome.finished() as u64, "file"),
        HumanBytes(outcome.bytes()),
        directory.display()
    );
    line.push_str(&describe_special_cases(plan, outcome));
    context.output.message(line);
}

/// Describes the artifacts that were not simply downloaded.
pub(super) fn describe_special_cases(plan: &Plan, outcome: &Outcome) -> String {
    let how = |how| {
        let done = outcome.results.iter().flatten();
        done.filter(|finished| finished.origin == how).count()
    };
    let counts = [
        (how(FileOrigin::Cached), "from the cache"),
        (how(FileOrigin::Unchanged), "already there"),
        (plan.unavailable, "not available"),
        (outcome.failed(), "failed"),
    ];
    let present = counts.iter().filter(|(count, _)| *count > 0);
    present
        .map(|(count, what)| format!("; {count} {what}"))
        .collect()
}
