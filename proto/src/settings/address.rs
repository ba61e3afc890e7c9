//! The addresses to which a token may be sent.

use std::net::IpAddr;

use http::Uri;

/// Why an address cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not `https://host…` or `http://host…`.
    #[error("it is not a web address such as https://api.example")]
    NotWeb,
    /// It has a user name or password, which would be printed and logged.
    #[error("it has a user name or password")]
    UserInfo,
    /// It has a query or fragment, so no path can be appended.
    #[error("it has a `?` or `#`")]
    Query,
    /// Plain HTTP to another machine would expose the token on the network.
    #[error("plain http:// would send the token unencrypted over the network")]
    Plain,
}

/// Returns the canonical form of an address, which is compared and stored.
///
/// Scheme and host become lower case; the default port and trailing slashes are removed. `insecure` allows plain `http://` to other machines.
///
/// # Errors
///
/// [`AddressError`] for an address to which no token should be sent.
pub fn normalise_api_url(text: &str, insecure: bool) -> Result<String, AddressError> {
    let text = text.trim();
    if text.contains(['#', '?']) {
        return Err(AddressError::Query);
    }
    let uri: Uri = text.parse().map_err(|_| AddressError::NotWeb)?;
    let scheme = uri.scheme_str().ok_or(AddressError::NotWeb)?;
    let scheme = scheme.to_ascii_lowercase();
    let authority = uri.authority().ok_or(AddressError::NotWeb)?;
    if authority.as_str().contains('@') {
        return Err(AddressError::UserInfo);
    }
    let host = authority.host().to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "https" => 443,
        "http" => 80,
        _ => return Err(AddressError::NotWeb),
    };
    let bad_port = authority.port_u16().is_none() && authority.as_str().ends_with(':');
    if host.is_empty() || bad_port {
        return Err(AddressError::NotWeb);
    }
    if scheme == "http" && !insecure && !is_loopback(&host) {
        return Err(AddressError::Plain);
    }
    let port = authority
        .port_u16()
        .filter(|port| *port != default_port)
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let path = uri.path().trim_end_matches('/');
    Ok(format!("{scheme}://{host}{port}{path}"))
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_service_has_one_canonical_form() {
        let normal = |text| normalise_api_url(text, false);
        for same in [
            "https://api.example",
            "https://api.example/",
            "HTTPS://API.example:443//",
            " https://api.example ",
        ] {
            assert_eq!(normal(same).as_deref(), Ok("https://api.example"), "{same}");
        }
        assert_eq!(
            normal("https://a.example:8443/prefix/").as_deref(),
            Ok("https://a.example:8443/prefix")
        );
    }

    #[test]
    fn plain_http_goes_only_to_this_machine() {
        for fine in [
            "http://127.0.0.1:8000",
            "http://localhost",
            "http://[::1]:9",
            "http://127.9.9.9",
        ] {
            assert!(normalise_api_url(fine, false).is_ok(), "{fine}");
        }
        for other in [
            "http://api.example",
            "http://127.0.0.1.evil.example",
            "http://localhost.evil.example",
            "http://10.0.0.1",
            "http://0.0.0.0",
        ] {
            assert_eq!(
                normalise_api_url(other, false),
                Err(AddressError::Plain),
                "{other}"
            );
            assert!(normalise_api_url(other, true).is_ok(), "{other}");
        }
    }

    #[test]
    fn anything_but_a_plain_web_address_is_refused() {
        for (text, why) in [
            ("https://user:pw@api.example", AddressError::UserInfo),
            ("https://127.0.0.1@evil.example", AddressError::UserInfo),
            ("ftp://api.example", AddressError::NotWeb),
            ("api.example", AddressError::NotWeb),
            ("/relative", AddressError::NotWeb),
            ("", AddressError::NotWeb),
            ("https://", AddressError::NotWeb),
            ("https://a b.example", AddressError::NotWeb),
            ("https://api.example/?x=1", AddressError::Query),
            ("https://api.example/#x", AddressError::Query),
        ] {
            assert_eq!(normalise_api_url(text, true), Err(why), "{text}");
        }
    }
}
