//! Where the artifacts of a remote come from, and where they are cached.

use docks_artifacts::cache::{Cache, DEFAULT_LIMIT_BYTES};
use docks_artifacts::size;
use docks_artifacts::source::{SourceSettings, Sources};
use docks_proto::mirrors::Owner;
use docks_proto::settings::StoreKeys;
use docksd_stores::{ObjectStores, StoreVariables};

use super::Registry;
use super::mirrored_remote::MirroredRemote;

impl Registry {
    /// Builds the artifact sources of a remote, with the remote's own token.
    #[must_use]
    pub fn artifact_sources(&self, remote: &MirroredRemote, variables: &StoreVariables) -> Sources {
        let profile = match &remote.id.owner {
            Owner::Profile(name) => self.profiles.profile(name),
            // The keys of a profile are not for others.
            Owner::Token(_) => None,
            Owner::User => {
                let names = self.profiles.names_of(&remote.id.target);
                names.first().and_then(|name| self.profiles.profile(name))
            }
        };
        let keys = profile
            .as_ref()
            .map(|profile| &profile.artifact_settings.stores);
        let buckets = ObjectStores::from_machine(variables, keys.unwrap_or(&StoreKeys::default()));
        SourceSettings {
            remote: &remote.id,
            inherits: self.profiles.inherits(&remote.id),
            keys: keys.unwrap_or(&StoreKeys::default()),
            token: remote.credentials.token.token(),
            hosts: profile
                .as_ref()
                .map(|profile| profile.artifact_settings.hosts.clone())
                .unwrap_or_default(),
            trust: profile
                .as_ref()
                .map(|profile| profile.trust.clone())
                .unwrap_or_default(),
        }
        .into_sources(Box::new(buckets))
    }

    /// Opens the artifact cache; an unreadable size limit falls back to the default.
    #[must_use]
    pub fn artifact_cache(&self) -> Cache {
        let file = self.profiles.current_file();
        let limit = file.and_then(|file| file.preferences().cache_limit.clone());
        let limit_bytes = limit.and_then(|text| size::parse(&text).ok());
        Cache::new(
            self.paths().cache_dir().join("artifacts"),
            limit_bytes.unwrap_or(DEFAULT_LIMIT_BYTES),
            self.clock.wall(),
        )
    }
}
