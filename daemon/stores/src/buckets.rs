//! Objects of buckets in any kind of store, read through `object_store`.
//!
//! Requests are signed with whatever credentials are configured. Without any they
//! are unsigned, which is enough for public buckets; if the store then refuses, the
//! error says which settings grant access.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use docks_artifacts::source::{
    BucketError, BucketReader, OpenRequest, OpenResponse, Opened, SourceError, http,
};
use docks_artifacts::version::{ResumePoint, Version};
use futures_util::stream::StreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{Error as StoreError, GetOptions, GetRange, GetResult, ObjectStore};

use crate::azure::AzureSettings;
use crate::connector::Connector;
use crate::error::StoreFailure;
use crate::gcs::GcsSettings;
use crate::provider::{BoxedError, Provider, Signing};
use crate::s3::S3Settings;

/// Scheme, bucket and signing mode.
type StoreKey = (String, String, Signing);

/// The object stores that one profile can read.
pub struct ObjectStores {
    gcs: GcsSettings,
    s3: S3Settings,
    azure: AzureSettings,
    idle_timeout: Duration,
    client: OnceLock<reqwest::Client>,
    stores: Mutex<HashMap<StoreKey, Arc<dyn ObjectStore>>>,
}

impl std::fmt::Debug for ObjectStores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectStores")
            .field("gcs", &self.gcs)
            .field("s3", &self.s3)
            .field("azure", &self.azure)
            .finish_non_exhaustive()
    }
}

impl ObjectStores {
    /// Combines the settings of all stores; a request fails after `idle_timeout` without data. Does not connect.
    pub(crate) fn new(
        gcs: GcsSettings,
        s3: S3Settings,
        azure: AzureSettings,
        idle_timeout: Duration,
    ) -> Self {
        Self {
            gcs,
            s3,
            azure,
            idle_timeout,
            client: OnceLock::new(),
            stores: Mutex::default(),
        }
    }

    async fn get_object(&self, request: OpenRequest<'_>) -> Result<OpenResponse, StoreFailure> {
        let (bucket, path, provider) = self.parse_uri(request.uri)?;
        if let Some(at) = request.resume {
            let options = GetOptions {
                range: Some(GetRange::Offset(at.offset_bytes)),
                if_match: Some(at.version.tag().to_owned()),
                ..GetOptions::default()
            };
            match self
                .get(request.uri, &bucket, &path, provider, options)
                .await?
            {
                Ok(found) if continues(&found, at) => {
                    return Ok(OpenResponse::Opened(opened(found, at.offset_bytes, bucket)));
                }
                // Another version, or a store without ranges: start over.
                Ok(_) => {}
                Err(error) if must_start_over(&error) => {}
                Err(error) => return Err(store_failure(&bucket, error)),
            }
        }
        let options = GetOptions {
            if_none_match: request.unless.map(|version| version.tag().to_owned()),
            ..GetOptions::default()
        };
        match self
            .get(request.uri, &bucket, &path, provider, options)
            .await?
        {
            Ok(found) => Ok(OpenResponse::Opened(opened(found, 0, bucket))),
            Err(StoreError::NotModified { .. }) => Ok(OpenResponse::Unchanged),
            Err(error) => Err(store_failure(&bucket, error)),
        }
    }

    /// Requests an object from an offset on, or all of it if the store cannot send a part.
    async fn get_tail(
        &self,
        uri: &str,
        offset_bytes: u64,
        unless: Option<&Version>,
    ) -> Result<OpenResponse, StoreFailure> {
        let (bucket, path, provider) = self.parse_uri(uri)?;
        let options = GetOptions {
            range: (offset_bytes > 0).then_some(GetRange::Offset(offset_bytes)),
            if_none_match: unless.map(|version| version.tag().to_owned()),
            ..GetOptions::default()
        };
        match self.get(uri, &bucket, &path, provider, options).await? {
            Ok(found) => {
                let begins_at = found.range.start;
                Ok(OpenResponse::Opened(opened(found, begins_at, bucket)))
            }
            Err(StoreError::NotModified { .. }) => Ok(OpenResponse::Unchanged),
            Err(error) if must_start_over(&error) => {
                let request = OpenRequest {
                    uri,
                    resume: None,
                    unless: None,
                };
                self.get_object(request).await
            }
            Err(error) => Err(store_failure(&bucket, error)),
        }
    }

    async fn object_size(&self, uri: &str) -> Result<u64, StoreFailure> {
        let (bucket, path, provider) = self.parse_uri(uri)?;
        let options = GetOptions {
            head: true,
            ..GetOptions::default()
        };
        match self.get(uri, &bucket, &path, provider, options).await? {
            Ok(found) => Ok(found.meta.size),
            Err(error) => Err(store_failure(&bucket, error)),
        }
    }

    fn parse_uri(&self, uri: &str) -> Result<(String, ObjectPath, &dyn Provider), StoreFailure> {
        let (scheme, rest) = uri.split_once("://").ok_or(StoreFailure::NotAnObject)?;
        let provider: &dyn Provider = match scheme.to_ascii_lowercase().as_str() {
            "gs" => &self.gcs,
            "s3" => &self.s3,
            _ => &self.azure,
        };
        let (bucket, object) = rest.split_once('/').ok_or(StoreFailure::NotAnObject)?;
        let path = ObjectPath::parse(object).map_err(|_| StoreFailure::NotAnObject)?;
        if !provider.is_bucket_name(bucket) || object.is_empty() {
            return Err(StoreFailure::NotAnObject);
        }
        Ok((bucket.to_owned(), path, provider))
    }

    /// Tries each signing mode until the store accepts one; the inner error is the store's own.
    async fn get(
        &self,
        uri: &str,
        bucket: &str,
        path: &ObjectPath,
        provider: &dyn Provider,
        options: GetOptions,
    ) -> Result<Result<GetResult, StoreError>, StoreFailure> {
        for &signing in provider.signing_modes() {
            let store = self.store(uri, bucket, provider, signing)?;
            match store.get_opts(path, options.clone()).await {
                Err(error) if is_refusal(&error) => {}
                answer => return Ok(answer),
            }
        }
        let bucket = bucket.to_owned();
        let hint = provider.credentials_hint();
        Err(if provider.signing_modes() == [Signing::Unsigned] {
            StoreFailure::NoCredentials { bucket, hint }
        } else {
            StoreFailure::Refused { bucket, hint }
        })
    }

    fn store(
        &self,
        uri: &str,
        bucket: &str,
        provider: &dyn Provider,
        signing: Signing,
    ) -> Result<Arc<dyn ObjectStore>, StoreFailure> {
        let scheme = uri.split("://").next().unwrap_or_default();
        let key = (scheme.to_ascii_lowercase(), bucket.to_owned(), signing);
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = stores.get(&key) {
            return Ok(Arc::clone(store));
        }
        let made = self
            .client()
            .and_then(|client| provider.build(bucket, signing, Connector(client)))
            .map_err(|source| StoreFailure::Setup {
                bucket: bucket.to_owned(),
                source,
            })?;
        stores.insert(key, Arc::clone(&made));
        Ok(made)
    }

    fn client(&self) -> Result<reqwest::Client, BoxedError> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        // Sizes come from `Content-Length`, which decompression would remove.
        let made = http::client_builder(self.idle_timeout)
            .no_gzip()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(self.client.get_or_init(|| made).clone())
    }
}

#[async_trait]
impl BucketReader for ObjectStores {
    async fn open(&self, request: OpenRequest<'_>) -> Result<OpenResponse, SourceError> {
        Ok(self.get_object(request).await.map_err(BucketError::from)?)
    }

    async fn open_from(
        &self,
        uri: &str,
        offset_bytes: u64,
        unless: Option<&Version>,
    ) -> Result<OpenResponse, SourceError> {
        let response = self.get_tail(uri, offset_bytes, unless).await;
        Ok(response.map_err(BucketError::from)?)
    }

    async fn size(&self, uri: &str) -> Result<u64, SourceError> {
        Ok(self.object_size(uri).await.map_err(BucketError::from)?)
    }
}

/// Returns whether a response continues at the resume point: not every store honours `If-Match`.
fn continues(found: &GetResult, at: &ResumePoint) -> bool {
    version(found).as_ref() == Some(&at.version)
        && found.range.start == at.offset_bytes
        && found.range.end == found.meta.size
        && at.size_bytes.is_none_or(|size| size == found.meta.size)
}

/// Returns whether an error means that the object no longer starts with the bytes already read.
fn must_start_over(error: &StoreError) -> bool {
    if matches!(error, StoreError::Precondition { .. }) {
        return true;
    }
    let why = innermost(error);
    // `object_store` has no error kinds for a complete response and for a range beyond the end.
    why.contains("non-partial") || why.contains("416") || why.contains("InvalidRange")
}

fn version(found: &GetResult) -> Option<Version> {
    found
        .meta
        .e_tag
        .as_deref()
        .and_then(Version::from_strong_tag)
}

fn opened(found: GetResult, begins_at: u64, bucket: String) -> Opened {
    let (size_bytes, version) = (found.meta.size, version(&found));
    let body = found.into_stream().map(move |chunk| {
        chunk.map_err(|error| {
            SourceError::from(BucketError::from(StoreFailure::Broken {
                bucket: bucket.clone(),
                why: innermost(&error),
            }))
        })
    });
    Opened {
        size_bytes: Some(size_bytes),
        begins_at,
        version,
        body: body.boxed(),
    }
}

fn store_failure(bucket: &str, error: StoreError) -> StoreFailure {
    let bucket = bucket.to_owned();
    match error {
        StoreError::NotFound { .. } => StoreFailure::NotFound { bucket },
        source => StoreFailure::Read {
            bucket,
            why: innermost(&source),
        },
    }
}

/// Longest cause that is reported, in characters; some servers send whole pages.
const MAX_CAUSE_CHARS: usize = 300;

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string().chars().take(MAX_CAUSE_CHARS).collect()
}

fn is_refusal(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. }
    )
}
