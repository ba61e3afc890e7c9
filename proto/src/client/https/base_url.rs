//! Which base URLs may be used.

use std::net::IpAddr;

use reqwest::Url;

/// Checks that a base URL may be used; the error says why not.
pub(super) fn parse_base_url(text: &str, insecure: bool) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|e| format!("the base URL is not valid: {e}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the base URL must not have a user or password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("the base URL must not have a query or fragment".to_owned());
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("the base URL has no host".to_owned());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if insecure || is_loopback(&url) => Ok(url),
        "http" => Err(format!(
            "`http://` would send the token unencrypted to {}; use https, or set insecure = \"true\" in the profile",
            url.host_str().unwrap_or_default()
        )),
        other => Err(format!("the base URL must be https, not {other}")),
    }
}

/// Whether a URL points to this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host);
    bare == "localhost"
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(url: &str) -> bool {
        parse_base_url(url, false).is_err()
    }

    #[test]
    fn only_https_or_loopback_is_a_base_url() {
        for good in [
            "https://api.example",
            "https://api.example/prefix/",
            "http://127.0.0.1:8000",
            "http://127.9.9.9",
            "http://[::1]:8000",
            "http://localhost:8000",
        ] {
            assert!(!is_refused(good), "{good}");
        }
        for bad in [
            "http://api.example",
            "http://localhost.example",
            "http://10.0.0.1",
            "http://127.0.0.1.example",
            "https://user@api.example",
            "https://user:pass@api.example",
            "https://api.example?x=1",
            "https://api.example#x",
            "ftp://127.0.0.1",
            "file:///etc/passwd",
            "api.example",
            "",
        ] {
            assert!(is_refused(bad), "{bad}");
        }
        assert!(parse_base_url("http://api.example", true).is_ok());
    }
}
