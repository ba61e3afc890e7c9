//! Checks the head of a request before the hub looks at the token.

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};

use crate::api::request_checks::{Refusal, check_body_length, check_target, refuse_web_pages};

/// Longest accepted `Host`; a domain name has at most 253 bytes.
const MAX_HOST_BYTES: usize = 300;

/// Checks the head of a request; returns the host that the client addressed.
///
/// `allowed_hosts` are the names by which a hub without a token may be addressed: a web page whose name was pointed
/// at this machine sends that name (DNS rebinding). With a token any name is accepted, since no web page
/// knows the token.
///
/// # Errors
///
/// The [`Refusal`] to respond with.
pub(super) fn check(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    allowed_hosts: Option<&[String]>,
) -> Result<Authority, Refusal> {
    check_target(method, uri)?;
    let host = host(headers)?;
    if !allowed_hosts.is_none_or(|allowed| is_allowed(&host, allowed)) {
        let reason = "Without a token the Host header must be `localhost`, a loopback address or the \
                      name in `hub_url`.";
        return Err(Refusal::new(StatusCode::FORBIDDEN, reason));
    }
    refuse_web_pages(headers)?;
    check_body_length(headers)?;
    Ok(host)
}

fn is_allowed(host: &Authority, allowed: &[String]) -> bool {
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    let is_loopback = name
        .parse::<std::net::IpAddr>()
        .is_ok_and(|ip| ip.to_canonical().is_loopback());
    is_loopback || allowed.iter().any(|own| name.eq_ignore_ascii_case(own))
}

fn host(headers: &HeaderMap) -> Result<Authority, Refusal> {
    let bad_request = |reason| Err(Refusal::new(StatusCode::BAD_REQUEST, reason));
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return bad_request("The request must have exactly one Host header.");
    };
    let text = host.to_str().unwrap_or_default();
    let plausible = text.len() <= MAX_HOST_BYTES && !text.contains('@');
    let is_complete = |host: &Authority| {
        let valid_port = host.port_u16().is_some() || host.host() == text;
        !host.host().is_empty() && valid_port
    };
    match text.parse::<Authority>() {
        Ok(host) if plausible && is_complete(&host) => Ok(host),
        _ => bad_request("The Host header is not valid."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn refused_status(host: &str, allowed: Option<&[String]>) -> Option<u16> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        let uri = Uri::from_static("/tenants/local/runs");
        check(&Method::GET, &uri, &headers, allowed)
            .err()
            .map(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn without_a_token_only_this_machines_names_are_accepted() {
        let allowed = ["localhost".to_owned(), "hub.example".to_owned()];
        for accepted in ["127.0.0.1:7433", "[::1]:7433", "LOCALHOST", "hub.example"] {
            assert_eq!(refused_status(accepted, Some(&allowed)), None, "{accepted}");
        }
        for foreign in ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:7433"] {
            assert_eq!(
                refused_status(foreign, Some(&allowed)),
                Some(403),
                "{foreign}"
            );
            assert_eq!(refused_status(foreign, None), None, "{foreign}");
        }
    }

    #[test]
    fn an_invalid_host_is_refused_with_or_without_a_token() {
        let long = format!("{}.example", "a".repeat(400));
        for bad in ["", "a b", "user@hub", "hub:", "hub:99999x", "a/b", &long] {
            assert_eq!(refused_status(bad, None), Some(400), "{bad}");
        }
    }
}
