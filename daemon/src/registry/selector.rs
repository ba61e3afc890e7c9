//! How a request names a remote.

use std::fmt;
use std::path::PathBuf;

use docks_proto::secret::Token;
use docks_proto::settings::quote_address;

/// Everything in a request that says which remote it means, and who asks.
#[derive(Debug, Clone)]
pub struct RemoteRequest {
    /// The remote.
    pub selector: RemoteSelector,
    /// The tenant that the request names, in its path or beside it.
    pub tenant: Option<String>,
    /// The token that the request carries.
    pub token: Option<Token>,
}

impl RemoteRequest {
    /// Requests the remote of a profile, for the profile.
    #[must_use]
    pub fn of_profile(name: String) -> Self {
        Self {
            selector: RemoteSelector::Profile(name),
            tenant: None,
            token: None,
        }
    }
}

/// The remote that a request names.
#[derive(Debug, Clone)]
pub enum RemoteSelector {
    /// The remote of the default profile.
    DefaultProfile,
    /// The remote of a profile.
    Profile(String),
    /// The Docks API at this address, as the request wrote it.
    DocksApi(String),
    /// Harbor jobs directories.
    HarborJobs(Vec<PathBuf>),
    /// The `harbor serve` at this address, as the request wrote it.
    HarborServer(String),
}

/// Names the remote in messages.
impl fmt::Display for RemoteSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DefaultProfile => f.write_str("the default profile"),
            Self::Profile(name) => write!(f, "profile `{name}`"),
            Self::DocksApi(url) | Self::HarborServer(url) => f.write_str(&quote_address(url)),
            Self::HarborJobs(dirs) => {
                let names: Vec<_> = dirs.iter().map(|dir| dir.display().to_string()).collect();
                f.write_str(&names.join(", "))
            }
        }
    }
}
