//! `gs://bucket/object` addresses, through `object_store`.
//!
//! Credentials are Google's application default ones. Without any, the request
//! goes out unsigned, which is enough for public buckets; only when that is
//! refused does it matter that there are none, and the error says what to set.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::client::{HttpClient, HttpConnector};
use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder};
use object_store::path::Path as ObjectPath;
use object_store::{ClientOptions, Error as StoreError, GetResult, ObjectStoreExt, RetryConfig};

use super::http;

/// Says why an object of a bucket was not read.
#[derive(Debug, thiserror::Error)]
pub enum GcsError {
    /// Not `gs://bucket/object`.
    #[error("the remote gave a `gs://` address without a bucket or an object")]
    NotAnObject,
    /// The client cannot be made: broken credentials file, no root certificates.
    #[error("could not set up access to bucket `{bucket}`")]
    Setup {
        /// Which.
        bucket: String,
        /// Cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no such object.
    #[error("there is no such object in bucket `{bucket}`")]
    NotFound {
        /// Where.
        bucket: String,
    },
    /// A private bucket, and nothing to sign with.
    #[error(
        "bucket `{bucket}` is private and there are no Google credentials; set \
         GOOGLE_APPLICATION_CREDENTIALS to a key file, or run \
         `gcloud auth application-default login`"
    )]
    NoCredentials {
        /// Which.
        bucket: String,
    },
    /// The credentials do not suffice.
    #[error(
        "these Google credentials may not read bucket `{bucket}`; GOOGLE_APPLICATION_CREDENTIALS \
         names others"
    )]
    Refused {
        /// Which.
        bucket: String,
    },
    /// Anything else: no connection, an error answer, an answer that broke off.
    #[error("could not read from bucket `{bucket}`: {why}")]
    Read {
        /// Which.
        bucket: String,
        /// The innermost cause; those around it repeat it, with addresses and timings.
        why: String,
    },
}

/// Where Google Cloud Storage is and what to sign with.
#[derive(Debug, Clone)]
pub struct GcsSettings {
    /// Another endpoint, for instance an emulator; requests to it are never signed.
    pub endpoint: Option<String>,
    /// File with credentials, if one is configured or lies in its usual place.
    pub credentials_file: Option<PathBuf>,
    /// Whether this machine is Google's and its metadata server gives credentials.
    pub on_google_cloud: bool,
    /// Longest silence.
    pub idle: Duration,
}

/// Variables that Google's own programs read, as values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoogleVariables {
    /// `GOOGLE_APPLICATION_CREDENTIALS`.
    pub credentials: Option<PathBuf>,
    /// `CLOUDSDK_CONFIG`: where `gcloud` keeps its files.
    pub config: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `STORAGE_EMULATOR_HOST`.
    pub emulator: Option<String>,
    /// `GCE_METADATA_HOST`.
    pub metadata_host: Option<String>,
}

impl GoogleVariables {
    /// Reads the variables; empty ones count as unset.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| set(name).and_then(|value| value.into_string().ok());
        Self {
            credentials: set("GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from),
            config: set("CLOUDSDK_CONFIG").map(PathBuf::from),
            home: set("HOME").map(PathBuf::from),
            emulator: text("STORAGE_EMULATOR_HOST"),
            metadata_host: text("GCE_METADATA_HOST"),
        }
    }
}

impl GcsSettings {
    /// Decides in the order of Google's own libraries.
    ///
    /// `exists` tells whether a file is there, `product` is what the machine's
    /// firmware calls it. Both come from the caller, so this is a pure decision.
    pub fn decide(
        variables: &GoogleVariables,
        exists: impl Fn(&Path) -> bool,
        product: &str,
        idle: Duration,
    ) -> Self {
        let endpoint = variables.emulator.as_ref().map(|host| {
            let host = host.trim_end_matches('/');
            if host.contains("://") {
                host.to_owned()
            } else {
                format!("http://{host}")
            }
        });
        let usual = || {
            let home = || Some(variables.home.as_ref()?.join(".config/gcloud"));
            let directory = variables.config.clone().or_else(home)?;
            let file = directory.join("application_default_credentials.json");
            exists(&file).then_some(file)
        };
        // Asking the metadata server elsewhere would wait for a host that is not there.
        let on_google_cloud =
            variables.metadata_host.is_some() || product.trim_start().starts_with("Google");
        Self {
            endpoint,
            credentials_file: variables.credentials.clone().or_else(usual),
            on_google_cloud,
            idle,
        }
    }
}

/// What requests to a bucket are signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Signing {
    Nothing,
    File,
    MetadataServer,
}

/// Reads objects of buckets.
#[derive(Debug)]
pub struct GcsSource {
    settings: GcsSettings,
    stores: Mutex<HashMap<(String, Signing), Arc<GoogleCloudStorage>>>,
}

impl GcsSource {
    /// Takes the settings; connects to nothing.
    pub fn new(settings: GcsSettings) -> Self {
        Self {
            settings,
            stores: Mutex::default(),
        }
    }

    /// Opens an object; returns its size.
    pub async fn open(
        &self,
        uri: &str,
    ) -> Result<(u64, BoxStream<'static, Result<Bytes, GcsError>>), GcsError> {
        let rest = uri.get("gs://".len()..).ok_or(GcsError::NotAnObject)?;
        let (bucket, object) = rest.split_once('/').ok_or(GcsError::NotAnObject)?;
        let path = ObjectPath::parse(object).map_err(|_| GcsError::NotAnObject)?;
        if !is_bucket(bucket) || object.is_empty() {
            return Err(GcsError::NotAnObject);
        }
        for &signing in self.ways() {
            match self.store(bucket, signing)?.get(&path).await {
                Ok(found) => return Ok(read(found, bucket.to_owned())),
                Err(error) if is_refusal(&error) => {}
                Err(error) => return Err(explain(bucket, error)),
            }
        }
        let bucket = bucket.to_owned();
        Err(if self.ways() == [Signing::Nothing] {
            GcsError::NoCredentials { bucket }
        } else {
            GcsError::Refused { bucket }
        })
    }

    /// Ways to sign, in the order in which they are tried until one is not refused.
    fn ways(&self) -> &'static [Signing] {
        if self.settings.endpoint.is_some() {
            return &[Signing::Nothing];
        }
        if self.settings.credentials_file.is_some() {
            return &[Signing::File];
        }
        if self.settings.on_google_cloud {
            return &[Signing::Nothing, Signing::MetadataServer];
        }
        &[Signing::Nothing]
    }

    fn store(&self, bucket: &str, signing: Signing) -> Result<Arc<GoogleCloudStorage>, GcsError> {
        let key = (bucket.to_owned(), signing);
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = stores.get(&key) {
            return Ok(Arc::clone(store));
        }
        let made = self
            .build(bucket, signing)
            .map_err(|source| GcsError::Setup {
                bucket: bucket.to_owned(),
                source,
            })?;
        let made = Arc::new(made);
        stores.insert(key, Arc::clone(&made));
        Ok(made)
    }

    fn build(
        &self,
        bucket: &str,
        signing: Signing,
    ) -> Result<GoogleCloudStorage, Box<dyn std::error::Error + Send + Sync>> {
        // Sizes come from `Content-Length`, which decompressing would take away.
        let client = http::builder(self.settings.idle)
            .no_gzip()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let mut builder = GoogleCloudStorageBuilder::new()
            .with_bucket_name(bucket)
            .with_http_connector(Connector(client))
            // The default keeps a user waiting for three minutes.
            .with_retry(RetryConfig {
                max_retries: 2,
                retry_timeout: Duration::from_secs(30),
                ..RetryConfig::default()
            });
        if let Some(endpoint) = &self.settings.endpoint {
            builder = builder.with_base_url(endpoint);
        }
        match (signing, &self.settings.credentials_file) {
            (Signing::File, Some(file)) => {
                builder = builder.with_application_credentials(file.to_string_lossy());
            }
            (Signing::MetadataServer, _) => {}
            // The empty token keeps the builder from looking for credentials by itself.
            _ => builder = builder.with_bearer_token("").with_skip_signature(true),
        }
        Ok(builder.build()?)
    }
}

/// Gives `object_store` the client that this program uses for downloads.
#[derive(Debug)]
struct Connector(reqwest::Client);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

fn read(found: GetResult, bucket: String) -> (u64, BoxStream<'static, Result<Bytes, GcsError>>) {
    let size_bytes = found.meta.size;
    let body = found.into_stream().map_err(move |source| GcsError::Read {
        bucket: bucket.clone(),
        why: innermost(&source),
    });
    (size_bytes, body.boxed())
}

fn explain(bucket: &str, error: StoreError) -> GcsError {
    let bucket = bucket.to_owned();
    match error {
        StoreError::NotFound { .. } => GcsError::NotFound { bucket },
        source => GcsError::Read {
            bucket,
            why: innermost(&source),
        },
    }
}

/// Longest text of a cause; some servers answer errors with whole pages.
const MOST_OF_A_CAUSE: usize = 300;

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string().chars().take(MOST_OF_A_CAUSE).collect()
}

fn is_refusal(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. }
    )
}

/// The name goes into a URL, so only what Google allows in one is let through.
fn is_bucket(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    (3..=222).contains(&name.len())
        && name.bytes().all(allowed)
        && name.as_bytes()[0].is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(variables: &[(&str, &str)], files: &[&str]) -> GcsSettings {
        let variables = GoogleVariables::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).into())
        });
        GcsSettings::decide(
            &variables,
            |path| files.iter().any(|file| Path::new(file) == path),
            "",
            Duration::from_secs(1),
        )
    }

    #[test]
    fn credentials_are_looked_for_in_the_usual_order() {
        let usual = "/h/.config/gcloud/application_default_credentials.json";
        let home = ("HOME", "/h");
        assert_eq!(decide(&[home], &[]).credentials_file, None);
        assert_eq!(
            decide(&[home], &[usual]).credentials_file.as_deref(),
            Some(Path::new(usual))
        );
        let named = decide(&[home, ("GOOGLE_APPLICATION_CREDENTIALS", "/k")], &[usual]);
        assert_eq!(named.credentials_file.as_deref(), Some(Path::new("/k")));
    }

    #[test]
    fn an_emulator_is_never_sent_a_signature() {
        let settings = decide(
            &[
                ("STORAGE_EMULATOR_HOST", "localhost:4443/"),
                ("GOOGLE_APPLICATION_CREDENTIALS", "/k"),
            ],
            &[],
        );
        assert_eq!(settings.endpoint.as_deref(), Some("http://localhost:4443"));
        assert_eq!(GcsSource::new(settings).ways(), [Signing::Nothing]);
    }

    #[test]
    fn a_bucket_name_cannot_change_the_host_or_path() {
        assert!(is_bucket("my-bucket_1.example"));
        for bad in ["", "a@b.example", "..", "a?b=c", "a#bc", "A-B", "a%2fb"] {
            assert!(!is_bucket(bad), "{bad}");
        }
    }
}
