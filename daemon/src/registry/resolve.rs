//! From what a request says to the one remote that it means, and who asks.

use std::sync::Arc;

use docks_proto::mirrors::{OwnedRemote, Owner, canonicalize};
use docks_proto::secret::Token;
use docks_proto::settings::{AddressError, Target, normalise_api_url, quote_address};

use super::error::RegistryError;
use super::profiles::{Profiles, ResolvedTarget};
use super::selector::{RemoteRequest, RemoteSelector};
use super::token_owner::TokenOwners;

/// A remote that can be opened.
#[derive(Debug, Clone)]
pub(super) struct ResolvedRemote {
    pub(super) id: OwnedRemote,
    /// Whether its token may travel unencrypted.
    pub(super) insecure: bool,
    /// The token of the request, if the owner is that token.
    pub(super) token: Option<Token>,
}

impl ResolvedRemote {
    /// Returns the remote of a profile, as the profile sees it.
    pub(super) fn of_profile(resolved: ResolvedTarget) -> Self {
        let owner = match &resolved.target {
            Target::DocksApi { .. } | Target::HarborServer { .. } => {
                Owner::Profile(resolved.profile)
            }
            Target::HarborJobs { .. } => Owner::User,
        };
        Self {
            id: OwnedRemote {
                target: resolved.target,
                owner,
            },
            insecure: resolved.insecure,
            token: None,
        }
    }
}

/// Resolves what a request says. Blocks on settings files, the keyring and the paths of jobs
/// directories, except where [`resolve_at_once`] returns an answer.
///
/// # Errors
///
/// [`RegistryError`] if the request or the profile is wrong.
pub(super) fn resolve(
    request: RemoteRequest,
    profiles: &Arc<Profiles>,
    owners: &TokenOwners,
) -> Result<ResolvedRemote, RegistryError> {
    let named = match request.selector {
        RemoteSelector::HarborJobs(dirs) => {
            if let Some(dir) = dirs.iter().find(|dir| !dir.is_absolute()) {
                let message = format!(
                    "the jobs directory must be an absolute path: {}",
                    dir.display()
                );
                return Err(RegistryError::BadRequest(message));
            }
            let id = OwnedRemote {
                target: canonicalize(Target::harbor_jobs(dirs)),
                owner: Owner::User,
            };
            return Ok(ResolvedRemote {
                id,
                insecure: false,
                token: None,
            });
        }
        RemoteSelector::HarborServer(url) => {
            let (target, insecure) = harbor_server(&url, profiles)?;
            return Ok(match request.token {
                Some(token) => of_token(target, insecure, token, owners),
                // A server without a key has no owners.
                None => ResolvedRemote {
                    id: OwnedRemote {
                        target,
                        owner: Owner::User,
                    },
                    insecure,
                    token: None,
                },
            });
        }
        RemoteSelector::DocksApi(url) => {
            let (target, insecure) = docks_api(&url, request.tenant.as_deref(), profiles)?;
            let Some(token) = request.token else {
                return Err(RegistryError::NoToken(target.to_string()));
            };
            return Ok(of_token(target, insecure, token, owners));
        }
        RemoteSelector::Profile(name) => profiles.resolve(Some(&name))?,
        RemoteSelector::DefaultProfile => profiles.resolve(None)?,
    };
    check_tenant(&named.target, request.tenant.as_deref())?;
    match (&named.target, request.token) {
        (Target::DocksApi { .. } | Target::HarborServer { .. }, Some(token)) => {
            Ok(of_token(named.target, named.insecure, token, owners))
        }
        _ => Ok(ResolvedRemote::of_profile(named)),
    }
}

/// Resolves the requests of profiles that were resolved before, without blocking.
pub(super) fn resolve_at_once(
    request: &RemoteRequest,
    profiles: &Profiles,
) -> Option<Result<ResolvedRemote, RegistryError>> {
    let profile = match &request.selector {
        RemoteSelector::Profile(name) => Some(name.as_str()),
        RemoteSelector::DefaultProfile => None,
        RemoteSelector::DocksApi(_)
        | RemoteSelector::HarborJobs(_)
        | RemoteSelector::HarborServer(_) => return None,
    };
    let named = profiles.resolved_before(profile)?;
    let has_tokens = !matches!(named.target, Target::HarborJobs { .. });
    if request.token.is_some() && has_tokens {
        return None;
    }
    let checked = check_tenant(&named.target, request.tenant.as_deref());
    Some(checked.map(|()| ResolvedRemote::of_profile(named)))
}

/// A jobs directory and a `harbor serve` have no tenant, so any tenant in the path is accepted.
fn check_tenant(target: &Target, requested: Option<&str>) -> Result<(), RegistryError> {
    match (target, requested) {
        (Target::DocksApi { tenant, .. }, Some(requested)) if tenant != requested => {
            Err(RegistryError::TenantMismatch {
                requested: requested.to_owned(),
                configured: tenant.clone(),
            })
        }
        _ => Ok(()),
    }
}

fn of_token(target: Target, insecure: bool, token: Token, owners: &TokenOwners) -> ResolvedRemote {
    let owner = owners.owner_of(&target, &token);
    let token = matches!(owner, Owner::Token(_)).then_some(token);
    ResolvedRemote {
        id: OwnedRemote { target, owner },
        insecure,
        token,
    }
}

/// Returns the `harbor serve` at an address, and whether a profile allows it to be insecure.
fn harbor_server(url: &str, profiles: &Profiles) -> Result<(Target, bool), RegistryError> {
    let bad = |why: AddressError| {
        RegistryError::BadRequest(format!("{} cannot be used: {why}", quote_address(url)))
    };
    let target = Target::HarborServer {
        url: normalise_api_url(url, true).map_err(bad)?,
    };
    let insecure = profiles.allow_insecure(&target);
    normalise_api_url(url, insecure).map_err(bad)?;
    Ok((target, insecure))
}

/// Returns the target of an address and a tenant, and whether a profile allows it to be insecure.
fn docks_api(
    url: &str,
    tenant: Option<&str>,
    profiles: &Profiles,
) -> Result<(Target, bool), RegistryError> {
    let bad = |why: AddressError| {
        RegistryError::BadRequest(format!("{} cannot be used: {why}", quote_address(url)))
    };
    let Some(tenant) = tenant else {
        let url = quote_address(url);
        let message = format!("the request names no tenant of {url}: send Docks-Tenant as well");
        return Err(RegistryError::BadRequest(message));
    };
    let target = Target::DocksApi {
        api_url: normalise_api_url(url, true).map_err(bad)?,
        tenant: tenant.to_owned(),
    };
    let insecure = profiles.allow_insecure(&target);
    normalise_api_url(url, insecure).map_err(bad)?;
    Ok((target, insecure))
}
