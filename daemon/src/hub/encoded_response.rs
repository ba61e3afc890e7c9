//! Answers as they leave the hub, kept while they stay the same: addresses written, hashed,
//! compressed.
//!
//! A thousand mirrors ask the same few questions every few seconds. Whether an answer is still
//! the kept one is decided by its bytes, so nothing old is ever sent.

use std::io::{self, Write};
use std::sync::OnceLock;

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use docksd_response_cache::{Cacheable, Limits};
use flate2::Compression;
use flate2::write::GzEncoder;
use ring::digest::{SHA256, digest};

/// What one hub keeps.
pub(super) const LIMITS: Limits = Limits {
    bytes: 32 << 20,
    entry_bytes: 8 << 20,
    entries: 1_024,
};
/// Below this an answer fits one packet anyway.
const WORTH_PACKING: usize = 1_024;
/// Bytes of a hash that a validator shows; that many random ones never meet by chance.
const TAG_BYTES: usize = 16;

/// One answer, ready to send.
#[derive(Debug)]
pub(super) struct EncodedResponse {
    source: Bytes,
    /// What is sent.
    pub(super) body: Bytes,
    /// Its validator; a weak one, since the compressed form has the same.
    pub(super) tag: HeaderValue,
    packed: OnceLock<Option<Bytes>>,
}

impl EncodedResponse {
    /// Makes an answer of `body`, which was made of `source`.
    pub(super) fn new(source: Bytes, body: Bytes) -> Self {
        let hash = digest(&SHA256, &body);
        let digits: String = hash.as_ref()[..TAG_BYTES]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            source,
            body,
            tag: HeaderValue::from_str(&format!("W/\"{digits}\"")).expect("digits are ASCII"),
            packed: OnceLock::new(),
        }
    }

    /// Returns the compressed form, if it is worth it; the first call makes it and blocks.
    pub(super) fn packed(&self) -> Option<Bytes> {
        let packed = self.packed.get_or_init(|| {
            (self.body.len() >= WORTH_PACKING)
                .then(|| pack(&self.body).ok())
                .flatten()
                .filter(|packed| packed.len() < self.body.len())
        });
        packed.clone()
    }

    /// Tells whether the compressed form exists, or is known to be of no use.
    pub(super) fn is_packed(&self) -> bool {
        self.body.len() < WORTH_PACKING || self.packed.get().is_some()
    }
}

fn pack(body: &[u8]) -> io::Result<Bytes> {
    // JSON shrinks to a tenth at the fastest level already.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    Ok(encoder.finish()?.into())
}

impl Cacheable for EncodedResponse {
    type Version = Bytes;

    fn version(&self) -> &Bytes {
        &self.source
    }

    /// Counts room for the compressed form, which is made later.
    fn size_bytes(&self) -> usize {
        self.source.len() + self.body.len() + self.body.len() / 4
    }
}

/// Tells whether the client knows the answer already (RFC 9110 §13.1.2, compared weakly).
pub(super) fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let Ok(ours) = tag.to_str().map(opaque) else {
        return false;
    };
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|theirs| theirs.trim() == "*" || opaque(theirs) == ours)
}

/// Tells whether the client takes gzip.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let refused = parts
                .filter_map(|part| part.strip_prefix("q="))
                .any(|quality| quality.parse::<f32>().is_ok_and(|quality| quality <= 0.0));
            (name.eq_ignore_ascii_case("gzip") || name == "*") && !refused
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use docksd_response_cache::ResponseCache;
    use std::io::Read;
    use std::sync::Arc;

    fn encoded(text: &str) -> Arc<EncodedResponse> {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        Arc::new(EncodedResponse::new(bytes.clone(), bytes))
    }

    #[test]
    fn a_response_is_reused_for_its_exact_bytes_only() {
        let cache = ResponseCache::new(LIMITS);
        cache.insert("q", &encoded("[1]"));
        assert!(cache.get("q", &Bytes::from_static(b"[1]")).is_some());
        assert!(cache.get("q", &Bytes::from_static(b"[2]")).is_none());
        assert!(cache.get("r", &Bytes::from_static(b"[1]")).is_none());
        assert_ne!(encoded("[1]").tag, encoded("[2]").tag);
    }

    #[test]
    fn the_bounds_are_those_of_a_hub() {
        let cache = ResponseCache::new(LIMITS);
        let large = "x".repeat(1 << 20);
        let mut inserted = Vec::new();
        for number in 0..200 {
            let text = format!("{number}{large}");
            let (question, response) = (format!("q{number}"), encoded(&text));
            cache.insert(&question, &response);
            inserted.push((question, response));
            let held = inserted
                .iter()
                .filter(|(question, response)| cache.get(question, response.version()).is_some());
            let bytes = held.map(|(question, response)| question.len() + response.size_bytes());
            assert!(bytes.sum::<usize>() <= LIMITS.bytes);
        }
        let huge = "x".repeat(LIMITS.entry_bytes);
        cache.insert("huge", &encoded(&huge));
        assert!(cache.get("huge", &Bytes::from(huge)).is_none());
    }

    #[test]
    fn packing_gives_back_the_same_and_is_left_out_where_it_helps_nobody() {
        let long = "{\"status\":\"passed\"}".repeat(200);
        let packed = encoded(&long).packed().unwrap();
        assert!(packed.len() < long.len() / 5);
        let mut back = String::new();
        flate2::read::GzDecoder::new(&packed[..])
            .read_to_string(&mut back)
            .unwrap();
        assert_eq!(back, long);
        assert!(encoded("[]").packed().is_none());
    }

    #[test]
    fn conditions_and_codings_are_read_as_http_means_them() {
        let headers = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            headers
        };
        let tag = HeaderValue::from_static("W/\"ab\"");
        for known in ["W/\"ab\"", "\"ab\"", "\"x\", W/\"ab\"", "*"] {
            assert!(is_known(&headers("if-none-match", known), &tag), "{known}");
        }
        for other in ["\"abc\"", "ab", ""] {
            assert!(!is_known(&headers("if-none-match", other), &tag), "{other}");
        }
        for taken in ["gzip", "br, GZIP;q=0.5", "*"] {
            assert!(takes_gzip(&headers("accept-encoding", taken)), "{taken}");
        }
        for refused in ["", "br", "gzip;q=0", "identity"] {
            assert!(
                !takes_gzip(&headers("accept-encoding", refused)),
                "{refused}"
            );
        }
    }
}
