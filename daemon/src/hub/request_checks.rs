//! What a hub refuses before it looks at the token.

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};

use crate::api::request_checks::{Refusal, body, from_a_page};

/// Longest `Host` that is taken: a domain name has 253 bytes at most.
const MOST_HOST_BYTES: usize = 300;

/// Checks the head of a request; returns the host that the client means.
///
/// `only` are the hosts that a hub without a token answers to: a page whose name was pointed
/// at this machine brings that name along (DNS rebinding). With a token any name will do, since
/// no page knows it.
///
/// # Errors
///
/// The [`Refusal`] to answer with.
pub(super) fn check(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    only: Option<&[String]>,
) -> Result<Authority, Refusal> {
    const BAD: StatusCode = StatusCode::BAD_REQUEST;
    if uri.scheme().is_some() || uri.authority().is_some() || method == Method::CONNECT {
        let why = "The request must name a path, not another server.";
        return Err(Refusal::new(BAD, why));
    }
    let host = host(headers)?;
    let known = only.is_none_or(|names| {
        let name = host.host().trim_start_matches('[').trim_end_matches(']');
        let is_loopback = name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback());
        is_loopback || names.iter().any(|ours| name.eq_ignore_ascii_case(ours))
    });
    if !known {
        let why = "The Host is not ours; without a token only this machine's own names are.";
        return Err(Refusal::new(StatusCode::FORBIDDEN, why));
    }
    from_a_page(headers)?;
    body(headers)?;
    Ok(host)
}

fn host(headers: &HeaderMap) -> Result<Authority, Refusal> {
    let bad = |why| Err(Refusal::new(StatusCode::BAD_REQUEST, why));
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return bad("The request must have exactly one Host header.");
    };
    let text = host.to_str().unwrap_or_default();
    let fits = text.len() <= MOST_HOST_BYTES && !text.contains('@');
    let named = |host: &Authority| {
        let has_port = host.port_u16().is_some() || host.host() == text;
        !host.host().is_empty() && has_port
    };
    match text.parse::<Authority>() {
        Ok(host) if fits && named(&host) => Ok(host),
        _ => bad("The Host header makes no sense."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn verdict(host: &str, only: Option<&[String]>) -> Option<u16> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        let uri = Uri::from_static("/tenants/local/runs");
        check(&Method::GET, &uri, &headers, only)
            .err()
            .map(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn without_a_token_only_this_machines_names_are_answered() {
        let only = ["localhost".to_owned(), "hub.example".to_owned()];
        for fine in ["127.0.0.1:7433", "[::1]:7433", "LOCALHOST", "hub.example"] {
            assert_eq!(verdict(fine, Some(&only)), None, "{fine}");
        }
        for foreign in ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:7433"] {
            assert_eq!(verdict(foreign, Some(&only)), Some(403), "{foreign}");
            assert_eq!(verdict(foreign, None), None, "{foreign}");
        }
    }

    #[test]
    fn a_host_that_is_none_is_refused_with_or_without_a_token() {
        let long = format!("{}.example", "a".repeat(400));
        for bad in ["", "a b", "user@hub", "hub:", "hub:99999x", "a/b", &long] {
            assert_eq!(verdict(bad, None), Some(400), "{bad}");
        }
    }
}
