//! Google Cloud Storage: `gs://bucket/object`.
//!
//! Credentials are Google's application default ones. Without any, the request
//! goes out unsigned, which is enough for public buckets.

mod generation;

use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::gcp::GoogleCloudStorageBuilder;

use self::generation::GenerationClient;
use crate::connector::Connector;
use crate::environment::StoreEnvironment;
use crate::provider::{BoxedError, Provider, Signing, retry_config};

/// Endpoint and credentials of Google Cloud Storage.
#[derive(Debug, Clone, Default)]
pub(crate) struct GcsSettings {
    /// Another endpoint, for instance an emulator; requests to it are never signed.
    endpoint: Option<String>,
    /// File with credentials, if one is configured or exists at the usual path.
    credentials_file: Option<PathBuf>,
    /// Whether this machine runs on Google Cloud, whose metadata server provides credentials.
    on_google_cloud: bool,
}

impl GcsSettings {
    /// Looks in the order of Google's own libraries, and at the profile's keys last.
    pub(crate) fn from_environment(environment: StoreEnvironment<'_>) -> Self {
        let endpoint = environment.setting(&["STORAGE_EMULATOR_HOST"], "gcs_endpoint");
        let variables = environment.variables;
        let usual = || {
            let home = || Some(variables.path("HOME")?.join(".config/gcloud"));
            let directory = variables.path("CLOUDSDK_CONFIG").or_else(home)?;
            let file = directory.join("application_default_credentials.json");
            (environment.file)(&file).map(|_| file)
        };
        // Elsewhere, a request to the metadata server would wait for a host that does not exist.
        let on_google_cloud = variables.text("GCE_METADATA_HOST").is_some()
            || environment.machine.trim_start().starts_with("Google");
        Self {
            endpoint: endpoint.as_deref().map(with_scheme),
            credentials_file: variables
                .path("GOOGLE_APPLICATION_CREDENTIALS")
                .or_else(|| {
                    environment
                        .keys
                        .get("gcs_credentials_file")
                        .map(PathBuf::from)
                })
                .or_else(usual),
            on_google_cloud,
        }
    }
}

fn with_scheme(host: &str) -> String {
    let host = host.trim_end_matches('/');
    if host.contains("://") {
        host.to_owned()
    } else {
        format!("http://{host}")
    }
}

impl Provider for GcsSettings {
    fn signing_modes(&self) -> &'static [Signing] {
        if self.endpoint.is_some() {
            return &[Signing::Unsigned];
        }
        if self.credentials_file.is_some() {
            return &[Signing::Configured];
        }
        if self.on_google_cloud {
            return &[Signing::Unsigned, Signing::Machine];
        }
        &[Signing::Unsigned]
    }

    fn build(
        &self,
        bucket: &str,
        signing: Signing,
        connector: Connector,
    ) -> Result<Arc<dyn ObjectStore>, BoxedError> {
        let mut builder = GoogleCloudStorageBuilder::new()
            .with_bucket_name(bucket)
            .with_http_connector(connector.clone())
            .with_retry(retry_config());
        if let Some(endpoint) = &self.endpoint {
            let named = GenerationClient {
                connector,
                endpoint: endpoint.trim_end_matches('/').to_owned(),
            };
            builder = builder.with_base_url(endpoint).with_http_connector(named);
        }
        match (signing, &self.credentials_file) {
            (Signing::Configured, Some(file)) => {
                builder = builder.with_application_credentials(file.to_string_lossy());
            }
            (Signing::Machine, _) => {}
            // The empty token keeps the builder from looking for credentials.
            _ => builder = builder.with_bearer_token("").with_skip_signature(true),
        }
        Ok(Arc::new(builder.build()?))
    }

    fn is_bucket_name(&self, bucket: &str) -> bool {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
        (3..=222).contains(&bucket.len())
            && bucket.bytes().all(allowed)
            && bucket.as_bytes()[0].is_ascii_alphanumeric()
    }

    fn credentials_hint(&self) -> &'static str {
        "set GOOGLE_APPLICATION_CREDENTIALS, or `gcs_credentials_file` in the profile, to a key \
         file, or run `gcloud auth application-default login`"
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::environment::tests::settings_from;

    fn decide(variables: &[(&str, &str)], keys: &[(&str, &str)], files: &[&str]) -> GcsSettings {
        let files: Vec<_> = files.iter().map(|file| (*file, "{}")).collect();
        settings_from(variables, keys, &files, GcsSettings::from_environment)
    }

    #[test]
    fn credentials_are_looked_for_in_the_usual_order() {
        let usual = "/h/.config/gcloud/application_default_credentials.json";
        let home = ("HOME", "/h");
        assert_eq!(decide(&[home], &[], &[]).credentials_file, None);
        let found = decide(&[home], &[], &[usual]).credentials_file;
        assert_eq!(found.as_deref(), Some(Path::new(usual)));
        let key = ("gcs_credentials_file", "/p");
        let found = decide(&[home], &[key], &[usual]).credentials_file;
        assert_eq!(found.as_deref(), Some(Path::new("/p")));
        let named = ("GOOGLE_APPLICATION_CREDENTIALS", "/k");
        let found = decide(&[home, named], &[key], &[usual]).credentials_file;
        assert_eq!(found.as_deref(), Some(Path::new("/k")));
    }

    #[test]
    fn requests_to_an_emulator_are_never_signed() {
        let settings = decide(
            &[
                ("STORAGE_EMULATOR_HOST", "localhost:4443/"),
                ("GOOGLE_APPLICATION_CREDENTIALS", "/k"),
            ],
            &[],
            &[],
        );
        assert_eq!(settings.endpoint.as_deref(), Some("http://localhost:4443"));
        assert_eq!(settings.signing_modes(), [Signing::Unsigned]);
    }

    #[test]
    fn a_bucket_name_cannot_change_the_host_or_path() {
        let settings = GcsSettings::default();
        assert!(settings.is_bucket_name("my-bucket_1.example"));
        for bad in ["", "a@b.example", "..", "a?b=c", "a#bc", "A-B", "a%2fb"] {
            assert!(!settings.is_bucket_name(bad), "{bad}");
        }
    }
}
