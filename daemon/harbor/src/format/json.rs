//! Lenient JSON: a value of the wrong type costs that field, never the file.
//!
//! One level is parsed at a time, and values stay text until they are requested, so that large parts
//! that are not needed (tracebacks, rollouts) are only skipped over.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use docks_proto::repair::NOT_NUMBERS;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A JSON value that is not parsed yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value<'a>(&'a RawValue);

/// The members of a JSON object; of a repeated key the last one counts.
#[derive(Debug, Default)]
pub(crate) struct Object<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

/// Parses a whole file; `None` if it is not complete JSON.
pub(crate) fn parse(text: &str) -> Option<Value<'_>> {
    let text = text.trim_start_matches('\u{feff}').trim();
    serde_json::from_str::<&RawValue>(text).ok().map(Value)
}

impl<'a> Value<'a> {
    /// Returns the value with this text.
    pub(crate) fn from_raw(raw: &'a RawValue) -> Self {
        Self(raw)
    }

    /// Returns the members of an object; empty for anything else.
    pub(crate) fn object(self) -> Object<'a> {
        serde_json::from_str(self.0.get()).unwrap_or_default()
    }

    /// Whether this is an object.
    pub(crate) fn is_object(self) -> bool {
        self.0.get().starts_with('{')
    }

    /// Returns the elements of an array; none for anything else.
    pub(crate) fn items(self) -> Vec<Value<'a>> {
        serde_json::from_str::<Vec<&RawValue>>(self.0.get())
            .map(|items| items.into_iter().map(Value).collect())
            .unwrap_or_default()
    }

    /// Returns a string unless it is empty.
    pub(crate) fn text(self) -> Option<String> {
        let text: String = serde_json::from_str(self.0.get()).ok()?;
        (!text.is_empty()).then_some(text)
    }

    /// Returns a finite number.
    pub(crate) fn number(self) -> Option<f64> {
        let number: f64 = serde_json::from_str(self.0.get()).ok()?;
        number.is_finite().then_some(number)
    }

    /// Returns a number, finite or not, as Python reads it.
    ///
    /// JSON has no `NaN`; a file that has one was [mended](docks_proto::repair).
    pub(crate) fn any_number(self) -> Option<f64> {
        let word = || self.text().filter(|text| NOT_NUMBERS.contains(&&**text));
        self.number().or_else(|| word()?.parse().ok())
    }

    /// Returns a boolean.
    pub(crate) fn flag(self) -> Option<bool> {
        serde_json::from_str(self.0.get()).ok()
    }

    /// Returns a non-negative whole number.
    pub(crate) fn count(self) -> Option<u64> {
        if let Ok(count) = serde_json::from_str::<u64>(self.0.get()) {
            return Some(count);
        }
        /// Above this a float no longer represents every whole number.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let number = self.number()?;
        ((0.0..=EXACT).contains(&number) && number.fract() == 0.0).then_some(number as u64)
    }

    /// Returns the unchanged text.
    pub(crate) fn raw(self) -> Box<RawValue> {
        self.0.to_owned()
    }
}

impl<'a> Object<'a> {
    /// Adds a member; it replaces an earlier one with the same key.
    pub(super) fn insert(&mut self, key: Cow<'a, str>, value: &'a RawValue) {
        self.0.insert(key, value);
    }

    /// Returns a member that exists and is not null.
    pub(crate) fn get(&self, key: &str) -> Option<Value<'a>> {
        self.0
            .get(key)
            .filter(|raw| raw.get() != "null")
            .map(|raw| Value(raw))
    }

    /// Whether there is such a member, even if it is null.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Returns a member's members; empty if it is not an object.
    pub(crate) fn object(&self, key: &str) -> Object<'a> {
        self.get(key).map(Value::object).unwrap_or_default()
    }

    /// Returns a member's elements.
    pub(crate) fn items(&self, key: &str) -> Vec<Value<'a>> {
        self.get(key).map(Value::items).unwrap_or_default()
    }

    /// Returns a member's text.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.get(key).and_then(Value::text)
    }

    /// Returns a member's number.
    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        self.get(key).and_then(Value::number)
    }

    /// Returns a member's count.
    pub(crate) fn count(&self, key: &str) -> Option<u64> {
        self.get(key).and_then(Value::count)
    }

    /// Iterates over all members, by key.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, Value<'a>)> {
        self.0.iter().map(|(key, raw)| (key.as_ref(), Value(raw)))
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut members = BTreeMap::new();
                while let Some(key) = map.next_key::<Key<'de>>()? {
                    members.insert(key.0, map.next_value()?);
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// Returns how many different texts some arrays contain, or `limit` if there are as many or more: these are not read to
/// their end.
pub(crate) fn count_texts<'a>(arrays: impl Iterator<Item = Value<'a>>, limit: usize) -> usize {
    let mut texts = BTreeSet::new();
    for array in arrays {
        let mut reader = serde_json::Deserializer::from_str(array.0.get());
        // It ends with an error at the limit.
        reader.deserialize_seq(Texts(&mut texts, limit)).ok();
        if texts.len() >= limit {
            break;
        }
    }
    texts.len()
}

/// Collects the texts of an array, up to a number.
struct Texts<'t, 'a>(&'t mut BTreeSet<Cow<'a, str>>, usize);

impl<'de> Visitor<'de> for Texts<'_, 'de> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<&RawValue>()? {
            let text = serde_json::from_str::<Key<'de>>(item.get());
            self.0
                .extend(text.ok().map(|text| text.0).filter(|text| !text.is_empty()));
            if self.0.len() >= self.1 {
                return Err(serde::de::Error::custom("enough"));
            }
        }
        Ok(())
    }
}

/// A key, borrowed where it has no escapes.
pub(super) struct Key<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_field_costs_only_itself() {
        let text = r#"{"a":1e999,"b":"\ud800","c":[1,{"d":2}],"n":null,"k":7,"k":8.0,"e":-1}"#;
        let object = parse(text).unwrap().object();
        assert_eq!(object.number("a"), None);
        let odd = parse(r#"{"a":"NaN","b":"-Infinity","c":"1"}"#)
            .unwrap()
            .object();
        let number = |key| odd.get(key).and_then(Value::any_number);
        assert!(number("a").is_some_and(f64::is_nan));
        assert_eq!((number("b"), number("c")), (Some(f64::NEG_INFINITY), None));
        assert_eq!(object.text("b"), None);
        assert_eq!(object.items("c").len(), 2);
        assert_eq!(object.items("c")[1].object().count("d"), Some(2));
        assert!(object.get("n").is_none());
        assert_eq!(object.count("k"), Some(8));
        assert_eq!(object.count("e"), None);
    }

    #[test]
    fn deep_nesting_does_no_harm() {
        let deep = format!(
            "{{\"x\":{}{},\"y\":1}}",
            "[".repeat(200_000),
            "]".repeat(200_000)
        );
        assert_eq!(parse(&deep).unwrap().object().count("y"), Some(1));
        assert!(parse("{\"cut\":").is_none());
        assert!(parse("").is_none());
    }
}
