//! `docks profile list`, `use`, `add` and `remove`.

use docks_proto::settings::{self, Target, check_profile_name};

use super::auth_login::{as_text, trusted};
use super::auth_logout;
use super::profile_files::{Account, checked_tenant, checked_url, remote_of};
use crate::args::{ProfileAdd, ProfileRemove, ProfileUse};
use crate::ask::profile_flags;
use crate::context::Context;
use crate::failure::{Failure, settings_failure};
use crate::output::table::{Column, Shrink};

/// Lists the profiles of the file.
pub(super) fn list(context: &Context) -> Result<(), Failure> {
    let account = Account::open(context)?;
    let mut rows = Vec::new();
    for name in account.file.profile_names() {
        let Ok(Some(stored)) = account.file.profile(&name) else {
            continue;
        };
        let (kind, location, tenant) = match remote_of(&stored) {
            _ if !stored.harbor_jobs.is_empty() => {
                let jobs = Target::harbor_jobs(stored.harbor_jobs.clone());
                ("harbor_jobs", jobs.to_string(), String::new())
            }
            Some((url, tenant)) => ("docks_api", url, tenant),
            None => ("incomplete", String::new(), String::new()),
        };
        let default = if name == account.name { "*" } else { "" };
        rows.push(vec![
            default.to_owned(),
            name,
            kind.to_owned(),
            location,
            tenant,
        ]);
    }
    let columns = vec![
        Column::new("default", Shrink::Never),
        Column::new("name", Shrink::Never),
        Column::new("kind", Shrink::Never),
        Column::new("location", Shrink::Wrap(8)),
        Column::new("tenant", Shrink::Wrap(8)),
    ];
    context
        .output
        .records(context.global.format, columns, &rows);
    if rows.is_empty() {
        context
            .output
            .note("there are no profiles; `docks auth login` makes one");
    }
    Ok(())
}

/// Makes a profile the one that is used when nothing names one.
pub(super) fn pick(context: &Context, args: &ProfileUse) -> Result<(), Failure> {
    let account = Account::open(context)?.of(&args.name);
    account.must_exist()?;
    let name = Some(args.name.as_str());
    account.edit_preferences(|path, text| settings::set_default_profile(path, text, name))?;
    context
        .output
        .message(format!("profile `{}` is the default now", args.name));
    if account.endpoint.environment.settings.profile.is_some() {
        let text = "DOCKS_PROFILE is set and wins over the default";
        context.output.warn(text);
    }
    Ok(())
}

/// Adds a profile, or changes what is not a matter of tokens.
pub(super) fn add(context: &Context, args: &ProfileAdd) -> Result<(), Failure> {
    let account = Account::open(context)?.of(&args.name);
    let stored = account.stored()?;
    if stored.is_none() {
        check_profile_name(&args.name).map_err(|e| settings_failure(&e))?;
    }
    let before = stored.clone().unwrap_or_default();
    if !context.global.harbor.is_empty() {
        return add_jobs(context, args, &account);
    }
    if !before.harbor_jobs.is_empty() {
        return Err(other_remote(&args.name));
    }
    let tenant = match (&args.tenant, &before.tenant_id) {
        (Some(text), _) | (None, Some(text)) => checked_tenant(text)?,
        (None, None) => {
            return Err(Failure::usage("a profile is a tenant or a jobs directory")
                .hint("add --tenant ID, or --harbor DIR"));
        }
    };
    let written = args.api_url.as_ref().or(before.api_url.as_ref());
    let url = written.map_or(settings::DEFAULT_API_URL, String::as_str);
    let url = checked_url(
        url,
        args.insecure || (before.insecure && args.api_url.is_none()),
    )?;
    let now = Some((url.clone(), tenant.clone()));
    if remote_of(&before).is_some_and(|then| now != Some(then)) {
        return Err(other_remote(&args.name));
    }
    let ca_file = trusted(args.ca_file.as_deref(), &before, &url)?;
    account.note_others()?;
    let insecure = checked_url(&url, false).is_err().then_some("true");
    account.set(&[
        ("api_url", Some(&url)),
        ("tenant_id", Some(&tenant)),
        ("insecure", insecure),
        ("ca_file", as_text(ca_file.as_deref())?),
    ])?;
    context.output.message(format!(
        "profile `{}` is saved; sign in with `docks auth login -p {}`",
        args.name, args.name
    ));
    Ok(())
}

fn add_jobs(context: &Context, args: &ProfileAdd, account: &Account) -> Result<(), Failure> {
    if args.api_url.is_some() || args.tenant.is_some() {
        return Err(Failure::usage(
            "--harbor cannot be used with --api-url or --tenant",
        ));
    }
    if remote_of(&account.stored()?.unwrap_or_default()).is_some() {
        return Err(other_remote(&args.name));
    }
    let mut real = Vec::new();
    for dir in profile_flags(&context.global, &account.endpoint.environment).harbor {
        let unusable = |why: &str| Failure::usage(format!("{} {why}", dir.display()));
        let found = dir.canonicalize();
        let found = found.map_err(|error| unusable(&format!("cannot be used: {error}")))?;
        if !found.is_dir() {
            return Err(unusable("is no directory"));
        }
        if found.as_os_str().as_encoded_bytes().contains(&b':') {
            return Err(unusable(
                "has a colon in its path, which separates directories in a profile",
            )
            .hint("name it with --harbor each time, or give it another name"));
        }
        real.push(found);
    }
    let text = Target::harbor_jobs(real).to_string();
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err(Failure::usage(
            "a profile holds text, and this path is none",
        ));
    }
    account.set(&[("harbor_jobs", Some(&text))])?;
    let name = &args.name;
    context
        .output
        .message(format!("profile `{name}` is saved: jobs in {text}"));
    Ok(())
}

/// A profile keeps its remote, since its stored token was given for that one.
fn other_remote(name: &str) -> Failure {
    Failure::usage(format!("profile `{name}` is another remote already")).hint(format!(
        "remove it first, `docks profile remove {name}`, or sign in to the new one, \
         `docks auth login -p {name}`"
    ))
}

/// Removes a profile with its token.
pub(super) fn remove(context: &Context, args: &ProfileRemove) -> Result<(), Failure> {
    let account = Account::open(context)?.of(&args.name);
    account.must_exist()?;
    let question = format!("Remove profile `{}` and forget its token?", args.name);
    if !args.force && !context.output.confirm(&question)? {
        return Err(Failure::failed("nothing was removed"));
    }
    auth_logout::forget(context, &account)?;
    // A token file that may have been this profile's must not become that of the one that is left.
    let names = account.file.profile_names();
    if !names.iter().any(|name| account.uses_token_file(name)) {
        account.note_token_file(&args.name)?;
    }
    account.remove()?;
    if account.file.preferences().default_profile.as_ref() == Some(&args.name) {
        account.edit_preferences(|path, text| settings::set_default_profile(path, text, None))?;
    }
    context
        .output
        .message(format!("profile `{}` is removed", args.name));
    Ok(())
}
