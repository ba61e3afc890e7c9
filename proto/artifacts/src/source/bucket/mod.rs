//! Objects of buckets, whoever keeps them, through `object_store`.
//!
//! A request goes out with whatever credentials there are; without any it goes
//! out unsigned, which is enough for public buckets. Only when that is refused
//! does it matter that there are none, and the error says what to set.

mod behind;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::stream::StreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{
    Error as StoreError, GetOptions, GetRange, GetResult, ObjectStore, RetryConfig,
};

use super::connector::Connector;
use super::{Answer, Ask, AzureSettings, GcsSettings, Opened, S3Settings, SourceError, http};
use crate::version::{ResumePoint, Version};

pub(super) type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// Says why an object of a bucket was not read.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// Not `scheme://bucket/object`.
    #[error("the remote gave an address without a bucket or an object")]
    NotAnObject,
    /// The client cannot be made: broken credentials file, no root certificates, no account.
    #[error("could not set up access to bucket `{bucket}`")]
    Setup {
        /// Which.
        bucket: String,
        /// Cause.
        #[source]
        source: BoxedError,
    },
    /// There is no such object.
    #[error("there is no such object in bucket `{bucket}`")]
    NotFound {
        /// Where.
        bucket: String,
    },
    /// A private bucket, and nothing to sign with.
    #[error("bucket `{bucket}` is private and there are no credentials for it; {what_to_set}")]
    NoCredentials {
        /// Which.
        bucket: String,
        /// What helps.
        what_to_set: &'static str,
    },
    /// The credentials do not suffice.
    #[error("the credentials that were found may not read bucket `{bucket}`; {what_to_set}")]
    Refused {
        /// Which.
        bucket: String,
        /// What helps.
        what_to_set: &'static str,
    },
    /// Anything else: no connection, an error answer.
    #[error("could not read from bucket `{bucket}`: {why}")]
    Read {
        /// Which.
        bucket: String,
        /// The innermost cause; those around it repeat it, with addresses and timings.
        why: String,
    },
    /// The answer stopped before its end.
    #[error("could not read from bucket `{bucket}`, the answer broke off: {why}")]
    Broken {
        /// Which.
        bucket: String,
        /// The innermost cause.
        why: String,
    },
}

impl BucketError {
    /// Tells whether the same request may succeed a moment later.
    ///
    /// `object_store` has tried a request that failed before it comes here.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Broken { .. })
    }
}

/// What requests to a bucket are signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Signing {
    /// Nothing.
    Nothing,
    /// Credentials that somebody set.
    Own,
    /// Credentials that the machine has from its owner.
    Machine,
}

/// A keeper of buckets.
pub(super) trait Provider: Send + Sync {
    /// Ways to sign, in the order in which they are tried until one is not refused.
    fn ways(&self) -> &'static [Signing];

    /// Makes the client of one bucket.
    fn build(
        &self,
        bucket: &str,
        signing: Signing,
        connector: Connector,
    ) -> Result<Arc<dyn ObjectStore>, BoxedError>;

    /// Tells whether a name can be a bucket; it goes into a URL.
    fn accepts(&self, bucket: &str) -> bool;

    /// Says what gives access.
    fn what_to_set(&self) -> &'static str;
}

/// Scheme, bucket and way to sign.
type StoreKey = (String, String, Signing);

/// Reads objects of buckets.
pub struct BucketSource {
    gcs: GcsSettings,
    s3: S3Settings,
    azure: AzureSettings,
    idle: Duration,
    client: OnceLock<reqwest::Client>,
    stores: Mutex<HashMap<StoreKey, Arc<dyn ObjectStore>>>,
}

impl std::fmt::Debug for BucketSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BucketSource")
            .field("gcs", &self.gcs)
            .field("s3", &self.s3)
            .field("azure", &self.azure)
            .finish_non_exhaustive()
    }
}

impl BucketSource {
    /// Takes the settings and the longest silence; connects to nothing.
    #[must_use]
    pub fn new(gcs: GcsSettings, s3: S3Settings, azure: AzureSettings, idle: Duration) -> Self {
        Self {
            gcs,
            s3,
            azure,
            idle,
            client: OnceLock::new(),
            stores: Mutex::default(),
        }
    }

    pub(super) async fn open(&self, ask: Ask<'_>) -> Result<Answer, SourceError> {
        let (bucket, path, provider) = self.take_apart(ask.uri)?;
        if let Some(at) = ask.resume {
            let options = GetOptions {
                range: Some(GetRange::Offset(at.offset_bytes)),
                if_match: Some(at.version.tag().to_owned()),
                ..GetOptions::default()
            };
            match self.get(ask.uri, &bucket, &path, provider, options).await? {
                Ok(found) if continues(&found, at) => {
                    return Ok(Answer::Opened(opened(found, at.offset_bytes, bucket)));
                }
                // Another version, or a store that knows no ranges: from the beginning.
                Ok(_) => {}
                Err(error) if starts_over(&error) => {}
                Err(error) => return Err(explain(&bucket, error).into()),
            }
        }
        let options = GetOptions {
            if_none_match: ask.unless.map(|version| version.tag().to_owned()),
            ..GetOptions::default()
        };
        match self.get(ask.uri, &bucket, &path, provider, options).await? {
            Ok(found) => Ok(Answer::Opened(opened(found, 0, bucket))),
            Err(StoreError::NotModified { .. }) => Ok(Answer::Unchanged),
            Err(error) => Err(explain(&bucket, error).into()),
        }
    }

    pub(super) async fn size(&self, uri: &str) -> Result<u64, SourceError> {
        let (bucket, path, provider) = self.take_apart(uri)?;
        let options = GetOptions {
            head: true,
            ..GetOptions::default()
        };
        match self.get(uri, &bucket, &path, provider, options).await? {
            Ok(found) => Ok(found.meta.size),
            Err(error) => Err(explain(&bucket, error).into()),
        }
    }

    fn take_apart(&self, uri: &str) -> Result<(String, ObjectPath, &dyn Provider), BucketError> {
        let (scheme, rest) = uri.split_once("://").ok_or(BucketError::NotAnObject)?;
        let provider: &dyn Provider = match scheme.to_ascii_lowercase().as_str() {
            "gs" => &self.gcs,
            "s3" => &self.s3,
            _ => &self.azure,
        };
        let (bucket, object) = rest.split_once('/').ok_or(BucketError::NotAnObject)?;
        let path = ObjectPath::parse(object).map_err(|_| BucketError::NotAnObject)?;
        if !provider.accepts(bucket) || object.is_empty() {
            return Err(BucketError::NotAnObject);
        }
        Ok((bucket.to_owned(), path, provider))
    }

    /// Asks in each way until one is not refused; the inner error is the store's own.
    async fn get(
        &self,
        uri: &str,
        bucket: &str,
        path: &ObjectPath,
        provider: &dyn Provider,
        options: GetOptions,
    ) -> Result<Result<GetResult, StoreError>, BucketError> {
        for &signing in provider.ways() {
            let store = self.store(uri, bucket, provider, signing)?;
            match store.get_opts(path, options.clone()).await {
                Err(error) if is_refusal(&error) => {}
                answer => return Ok(answer),
            }
        }
        let bucket = bucket.to_owned();
        let what_to_set = provider.what_to_set();
        Err(if provider.ways() == [Signing::Nothing] {
            BucketError::NoCredentials {
                bucket,
                what_to_set,
            }
        } else {
            BucketError::Refused {
                bucket,
                what_to_set,
            }
        })
    }

    fn store(
        &self,
        uri: &str,
        bucket: &str,
        provider: &dyn Provider,
        signing: Signing,
    ) -> Result<Arc<dyn ObjectStore>, BucketError> {
        let scheme = uri.split("://").next().unwrap_or_default();
        let key = (scheme.to_ascii_lowercase(), bucket.to_owned(), signing);
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = stores.get(&key) {
            return Ok(Arc::clone(store));
        }
        let made = self
            .client()
            .and_then(|client| provider.build(bucket, signing, Connector(client)))
            .map_err(|source| BucketError::Setup {
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
        // Sizes come from `Content-Length`, which decompressing would take away.
        let made = http::builder(self.idle)
            .no_gzip()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(self.client.get_or_init(|| made).clone())
    }
}

/// Tries twice more; the default keeps a user waiting for three minutes.
pub(super) fn retry() -> RetryConfig {
    RetryConfig {
        max_retries: 2,
        retry_timeout: Duration::from_secs(30),
        ..RetryConfig::default()
    }
}

/// Tells whether an answer is the rest of what is there: not every store honours `If-Match`.
fn continues(found: &GetResult, at: &ResumePoint) -> bool {
    version(found).as_ref() == Some(&at.version)
        && found.range.start == at.offset_bytes
        && found.range.end == found.meta.size
        && at.size_bytes.is_none_or(|size| size == found.meta.size)
}

/// Tells whether an answer means that what is there is no beginning of what there is now.
fn starts_over(error: &StoreError) -> bool {
    if matches!(error, StoreError::Precondition { .. }) {
        return true;
    }
    let why = innermost(error);
    // `object_store` has no kinds for these: a whole answer, and a range behind the end.
    why.contains("non-partial") || why.contains("416") || why.contains("InvalidRange")
}

fn version(found: &GetResult) -> Option<Version> {
    found.meta.e_tag.as_deref().and_then(Version::strong)
}

fn opened(found: GetResult, begins_at: u64, bucket: String) -> Opened {
    let (size_bytes, version) = (found.meta.size, version(&found));
    let body = found.into_stream().map(move |chunk| {
        chunk.map_err(|error| {
            SourceError::from(BucketError::Broken {
                bucket: bucket.clone(),
                why: innermost(&error),
            })
        })
    });
    Opened {
        size_bytes: Some(size_bytes),
        begins_at,
        version,
        body: body.boxed(),
    }
}

fn explain(bucket: &str, error: StoreError) -> BucketError {
    let bucket = bucket.to_owned();
    match error {
        StoreError::NotFound { .. } => BucketError::NotFound { bucket },
        source => BucketError::Read {
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
