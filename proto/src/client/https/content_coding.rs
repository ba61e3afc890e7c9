//! Collects the body of a response and undoes its content coding.
//!
//! reqwest could do it, but compares the coding with `gzip` letter by letter. Codings have no case, and
//! `x-gzip` is another name of it (RFC 9110 §8.4.1).

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use http::{HeaderMap, header};

/// The coding that is asked for.
pub(super) const ACCEPTED: &str = "gzip";

/// A body that is arriving.
pub(super) enum BodyDecoder {
    /// As it is, or in a coding that is unknown.
    Plain(BoundedBody),
    /// Compressed; whether anything has arrived.
    Gzip(Box<MultiGzDecoder<BoundedBody>>, bool),
}

impl BodyDecoder {
    /// Reads the coding from the headers and removes it there; a body of more than `limit` bytes is an
    /// error.
    pub(super) fn new(headers: &mut HeaderMap, limit: u64) -> Self {
        let body = BoundedBody {
            bytes: Vec::new(),
            limit,
        };
        if !is_gzip(headers) {
            return Self::Plain(body);
        }
        headers.remove(header::CONTENT_ENCODING);
        headers.remove(header::CONTENT_LENGTH);
        Self::Gzip(Box::new(MultiGzDecoder::new(body)), false)
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::FileTooLarge`] above the limit, others for what is not in this coding.
    pub(super) fn push(&mut self, piece: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(body) => body.write_all(piece),
            Self::Gzip(decoder, begun) => {
                *begun |= !piece.is_empty();
                decoder.write_all(piece)
            }
        }
    }

    /// Returns the body.
    ///
    /// # Errors
    ///
    /// As [`Self::push`]; also when the body is cut off.
    pub(super) fn finish(self) -> io::Result<Bytes> {
        let body = match self {
            Self::Plain(body) => body,
            Self::Gzip(decoder, true) => decoder.finish()?,
            // A response without a body, such as a 304, may name the coding that the body would have.
            Self::Gzip(_, false) => return Ok(Bytes::new()),
        };
        Ok(body.bytes.into())
    }
}

fn is_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CONTENT_ENCODING).into_iter();
    let mut codings = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"));
    let gzip =
        |coding: &str| coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip");
    codings.next().is_some_and(gzip) && codings.next().is_none()
}

/// What was decoded so far.
pub(super) struct BoundedBody {
    bytes: Vec<u8>,
    limit: u64,
}

impl Write for BoundedBody {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if (self.bytes.len() + piece.len()) as u64 > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::HeaderValue;

    use super::*;

    const TEXT: &[u8] = br#"[{"id":"a"}]"#;

    fn packed() -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(TEXT).unwrap();
        encoder.finish().unwrap()
    }

    fn decode(codings: &[&'static str], body: &[u8], limit: u64) -> io::Result<Bytes> {
        let mut headers = HeaderMap::new();
        for coding in codings {
            headers.append(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        let mut decoder = BodyDecoder::new(&mut headers, limit);
        for piece in body.chunks(3) {
            decoder.push(piece)?;
        }
        decoder.finish()
    }

    #[test]
    fn codings_are_compared_without_case() {
        for codings in [
            &["gzip"][..],
            &["GZIP"],
            &["x-gzip"],
            &["X-Gzip"],
            &["identity, gzip"],
            &["identity", " Gzip ,"],
        ] {
            let decoded = decode(codings, &packed(), 100).unwrap();
            assert_eq!(decoded, TEXT, "{codings:?}");
            assert_eq!(decode(codings, b"", 100).unwrap(), "", "{codings:?}");
        }
        for codings in [&[][..], &["identity"], &["br"], &["gzip, br"]] {
            assert_eq!(decode(codings, TEXT, 100).unwrap(), TEXT, "{codings:?}");
        }
        let twice = [packed(), packed()].concat();
        assert_eq!(
            decode(&["gzip"], &twice, 100).unwrap().len(),
            2 * TEXT.len()
        );
    }

    #[test]
    fn what_is_cut_off_too_large_or_not_compressed_is_an_error() {
        let packed = packed();
        for end in 1..packed.len() {
            assert!(decode(&["gzip"], &packed[..end], 100).is_err(), "{end}");
        }
        assert!(decode(&["gzip"], TEXT, 100).is_err());
        for (codings, body) in [(&["gzip"][..], &packed[..]), (&[], TEXT)] {
            let error = decode(codings, body, TEXT.len() as u64 - 1).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        }
    }
}
