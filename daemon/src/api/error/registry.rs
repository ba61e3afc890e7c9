//! Errors of a remote that can't be opened.

use axum::http::StatusCode;
use docks_proto::error::{ErrorCode, ErrorDetail, error_chain};
use docks_proto::settings::SettingsError;

use super::detail::{sentence, shutting_down};
use crate::registry::RegistryError;
use docksd_mirror::MirrorError;
use docksd_remote::{FaultClass, RemoteError};

/// Returns the status and the coded error.
pub(super) fn status_and_detail(error: &RegistryError) -> (StatusCode, ErrorDetail) {
    let message = sentence(&error_chain(error));
    let (status, code) = match error {
        RegistryError::Closed => return shutting_down(),
        RegistryError::Mirror { source, .. } => {
            if matches!(source, MirrorError::Closed) {
                return shutting_down();
            }
            tracing::error!(error = message, "could not open a mirror");
            (StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::MirrorUnusable)
        }
        RegistryError::MirrorNoAnswer(_) | RegistryError::HomeNoAnswer => {
            tracing::error!(error = message, "could not open a mirror");
            (StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::MirrorUnusable)
        }
        RegistryError::NoAnswer(_) => {
            tracing::error!(error = message, "could not open a remote");
            (StatusCode::GATEWAY_TIMEOUT, ErrorCode::RemoteUnreachable)
        }
        RegistryError::Forget(_) => {
            tracing::error!(error = message, "could not forget a mirror");
            (StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal)
        }
        RegistryError::BadRequest(_) => (StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest),
        RegistryError::NoToken(_) => (StatusCode::UNAUTHORIZED, ErrorCode::NotSignedIn),
        RegistryError::TenantMismatch { .. } => (StatusCode::NOT_FOUND, ErrorCode::UnknownProfile),
        RegistryError::Remote { source, .. } if source.class() == FaultClass::NotFound => {
            (StatusCode::NOT_FOUND, ErrorCode::NotFound)
        }
        RegistryError::Remote { .. } => (StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest),
        RegistryError::Settings(SettingsError::UnknownProfile { .. }) => {
            (StatusCode::NOT_FOUND, ErrorCode::UnknownProfile)
        }
        RegistryError::Settings(
            SettingsError::NothingSetUp { .. } | SettingsError::NoTenant { .. },
        ) => (StatusCode::UNAUTHORIZED, ErrorCode::NotSignedIn),
        RegistryError::Settings(_) => (StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest),
    };
    let mut detail = ErrorDetail::new(code, message);
    detail.hint = hint(error);
    (status, detail)
}

fn hint(error: &RegistryError) -> Option<String> {
    match error {
        RegistryError::Settings(error) => error.hint(),
        RegistryError::NoToken(_) => {
            Some("Send it in `Authorization`, or name a profile in `Docks-Profile`.".to_owned())
        }
        RegistryError::TenantMismatch { .. } => {
            Some("Name the profile in `Docks-Profile`.".to_owned())
        }
        RegistryError::Remote {
            source: RemoteError::Files { .. },
            ..
        } => Some("Name the directory that contains the jobs' folders.".to_owned()),
        _ => None,
    }
}
