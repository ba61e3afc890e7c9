//! `docks profile list`, `use`, `add` and `remove`.

use docks_proto::mirrors::{MirrorFile, MirrorId};
use docks_proto::settings::{self, Target, check_profile_name};
use docks_proto::time::UnixMs;
use indicatif::HumanBytes;

use super::auth_logout;
use super::mirror_list::MirrorList;
use super::profile_files::{ProfileFiles, check_tenant, check_url, stored_remote};
use super::token_check::{path_text, resolve_trust};
use crate::args::{Format, ProfileAdd, ProfileRemove, ProfileUse};
use crate::ask::profile_flags;
use crate::context::Context;
use crate::failure::{Failure, settings_failure};
use crate::output::table::{Column, Hide, Shrink};

/// Lists the profiles of the file with their mirrors, and the mirrors that are no profile's.
///
/// The files of mirrors tell enough, so that no daemon is needed.
pub(super) fn list(context: &Context) -> Result<(), Failure> {
    let files = ProfileFiles::open(context)?;
    let mirrors = MirrorList::read(&files.endpoint.places, &files.file)?;
    let is_table = context.global.format == Format::Table;
    let mut rows = Vec::new();
    for name in files.file.profile_names() {
        let Ok(Some(stored)) = files.file.profile(&name) else {
            continue;
        };
        let (kind, location, tenant) = match stored_remote(&stored) {
            _ if !stored.harbor_jobs.is_empty() => {
                let jobs = Target::harbor_jobs(stored.harbor_jobs.clone());
                ("harbor_jobs", jobs.to_string(), String::new())
            }
            _ if stored.harbor_server.is_some() => {
                let url = stored.harbor_server.clone().unwrap_or_default();
                ("harbor_server", url, String::new())
            }
            Some((url, tenant)) => ("docks_api", url, tenant),
            None => ("incomplete", String::new(), String::new()),
        };
        let default = if name == files.name { "*" } else { "" };
        let remote = mirrors.of_profile(&name);
        let mirror = remote.and_then(|remote| mirrors.file(MirrorId::new(&remote.remote)));
        let mut row = vec![default.to_owned(), name, kind.to_owned(), location, tenant];
        row.extend(mirror_cells(mirror, is_table));
        rows.push(row);
    }
    let has_profiles = !rows.is_empty();
    for mirror in mirrors.of_no_profile() {
        let (kind, location, tenant) = match mirror.remote.as_ref().map(|remote| &remote.target) {
            Some(Target::DocksApi { api_url, tenant }) => {
                ("docks_api", api_url.clone(), tenant.clone())
            }
            Some(Target::HarborServer { url }) => ("harbor_server", url.clone(), String::new()),
            Some(jobs @ Target::HarborJobs { .. }) => {
                ("harbor_jobs", jobs.to_string(), String::new())
            }
            None => ("unknown", mirror.location(), String::new()),
        };
        let nothing = String::new;
        let mut row = vec![nothing(), nothing(), kind.to_owned(), location, tenant];
        row.extend(mirror_cells(Some(mirror), is_table));
        rows.push(row);
    }
    let columns = vec![
        Column::new("default", Shrink::Never),
        Column::new("name", Shrink::Never),
        Column::new("kind", Shrink::Never),
        Column::new("location", Shrink::Wrap(8)),
        Column::new("tenant", Shrink::Wrap(8)),
        Column::new("owner", Shrink::Wrap(8)).hidden(Hide::Last),
        Column::new("mirror", Shrink::Never).hidden(Hide::Last),
        Column::new(if is_table { "size" } else { "size_bytes" }, Shrink::Never)
            .hidden(Hide::First),
        Column::new(
            if is_table { "last used" } else { "last_used" },
            Shrink::Never,
        )
        .hidden(Hide::First),
    ];
    context
        .output
        .records(context.global.format, columns, &rows);
    if !has_profiles {
        context
            .output
            .note("there are no profiles; `docks auth login` creates one");
    }
    Ok(())
}

/// Returns whose a mirror is, its handle, its size and when it was last used.
fn mirror_cells(mirror: Option<&MirrorFile>, is_table: bool) -> [String; 4] {
    let Some(mirror) = mirror else {
        return Default::default();
    };
    let size = if is_table {
        HumanBytes(mirror.size_bytes).to_string()
    } else {
        mirror.size_bytes.to_string()
    };
    let last_used = mirror.last_used.map(UnixMs::rfc3339).unwrap_or_default();
    let handle = mirror.owner_id().handle();
    [mirror.owner(), handle, size, last_used]
}

/// Sets the default profile.
pub(super) fn set_default(context: &Context, args: &ProfileUse) -> Result<(), Failure> {
    let files = ProfileFiles::open(context)?.with_profile(&args.name);
    files.require_stored()?;
    let name = Some(args.name.as_str());
    files.edit_preferences(|path, text| settings::set_default_profile(path, text, name))?;
    context
        .output
        .message(format!("profile `{}` is now the default", args.name));
    if files.endpoint.environment.settings.profile.is_some() {
        let text = "DOCKS_PROFILE is set and overrides the default";
        context.output.warn(text);
    }
    Ok(())
}

/// Adds a profile, or changes settings of one that do not affect its token.
pub(super) fn add(context: &Context, args: &ProfileAdd) -> Result<(), Failure> {
    let files = ProfileFiles::open(context)?.with_profile(&args.name);
    let stored = files.stored()?;
    if stored.is_none() {
        check_profile_name(&args.name).map_err(|e| settings_failure(&e))?;
    }
    let before = stored.clone().unwrap_or_default();
    if !context.global.harbor.is_empty() {
        return add_jobs(context, args, &files);
    }
    if let Some(url) = context.global.harbor_server.first() {
        return add_server(context, args, &files, url);
    }
    if !before.harbor_jobs.is_empty() || before.harbor_server.is_some() {
        return Err(has_other_remote(&args.name));
    }
    let tenant = match (&args.tenant, &before.tenant_id) {
        (Some(text), _) | (None, Some(text)) => check_tenant(text)?,
        (None, None) => {
            return Err(Failure::usage(
                "a profile needs a tenant, a jobs directory or a `harbor serve`",
            )
            .hint("add --tenant ID, --harbor DIR or --harbor-server URL"));
        }
    };
    let written = args.api_url.as_ref().or(before.api_url.as_ref());
    let url = written.map_or(settings::DEFAULT_API_URL, String::as_str);
    let url = check_url(
        url,
        args.insecure || (before.insecure && args.api_url.is_none()),
    )?;
    let now = Some((url.clone(), tenant.clone()));
    if stored_remote(&before).is_some_and(|then| now != Some(then)) {
        return Err(has_other_remote(&args.name));
    }
    let trust = resolve_trust(args.ca_file.as_deref(), args.pin, &before, &url)?;
    let pin = trust.pin.map(|pin| pin.to_string());
    files.record_other_owner()?;
    let insecure = check_url(&url, false).is_err().then_some("true");
    files.set(&[
        ("api_url", Some(&url)),
        ("tenant_id", Some(&tenant)),
        ("insecure", insecure),
        ("ca_file", path_text(trust.ca_file.as_deref())?),
        ("pin", pin.as_deref()),
    ])?;
    context.output.message(format!(
        "profile `{}` is saved; sign in with `docks auth login -p {}`",
        args.name, args.name
    ));
    Ok(())
}

fn add_jobs(context: &Context, args: &ProfileAdd, files: &ProfileFiles) -> Result<(), Failure> {
    if args.api_url.is_some() || args.tenant.is_some() {
        return Err(Failure::usage(
            "--harbor cannot be used with --api-url or --tenant",
        ));
    }
    let before = files.stored()?.unwrap_or_default();
    if stored_remote(&before).is_some() || before.harbor_server.is_some() {
        return Err(has_other_remote(&args.name));
    }
    let mut real = Vec::new();
    for dir in profile_flags(&context.global, &files.endpoint.environment).harbor {
        let unusable = |why: &str| Failure::usage(format!("{} {why}", dir.display()));
        let found = dir.canonicalize();
        let found = found.map_err(|error| unusable(&format!("cannot be used: {error}")))?;
        if !found.is_dir() {
            return Err(unusable("is not a directory"));
        }
        if found.as_os_str().as_encoded_bytes().contains(&b':') {
            return Err(unusable(
                "has a colon in its path, which profiles use to separate directories",
            )
            .hint("use --harbor with each command, or rename the directory"));
        }
        real.push(found);
    }
    let text = Target::harbor_jobs(real).to_string();
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err(Failure::usage(
            "this path is not valid UTF-8, so it cannot be saved in a profile",
        ));
    }
    files.set(&[("harbor_jobs", Some(&text))])?;
    let name = &args.name;
    context
        .output
        .message(format!("profile `{name}` is saved: jobs in {text}"));
    Ok(())
}

/// Adds the profile of a `harbor serve`. Its key is never on a command line.
fn add_server(
    context: &Context,
    args: &ProfileAdd,
    files: &ProfileFiles,
    url: &str,
) -> Result<(), Failure> {
    if args.api_url.is_some() || args.tenant.is_some() {
        return Err(Failure::usage(
            "--harbor-server cannot be used with --api-url or --tenant",
        ));
    }
    let before = files.stored()?.unwrap_or_default();
    let url = check_url(url, args.insecure || before.insecure)?;
    let same = before
        .harbor_server
        .as_deref()
        .is_none_or(|known| check_url(known, true).is_ok_and(|known| known == url));
    if stored_remote(&before).is_some() || !before.harbor_jobs.is_empty() || !same {
        return Err(has_other_remote(&args.name));
    }
    let trust = resolve_trust(args.ca_file.as_deref(), args.pin, &before, &url)?;
    let pin = trust.pin.map(|pin| pin.to_string());
    let insecure = check_url(&url, false).is_err().then_some("true");
    files.set(&[
        ("harbor_server", Some(&url)),
        ("insecure", insecure),
        ("ca_file", path_text(trust.ca_file.as_deref())?),
        ("pin", pin.as_deref()),
    ])?;
    let name = &args.name;
    context.output.message(format!(
        "profile `{name}` is saved: `harbor serve` at {url}; its key is HARBOR_API_KEY, or `token` in config.toml"
    ));
    Ok(())
}

/// The remote of a profile does not change, since its token belongs to that remote.
fn has_other_remote(name: &str) -> Failure {
    Failure::usage(format!("profile `{name}` already has another remote")).hint(format!(
        "remove it first, `docks profile remove {name}`, or sign in to the new one, \
         `docks auth login -p {name}`"
    ))
}

/// Removes a profile and its token.
pub(super) fn remove(context: &Context, args: &ProfileRemove) -> Result<(), Failure> {
    let files = ProfileFiles::open(context)?.with_profile(&args.name);
    files.require_stored()?;
    let question = format!("Remove profile `{}` and delete its token?", args.name);
    if !args.force && !context.output.confirm(&question)? {
        return Err(Failure::failed("nothing was removed"));
    }
    auth_logout::delete_token(context, &files)?;
    // A token file that may belong to this profile must not become usable by the remaining one.
    let names = files.file.profile_names();
    if !names.iter().any(|name| files.uses_token_file(name)) {
        files.record_token_file_owner(&args.name)?;
    }
    let mirrors = MirrorList::read(&files.endpoint.places, &files.file)?;
    let remote = mirrors.of_profile(&args.name);
    let mirror = remote.and_then(|remote| mirrors.file(MirrorId::new(&remote.remote)));
    files.remove()?;
    if files.file.preferences().default_profile.as_ref() == Some(&args.name) {
        files.edit_preferences(|path, text| settings::set_default_profile(path, text, None))?;
    }
    context
        .output
        .message(format!("profile `{}` is removed", args.name));
    if let Some(mirror) = mirror.filter(|mirror| mirror.profile().is_some()) {
        let handle = mirror.owner_id().handle();
        context.output.note(format!(
            "its mirror is kept; `docks cache forget {handle}` removes it"
        ));
    }
    Ok(())
}
