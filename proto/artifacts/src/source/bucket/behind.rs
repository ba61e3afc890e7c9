//! What lies behind a place in an object that is written again and again as it grows.

use object_store::{Error as StoreError, GetOptions, GetRange};

use super::super::{Answer, Ask, SourceError};
use super::{BucketSource, explain, opened, starts_over};
use crate::version::Version;

impl BucketSource {
    /// Asks for what is behind a place, or for all of it where a part cannot be had.
    pub(in crate::source) async fn behind(
        &self,
        uri: &str,
        offset_bytes: u64,
        unless: Option<&Version>,
    ) -> Result<Answer, SourceError> {
        let (bucket, path, provider) = self.take_apart(uri)?;
        let options = GetOptions {
            range: (offset_bytes > 0).then_some(GetRange::Offset(offset_bytes)),
            if_none_match: unless.map(|version| version.tag().to_owned()),
            ..GetOptions::default()
        };
        match self.get(uri, &bucket, &path, provider, options).await? {
            Ok(found) => {
                let begins_at = found.range.start;
                Ok(Answer::Opened(opened(found, begins_at, bucket)))
            }
            Err(StoreError::NotModified { .. }) => Ok(Answer::Unchanged),
            Err(error) if starts_over(&error) => {
                let ask = Ask {
                    uri,
                    resume: None,
                    unless: None,
                };
                self.open(ask).await
            }
            Err(error) => Err(explain(&bucket, error).into()),
        }
    }
}
