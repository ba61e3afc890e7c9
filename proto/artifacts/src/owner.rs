//! Whose artifacts are cached: what one owner has downloaded is never shown to another.
//!
//! An address that is read with the remote's token, or that the remote has signed, belongs to who
//! asks the remote: the owner of the mirror. Objects of stores that are read with the credentials of
//! this machine, and local files, belong to the user of the machine, under any profile.

use docks_proto::mirrors::{MirrorId, OwnedRemote, Owner, identity};
use docks_proto::settings::StoreKeys;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256;

/// Whose addresses some sources read.
#[derive(Debug, Clone)]
pub struct AddressOwner {
    /// The remote, for people.
    remote: String,
    /// The mirror whose owner it is, and its identity; `None` for the user of this machine.
    mirror: Option<(MirrorId, String)>,
    /// Whether what an earlier release has cached goes to this owner.
    inherits: bool,
    /// Schemes of the stores for which the profile has keys of its own.
    own_stores: Vec<&'static str>,
}

/// The key of an address in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressKey {
    /// Hash of owner and address.
    pub hash: Sha256,
    /// The mirror whose owner the content belongs to; `None` for the user of this machine.
    pub owner: Option<MirrorId>,
    /// The key in an earlier release, if its content goes to this owner.
    pub(crate) former: Option<Sha256>,
}

/// Identifies a run of one remote, as one owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunKey {
    /// The remote: address and tenant, or a directory.
    pub remote: String,
    /// Full id.
    pub run_id: String,
    /// The mirror whose owner the run belongs to; `None` for the user of this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<MirrorId>,
    /// Whether the record of an earlier release goes to this owner.
    #[serde(skip)]
    pub(crate) inherits: bool,
}

impl AddressOwner {
    /// Describes the owner of a remote's artifacts.
    ///
    /// `inherits` is that of the owner, see [`docks_proto::mirrors::inherits`]; `keys` are those of
    /// its profile.
    #[must_use]
    pub fn new(remote: &OwnedRemote, inherits: bool, keys: &StoreKeys) -> Self {
        let mirror = match remote.owner {
            Owner::User => None,
            Owner::Profile(_) | Owner::Token(_) => Some((MirrorId::new(remote), identity(remote))),
        };
        let stores = [("aws_", "s3"), ("azure_", "az"), ("gcs_", "gs")];
        let has_keys = |prefix: &str| keys.iter().any(|(key, _)| key.starts_with(prefix));
        let own = stores.into_iter().filter(|(prefix, _)| has_keys(prefix));
        Self {
            remote: remote.target.to_string(),
            mirror,
            inherits,
            own_stores: own.map(|(_, scheme)| scheme).collect(),
        }
    }

    /// Describes the user of this machine, without a remote.
    #[must_use]
    pub fn user() -> Self {
        Self {
            remote: String::new(),
            mirror: None,
            inherits: false,
            own_stores: Vec::new(),
        }
    }

    /// Returns the key of a run.
    #[must_use]
    pub fn run_key(&self, run_id: &str) -> RunKey {
        RunKey {
            remote: self.remote.clone(),
            run_id: run_id.to_owned(),
            owner: self.mirror.as_ref().map(|(id, _)| *id),
            inherits: self.inherits,
        }
    }

    /// Returns the remote, for people.
    pub(crate) fn remote(&self) -> &str {
        &self.remote
    }

    /// Returns the key of an address; `address` is the text of which it is the hash if it belongs to
    /// the user of this machine, as every address did in earlier releases.
    pub(crate) fn address_key(&self, scheme: &str, address: &str) -> AddressKey {
        let hash = Sha256::of_text(address);
        let of_machine = match scheme {
            "file" => true,
            "gs" | "s3" | "az" => !self.own_stores.contains(&scheme),
            _ => false,
        };
        match &self.mirror {
            Some((id, identity)) if !of_machine => AddressKey {
                hash: Sha256::of_text(&format!("{identity}\0{address}")),
                owner: Some(*id),
                former: self.inherits.then_some(hash),
            },
            _ => AddressKey {
                hash,
                owner: None,
                former: None,
            },
        }
    }
}

impl RunKey {
    pub(crate) fn hash(&self) -> Sha256 {
        match &self.owner {
            Some(owner) => Sha256::of_text(&format!("{}\0{}\0{owner}", self.remote, self.run_id)),
            None => Sha256::of_text(&format!("{}\0{}", self.remote, self.run_id)),
        }
    }

    /// Returns the key in an earlier release, if its record goes to this owner.
    pub(crate) fn former(&self) -> Option<Self> {
        (self.inherits && self.owner.is_some()).then(|| Self {
            owner: None,
            inherits: false,
            ..self.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use docks_proto::settings::Target;

    use super::*;

    fn owner(name: &str, key: &str) -> AddressOwner {
        let remote = OwnedRemote {
            target: Target::DocksApi {
                api_url: "https://api.example".into(),
                tenant: "ten".into(),
            },
            owner: Owner::Profile(name.into()),
        };
        let mut keys = StoreKeys::default();
        keys.insert(key, "value".into());
        AddressOwner::new(&remote, false, &keys)
    }

    #[test]
    fn an_address_belongs_to_whose_credentials_read_it() {
        let (a, b) = (owner("a", ""), owner("b", "aws_access_key_id"));
        let same = |scheme: &str| {
            let [a, b] = [&a, &b].map(|owner| owner.address_key(scheme, "address"));
            assert_eq!(a == b, a.owner == b.owner);
            a == b
        };
        assert!(!same("https"));
        assert!(!same("s3"), "b has keys of its own");
        assert!(same("gs") && same("az") && same("file"));
        assert_ne!(a.run_key("r").hash(), b.run_key("r").hash());
    }
}
