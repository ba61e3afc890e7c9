//! Responses as they leave the hub: URLs rewritten, hashed, compressed.
//!
//! A thousand mirrors send the same few requests every few seconds. A cached response is reused only for
//! exactly the same bytes of the daemon's own response, so it is never out of date.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use docksd_response_cache::{Cacheable, Limits};
use flate2::Compression;
use flate2::write::GzEncoder;
use headers::ETag;
use ring::digest::{Context, SHA256};

/// What one hub keeps.
pub(super) const LIMITS: Limits = Limits {
    bytes: 32 << 20,
    entry_bytes: 8 << 20,
    entries: 1_024,
};
/// A smaller response fits one packet anyway.
const MIN_COMPRESSED_BYTES: usize = 1_024;
/// Bytes of the hash in an `ETag`; enough that two responses never share one by chance.
const ETAG_BYTES: usize = 16;

/// A response, ready to send.
#[derive(Debug)]
pub(super) struct EncodedResponse {
    /// The daemon's own response.
    source: Bytes,
    /// What is sent.
    pub(super) body: Bytes,
    /// Its validator; a weak one, since the compressed form has the same.
    pub(super) etag: ETag,
    /// The compressed form, made for the first client that accepts it; `None` if it saves nothing.
    gzip: OnceLock<Option<Bytes>>,
}

impl EncodedResponse {
    /// Creates a response with `body`, which was made from `source`; `total` is the length of the whole list.
    pub(super) fn new(source: Bytes, body: Bytes, total: &str) -> Self {
        let mut hash = Context::new(&SHA256);
        hash.update(&body);
        hash.update(total.as_bytes());
        let hash = hash.finish();
        let digits: String = hash.as_ref()[..ETAG_BYTES]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let etag = format!("W/\"{digits}\"").parse();
        Self {
            source,
            body,
            etag: etag.expect("digits in quotes are an entity tag"),
            gzip: OnceLock::new(),
        }
    }

    /// Returns the compressed form, if it is smaller. Compresses off the runtime's threads, since a
    /// long list takes milliseconds.
    pub(super) async fn gzip(self: &Arc<Self>) -> Option<Bytes> {
        if self.body.len() < MIN_COMPRESSED_BYTES {
            return None;
        }
        if let Some(gzip) = self.gzip.get() {
            return gzip.clone();
        }
        let response = Arc::clone(self);
        let compressing = tokio::task::spawn_blocking(move || {
            let compressed = || compress(&response.body).ok();
            let smaller = |gzip: &Bytes| gzip.len() < response.body.len();
            let gzip = response.gzip.get_or_init(|| compressed().filter(smaller));
            gzip.clone()
        });
        compressing.await.ok().flatten()
    }
}

impl Cacheable for EncodedResponse {
    type Version = Bytes;

    fn version(&self) -> &Bytes {
        &self.source
    }

    /// Includes room for the compressed form, which is made later.
    fn size_bytes(&self) -> usize {
        self.source.len() + self.body.len() + self.body.len() / 4
    }
}

fn compress(body: &[u8]) -> io::Result<Bytes> {
    // JSON shrinks to a tenth at the fastest level already.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    Ok(encoder.finish()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use docksd_response_cache::ResponseCache;
    use std::io::Read;

    fn encoded(text: &str) -> Arc<EncodedResponse> {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        Arc::new(EncodedResponse::new(bytes.clone(), bytes, ""))
    }

    #[test]
    fn a_response_is_reused_for_its_exact_bytes_only() {
        let cache = ResponseCache::new(LIMITS);
        cache.insert("q", &encoded("[1]"));
        assert!(cache.get("q", &Bytes::from_static(b"[1]")).is_some());
        assert!(cache.get("q", &Bytes::from_static(b"[2]")).is_none());
        assert!(cache.get("r", &Bytes::from_static(b"[1]")).is_none());
        assert_ne!(encoded("[1]").etag, encoded("[2]").etag);
    }

    #[test]
    fn the_bounds_are_those_of_a_hub() {
        let cache = ResponseCache::new(LIMITS);
        let large = "x".repeat(1 << 20);
        let mut inserted = Vec::new();
        for number in 0..200 {
            let text = format!("{number}{large}");
            let (key, response) = (format!("q{number}"), encoded(&text));
            cache.insert(&key, &response);
            inserted.push((key, response));
            let kept = inserted
                .iter()
                .filter(|(key, response)| cache.get(key, response.version()).is_some());
            let bytes = kept.map(|(key, response)| key.len() + response.size_bytes());
            assert!(bytes.sum::<usize>() <= LIMITS.bytes);
        }
        let huge = "x".repeat(LIMITS.entry_bytes);
        cache.insert("huge", &encoded(&huge));
        assert!(cache.get("huge", &Bytes::from(huge)).is_none());
    }

    #[tokio::test]
    async fn a_compressed_response_is_the_same_and_is_left_out_where_it_saves_nothing() {
        let long = "{\"status\":\"passed\"}".repeat(200);
        let gzip = encoded(&long).gzip().await.unwrap();
        assert!(gzip.len() < long.len() / 5);
        let mut decompressed = String::new();
        flate2::read::GzDecoder::new(&gzip[..])
            .read_to_string(&mut decompressed)
            .unwrap();
        assert_eq!(decompressed, long);
        assert!(encoded("[]").gzip().await.is_none());
    }
}
