//! The tenant and the person that a token names, read without checking its signature.
//!
//! They only decide whether a stored token may belong to this profile, and what a user is told about
//! a new one. Whether the token is valid is for the remote to say.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Returns the claim `tenant_id` or `tenant`, if the token is a JWT that has one.
pub(super) fn tenant(token: &str) -> Option<String> {
    claim(token, &["tenant_id", "tenant"])
}

/// Returns the claim `sub`, the person, if the token is a JWT that has one.
pub(super) fn subject(token: &str) -> Option<String> {
    claim(token, &["sub"])
}

fn claim(token: &str, keys: &[&str]) -> Option<String> {
    let mut parts = token.split('.');
    let (_header, claims, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    // RFC 7515 asks for the URL-safe alphabet without padding; some issuers use the standard one.
    let claims = claims.trim_end_matches('=');
    let claims = claims.replace('+', "-").replace('/', "_");
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    keys.iter()
        .find_map(|key| claims.get(key)?.as_str().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_claim_is_read_and_anything_else_is_none() {
        // {"tenant_id":"t-1?>"} holds characters that differ between the two alphabets.
        assert_eq!(
            tenant("h.eyJ0ZW5hbnRfaWQiOiJ0LTE_PiJ9.s").as_deref(),
            Some("t-1?>")
        );
        assert_eq!(
            tenant("h.eyJ0ZW5hbnRfaWQiOiJ0LTE/PiJ9==.s").as_deref(),
            Some("t-1?>")
        );
        for other in ["", "opaque", "a.b", "a.b.c", "a.!!.c", "h.W10.s", "h.e30.s"] {
            assert_eq!(tenant(other), None, "{other}");
        }
    }
}
