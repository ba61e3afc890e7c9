//! `docks cache forget`: removes one mirror, its history and the artifacts of its owner.

use docks_artifacts::cache::Cache;
use docks_artifacts::forget_mirror;
use docks_proto::client::ClientError;
use docks_proto::error::Candidate;
use docks_proto::mirrors::{self, ForgetReport, MirrorFile, MirrorId};
use docks_proto::settings::ConfigFile;
use indicatif::HumanBytes;

use super::artifact_sources;
use super::mirror_list::{MirrorList, describe_file, owned_remote};
use super::profile_files::ProfileFiles;
use crate::args::CacheForget;
use crate::ask::{DaemonEndpoint, FilesHolder, SelectedRemote, files_holder};
use crate::context::Context;
use crate::environment::Environment;
use crate::failure::{Answerer, Failure, Kind};
use crate::output::figures::count;

/// The option that skips the question.
const YES: &str = "--yes";

/// The mirror that is meant.
struct Selected {
    id: MirrorId,
    /// Whose it is, for people.
    whose: String,
}

/// Asks for confirmation, and removes the mirror.
pub(super) async fn run(context: &Context, args: &CacheForget) -> Result<(), Failure> {
    let files = ProfileFiles::open(context)?;
    let cache = artifact_sources::open_cache(&files.endpoint.places, context.now)?;
    let list = MirrorList::read(&files.endpoint.places, &files.file)?;
    let selected = match &args.mirror {
        Some(text) => named(context, text, &list, &cache)?,
        None => selected_by_options(context, &list)?,
    };
    let whose = &selected.whose;
    if !args.yes {
        context.output.require_prompt(YES)?;
        let what = match list.file(selected.id) {
            Some(file) => format!(" ({})", describe_file(file)),
            None => String::new(),
        };
        let question =
            format!("Forget the mirror of {whose}{what}, its history and its cached artifacts?");
        if !context.output.confirm_unless(&question, YES)? {
            return Err(Failure::failed("nothing was removed"));
        }
    }
    let report = forget(&files.endpoint, &files.file, &cache, selected.id).await?;
    context.output.message(describe(whose, report));
    Ok(())
}

/// Removes a mirror through the daemon, or directly while none can start.
pub(super) async fn forget(
    endpoint: &DaemonEndpoint,
    file: &ConfigFile,
    cache: &Cache,
    mirror: MirrorId,
) -> Result<ForgetReport, Failure> {
    match files_holder(endpoint).await? {
        FilesHolder::Daemon(client) => client.forget(mirror).await.map_err(|error| match error {
            ClientError::Refused { status: 404, .. } => {
                Failure::failed("the running docksd is of a release that cannot forget mirrors")
                    .hint("`docks daemon restart` replaces it")
            }
            error => Failure::from_client_error(&error, Answerer::Daemon),
        }),
        FilesHolder::ThisCommand(locks) => {
            let profiles = mirrors::remotes_of_profiles(file, mirrors::canonicalize);
            let report = forget_mirror(&endpoint.places.cache_dir(), cache, &profiles, mirror);
            drop(locks);
            report.map_err(|error| {
                Failure::chain(
                    Kind::Failed,
                    "could not delete everything of the mirror",
                    &error,
                )
            })
        }
    }
}

/// Says what was removed.
pub(super) fn describe(whose: &str, report: ForgetReport) -> String {
    if report == ForgetReport::default() {
        return format!("there was nothing of {whose}");
    }
    format!(
        "forgot the mirror of {whose}: {} ({}) and {} ({}) removed",
        count(report.mirror_files, "file"),
        HumanBytes(report.mirror_bytes),
        count(report.artifacts, "cached artifact"),
        HumanBytes(report.artifact_bytes)
    )
}

/// Finds the mirror that an argument names: a profile first, then a handle or a former profile.
fn named(
    context: &Context,
    text: &str,
    list: &MirrorList,
    cache: &Cache,
) -> Result<Selected, Failure> {
    let options = context.global.named_remotes();
    if let Some((option, _)) = options.iter().find(|(_, count)| *count > 0) {
        return Err(Failure::usage(format!(
            "the mirror is named twice: by the argument, and by {option}"
        )));
    }
    if let Some(profile) = list.of_profile(text) {
        return Ok(select(list, MirrorId::new(&profile.remote)));
    }
    match mirrors::find(&list.mirrors, text)[..] {
        [mirror] => Ok(select(list, mirror.owner_id())),
        [] => {
            let owners = cache.owners();
            let owners = owners.map_err(|error| {
                Failure::chain(Kind::Failed, "could not read the cache", &error)
            })?;
            let mut owners = owners.into_iter().filter(|owner| owner.is_named(text));
            owners
                .next()
                .map(|owner| select(list, owner))
                .ok_or_else(|| {
                    Failure::new(Kind::NotFound, format!("there is no mirror `{text}`"))
                        .hint("`docks profile list` shows all profiles and mirrors")
                })
        }
        ref several => Err(Failure {
            candidates: several.iter().map(|mirror| candidate(mirror)).collect(),
            ..Failure::new(
                Kind::Ambiguous,
                format!("`{text}` matches more than one mirror"),
            )
        }),
    }
}

/// Finds the mirror that commands with the same options and environment read.
fn selected_by_options(context: &Context, list: &MirrorList) -> Result<Selected, Failure> {
    let remote = SelectedRemote::new(&context.global, Environment::of_process())?;
    Ok(select(list, MirrorId::new(&owned_remote(&remote)?)))
}

fn select(list: &MirrorList, id: MirrorId) -> Selected {
    Selected {
        id,
        whose: list.describe(id),
    }
}

fn candidate(mirror: &MirrorFile) -> Candidate {
    Candidate {
        id: mirror.owner_id().to_string(),
        name: Some(mirror.owner()),
        status: None,
        location: Some(mirror.location()),
    }
}
