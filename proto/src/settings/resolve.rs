//! Resolves the settings of a command: flags override the environment, which overrides the file.

use std::path::PathBuf;

use super::file::split_dirs;
use super::server_profile;
use super::{
    ConfigFile, DEFAULT_API_URL, DEFAULT_PROFILE, Environment, ExplainedSetting, Flags, Origin,
    Profile, SettingsError, StoredProfile, Target, TrustSettings, normalise_api_url,
};
use crate::secret::Token;

/// Resolves the remote of one command.
///
/// A `harbor serve` comes from `--harbor-server`, else from `DOCKS_HARBOR_SERVER` unless another option selects a
/// remote, else from the profile. A jobs directory comes from `--harbor`, else from `DOCKS_HARBOR_JOBS` unless `--profile` is given,
/// else from the profile. `DOCKS_API_URL` and `DOCKS_TENANT_ID` override the profile's values, and
/// turn a profile with a jobs directory into an API, unless `--profile` named it. Where nothing of all this is set, it is
/// [`Flags::default_harbor`].
///
/// # Errors
///
/// [`SettingsError`] for settings that are missing, contradictory or unsafe.
pub fn resolve(
    flags: &Flags,
    environment: &Environment,
    file: &ConfigFile,
) -> Result<Profile, SettingsError> {
    check_one_flag(flags)?;
    let (name, named_by) = profile_name(flags, environment, file);
    let mut settings = vec![ExplainedSetting {
        key: "profile",
        value: name.clone(),
        origin: named_by.clone(),
    }];
    if let Some((url, origin)) = harbor_server(flags, environment) {
        return server_profile::of_address(name, (&url, origin), environment, file, settings);
    }
    if let Some((dirs, origin)) = jobs_directories(flags, environment) {
        return jobs_profile(name, dirs, origin, true, settings);
    }
    let stored = file.profile(&name)?;
    let known = stored.is_some();
    let stored = stored.unwrap_or_default();
    let set = |value: &Option<String>| value.clone().filter(|v| !v.trim().is_empty());
    let (env_url, env_tenant) = (set(&environment.api_url), set(&environment.tenant_id));
    if stored.harbor_server.is_some() {
        if flags.profile.is_some() || (env_url.is_none() && env_tenant.is_none()) {
            check_one_target(&name, &stored)?;
            return server_profile::of_profile(name, &stored, environment, file, settings);
        }
        return api_profile(name, StoredProfile::default(), environment, file, settings);
    }
    if !stored.harbor_jobs.is_empty() {
        if flags.profile.is_some() || (env_url.is_none() && env_tenant.is_none()) {
            check_one_target(&name, &stored)?;
            let origin = Origin::File(file.path().to_owned());
            return jobs_profile(name, stored.harbor_jobs, origin, false, settings);
        }
        return api_profile(name, StoredProfile::default(), environment, file, settings);
    }
    if !known && env_tenant.is_none() {
        let default = flags.default_harbor.clone();
        if let Some(dir) = default.filter(|_| named_by == Origin::Default && env_url.is_none()) {
            return jobs_profile(name, vec![dir], Origin::Default, true, settings);
        }
        return Err(match named_by {
            Origin::Default => SettingsError::NothingSetUp { name },
            origin => SettingsError::UnknownProfile {
                name,
                origin,
                known: file.profile_names(),
            },
        });
    }
    settings.reserve(4);
    api_profile(name, stored, environment, file, settings)
}

fn profile_name(flags: &Flags, environment: &Environment, file: &ConfigFile) -> (String, Origin) {
    let set = |value: &Option<String>| value.clone().filter(|v| !v.is_empty());
    if let Some(name) = set(&flags.profile) {
        (name, Origin::Flag("--profile"))
    } else if let Some(name) = set(&environment.profile) {
        (name, Origin::Environment("DOCKS_PROFILE"))
    } else if let Some(name) = set(&file.preferences().default_profile) {
        (name, Origin::File(file.preferences().path.clone()))
    } else {
        (DEFAULT_PROFILE.to_owned(), Origin::Default)
    }
}

fn check_one_flag(flags: &Flags) -> Result<(), SettingsError> {
    let given = [
        ("--profile", flags.profile.is_some()),
        ("--harbor", !flags.harbor.is_empty()),
        ("--harbor-server", flags.harbor_server.is_some()),
    ];
    let mut given = given.into_iter().filter(|(_, is_given)| *is_given);
    match (given.next(), given.next()) {
        (Some((one, _)), Some((other, _))) => Err(SettingsError::TwoFlags(one, other)),
        _ => Ok(()),
    }
}

fn harbor_server(flags: &Flags, environment: &Environment) -> Option<(String, Origin)> {
    if let Some(url) = &flags.harbor_server {
        return Some((url.clone(), Origin::Flag("--harbor-server")));
    }
    let has_other_flag = flags.profile.is_some() || !flags.harbor.is_empty();
    let url = environment.harbor_server.clone();
    url.filter(|url| !url.trim().is_empty() && !has_other_flag)
        .map(|url| (url, Origin::Environment("DOCKS_HARBOR_SERVER")))
}

fn jobs_directories(flags: &Flags, environment: &Environment) -> Option<(Vec<PathBuf>, Origin)> {
    if !flags.harbor.is_empty() {
        return Some((flags.harbor.clone(), Origin::Flag("--harbor")));
    }
    let from_environment = environment.harbor_jobs.as_ref();
    from_environment
        .map(|dirs| split_dirs(dirs))
        .filter(|dirs| !dirs.is_empty() && flags.profile.is_none())
        .map(|dirs| (dirs, Origin::Environment("DOCKS_HARBOR_JOBS")))
}

fn jobs_profile(
    name: String,
    dirs: Vec<PathBuf>,
    origin: Origin,
    adhoc: bool,
    mut settings: Vec<ExplainedSetting>,
) -> Result<Profile, SettingsError> {
    if let Some(path) = dirs.iter().find(|dir| !dir.is_absolute()).cloned() {
        return Err(SettingsError::RelativeJobs { origin, path });
    }
    let target = Target::harbor_jobs(dirs);
    settings.push(ExplainedSetting {
        key: "harbor_jobs",
        value: target.to_string(),
        origin,
    });
    Ok(Profile {
        name,
        target,
        inline_token: None,
        inline_token_from: None,
        insecure: false,
        trust: TrustSettings::default(),
        artifact_settings: super::ArtifactSettings::default(),
        settings,
        adhoc,
        owns_stored_tokens: false,
    })
}

fn check_one_target(profile: &str, stored: &StoredProfile) -> Result<(), SettingsError> {
    let keys = [
        ("harbor_server", stored.harbor_server.is_some()),
        ("harbor_jobs", !stored.harbor_jobs.is_empty()),
        ("api_url", stored.api_url.is_some()),
        ("tenant_id", stored.tenant_id.is_some()),
    ];
    let mut set = keys.into_iter().filter(|(_, is_set)| *is_set);
    match (set.next(), set.next()) {
        (Some((key, _)), Some((other, _))) => Err(SettingsError::TwoTargets {
            profile: profile.to_owned(),
            key,
            other,
        }),
        _ => Ok(()),
    }
}

fn api_profile(
    name: String,
    stored: StoredProfile,
    environment: &Environment,
    file: &ConfigFile,
    mut settings: Vec<ExplainedSetting>,
) -> Result<Profile, SettingsError> {
    let in_file = || Origin::File(file.path().to_owned());
    let pick = |variable, over: &Option<String>, own: &Option<String>| {
        let over = over.clone().filter(|v| !v.trim().is_empty());
        over.map(|v| (v, Origin::Environment(variable)))
            .or_else(|| own.clone().map(|v| (v, in_file())))
    };
    let own_url = match &stored.api_url {
        Some(url) => normalise_api_url(url, stored.insecure).ok(),
        None => normalise_api_url(DEFAULT_API_URL, false).ok(),
    };
    let (url, url_from) = pick("DOCKS_API_URL", &environment.api_url, &stored.api_url)
        .unwrap_or((DEFAULT_API_URL.to_owned(), Origin::Default));
    // `insecure` is about the address in the file, not about one from the environment.
    let insecure = stored.insecure
        && (!matches!(url_from, Origin::Environment(_))
            || normalise_api_url(&url, true).ok() == own_url);
    let api_url =
        normalise_api_url(&url, insecure).map_err(|source| SettingsError::AddressError {
            text: url.clone(),
            origin: url_from.clone(),
            source,
        })?;
    // So are `ca_file` and `pin`.
    let trust = if own_url.as_ref() == Some(&api_url) {
        TrustSettings::of_profile(&name, &stored)?
    } else {
        TrustSettings::default()
    };
    let (tenant, tenant_from) = pick("DOCKS_TENANT_ID", &environment.tenant_id, &stored.tenant_id)
        .map(|(text, origin)| (text.trim().to_owned(), origin))
        .ok_or_else(|| SettingsError::NoTenant {
            profile: name.clone(),
        })?;
    crate::id::validate(&tenant).map_err(|problem| SettingsError::BadTenant {
        origin: tenant_from.clone(),
        problem: problem.to_string(),
    })?;
    let owns_stored_tokens = own_url.as_ref() == Some(&api_url)
        && stored.tenant_id.as_ref().is_none_or(|own| *own == tenant);
    let (inline_token, inline_token_from) =
        inline_token(environment, &stored, owns_stored_tokens, in_file())?;
    let adhoc = !owns_stored_tokens
        || stored.tenant_id.is_none()
        || matches!(inline_token_from, Some(Origin::Environment(_)));
    let mut explain =
        |key, value: String, origin| settings.push(ExplainedSetting { key, value, origin });
    explain("api_url", api_url.clone(), url_from);
    explain("tenant_id", tenant.clone(), tenant_from);
    if let Some(origin) = &inline_token_from {
        explain("token", "set".to_owned(), origin.clone());
    }
    if insecure {
        explain("insecure", "true".to_owned(), in_file());
    }
    if let Some(path) = &trust.ca_file {
        explain("ca_file", path.display().to_string(), in_file());
    }
    if let Some(pin) = &trust.pin {
        explain("pin", pin.to_string(), in_file());
    }
    let artifact_settings = &stored.artifact_settings;
    for (key, value) in [
        ("gcs_bucket", &artifact_settings.gcs_bucket),
        ("gcp_project", &artifact_settings.gcp_project),
        ("gcp_region", &artifact_settings.gcp_region),
    ] {
        if let Some(value) = value {
            explain(key, value.clone(), in_file());
        }
    }
    for (key, value) in artifact_settings.stores.explained() {
        explain(key, value.to_owned(), in_file());
    }
    if !artifact_settings.hosts.is_empty() {
        explain(
            "artifact_hosts",
            artifact_settings.hosts.join(" "),
            in_file(),
        );
    }
    Ok(Profile {
        name,
        target: Target::DocksApi { api_url, tenant },
        inline_token,
        inline_token_from,
        insecure,
        trust,
        artifact_settings: stored.artifact_settings,
        settings,
        adhoc,
        owns_stored_tokens,
    })
}

/// Returns `DOCKS_TOKEN`, else the profile's `token` key if it is for this remote, and its origin.
fn inline_token(
    environment: &Environment,
    stored: &StoredProfile,
    owns_stored_tokens: bool,
    in_file: Origin,
) -> Result<(Option<Token>, Option<Origin>), SettingsError> {
    let over = environment.token.as_ref().filter(|v| !v.trim().is_empty());
    let (text, origin) = match (over, &stored.token) {
        (Some(text), _) => (text, Origin::Environment("DOCKS_TOKEN")),
        (None, Some(text)) if owns_stored_tokens => (text, in_file),
        _ => return Ok((None, None)),
    };
    match Token::new(text) {
        Some(token) => Ok((Some(token), Some(origin))),
        None => Err(SettingsError::BadToken { origin }),
    }
}
