//! The settings of a `harbor serve`: its address and its key.

use super::{
    AddressError, ArtifactSettings, ConfigFile, Environment, ExplainedSetting, Origin, Profile,
    SettingsError, StoredProfile, Target, TrustSettings, normalise_api_url,
};
use crate::secret::Token;

/// Resolves a server that an option or a variable names.
///
/// Its key is `HARBOR_API_KEY`: the user named the server. `insecure` and `ca_file` are those of the profiles that
/// have the same address.
pub(super) fn of_address(
    name: String,
    (written, origin): (&str, Origin),
    environment: &Environment,
    file: &ConfigFile,
    settings: Vec<ExplainedSetting>,
) -> Result<Profile, SettingsError> {
    let same = same_address(written, file);
    let insecure = same.as_ref().is_some_and(|stored| stored.insecure);
    let stored = StoredProfile {
        insecure,
        ca_file: same.and_then(|stored| stored.ca_file),
        ..StoredProfile::default()
    };
    let url = normalise(written, insecure, &origin)?;
    build(
        name,
        (url, origin),
        &stored,
        (environment, file),
        settings,
        true,
    )
}

/// Resolves the server of a profile. Its key is the profile's `token`, else `HARBOR_API_KEY`, which may well be
/// for another server than the one that has a key of its own.
pub(super) fn of_profile(
    name: String,
    stored: &StoredProfile,
    environment: &Environment,
    file: &ConfigFile,
    settings: Vec<ExplainedSetting>,
) -> Result<Profile, SettingsError> {
    let origin = Origin::File(file.path().to_owned());
    let written = stored.harbor_server.as_deref().unwrap_or_default();
    let url = normalise(written, stored.insecure, &origin)?;
    build(
        name,
        (url, origin),
        stored,
        (environment, file),
        settings,
        false,
    )
}

fn build(
    name: String,
    (url, origin): (String, Origin),
    stored: &StoredProfile,
    (environment, file): (&Environment, &ConfigFile),
    mut settings: Vec<ExplainedSetting>,
    is_named: bool,
) -> Result<Profile, SettingsError> {
    let in_file = || Origin::File(file.path().to_owned());
    let trust = TrustSettings::of_profile(&name, stored)?;
    let of_environment = environment.harbor_api_key.as_ref();
    let of_environment = of_environment.filter(|key| !key.trim().is_empty());
    let key = match (&stored.token, of_environment) {
        (Some(text), _) => Some((text, in_file())),
        (None, Some(text)) => Some((text, Origin::Environment("HARBOR_API_KEY"))),
        (None, None) => None,
    };
    let token = match &key {
        Some((text, origin)) => Some(Token::new(text).ok_or_else(|| SettingsError::BadToken {
            origin: origin.clone(),
        })?),
        None => None,
    };
    let token_from = key.map(|(_, origin)| origin);
    let mut explain =
        |key, value: String, origin| settings.push(ExplainedSetting { key, value, origin });
    explain("harbor_server", url.clone(), origin);
    if let Some(origin) = &token_from {
        explain("token", "set".to_owned(), origin.clone());
    }
    if stored.insecure {
        explain("insecure", "true".to_owned(), in_file());
    }
    if let Some(path) = &trust.ca_file {
        explain("ca_file", path.display().to_string(), in_file());
    }
    if let Some(pin) = &trust.pin {
        explain("pin", pin.to_string(), in_file());
    }
    let hosts = &stored.artifact_settings.hosts;
    if !hosts.is_empty() {
        explain("artifact_hosts", hosts.join(" "), in_file());
    }
    Ok(Profile {
        name,
        target: Target::HarborServer { url },
        inline_token: token,
        adhoc: is_named || matches!(token_from, Some(Origin::Environment(_))),
        inline_token_from: token_from,
        insecure: stored.insecure,
        trust,
        artifact_settings: ArtifactSettings {
            hosts: stored.artifact_settings.hosts.clone(),
            ..ArtifactSettings::default()
        },
        settings,
        owns_stored_tokens: !is_named,
    })
}

fn normalise(written: &str, insecure: bool, origin: &Origin) -> Result<String, SettingsError> {
    let failed = |source: AddressError| SettingsError::AddressError {
        text: written.to_owned(),
        origin: origin.clone(),
        source,
    };
    normalise_api_url(written, insecure).map_err(failed)
}

/// Returns the first profile of the same server.
fn same_address(written: &str, file: &ConfigFile) -> Option<StoredProfile> {
    let wanted = normalise_api_url(written, true).ok()?;
    let names = file.profile_names().into_iter();
    let mut stored = names.filter_map(|name| file.profile(&name).ok()?);
    stored.find(|stored| {
        let url = stored.harbor_server.as_deref();
        url.and_then(|url| normalise_api_url(url, stored.insecure).ok()) == Some(wanted.clone())
    })
}
