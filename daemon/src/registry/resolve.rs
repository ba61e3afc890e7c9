//! From the remote that a request names to the one target it means.

use docks_proto::secret::Token;
use docks_proto::settings::{Target, normalise_api_url};

use super::error::RegistryError;
use super::profiles::{Profiles, ResolvedTarget, canonicalize};
use super::selector::RemoteSelector;

/// Resolves the remote that a request names, and returns it with the token of the request.
///
/// `tenant` is the one in the path, if there is one; `open_targets` lists the remotes that are open.
///
/// # Errors
///
/// [`RegistryError`] if the request or the profile is wrong.
pub(super) fn resolve(
    selector: RemoteSelector,
    tenant: Option<&str>,
    profiles: &Profiles,
    open_targets: impl FnOnce() -> Vec<Target>,
) -> Result<(ResolvedTarget, Option<Token>), RegistryError> {
    let profile = match selector {
        RemoteSelector::HarborJobs(dirs) => {
            if let Some(dir) = dirs.iter().find(|dir| !dir.is_absolute()) {
                let message = format!(
                    "the jobs directory must be an absolute path: {}",
                    dir.display()
                );
                return Err(RegistryError::BadRequest(message));
            }
            let target = canonicalize(Target::harbor_jobs(dirs));
            return Ok((secure(target), None));
        }
        RemoteSelector::DocksApi { url, token } => {
            return Ok((secure(docks_api(&url, tenant, open_targets)?), token));
        }
        RemoteSelector::Profile(name) => Some(name),
        RemoteSelector::DefaultProfile => None,
    };
    let resolved = profiles.resolve(profile.as_deref())?;
    match (&resolved.target, tenant) {
        (Target::DocksApi { tenant, .. }, Some(requested)) if tenant != requested => {
            Err(RegistryError::TenantMismatch {
                requested: requested.to_owned(),
                configured: tenant.clone(),
            })
        }
        // A jobs directory has no tenant, so any tenant in the path is accepted.
        _ => Ok((resolved, None)),
    }
}

fn secure(target: Target) -> ResolvedTarget {
    ResolvedTarget {
        target,
        insecure: false,
    }
}

fn docks_api(
    url: &str,
    tenant: Option<&str>,
    open_targets: impl FnOnce() -> Vec<Target>,
) -> Result<Target, RegistryError> {
    let api_url = normalise_api_url(url, false)
        .map_err(|bad| RegistryError::BadRequest(format!("`{url}` cannot be used: {bad}")))?;
    match tenant {
        Some(tenant) => Ok(Target::DocksApi {
            api_url,
            tenant: tenant.to_owned(),
        }),
        None => only_open_tenant(&api_url, open_targets()),
    }
}

/// The daemon's own routes have no tenant in their path; they mean the only one that is open.
fn only_open_tenant(url: &str, open: Vec<Target>) -> Result<Target, RegistryError> {
    let mut targets = open
        .into_iter()
        .filter(|target| matches!(target, Target::DocksApi { api_url, .. } if api_url == url));
    match (targets.next(), targets.next()) {
        (Some(target), None) => Ok(target),
        _ => Err(RegistryError::BadRequest(format!(
            "can't determine the tenant for {url}. Set DOCKS_TENANT_ID"
        ))),
    }
}
