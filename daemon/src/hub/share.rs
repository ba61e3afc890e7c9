//! What a hub shares: jobs directories as one tenant, and each shared profile as another.

use std::path::PathBuf;
use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue, Uri};
use docks_proto::path_encoding::encode_paths;
use docks_proto::routes;
use docks_proto::settings::{LOCAL_TENANT, Target};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::artifact_urls::ArtifactUrls;
use crate::api::Service;
use crate::api::error::ApiError;
use crate::registry::{MirroredRemote, RemoteRequest};

/// One tenant of a hub.
#[derive(Debug)]
pub(super) struct Share {
    /// The tenant in the paths of requests.
    tenant: String,
    /// Whether nothing can be changed through the hub.
    pub(super) read_only: bool,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// The jobs directories, resolved.
    Jobs(Vec<PathBuf>),
    /// What the daemon mirrors for its own user.
    Profile,
}

/// A share as it is at the moment of a request.
pub(super) struct OpenShare {
    /// The header that selects the remote, as on the socket.
    pub(super) selector: (HeaderName, HeaderValue),
    /// The tenant that the remote itself has.
    inner_tenant: String,
    /// Rewrites the addresses of artifacts.
    pub(super) urls: ArtifactUrls,
    /// Where the files of artifacts are.
    pub(super) files: ArtifactFiles,
}

/// Where the files of a share's artifacts are.
pub(super) enum ArtifactFiles {
    /// Below these directories.
    Directories(Vec<PathBuf>),
    /// At the remote that is mirrored.
    Remote(Arc<MirroredRemote>),
}

impl Share {
    /// Shares jobs directories, resolved.
    pub(super) fn jobs(dirs: Vec<PathBuf>, read_only: bool) -> Self {
        Self {
            tenant: LOCAL_TENANT.to_owned(),
            read_only,
            source: Source::Jobs(dirs),
        }
    }

    /// Shares the remote of a profile.
    pub(super) fn profile(name: String, read_only: bool) -> Self {
        Self {
            tenant: name,
            read_only,
            source: Source::Profile,
        }
    }

    /// Returns the tenant in the paths of requests.
    pub(super) fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Whether a path is below this tenant.
    pub(super) fn has(&self, path: &str) -> bool {
        let below = path.strip_prefix("/tenants/").unwrap_or_default();
        let tenant = below.split('/').next().unwrap_or_default();
        percent_decode_str(tenant).eq(self.tenant.bytes())
    }

    /// Finds out what the share is now; a profile may change.
    ///
    /// # Errors
    ///
    /// When the remote of the profile cannot be opened.
    pub(super) async fn open(&self, service: &Service) -> Result<OpenShare, ApiError> {
        match &self.source {
            Source::Jobs(dirs) => {
                let encoded = encode_paths(dirs);
                let value = HeaderValue::from_str(&encoded).expect("it is percent-encoded");
                Ok(OpenShare {
                    selector: (HeaderName::from_static(routes::HARBOR_JOBS), value),
                    inner_tenant: LOCAL_TENANT.to_owned(),
                    urls: ArtifactUrls::of_directories(&self.tenant, dirs),
                    files: ArtifactFiles::Directories(dirs.clone()),
                })
            }
            Source::Profile => {
                let request = RemoteRequest::of_profile(self.tenant.clone());
                let remote = service.registry.open(request).await?;
                let value = HeaderValue::from_str(&self.tenant)
                    .map_err(|_| ApiError::BadRequest("the name of the profile".to_owned()))?;
                let (urls, files) = match &remote.id.target {
                    Target::DocksApi { api_url, tenant } => (
                        ArtifactUrls::of_remote(&self.tenant, api_url, tenant),
                        ArtifactFiles::Remote(Arc::clone(&remote)),
                    ),
                    Target::HarborServer { url } => (
                        ArtifactUrls::of_server(&self.tenant, url),
                        ArtifactFiles::Remote(Arc::clone(&remote)),
                    ),
                    Target::HarborJobs { dirs } => (
                        ArtifactUrls::of_directories(&self.tenant, dirs),
                        ArtifactFiles::Directories(dirs.clone()),
                    ),
                };
                Ok(OpenShare {
                    selector: (HeaderName::from_static(routes::PROFILE), value),
                    inner_tenant: remote.id.target.tenant().to_owned(),
                    urls,
                    files,
                })
            }
        }
    }
}

impl OpenShare {
    /// Returns an address below the hub's tenant as one below the remote's own.
    pub(super) fn inner_uri(&self, uri: &Uri) -> Option<Uri> {
        let path = uri.path_and_query()?.as_str();
        let below = path.strip_prefix("/tenants/")?;
        let rest = below.find(['/', '?']).map_or("", |at| &below[at..]);
        let tenant = utf8_percent_encode(&self.inner_tenant, NON_ALPHANUMERIC);
        format!("/tenants/{tenant}{rest}").parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_found_by_its_tenant_and_asked_under_the_remotes_own() {
        let share = Share::profile("lab".to_owned(), true);
        for path in ["/tenants/lab", "/tenants/lab/runs", "/tenants/l%61b/runs"] {
            assert!(share.has(path), "{path}");
        }
        for path in ["/tenants/lab2/runs", "/tenants/", "/v1/status", "/lab"] {
            assert!(!share.has(path), "{path}");
        }
        let open = OpenShare {
            selector: (
                HeaderName::from_static(routes::PROFILE),
                HeaderValue::from_static("lab"),
            ),
            inner_tenant: "my tenant".to_owned(),
            urls: ArtifactUrls::of_directories("lab", &[]),
            files: ArtifactFiles::Directories(Vec::new()),
        };
        let inner = open.inner_uri(&Uri::from_static("/tenants/l%61b/runs?limit=1"));
        assert_eq!(
            inner.unwrap().to_string(),
            "/tenants/my%20tenant/runs?limit=1"
        );
    }
}
