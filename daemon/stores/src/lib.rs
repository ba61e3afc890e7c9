//! Object stores: `gs://`, `s3://` and `az://` addresses, read through the `object_store` crate.
//!
//! Owns which endpoint and credentials a store gets, from the environment, the profile's keys and
//! the files of the stores' own tools. The daemon reads objects in its own process; the command
//! line, which does not link any of this, runs `docksd` as its [`helper`].

mod azure;
mod buckets;
mod connector;
mod environment;
mod error;
mod gcs;
pub mod helper;
mod provider;
mod s3;

use std::path::Path;
use std::time::Duration;

use docks_proto::settings::StoreKeys;

pub use buckets::ObjectStores;
pub use environment::{StoreEnvironment, StoreVariables};

use azure::AzureSettings;
use gcs::GcsSettings;
use s3::S3Settings;

/// A request fails after this long without data; there is no limit on a whole download.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

impl ObjectStores {
    /// Configures all stores from this machine's environment; does not connect.
    #[must_use]
    pub fn from_machine(variables: &StoreVariables, keys: &StoreKeys) -> Self {
        // The names that the firmware gives to machine and vendor; only Linux reports them.
        let firmware = |name: &str| read_text(&Path::new("/sys/class/dmi/id").join(name));
        let machine = [firmware("product_name"), firmware("sys_vendor")]
            .map(Option::unwrap_or_default)
            .concat();
        let environment = StoreEnvironment {
            variables,
            keys,
            file: &read_text,
            machine: &machine,
        };
        Self::from_environment(environment, IDLE_TIMEOUT)
    }

    /// As [`ObjectStores::from_machine`], with the environment as values.
    #[must_use]
    pub fn from_environment(environment: StoreEnvironment<'_>, idle_timeout: Duration) -> Self {
        Self::new(
            GcsSettings::from_environment(environment),
            S3Settings::from_environment(environment),
            AzureSettings::from_environment(environment),
            idle_timeout,
        )
    }
}

fn read_text(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}
