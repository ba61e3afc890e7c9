//! Several levels of a JSON file, read in one pass: of a large file, reading each level by itself costs as much as all of
//! them together.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::format::json::{Key, Object};

/// An object, some members of which are read one level deeper.
#[derive(Debug, Default)]
pub(crate) struct Tree<'a> {
    /// The other members.
    pub(crate) plain: Object<'a>,
    inner: BTreeMap<Cow<'a, str>, Inner<'a>>,
}

/// A member that was to be read deeper.
#[derive(Debug)]
enum Inner<'a> {
    Null,
    Object(Tree<'a>),
    Other,
}

/// Says of the key of a member, at a depth from 0, whether the member is read deeper.
type IsRead = fn(usize, &str) -> bool;

/// Parses a whole file; `None` unless it is one complete object.
pub(crate) fn parse(text: &str, is_read: IsRead) -> Option<Tree<'_>> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let mut reader = serde_json::Deserializer::from_str(text);
    let level = Level { depth: 0, is_read };
    let Inner::Object(tree) = level.deserialize(&mut reader).ok()? else {
        return None;
    };
    reader.end().ok()?;
    Some(tree)
}

impl<'a> Tree<'a> {
    /// Whether there is such a member, even if it is null.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.plain.has(key) || self.inner.contains_key(key)
    }

    /// Whether a member that was to be read deeper exists and is not null.
    pub(crate) fn has_inner(&self, key: &str) -> bool {
        !matches!(self.inner.get(key), None | Some(Inner::Null))
    }

    /// Returns a member that was read deeper, if it is an object.
    pub(crate) fn inner(&self, key: &str) -> Option<&Tree<'a>> {
        match self.inner.get(key)? {
            Inner::Object(tree) => Some(tree),
            Inner::Null | Inner::Other => None,
        }
    }

    /// Iterates over the members that were read deeper, by key; those that are no objects have no content.
    pub(crate) fn inners(&self) -> impl Iterator<Item = (&str, Option<&Tree<'a>>)> {
        let each = self.inner.iter();
        each.map(|(key, inner)| match inner {
            Inner::Object(tree) => (key.as_ref(), Some(tree)),
            Inner::Null | Inner::Other => (key.as_ref(), None),
        })
    }

    /// Whether it has no members.
    pub(crate) fn is_empty(&self) -> bool {
        self.inner.is_empty() && self.plain.members().next().is_none()
    }
}

/// Reads a value at a depth.
#[derive(Clone, Copy)]
struct Level {
    depth: usize,
    is_read: IsRead,
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Inner<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Inner<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Inner<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Inner<'de>, A::Error> {
        let mut tree = Tree::default();
        while let Some(Key(key)) = map.next_key()? {
            if (self.is_read)(self.depth, &key) {
                let depth = self.depth + 1;
                let inner = map.next_value_seed(Level { depth, ..self })?;
                tree.inner.insert(key, inner);
            } else {
                tree.plain.insert(key, map.next_value()?);
            }
        }
        Ok(Inner::Object(tree))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Inner<'de>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Inner::Other)
    }

    fn visit_unit<E>(self) -> Result<Inner<'de>, E> {
        Ok(Inner::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Inner<'de>, E> {
        Ok(Inner::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Inner<'de>, E> {
        Ok(Inner::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Inner<'de>, E> {
        Ok(Inner::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Inner<'de>, E> {
        Ok(Inner::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Inner<'de>, E> {
        Ok(Inner::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(depth: usize, key: &str) -> bool {
        match depth {
            0 => key == "stats",
            1 => key == "evals",
            _ => false,
        }
    }

    #[test]
    fn members_are_read_as_deep_as_they_are_asked_for() {
        let text = r#"{"id":"x","stats":{"n":2,"evals":{"a":[{"b":1}]},"evals":{"c":{"d":1}}}}"#;
        let top = parse(text, stats).unwrap();
        assert_eq!(top.plain.text("id").as_deref(), Some("x"));
        let inner = top.inner("stats").unwrap();
        assert_eq!(inner.plain.count("n"), Some(2));
        let evals = inner.inner("evals").unwrap();
        assert_eq!(evals.plain.object("c").count("d"), Some(1));
        assert!(!evals.has("a"), "the last of two members counts");
    }

    #[test]
    fn a_member_of_another_type_costs_only_itself() {
        for other in ["7", "-7", "1.5", "\"x\"", "true", "[[],{\"a\":1}]"] {
            let text = format!(r#"{{"id":"x","stats":{other}}}"#);
            let top = parse(&text, stats).unwrap();
            assert_eq!(top.plain.text("id").as_deref(), Some("x"), "{other}");
            assert!(top.has_inner("stats") && top.inner("stats").is_none());
        }
        let top = parse(r#"{"stats":null}"#, stats).unwrap();
        assert!(top.has("stats") && !top.has_inner("stats"));
    }

    #[test]
    fn what_is_no_complete_object_is_nothing() {
        for text in [
            "",
            "[]",
            "7",
            r#"{"stats":{"n":1}"#,
            r#"{"stats":{"n":1}}}"#,
        ] {
            assert!(parse(text, stats).is_none(), "{text}");
        }
    }
}
