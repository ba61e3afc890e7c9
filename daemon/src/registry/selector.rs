//! How a request names a remote.

use std::path::PathBuf;

use docks_proto::secret::Token;

/// The remote that a request names.
#[derive(Debug, Clone)]
pub enum RemoteSelector {
    /// The remote of the default profile.
    DefaultProfile,
    /// The remote of a profile.
    Profile(String),
    /// A Docks API that no profile names.
    DocksApi {
        /// Its address as the request wrote it.
        url: String,
        /// The token that the request carried.
        token: Option<Token>,
    },
    /// Harbor jobs directories.
    HarborJobs(Vec<PathBuf>),
}
