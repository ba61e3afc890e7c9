//! The keys of a profile for addresses and credentials of object stores.

use std::collections::BTreeMap;
use std::fmt;

/// The known keys, and whether the value is a secret.
const KNOWN: &[(&str, bool)] = &[
    ("aws_access_key_id", false),
    ("aws_endpoint_url", false),
    ("aws_profile", false),
    ("aws_region", false),
    ("aws_secret_access_key", true),
    ("aws_session_token", true),
    ("azure_account", false),
    ("azure_connection_string", true),
    ("azure_endpoint", false),
    ("azure_key", true),
    ("azure_sas_token", true),
    ("gcs_credentials_file", false),
    ("gcs_endpoint", false),
];

/// The keys of a profile for object stores; `Debug` shows names but no values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoreKeys(BTreeMap<&'static str, String>);

impl StoreKeys {
    /// Lists the names of all known keys.
    pub fn names() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|(key, _)| *key)
    }

    /// Returns the value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Sets a key; an unknown one is ignored.
    pub fn insert(&mut self, key: &str, value: String) {
        if let Some((known, _)) = KNOWN.iter().find(|(known, _)| *known == key) {
            self.0.insert(known, value);
        }
    }

    /// Lists the keys that are set, with their values, secrets included.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(key, value)| (*key, value.as_str()))
    }

    /// Lists the keys that are set, with `set` in place of secrets.
    pub fn explained(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(key, value)| {
            let secret = KNOWN.iter().any(|(known, secret)| known == key && *secret);
            (*key, if secret { "set" } else { value.as_str() })
        })
    }
}

impl fmt::Debug for StoreKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_named_and_not_shown() {
        let mut keys = StoreKeys::default();
        for key in StoreKeys::names() {
            keys.insert(key, "canary".to_owned());
        }
        keys.insert("aws_unknown", "canary".to_owned());
        assert!(!format!("{keys:?}").contains("canary"));
        let shown: BTreeMap<_, _> = keys.explained().collect();
        assert_eq!(shown["aws_secret_access_key"], "set");
        assert_eq!(shown["aws_region"], "canary");
        assert_eq!(shown.len(), KNOWN.len());
    }
}
