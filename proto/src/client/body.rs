//! Parses bodies, and checks that they answer the request.
//!
//! The login page of a portal, the JSON of a proxy or the response to another request must never
//! count as data, even with status 200.

use crate::object::{ListError, RawList, RawObject, RunFields, parse_list as parse_raw_list};
use crate::repair;

/// Parses a list.
///
/// # Errors
///
/// What the body is instead.
pub fn parse_list(body: &[u8]) -> Result<RawList, String> {
    match parse_raw_list(body) {
        Ok(list) if list.wrapped && has_id(body) => Err("one object instead of a list".to_owned()),
        Ok(mut list) => {
            let objects = list.objects.into_iter();
            list.objects = objects.map(RawObject::storable).collect();
            Ok(list)
        }
        Err(ListError::Shape) => Err("one object instead of a list".to_owned()),
        Err(ListError::Json(cause)) => Err(not_json(body, &cause)),
    }
}

/// Parses the object that was requested with `requested_id`.
///
/// The object may have no id, but not another one: `requested_id` must be its id, or what a `docksd`
/// accepts in its place, which is its name or the beginning of its id.
///
/// # Errors
///
/// What the body is instead.
pub fn parse_object(body: &[u8], requested_id: &str) -> Result<RawObject, String> {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    let object = RawObject::parse(text)
        .map_err(|cause| not_json(body, &cause))?
        .ok_or_else(|| "a list or a bare value instead of one object".to_owned())?
        .storable();
    let fields = RunFields::from_object(&object);
    let id = fields.id.text();
    match &id {
        Some(id) if id.starts_with(requested_id) => Ok(object),
        Some(_) if fields.name.text().as_deref() == Some(requested_id) => Ok(object),
        Some(_) => Err("another object than the requested one".to_owned()),
        None if fields == RunFields::default() => {
            Err("an object that is neither a run nor a trial".to_owned())
        }
        None => Ok(object),
    }
}

fn has_id(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let fields: RunFields = repair::read(text.trim_start_matches('\u{feff}'));
    fields.id.text().is_some()
}

fn not_json(body: &[u8], cause: &serde_json::Error) -> String {
    let start = body.iter().find(|b| !b.is_ascii_whitespace());
    match start {
        None => "an empty body".to_owned(),
        Some(b'<') => "HTML instead of JSON, perhaps a login page on the way".to_owned(),
        Some(_) if cause.is_eof() => "truncated JSON".to_owned(),
        Some(_) => "something that is not JSON".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_list_is_a_list() {
        assert_eq!(parse_list(b"[{}]").unwrap().objects.len(), 1);
        assert_eq!(
            parse_list(br#"{"items":[{"id":"a"}]}"#)
                .unwrap()
                .objects
                .len(),
            1
        );
        for bad in [
            &br#"{"id":"a","data":[{"x":1}]}"#[..],
            br#"{"id":"a"}"#,
            b"<html>",
            b"",
            b"null",
            b"[{",
            b"\x1f\x8b",
        ] {
            assert!(parse_list(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn an_object_has_the_requested_id_or_none() {
        let good = |body: &str| parse_object(body.as_bytes(), "r-1").is_ok();
        assert!(good(r#"{"id":"r-1"}"#));
        assert!(good(r#"{"id":"r-1234"}"#), "a docksd takes prefixes");
        assert!(good(r#"{"id":"x","name":"r-1"}"#), "and names");
        assert!(good(r#"{"id":null,"status":"running"}"#));
        for bad in [
            r#"{"id":"r-2"}"#,
            r#"[{"id":"r-1"}]"#,
            r#"{"items":[{"id":"r-1"}]}"#,
            r#"{"detail":"please sign in"}"#,
            "{}",
            "7",
            "",
            r#"{"id":"r-1""#,
        ] {
            assert!(!good(bad), "{bad}");
        }
    }
}
