//! The settings files for `auth` and `profile`: reading and changing profiles and the token file.
//!
//! All changes go through here, so that no change of one profile gives its token to another; see
//! [`docks_proto::credentials`].

use docks_proto::credentials::{self, NoKeyring, TokenLocation, files};
use docks_proto::settings::{
    self, ConfigFile, DEFAULT_API_URL, DEFAULT_PROFILE, Environment as Variables, Flags, Profile,
    SettingsError, StoredProfile, TokenFileOwner, normalise_api_url, preferences_file,
    quote_address,
};

use crate::ask::{DaemonEndpoint, check_one_named};
use crate::context::Context;
use crate::environment::Environment;
use crate::failure::{Failure, settings_failure};

/// The settings files and one profile.
pub(super) struct ProfileFiles {
    pub(super) endpoint: DaemonEndpoint,
    pub(super) file: ConfigFile,
    /// Name of the profile.
    pub(super) name: String,
}

impl ProfileFiles {
    /// Reads the files; the profile is that of `--profile`, else the default one.
    pub(super) fn open(context: &Context) -> Result<Self, Failure> {
        let endpoint = DaemonEndpoint::new(Environment::of_process())?;
        let file = files::load(&endpoint.places).map_err(|e| settings_failure(&e))?;
        let variables = &endpoint.environment.settings;
        check_one_named(&context.global)?;
        let named = context.global.profile.first().cloned();
        let name = named
            .or_else(|| variables.profile.clone())
            .or_else(|| file.preferences().default_profile.clone())
            .unwrap_or_else(|| DEFAULT_PROFILE.to_owned());
        Ok(Self {
            endpoint,
            file,
            name,
        })
    }

    /// Selects another profile.
    pub(super) fn with_profile(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Returns the profile as it is in the file.
    pub(super) fn stored(&self) -> Result<Option<StoredProfile>, Failure> {
        self.file
            .profile(&self.name)
            .map_err(|e| settings_failure(&e))
    }

    /// Returns the profile, which must be in the file.
    ///
    /// # Errors
    ///
    /// When the profile is unknown.
    pub(super) fn require_stored(&self) -> Result<StoredProfile, Failure> {
        self.stored()?.ok_or_else(|| {
            settings_failure(&SettingsError::UnknownProfile {
                name: self.name.clone(),
                origin: settings::Origin::Flag("NAME"),
                known: self.file.profile_names(),
            })
        })
    }

    /// Changes keys of the profile in `config.toml`; `None` removes one.
    pub(super) fn set(&self, changes: &[(&'static str, Option<&str>)]) -> Result<(), Failure> {
        self.edit_config(|path, text| settings::set_profile(path, text, &self.name, changes))
    }

    /// Removes the profile from `config.toml`.
    pub(super) fn remove(&self) -> Result<(), Failure> {
        self.edit_config(|path, text| settings::remove_profile(path, text, &self.name))
    }

    fn edit_config(
        &self,
        edit: impl FnOnce(&std::path::Path, &str) -> Result<String, SettingsError>,
    ) -> Result<(), Failure> {
        let path = self.endpoint.places.config_file();
        edit_file(&path, edit).map_err(|e| settings_failure(&e))
    }

    /// Changes `docks.toml`.
    pub(super) fn edit_preferences(
        &self,
        edit: impl FnOnce(&std::path::Path, &str) -> Result<String, SettingsError>,
    ) -> Result<(), Failure> {
        let path = preferences_file(&self.endpoint.places);
        edit_file(&path, edit).map_err(|e| settings_failure(&e))
    }

    /// Whether a profile of this name uses the shared token file.
    pub(super) fn uses_token_file(&self, name: &str) -> bool {
        let flags = Flags {
            profile: Some(name.to_owned()),
            ..Flags::default()
        };
        let Ok(profile) = settings::resolve(&flags, &Variables::default(), &self.file) else {
            return false;
        };
        let profile = Profile {
            inline_token: None,
            ..profile
        };
        let token_file = self.endpoint.places.token_file();
        let keyring = NoKeyring("only the token file is checked");
        credentials::find_token(&profile, &self.file, &keyring, &token_file)
            .is_ok_and(|found| matches!(found.location, TokenLocation::TokenFile(_)))
    }

    /// Records which profile owns the token file, before a change that makes it ambiguous.
    ///
    /// With a second profile no profile could use it; without one of two, the other could.
    pub(super) fn record_token_file_owner(&self, owner: &str) -> Result<(), Failure> {
        let token_file = self.endpoint.places.token_file();
        let text = files::read_text(&token_file).map_err(|e| settings_failure(&e))?;
        let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
            return Ok(());
        };
        let owner = TokenFileOwner {
            profile: owner.to_owned(),
            fingerprint: credentials::fingerprint(&text),
        };
        if self.file.preferences().token_file.as_ref() == Some(&owner) {
            return Ok(());
        }
        self.edit_preferences(|path, old| settings::record_token_file(path, old, &owner))
    }

    /// Records that another profile owns the token file, before this one gets a remote; returns
    /// whether another one does.
    pub(super) fn record_other_owner(&self) -> Result<bool, Failure> {
        let names = self.file.profile_names();
        let mut others = names.iter().filter(|name| **name != self.name);
        match others.find(|name| self.uses_token_file(name)) {
            Some(owner) => self.record_token_file_owner(owner).map(|()| true),
            None => Ok(false),
        }
    }

    /// Warns about variables that override what was just saved.
    pub(super) fn warn_about_variables(&self, context: &Context) {
        let variables = &self.endpoint.environment.settings;
        for (name, set) in [
            ("DOCKS_API_URL", variables.api_url.is_some()),
            ("DOCKS_TENANT_ID", variables.tenant_id.is_some()),
            ("DOCKS_TOKEN", variables.token.is_some()),
            ("DOCKS_HARBOR_JOBS", variables.harbor_jobs.is_some()),
            ("DOCKS_HARBOR_SERVER", variables.harbor_server.is_some()),
        ] {
            if set {
                let text = format!("{name} is set and overrides the saved value");
                context.output.warn(text);
            }
        }
    }
}

fn edit_file(
    path: &std::path::Path,
    edit: impl FnOnce(&std::path::Path, &str) -> Result<String, SettingsError>,
) -> Result<(), SettingsError> {
    let old = files::read_text(path)?.unwrap_or_default();
    files::write_private(path, &edit(path, &old)?)
}

/// Returns the normalised address and the tenant of a stored API profile.
pub(super) fn stored_remote(stored: &StoredProfile) -> Option<(String, String)> {
    let tenant = stored.tenant_id.clone()?;
    let written = stored.api_url.as_deref().unwrap_or(DEFAULT_API_URL);
    Some((normalise_api_url(written, true).ok()?, tenant))
}

/// Checks and normalises an address from an option or a prompt.
pub(super) fn check_url(text: &str, insecure: bool) -> Result<String, Failure> {
    normalise_api_url(text, insecure).map_err(|source| {
        let failure = Failure::usage(format!("invalid address {}: {source}", quote_address(text)));
        match source {
            settings::AddressError::Plain => failure.hint("use https://, or add --insecure"),
            _ => failure,
        }
    })
}

/// Checks a tenant from an option or a prompt.
pub(super) fn check_tenant(text: &str) -> Result<String, Failure> {
    let text = text.trim();
    docks_proto::id::validate(text).map_err(|e| Failure::usage(format!("invalid tenant: {e}")))?;
    Ok(text.to_owned())
}
