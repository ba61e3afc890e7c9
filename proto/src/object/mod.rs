//! Objects as the remote sent them: their text, and the fields read from it.
//!
//! A mirror must not lose fields it does not know, so the text is the object, and fields are only
//! *read* from it. Reading is lenient: a missing, null or mistyped field is `None` and never spoils
//! the rest of a list; one that no parser accepts is [repaired](crate::repair). Of a repeated key the
//! last one wins, as in most JSON parsers.

mod fields;
mod lifecycle;
mod provisional_id;

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::repair;

pub use fields::{
    Numbers, RunFields, RunReference, Scalar, TrialFields, TrialHarbor, TrialResult, Words,
};
pub use lifecycle::{
    EVALUATION_STATUSES, Lifecycle, RUN_STATUSES, TERMINAL_STATUSES, TRIAL_STATUSES, lifecycle,
};
pub use provisional_id::{harbor_job_id, has_outgrown_id};

/// One JSON object, byte for byte as it arrived, apart from what was [repaired](crate::repair).
#[derive(Debug, Clone)]
pub struct RawObject(Box<RawValue>);

impl AsRef<RawObject> for RawObject {
    fn as_ref(&self) -> &RawObject {
        self
    }
}

impl RawObject {
    /// Parses a text, repaired if need be; `Ok(None)` if it is JSON, but not an object.
    ///
    /// # Errors
    ///
    /// When it is not JSON.
    pub fn parse(text: &str) -> Result<Option<Self>, serde_json::Error> {
        let raw: Box<RawValue> =
            serde_json::from_str(text).or_else(|error| match repair::repaired(text) {
                Cow::Owned(text) => serde_json::from_str(&text),
                Cow::Borrowed(_) => Err(error),
            })?;
        Ok(Self::from_raw(raw))
    }

    /// Changes the text of an object from a remote so that every reader accepts it.
    #[cfg(any(feature = "client", test))]
    #[must_use]
    pub(crate) fn storable(self) -> Self {
        let changed = repair::storable(self.text());
        match changed.and_then(|text| RawValue::from_string(text).ok()) {
            Some(raw) => Self(raw),
            None => self,
        }
    }

    /// Serialises a value of our own, which must be a JSON object.
    ///
    /// # Errors
    ///
    /// When it cannot be serialised.
    pub fn from_serialize<T: serde::Serialize>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Self)
    }

    /// Returns the object with another member at its end: of two that have the same name, readers
    /// believe the last.
    #[must_use]
    pub fn with_text_member(&self, name: &str, value: &str) -> Self {
        let text = |text: &str| serde_json::to_string(text).expect("a text can be serialised");
        let members = self.text().trim_end();
        let members = members.strip_suffix('}').unwrap_or(members).trim_end();
        let comma = if members.ends_with('{') { "" } else { "," };
        let whole = format!("{members}{comma}{}:{}}}", text(name), text(value));
        RawValue::from_string(whole).map_or_else(|_| self.clone(), Self)
    }

    fn from_raw(raw: Box<RawValue>) -> Option<Self> {
        raw.get().starts_with('{').then_some(Self(raw))
    }

    /// Returns the text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for RawObject {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for RawObject {}

/// A list response: a bare array, or an object with the array inside.
#[derive(Debug, Default)]
pub struct RawList {
    /// The objects, in the remote's order.
    pub objects: Vec<RawObject>,
    /// Number of elements that are not objects, and therefore left out.
    pub skipped: usize,
    /// Cursor of the next page, if the server pages by cursor.
    pub next_cursor: Option<String>,
    /// Total number of objects, if the server states it.
    pub total: Option<u64>,
    /// Whether the array came wrapped in an object.
    pub wrapped: bool,
}

/// Why a body is not a list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// It is not JSON, or truncated.
    #[error("the response is not complete JSON")]
    Json(#[source] serde_json::Error),
    /// It is JSON, but neither an array nor an object with one inside.
    #[error("the response is JSON but not a list")]
    Shape,
    /// It has more elements than are read.
    #[error("the response has more than {limit} elements")]
    TooManyElements {
        /// How many are read.
        limit: usize,
    },
}

/// Parses a list response, repaired if need be; invalid UTF-8 is replaced.
///
/// # Errors
///
/// [`ListError`] when there is no array.
pub fn parse_list(body: &[u8]) -> Result<RawList, ListError> {
    parse_bounded_list(body, usize::MAX)
}

/// As [`parse_list`], of a sender who may want to use up our memory: an object takes hundreds of bytes, however few its
/// text has.
///
/// # Errors
///
/// [`ListError`], also for more than `max_elements` of any type.
pub fn parse_bounded_list(body: &[u8], max_elements: usize) -> Result<RawList, ListError> {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    match read_list(text, max_elements) {
        Err(ListError::Json(error)) if error.is_syntax() => {
            read_list(&repair::repaired(text), max_elements)
        }
        list => list,
    }
}

fn read_list(text: &str, max_elements: usize) -> Result<RawList, ListError> {
    let mut list = RawList::default();
    if text.starts_with('[') {
        add_objects(&mut list, text, max_elements)?;
        return Ok(list);
    }
    let wrapper: Wrapper = serde_json::from_str(text).map_err(ListError::Json)?;
    let array = wrapper.array.ok_or(ListError::Shape)?;
    list.next_cursor = wrapper.next_cursor;
    list.total = wrapper.total;
    list.wrapped = true;
    add_objects(&mut list, array.get(), max_elements)?;
    Ok(list)
}

fn add_objects(list: &mut RawList, array: &str, max_elements: usize) -> Result<(), ListError> {
    let mut elements = Elements {
        list,
        left: max_elements,
        exceeded: false,
    };
    let mut reader = serde_json::Deserializer::from_str(array);
    let read = (&mut reader).deserialize_seq(&mut elements);
    match read.and_then(|()| reader.end()) {
        Err(_) if elements.exceeded => Err(ListError::TooManyElements {
            limit: max_elements,
        }),
        read => read.map_err(ListError::Json),
    }
}

/// Collects the elements of an array.
struct Elements<'l> {
    list: &'l mut RawList,
    /// How many more are read.
    left: usize,
    exceeded: bool,
}

impl<'de> Visitor<'de> for &mut Elements<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(raw) = seq.next_element::<&RawValue>()? {
            let Some(left) = self.left.checked_sub(1) else {
                self.exceeded = true;
                return Err(A::Error::custom("too many elements"));
            };
            self.left = left;
            if raw.get().starts_with('{') {
                self.list.objects.push(RawObject(raw.to_owned()));
            } else {
                self.list.skipped += 1;
            }
        }
        Ok(())
    }
}

/// The envelope of a wrapped list, read leniently.
#[derive(Default)]
struct Wrapper {
    array: Option<Box<RawValue>>,
    next_cursor: Option<String>,
    total: Option<u64>,
}

impl<'de> Deserialize<'de> for Wrapper {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Wrapper;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list or an object with one")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Wrapper, A::Error> {
                let mut found = Wrapper::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "items" | "data" | "results" => {
                            let raw: Box<RawValue> = map.next_value()?;
                            if raw.get().starts_with('[')
                                && (found.array.is_none() || key == "items")
                            {
                                found.array = Some(raw);
                            }
                        }
                        "next_cursor" | "nextCursor" => {
                            let raw: Box<RawValue> = map.next_value()?;
                            found.next_cursor = repair::read::<Scalar>(raw.get()).text();
                        }
                        "total" => {
                            let raw: Box<RawValue> = map.next_value()?;
                            let total = repair::read::<Scalar>(raw.get()).number();
                            found.total = total.map(|n| n as u64);
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(found)
            }
        }
        deserializer.deserialize_map(V)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_in_every_wrapping_and_despite_bad_elements() {
        let list = parse_list(br#"[{"id":1},null,"x",{"id":"b"}]"#).unwrap();
        assert_eq!(
            (list.objects.len(), list.skipped, list.wrapped),
            (2, 2, false)
        );
        let list = parse_list(br#"{"items":[{"a":1}],"next_cursor":"c","total":"9"}"#).unwrap();
        assert_eq!(
            (list.objects.len(), list.next_cursor.as_deref(), list.total),
            (1, Some("c"), Some(9))
        );
        assert_eq!(parse_list(br#"{"data":[{}]}"#).unwrap().objects.len(), 1);
        assert!(matches!(
            parse_list(br#"{"id":"x"}"#),
            Err(ListError::Shape)
        ));
        assert!(matches!(
            parse_list(br#"[{"id":1}"#),
            Err(ListError::Json(_))
        ));
        assert!(matches!(parse_list(b"<html>"), Err(ListError::Json(_))));
        assert_eq!(parse_list(b"[{\"a\":\"\xff\"}]").unwrap().objects.len(), 1);
    }

    #[test]
    fn a_list_of_more_elements_than_are_read_is_none() {
        for body in [
            "[{},1,{},null]",
            r#"{"items":[{},{},{},{}]}"#,
            "[NaN,0,0,0]",
        ] {
            let list = parse_bounded_list(body.as_bytes(), 4).unwrap();
            assert_eq!(list.objects.len() + list.skipped, 4, "{body}");
            let refused = parse_bounded_list(body.as_bytes(), 3);
            assert!(
                matches!(refused, Err(ListError::TooManyElements { limit: 3 })),
                "{body}: {refused:?}"
            );
        }
    }

    #[test]
    fn a_list_with_odd_values_keeps_its_rows() {
        let body =
            br#"{"items":[{"id":"a"},{"id":"b","x":NaN,"status":"\ud83d"}],"total":Infinity}"#;
        let list = parse_list(body).unwrap();
        assert_eq!((list.objects.len(), list.total), (2, None));
        let huge = parse_list(br#"{"items":[{}],"total":1e999,"next_cursor":"a\ud83d"}"#).unwrap();
        assert_eq!((huge.objects.len(), huge.total), (1, None));
        assert_eq!(huge.next_cursor.as_deref(), Some("a\u{fffd}"));
        let fields = RunFields::from_object(&list.objects[1]);
        assert_eq!(fields.status.text().as_deref(), Some("\u{fffd}"));
        let stored = list.objects[1].clone().storable();
        assert_eq!(stored.text(), r#"{"id":"b","x":"NaN","status":"\ufffd"}"#);
        for torn in [&br#"[{"a":NaN"#[..], br#"[{"a":NaN},"#, b"NaN", b"<NaN>"] {
            assert!(parse_list(torn).is_err());
        }
    }

    #[test]
    fn the_text_of_an_object_is_kept_byte_for_byte() {
        let text = r#"{ "b" : 1.50, "a":[ ],"b":2 }"#;
        let list = parse_list(format!("[{text}]").as_bytes()).unwrap();
        assert_eq!(list.objects[0].text(), text);
    }
}
