//! Parses bodies, and checks that they answer the request.
//!
//! The login page of a portal, the JSON of a proxy or the response to another request must never
//! count as data, even with status 200.

use crate::object::{ListError, RawList, RawObject, RunFields, parse_bounded_list};
use crate::repair;

/// Most elements of a list that are read of one answer. Objects of a Docks API have some hundred bytes, so an answer
/// within the limit of its size has no more of them; each takes about half a kilobyte of memory while it is read.
pub const MAX_ELEMENTS: usize = 250_000;

/// Most values in one object. Parsed, each takes some 32 bytes or more.
pub const MAX_VALUES: usize = 1_000_000;

/// Why a body is not an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is something else.
    #[error("{0}")]
    Invalid(String),
    /// It has more elements than are read: [`MAX_ELEMENTS`] of a list, or [`MAX_VALUES`] in an object.
    #[error("more than {limit} elements")]
    TooManyElements {
        /// How many are read.
        limit: usize,
    },
}

impl From<&str> for BodyError {
    fn from(what: &str) -> Self {
        Self::Invalid(what.to_owned())
    }
}

/// Parses a list.
///
/// # Errors
///
/// What the body is instead.
pub fn parse_list(body: &[u8]) -> Result<RawList, BodyError> {
    match parse_bounded_list(body, MAX_ELEMENTS) {
        Ok(list) if list.wrapped && has_id(body) => Err("one object instead of a list".into()),
        Ok(mut list) => {
            let objects = list.objects.into_iter();
            list.objects = objects.map(checked).collect::<Result<_, _>>()?;
            Ok(list)
        }
        Err(ListError::Shape) => Err("one object instead of a list".into()),
        Err(ListError::Json(cause)) => Err(not_json(body, &cause)),
        Err(ListError::TooManyElements { limit }) => Err(BodyError::TooManyElements { limit }),
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
pub fn parse_object(body: &[u8], requested_id: &str) -> Result<RawObject, BodyError> {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    let object = RawObject::parse(text)
        .map_err(|cause| not_json(body, &cause))?
        .ok_or("a list or a bare value instead of one object")?;
    let object = checked(object)?;
    let fields = RunFields::from_object(&object);
    let id = fields.id.text();
    match &id {
        Some(id) if id.starts_with(requested_id) => Ok(object),
        Some(_) if fields.name.text().as_deref() == Some(requested_id) => Ok(object),
        Some(_) => Err("another object than the requested one".into()),
        None if fields == RunFields::default() => {
            Err("an object that is neither a run nor a trial".into())
        }
        None => Ok(object),
    }
}

/// Returns an object as it is stored, unless it has more than [`MAX_VALUES`].
fn checked(object: RawObject) -> Result<RawObject, BodyError> {
    check_values(object.text())?;
    Ok(object.storable())
}

/// Checks that a JSON text has no more than [`MAX_VALUES`].
///
/// # Errors
///
/// [`BodyError::TooManyElements`].
pub fn check_values(text: &str) -> Result<(), BodyError> {
    // A value takes a byte and a comma at least, so nearly every text is short enough.
    if text.len() / 2 <= MAX_VALUES {
        return Ok(());
    }
    let (mut values, mut in_string, mut escaped) = (1, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b',' | b'[' | b'{' if !in_string => values += 1,
            _ => continue,
        }
        if values > MAX_VALUES {
            return Err(BodyError::TooManyElements { limit: MAX_VALUES });
        }
    }
    Ok(())
}

fn has_id(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let fields: RunFields = repair::read(text.trim_start_matches('\u{feff}'));
    fields.id.text().is_some()
}

fn not_json(body: &[u8], cause: &serde_json::Error) -> BodyError {
    let start = body.iter().find(|b| !b.is_ascii_whitespace());
    let what = match start {
        None => "an empty body",
        Some(b'<') => "HTML instead of JSON, perhaps a login page on the way",
        Some(_) if cause.is_eof() => "truncated JSON",
        Some(_) => "something that is not JSON",
    };
    what.into()
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
    fn what_would_use_up_memory_is_refused_with_the_bound() {
        let list = |count: usize| format!("[{}{{}}]", "{},".repeat(count - 1));
        assert_eq!(
            parse_list(list(MAX_ELEMENTS).as_bytes())
                .unwrap()
                .objects
                .len(),
            MAX_ELEMENTS
        );
        let limit = MAX_ELEMENTS;
        assert_eq!(
            parse_list(list(MAX_ELEMENTS + 1).as_bytes()).unwrap_err(),
            BodyError::TooManyElements { limit }
        );
        let limit = MAX_VALUES;
        let values = |count: usize| format!(r#"{{"id":"a","x":[{}0]}}"#, "0,".repeat(count));
        assert!(parse_object(values(MAX_VALUES - 100).as_bytes(), "a").is_ok());
        for much in [
            values(MAX_VALUES),
            format!(
                r#"{{"id":"a","x":{}1{}}}"#,
                "[".repeat(limit),
                "]".repeat(limit)
            ),
        ] {
            let refused = parse_object(much.as_bytes(), "a").unwrap_err();
            assert_eq!(refused, BodyError::TooManyElements { limit });
            let refused = parse_list(format!("[{much}]").as_bytes()).unwrap_err();
            assert_eq!(refused, BodyError::TooManyElements { limit });
        }
        let long = format!(r#"{{"id":"a","x":"{}"}}"#, ",".repeat(3 * MAX_VALUES));
        assert!(
            parse_object(long.as_bytes(), "a").is_ok(),
            "a text is one value"
        );
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
