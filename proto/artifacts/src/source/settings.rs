//! Combines the sources of one remote's artifacts.

use std::time::Duration;

use docks_proto::mirrors::OwnedRemote;
use docks_proto::secret::Token;
use docks_proto::settings::{StoreKeys, Target, TrustSettings, is_on_loopback};

use super::Sources;
use super::bucket::BucketReader;
use super::file::FileSource;
use super::http::{HttpSettings, HttpSource};
use crate::owner::AddressOwner;

/// A request fails after this long without data; there is no limit on a whole download.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// What decides which addresses may be read for a remote, and with which credentials.
#[derive(Debug)]
pub struct SourceSettings<'a> {
    /// The remote that lists the artifacts, and who asks it.
    pub remote: &'a OwnedRemote,
    /// Whether what an earlier release has cached goes to who asks.
    pub inherits: bool,
    /// The keys of the profile for object stores.
    pub keys: &'a StoreKeys,
    /// Its token, if the remote itself serves any of them.
    pub token: Option<Token>,
    /// Further hosts that the profile names (`artifact_hosts`).
    pub hosts: Vec<String>,
    /// Certificates that the profile trusts.
    pub trust: TrustSettings,
}

impl SourceSettings<'_> {
    /// Builds the sources, with a reader for buckets; does not connect.
    #[must_use]
    pub fn into_sources(self, buckets: Box<dyn BucketReader>) -> Sources {
        let (api_url, files) = match &self.remote.target {
            Target::DocksApi { api_url, .. } => (Some(api_url.clone()), FileSource::default()),
            Target::HarborServer { url } if is_on_loopback(url) => {
                (Some(url.clone()), FileSource::of_server())
            }
            Target::HarborServer { url } => (Some(url.clone()), FileSource::default()),
            Target::HarborJobs { dirs } => (None, FileSource::new(dirs.clone())),
        };
        Sources {
            http: HttpSource::new(HttpSettings {
                token: self.token,
                api_url,
                hosts: self.hosts,
                trust: self.trust,
                idle_timeout: IDLE_TIMEOUT,
            }),
            files,
            buckets,
            owner: AddressOwner::new(self.remote, self.inherits, self.keys),
        }
    }
}
