//! Finds a profile's token: in the environment, the profile, the keyring or a file.
//!
//! This module does I/O. It defines the order of look-up, ensures that no profile gets another's
//! token, and reads and writes the settings files ([`files`]). [`crate::settings`] defines what a
//! profile is.

pub mod files;
pub mod foreign_files;
pub mod hub_token;
pub mod hub_tokens;
mod jwt;
pub(crate) mod keyring;
#[cfg(test)]
mod tests;
mod token_provider;
pub mod trust;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub use keyring::{
    KEYRING_SERVICE, Keyring, KeyringError, NoKeyring, has_session_bus, keyring_off, keyring_user,
};
pub use token_provider::TokenProvider;

use crate::hash::fnv1a_64;
use crate::secret::Token;
use crate::settings::{ConfigFile, DEFAULT_API_URL, Origin, Profile, Target, normalise_api_url};

/// A token and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundToken {
    /// The token.
    pub token: Token,
    /// Where it was found.
    pub location: TokenLocation,
}

/// Where a token can be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenLocation {
    /// This variable: `DOCKS_TOKEN`, or `HARBOR_API_KEY` for a `harbor serve`.
    Environment(&'static str),
    /// The profile's `token` key in this file.
    Profile(PathBuf),
    /// The keyring of the system.
    Keyring,
    /// The token file, one for all profiles.
    TokenFile(PathBuf),
}

impl fmt::Display for TokenLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenLocation::Environment(name) => write!(f, "environment {name}"),
            TokenLocation::Profile(path) => write!(f, "key `token` in {}", path.display()),
            TokenLocation::Keyring => write!(f, "keyring, service {KEYRING_SERVICE}"),
            TokenLocation::TokenFile(path) => write!(f, "file {}", path.display()),
        }
    }
}

/// Why there is no token for a profile.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// There is none.
    #[error("profile `{profile}` has no token")]
    NotSignedIn {
        /// The profile.
        profile: String,
        /// Why the keyring could not be read, if it could not.
        keyring: Option<KeyringError>,
    },
    /// The profile's stored token is for another remote.
    #[error(
        "the stored token of profile `{profile}` is for another address or tenant than the environment names"
    )]
    OtherRemote {
        /// The profile.
        profile: String,
    },
    /// The token in the file may belong to another profile.
    #[error("{} has one token for all profiles, and {reason}", path.display())]
    NotThisProfile {
        /// The profile.
        profile: String,
        /// The file.
        path: PathBuf,
        /// Why it was not used.
        reason: String,
    },
    /// A stored token that cannot be sent in a header.
    #[error("the token from {location} is empty or has characters that cannot be sent in a header")]
    Unusable {
        /// Where it is stored.
        location: TokenLocation,
    },
    /// The token file could not be read.
    #[error("could not read {}", path.display())]
    ReadTokenFile {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A jobs directory needs no token.
    #[error("profile `{profile}` is a jobs directory and needs no token")]
    NotNeeded {
        /// The profile.
        profile: String,
    },
    /// The settings cannot be read.
    #[error(transparent)]
    Settings(#[from] crate::settings::SettingsError),
}

impl CredentialError {
    /// Whether the profile may have a token all the same: a place where it may be could not be read.
    #[must_use]
    pub fn is_uncertain(&self) -> bool {
        match self {
            CredentialError::NotSignedIn { keyring, .. } => matches!(
                keyring,
                Some(KeyringError::Silent | KeyringError::Failed(_))
            ),
            CredentialError::ReadTokenFile { .. } | CredentialError::Settings(_) => true,
            CredentialError::OtherRemote { .. }
            | CredentialError::NotThisProfile { .. }
            | CredentialError::Unusable { .. }
            | CredentialError::NotNeeded { .. } => false,
        }
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            CredentialError::NotSignedIn { profile, .. }
            | CredentialError::NotThisProfile { profile, .. } => {
                Some(format!("Try `docks auth login -p {profile}`."))
            }
            CredentialError::OtherRemote { .. } => {
                Some("Set DOCKS_TOKEN as well, or unset DOCKS_API_URL and DOCKS_TENANT_ID.".into())
            }
            CredentialError::Settings(error) => error.hint(),
            _ => None,
        }
    }
}

/// Finds the token of `profile`: `DOCKS_TOKEN`, its `token` key, keyring, token file.
///
/// The first two are already part of the profile, see [`Profile::inline_token`].
///
/// # Errors
///
/// [`CredentialError`] when there is no token for this profile's remote.
pub fn find_token(
    profile: &Profile,
    file: &ConfigFile,
    keyring: &dyn Keyring,
    token_file: &Path,
) -> Result<FoundToken, CredentialError> {
    if let Target::HarborJobs { .. } = &profile.target {
        return Err(CredentialError::NotNeeded {
            profile: profile.name.clone(),
        });
    }
    if let Some(token) = &profile.inline_token {
        let location = match &profile.inline_token_from {
            Some(Origin::Environment(name)) => TokenLocation::Environment(name),
            _ => TokenLocation::Profile(file.path().to_owned()),
        };
        return Ok(FoundToken {
            token: token.clone(),
            location,
        });
    }
    let is_api = matches!(profile.target, Target::DocksApi { .. });
    if is_api && !profile.owns_stored_tokens {
        return Err(CredentialError::OtherRemote {
            profile: profile.name.clone(),
        });
    }
    // A server without a key needs none, and the token file is that of the Docks API.
    if let Target::HarborServer { .. } = &profile.target {
        return Err(CredentialError::NotSignedIn {
            profile: profile.name.clone(),
            keyring: None,
        });
    }
    let keyring_error = match keyring.get(&keyring_user(&profile.name)) {
        Ok(Some(text)) => return to_found(&text, TokenLocation::Keyring),
        Ok(None) => None,
        Err(error) => Some(error),
    };
    match files::read_small(token_file) {
        Ok(Some(text)) if !text.trim().is_empty() => {
            check_owner(profile, file, &text).map_err(|reason| {
                CredentialError::NotThisProfile {
                    profile: profile.name.clone(),
                    path: token_file.to_owned(),
                    reason,
                }
            })?;
            to_found(&text, TokenLocation::TokenFile(token_file.to_owned()))
        }
        Ok(_) => Err(CredentialError::NotSignedIn {
            profile: profile.name.clone(),
            keyring: keyring_error,
        }),
        Err(source) => Err(CredentialError::ReadTokenFile {
            path: token_file.to_owned(),
            source,
        }),
    }
}

fn to_found(text: &str, location: TokenLocation) -> Result<FoundToken, CredentialError> {
    match Token::new(text) {
        Some(token) => Ok(FoundToken { token, location }),
        None => Err(CredentialError::Unusable { location }),
    }
}

/// Checks that the token file belongs to this profile; the error says why not.
///
/// It does if we recorded so, if there is no other API profile, or if the token itself names the
/// tenant, and no other profile has that tenant at another address.
fn check_owner(profile: &Profile, file: &ConfigFile, text: &str) -> Result<(), String> {
    let Target::DocksApi { api_url, tenant } = &profile.target else {
        return Err("a jobs directory has no token".to_owned());
    };
    let others = other_remotes(file, api_url, tenant);
    if let Some(owner) = &file.preferences().token_file
        && owner.fingerprint == fingerprint(text)
    {
        let names = file.profile_names();
        let same_remote = names.contains(&owner.profile)
            && !others.iter().any(|(name, ..)| *name == owner.profile);
        return if owner.profile == profile.name || same_remote {
            Ok(())
        } else {
            Err(format!("it belongs to profile `{}`", owner.profile))
        };
    }
    let Some((first_other, ..)) = others.first() else {
        return Ok(());
    };
    match Token::new(text).and_then(|token| jwt::tenant(token.expose())) {
        Some(claim) if claim != *tenant => Err("its token names another tenant".to_owned()),
        Some(_) => match others.iter().find(|(_, _, other)| other == tenant) {
            None => Ok(()),
            Some((name, ..)) => Err(format!(
                "profile `{name}` has the same tenant at another address"
            )),
        },
        None => Err(format!(
            "it may belong to this profile or to `{first_other}`"
        )),
    }
}

/// Lists the API profiles with another remote: name, address, tenant.
fn other_remotes(file: &ConfigFile, api_url: &str, tenant: &str) -> Vec<(String, String, String)> {
    let mut others = Vec::new();
    for name in file.profile_names() {
        let Ok(Some(stored)) = file.profile(&name) else {
            continue;
        };
        if !stored.harbor_jobs.is_empty() || stored.harbor_server.is_some() {
            continue;
        }
        let Some(its_tenant) = stored.tenant_id else {
            continue;
        };
        let written = stored.api_url.as_deref().unwrap_or(DEFAULT_API_URL);
        let its_url = normalise_api_url(written, true).unwrap_or_else(|_| written.to_owned());
        if its_url != api_url || its_tenant != tenant {
            others.push((name, its_url, its_tenant));
        }
    }
    others
}

/// Returns whether two tokens are the same person's; `None` if they do not both say whose they are.
///
/// What a token says about itself is not checked, so this must not protect anything.
#[must_use]
pub fn is_same_person(one: &Token, other: &Token) -> Option<bool> {
    let subject = |token: &Token| jwt::subject(token.expose());
    Some(subject(one)? == subject(other)?)
}

/// Returns a short fingerprint of a token, from which the token cannot be recovered.
#[must_use]
pub fn fingerprint(token: &str) -> String {
    // 64 bits reveal nothing useful about a token.
    let bare = token.trim();
    let bare = bare.strip_prefix("Bearer ").unwrap_or(bare).trim();
    format!("{:016x}", fnv1a_64(bare))
}
