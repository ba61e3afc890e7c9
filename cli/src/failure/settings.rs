//! Errors of settings and credentials as failures with exit codes and hints.

use docks_proto::credentials::CredentialError;
use docks_proto::settings::SettingsError;

use super::{Failure, Kind};

/// Turns an error of the settings into a failure.
pub(crate) fn settings_failure(error: &SettingsError) -> Failure {
    let kind = match error {
        SettingsError::UnknownProfile { .. } => Kind::NotFound,
        SettingsError::NothingSetUp { .. } | SettingsError::NoTenant { .. } => Kind::Auth,
        SettingsError::TwoFlags(..)
        | SettingsError::RelativeJobs { .. }
        | SettingsError::AddressError { .. }
        | SettingsError::BadTenant { .. }
        | SettingsError::BadName { .. }
        | SettingsError::BadValue { .. } => Kind::Usage,
        _ => Kind::Failed,
    };
    with_hint(Failure::new(kind, error.to_string()), error.hint())
}

/// Turns an error of the credentials into a failure.
pub(crate) fn credential_failure(error: &CredentialError) -> Failure {
    if let CredentialError::Settings(inner) = error {
        return settings_failure(inner);
    }
    let mut failure = Failure::chain(Kind::Auth, "not signed in", error);
    if let CredentialError::NotSignedIn {
        keyring: Some(problem),
        ..
    } = error
    {
        failure = failure.hint(problem.to_string());
    }
    with_hint(failure, error.hint())
}

fn with_hint(failure: Failure, hint: Option<String>) -> Failure {
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
