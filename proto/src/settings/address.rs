//! The addresses to which a token may be sent.

use std::net::IpAddr;

use http::Uri;

/// Why an address cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not `https://host…` or `http://host…`.
    #[error("it is not a web address such as https://api.example")]
    NotWeb,
    /// It has a space, a line break or another character that no address has.
    #[error("it has white space or a control character")]
    WhiteSpace,
    /// Its port is not a number from 1 to 65535.
    #[error("its port is not a number from 1 to 65535")]
    Port,
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
/// Scheme and host become lower case; the default port and trailing slashes are removed. `insecure`
/// allows plain `http://` to other machines. Nothing is guessed: a token goes to the address as it is
/// written, or nowhere.
///
/// # Errors
///
/// [`AddressError`] for an address to which no token should be sent.
pub fn normalise_api_url(text: &str, insecure: bool) -> Result<String, AddressError> {
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(AddressError::WhiteSpace);
    }
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
    if host.is_empty() {
        return Err(AddressError::NotWeb);
    }
    let port = match authority.as_str().get(host.len()..) {
        None | Some("") => default_port,
        Some(written) => port_number(written).ok_or(AddressError::Port)?,
    };
    if scheme == "http" && !insecure && !is_loopback(&host) {
        return Err(AddressError::Plain);
    }
    let port = if port == default_port {
        String::new()
    } else {
        format!(":{port}")
    };
    let path = uri.path().trim_end_matches('/');
    Ok(format!("{scheme}://{host}{port}{path}"))
}

/// Quotes an address in a message: white space and control characters are escaped, and a user name and
/// password are left out.
#[must_use]
pub fn quote_address(text: &str) -> String {
    let shown = match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, rest)), Some((_, host))) if rest.contains('@') => {
            format!("{scheme}://…@{host}")
        }
        (None, Some((_, host))) => format!("…@{host}"),
        _ => text.to_owned(),
    };
    let escaped = |c: char| match c {
        c if c.is_control() || (c.is_whitespace() && c != ' ') => c.escape_debug().to_string(),
        c => c.to_string(),
    };
    format!("`{}`", shown.chars().map(escaped).collect::<String>())
}

/// Reads what follows a host: a colon and digits. A parser of addresses ignores a port that is too
/// large, and the default one would be used.
fn port_number(written: &str) -> Option<u16> {
    let digits = written.strip_prefix(':')?;
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|port| all_digits && *port != 0)
}

/// Whether an address is one of this machine; there may still be a tunnel to another one.
#[must_use]
pub fn is_on_loopback(url: &str) -> bool {
    let uri = url.parse::<Uri>().ok();
    let host = uri.as_ref().and_then(Uri::host);
    host.is_some_and(|host| is_loopback(&host.to_ascii_lowercase()))
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
            "https://api.example:0443",
        ] {
            assert_eq!(normal(same).as_deref(), Ok("https://api.example"), "{same}");
        }
        assert_eq!(
            normal("https://a.example:8443/prefix/").as_deref(),
            Ok("https://a.example:8443/prefix")
        );
    }

    #[test]
    fn a_quoted_address_shows_what_is_wrong_and_no_password() {
        for (text, quoted) in [
            ("http://127.0.0.1:70000", "`http://127.0.0.1:70000`"),
            ("https://a.example\n", "`https://a.example\\n`"),
            ("https://me:s3cret@a.example", "`https://…@a.example`"),
            ("me:s3cret@a.example", "`…@a.example`"),
            ("", "``"),
        ] {
            assert_eq!(quote_address(text), quoted);
        }
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
            assert!(is_on_loopback(fine), "{fine}");
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
            assert!(!is_on_loopback(other), "{other}");
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
            ("https://a b.example", AddressError::WhiteSpace),
            (" https://api.example", AddressError::WhiteSpace),
            ("https://api.example\n", AddressError::WhiteSpace),
            ("https://api.example\u{a0}", AddressError::WhiteSpace),
            ("https://api.example\0", AddressError::WhiteSpace),
            ("http://127.0.0.1:70000", AddressError::Port),
            ("http://127.0.0.1:65536", AddressError::Port),
            ("http://127.0.0.1:0", AddressError::Port),
            ("http://127.0.0.1:", AddressError::Port),
            ("http://[::1]:99999/x", AddressError::Port),
            ("http://127.0.0.1:+80", AddressError::Port),
            ("https://api.example/?x=1", AddressError::Query),
            ("https://api.example/#x", AddressError::Query),
        ] {
            assert_eq!(normalise_api_url(text, true), Err(why), "{text}");
        }
    }
}
