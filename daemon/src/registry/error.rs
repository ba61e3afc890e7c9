//! Why a remote can't be opened.

use docks_proto::settings::SettingsError;
use docksd_mirror::MirrorError;
use docksd_remote::RemoteError;

/// Why a remote can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The profile does not exist, or is incomplete.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The request itself is wrong.
    #[error("{0}")]
    BadRequest(String),
    /// The tenant in the path is not the profile's.
    #[error("tenant `{requested}` is not the tenant of the profile, which is `{configured}`")]
    TenantMismatch {
        /// The tenant in the path.
        requested: String,
        /// The tenant of the profile.
        configured: String,
    },
    /// The request names a Docks API, and brings no token for it.
    #[error("the request brings no token for {0}")]
    NoToken(String),
    /// The mirror could not be opened.
    #[error("could not open the mirror of {location}")]
    Mirror {
        /// The remote, for people.
        location: String,
        /// Cause.
        #[source]
        source: MirrorError,
    },
    /// No connection to the remote can ever be made.
    #[error("could not set up {location}")]
    Remote {
        /// The remote, for people.
        location: String,
        /// Cause.
        #[source]
        source: RemoteError,
    },
    /// What is on disk of a mirror could not be deleted.
    #[error("could not delete everything of the mirror")]
    Forget(#[source] std::io::Error),
    /// A file system, or the keyring, did not answer in time.
    #[error("the disk or keyring of {0} does not answer")]
    NoAnswer(String),
    /// The disk of the home did not answer in time.
    #[error("the disk with the settings does not answer")]
    HomeNoAnswer,
    /// The disk of the mirror did not answer in time.
    #[error("the disk with the mirror of {0} does not answer")]
    MirrorNoAnswer(String),
    /// The daemon is shutting down.
    #[error("docksd is shutting down")]
    Closed,
}
