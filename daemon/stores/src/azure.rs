//! Azure Blob Storage: `az://container/blob`, in the account that the settings name.

use std::collections::BTreeMap;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};

use crate::connector::Connector;
use crate::environment::StoreEnvironment;
use crate::provider::{BoxedError, Provider, Signing, retry_config};

/// Account, endpoint and credentials of Azure Blob Storage.
#[derive(Clone, Default)]
pub(crate) struct AzureSettings {
    /// Options for the builder, secrets included.
    options: Vec<(AzureConfigKey, String)>,
    /// Whether an account is configured.
    has_account: bool,
    /// Whether the options contain credentials.
    has_credentials: bool,
}

impl std::fmt::Debug for AzureSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AzureSettings")
            .field("has_account", &self.has_account)
            .field("has_credentials", &self.has_credentials)
            .finish_non_exhaustive()
    }
}

impl AzureSettings {
    /// Looks as Azure's own programs do: for a connection string, its parts, or an identity.
    pub(crate) fn from_environment(environment: StoreEnvironment<'_>) -> Self {
        use AzureConfigKey as K;
        let text = environment.setting(
            &["AZURE_STORAGE_CONNECTION_STRING"],
            "azure_connection_string",
        );
        let parts = parse_connection_string(text.as_deref().unwrap_or_default());
        let pick = |variable, key, part: &str| {
            let own = environment.setting(&[variable], key);
            own.or_else(|| parts.get(part).cloned())
        };
        let account = pick("AZURE_STORAGE_ACCOUNT", "azure_account", "accountname");
        let endpoint = pick("AZURE_STORAGE_ENDPOINT", "azure_endpoint", "blobendpoint");
        let mut options = Vec::new();
        let has_account = account.is_some();
        options.extend(account.map(|account| (K::AccountName, account)));
        if let Some(endpoint) = endpoint {
            // The user configured the endpoint, so plain `http` to it is intended.
            if endpoint.starts_with("http://") {
                let key = K::Client(object_store::ClientConfigKey::AllowHttp);
                options.push((key, "true".to_owned()));
            }
            options.push((K::Endpoint, endpoint.trim_end_matches('/').to_owned()));
        }
        let secret = pick("AZURE_STORAGE_KEY", "azure_key", "accountkey")
            .map(|key| vec![(K::AccessKey, key)])
            .or_else(|| {
                let sas = pick(
                    "AZURE_STORAGE_SAS_TOKEN",
                    "azure_sas_token",
                    "sharedaccesssignature",
                )?;
                Some(vec![(K::SasKey, sas.trim_start_matches('?').to_owned())])
            })
            .or_else(|| identity(environment));
        let has_credentials = secret.is_some();
        options.extend(secret.unwrap_or_default());
        Self {
            options,
            has_account,
            has_credentials,
        }
    }
}

/// Returns the options of an Entra identity: a secret, a federated token, or the machine's own.
fn identity(environment: StoreEnvironment<'_>) -> Option<Vec<(AzureConfigKey, String)>> {
    use AzureConfigKey as K;
    let variable = |name: &str| environment.variables.text(name);
    let mut found = Vec::new();
    if let Some(endpoint) = variable("IDENTITY_ENDPOINT") {
        found.push((K::MsiEndpoint, endpoint));
    } else if let Some(secret) = variable("AZURE_CLIENT_SECRET") {
        found.push((K::ClientSecret, secret));
    } else {
        found.push((
            K::FederatedTokenFile,
            variable("AZURE_FEDERATED_TOKEN_FILE")?,
        ));
    }
    for (key, name) in [
        (K::ClientId, "AZURE_CLIENT_ID"),
        (K::AuthorityId, "AZURE_TENANT_ID"),
        (K::AuthorityHost, "AZURE_AUTHORITY_HOST"),
    ] {
        found.extend(variable(name).map(|value| (key, value)));
    }
    Some(found)
}

/// Parses `AccountName=…;AccountKey=…`; a value may contain further equals signs.
fn parse_connection_string(text: &str) -> BTreeMap<String, String> {
    text.split(';')
        .filter_map(|part| part.split_once('='))
        .map(|(key, value)| (key.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect()
}

impl Provider for AzureSettings {
    fn signing_modes(&self) -> &'static [Signing] {
        if self.has_credentials {
            &[Signing::Configured]
        } else {
            &[Signing::Unsigned]
        }
    }

    fn build(
        &self,
        bucket: &str,
        signing: Signing,
        connector: Connector,
    ) -> Result<Arc<dyn ObjectStore>, BoxedError> {
        if !self.has_account {
            return Err(
                "no account is configured; set AZURE_STORAGE_ACCOUNT, or `azure_account` in the \
                        profile"
                    .into(),
            );
        }
        let mut builder = MicrosoftAzureBuilder::new()
            .with_container_name(bucket)
            .with_http_connector(connector)
            .with_retry(retry_config())
            .with_skip_signature(signing == Signing::Unsigned);
        for (key, value) in &self.options {
            builder = builder.with_config(*key, value);
        }
        if signing == Signing::Unsigned {
            // A token keeps the builder from looking for credentials; it is not sent.
            builder = builder.with_bearer_token_authorization("none");
        }
        Ok(Arc::new(builder.build()?))
    }

    fn is_bucket_name(&self, bucket: &str) -> bool {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-$".contains(&b);
        (1..=63).contains(&bucket.len()) && bucket.bytes().all(allowed)
    }

    fn credentials_hint(&self) -> &'static str {
        "set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, or `azure_key` or `azure_sas_token` in \
         the profile"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::tests::settings_from;

    #[test]
    fn a_connection_string_is_parsed_and_separate_settings_win() {
        let text = "DefaultEndpointsProtocol=http;AccountName=acc;AccountKey=a2V5==;\
                    BlobEndpoint=http://127.0.0.1:10000/acc/;";
        let variables = [("AZURE_STORAGE_CONNECTION_STRING", text)];
        let keys = [("azure_account", "other")];
        let settings = settings_from(&variables, &keys, &[], AzureSettings::from_environment);
        let get = |wanted: AzureConfigKey| {
            let found = settings.options.iter().find(|(key, _)| *key == wanted);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(get(AzureConfigKey::AccountName), Some("other"));
        assert_eq!(get(AzureConfigKey::AccessKey), Some("a2V5=="));
        assert_eq!(
            get(AzureConfigKey::Endpoint),
            Some("http://127.0.0.1:10000/acc")
        );
        assert!(!format!("{settings:?}").contains("a2V5"));
    }
}
