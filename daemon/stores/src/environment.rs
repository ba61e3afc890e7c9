//! The environment that decides endpoints and credentials of stores, as values.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use docks_proto::settings::StoreKeys;

/// Names of the variables that the stores' own tools read.
const NAMES: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AZURE_AUTHORITY_HOST",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_STORAGE_ACCOUNT",
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_ENDPOINT",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_TENANT_ID",
    "CLOUDSDK_CONFIG",
    "GCE_METADATA_HOST",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "HOME",
    "IDENTITY_ENDPOINT",
    "STORAGE_EMULATOR_HOST",
];

/// The variables that the stores' own tools read; empty ones count as unset.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoreVariables(BTreeMap<&'static str, OsString>);

impl StoreVariables {
    /// Reads the variables.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        Self(
            NAMES
                .iter()
                .filter_map(|&name| Some((name, set(name)?)))
                .collect(),
        )
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        debug_assert!(NAMES.contains(&name), "{name} is not read");
        self.0
            .get(name)
            .and_then(|value| value.to_str())
            .map(str::to_owned)
    }

    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        debug_assert!(NAMES.contains(&name), "{name} is not read");
        self.0.get(name).map(PathBuf::from)
    }
}

impl fmt::Debug for StoreVariables {
    /// Names the variables that are set; their values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Everything that decides the settings of stores, as values, so that tests can set it.
#[derive(Clone, Copy)]
pub struct StoreEnvironment<'a> {
    /// The environment.
    pub variables: &'a StoreVariables,
    /// The profile's keys.
    pub keys: &'a StoreKeys,
    /// Reads a text file; `None` if there is none.
    pub file: &'a dyn Fn(&Path) -> Option<String>,
    /// Names that the firmware gives to machine and vendor, one per line.
    pub machine: &'a str,
}

impl StoreEnvironment<'_> {
    /// Returns the first variable that is set, else the profile's key.
    pub(crate) fn setting(&self, variables: &[&str], key: &str) -> Option<String> {
        let set = variables.iter().find_map(|name| self.variables.text(name));
        set.or_else(|| self.keys.get(key).map(str::to_owned))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Reads settings from a made-up environment.
    pub(crate) fn settings_from<T>(
        variables: &[(&str, &str)],
        keys: &[(&str, &str)],
        files: &[(&str, &str)],
        decide: impl Fn(StoreEnvironment<'_>) -> T,
    ) -> T {
        let find = |all: &[(&str, &str)], name: &str| {
            let found = all.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let variables = StoreVariables::read(|name| find(variables, name).map(Into::into));
        let mut stored = StoreKeys::default();
        for (key, value) in keys {
            stored.insert(key, (*value).to_owned());
        }
        decide(StoreEnvironment {
            variables: &variables,
            keys: &stored,
            file: &|path| find(files, path.to_str()?),
            machine: "",
        })
    }

    #[test]
    fn no_value_is_shown() {
        let variables = StoreVariables::read(|name| Some(format!("secret of {name}").into()));
        let shown = format!("{variables:?}");
        assert!(shown.contains("AWS_SECRET_ACCESS_KEY"), "{shown}");
        assert!(!shown.contains("secret of"), "{shown}");
    }
}
