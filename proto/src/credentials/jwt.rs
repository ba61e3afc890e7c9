//! The tenant that a token names, read without checking its signature.
//!
//! It decides only whether a stored token may be this profile's. Whether the
//! token is good is for the remote to say.

/// Returns the claim `tenant_id` or `tenant`, if the token is a JWT that has one.
pub(super) fn tenant(token: &str) -> Option<String> {
    let mut parts = token.split('.');
    let (_header, claims, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    let claims: serde_json::Value = serde_json::from_slice(&base64url(claims)?).ok()?;
    ["tenant_id", "tenant"]
        .iter()
        .find_map(|key| claims.get(key)?.as_str().map(str::to_owned))
}

fn base64url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0u32, 0u32);
    for byte in text.trim_end_matches('=').bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' | b'+' => 62,
            b'_' | b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).ok()?);
        }
    }
    Some(bytes)
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
