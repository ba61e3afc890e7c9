//! Addresses without their signatures, for cache keys and for display.

use crate::sanitise::downloaded_address;

/// Query parameters of signed addresses (AWS, Google, Azure, CloudFront). They change with every
/// listing although the object is the same.
const SIGNATURE_PARAMETERS: &[&str] = &[
    "awsaccesskeyid",
    "expires",
    "googleaccessid",
    "key-pair-id",
    "policy",
    "se",
    "sig",
    "signature",
    "sip",
    "ske",
    "skoid",
    "sks",
    "skt",
    "sktid",
    "skv",
    "sp",
    "spr",
    "sr",
    "st",
    "sv",
    "token",
];

fn is_signature_parameter(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or(pair).to_ascii_lowercase();
    name.starts_with("x-amz-")
        || name.starts_with("x-goog-")
        || SIGNATURE_PARAMETERS.binary_search(&name.as_str()).is_ok()
}

/// Returns an address without fragment and signature.
pub(super) fn without_signature(uri: &str) -> String {
    if !is_http(uri) {
        return uri.to_owned();
    }
    let uri = uri.split('#').next().unwrap_or(uri);
    let Some((path, query)) = uri.split_once('?') else {
        return uri.to_owned();
    };
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| !is_signature_parameter(pair))
        .collect();
    if kept.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", kept.join("&"))
    }
}

/// Returns an address for display: without query, user and password.
#[must_use]
pub fn display_uri(uri: &str) -> String {
    if !is_http(uri) {
        return uri.to_owned();
    }
    // The query of a `harbor serve` names the file, and is no secret.
    if let Some(address) = downloaded_address(uri) {
        return address;
    }
    let bare = uri.split(['?', '#']).next().unwrap_or(uri);
    match bare.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = host.rsplit('@').next().unwrap_or(host);
            format!("{scheme}://{host}/{path}")
        }
        None => bare.to_owned(),
    }
}

fn is_http(uri: &str) -> bool {
    let scheme = uri.split("://").next().unwrap_or_default();
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_not_part_of_the_address() {
        assert!(SIGNATURE_PARAMETERS.is_sorted());
        for (uri, expected) in [
            ("https://h/a?X-Amz-Signature=1&X-Amz-Date=2", "https://h/a"),
            ("https://h/a?file=x&sig=1&se=2#frag", "https://h/a?file=x"),
            ("https://h/a?id=7", "https://h/a?id=7"),
            ("gs://b/a?X-Goog-Date=1", "gs://b/a?X-Goog-Date=1"),
        ] {
            assert_eq!(without_signature(uri), expected);
        }
    }

    #[test]
    fn a_displayed_address_contains_no_secret() {
        assert_eq!(display_uri("https://u:p@h/a/b?sig=s#f"), "https://h/a/b");
        assert_eq!(display_uri("s3://b/a?b"), "s3://b/a?b");
    }
}
