//! The paths that a trajectory contains: `{"source": {"media_type": …, "path": …}}` in ATIF.
//!
//! The file is read once and never as a whole: trajectories with token ids have hundreds of megabytes.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, BufReader, Read, Seek};

use memchr::memmem;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Paths of one trajectory that are read.
const MAX_PATHS: usize = 10_000;
/// The longest path that is read.
const MAX_PATH_BYTES: usize = 1_024;
/// Bytes that are read at once.
const BLOCK_BYTES: usize = 256 * 1024;
/// Without this key there is no path.
const MEDIA_TYPE: &str = "media_type";

/// Returns the relative paths of images and sounds in a trajectory, each once, without those that would leave
/// its folder. What is not valid JSON ends the search.
///
/// # Errors
///
/// When the file cannot be read.
pub(super) fn referenced_paths(mut file: impl Read + Seek) -> io::Result<Vec<String>> {
    if !contains(&mut file, MEDIA_TYPE.as_bytes())? {
        return Ok(Vec::new());
    }
    file.rewind()?;
    let mut paths = BTreeSet::new();
    let reader = BufReader::with_capacity(BLOCK_BYTES, file);
    // One document, or JSON lines.
    let mut documents = serde_json::Deserializer::from_reader(reader);
    loop {
        match Search(&mut paths).deserialize(&mut documents) {
            Ok(_) if paths.len() < MAX_PATHS => {}
            Ok(_) => break,
            Err(error) if error.is_io() => return Err(error.into()),
            // The end, or something that is not JSON; what was found so far counts.
            Err(_) => break,
        }
    }
    Ok(paths.into_iter().filter(|path| is_below(path)).collect())
}

/// Whether a path stays in its folder.
fn is_below(path: &str) -> bool {
    let is_name = |name: &str| !matches!(name, "" | "." | "..");
    path.len() <= MAX_PATH_BYTES && !path.contains(['\0', ':']) && path.split('/').all(is_name)
}

fn contains(file: &mut impl Read, text: &[u8]) -> io::Result<bool> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut kept = 0;
    loop {
        // The end of the block before, in which `text` may have begun.
        let (_, free) = block.split_at_mut(kept);
        let got = file.read(free)?;
        if got == 0 {
            return Ok(false);
        }
        let (filled, _) = block.split_at(kept + got);
        if memmem::find(filled, text).is_some() {
            return Ok(true);
        }
        let from = filled.len().saturating_sub(text.len() - 1);
        let end = filled.len();
        block.copy_within(from..end, 0);
        kept = end - from;
    }
}

/// Walks through any value, and collects the paths in it.
struct Search<'a>(&'a mut BTreeSet<String>);

impl<'de> DeserializeSeed<'de> for Search<'_> {
    /// The value, if it is a string that can be a path.
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Search<'_> {
    type Value = Option<String>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok((text.len() <= MAX_PATH_BYTES).then(|| text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Self::Value, A::Error> {
        while values.next_element_seed(Search(self.0))?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let (mut has_type, mut path) = (false, None);
        while let Some(key) = entries.next_key::<Key>()? {
            match key {
                Key::MediaType => {
                    entries.next_value::<IgnoredAny>()?;
                    has_type = true;
                }
                Key::Path => path = entries.next_value_seed(Search(self.0))?,
                Key::Other => {
                    entries.next_value_seed(Search(self.0))?;
                }
            }
        }
        if has_type && self.0.len() < MAX_PATHS {
            self.0.extend(path);
        }
        Ok(None)
    }
}

enum Key {
    MediaType,
    Path,
    Other,
}

impl<'de> serde::Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a key")
            }

            fn visit_str<E>(self, key: &str) -> Result<Key, E> {
                Ok(match key {
                    MEDIA_TYPE => Key::MediaType,
                    "path" => Key::Path,
                    _ => Key::Other,
                })
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn paths(text: &str) -> Vec<String> {
        referenced_paths(Cursor::new(text.as_bytes())).unwrap()
    }

    #[test]
    fn images_and_sounds_are_found_wherever_they_are() {
        let text = r#"{"steps":[{"message":[{"type":"text","text":"path"},
            {"type":"image","source":{"media_type":"image/png","path":"images/1.png"}}],"n":1.5,"b":null},
            {"observation":{"results":[{"content":[{"type":"audio","source":{"path":"a b.wav","media_type":"audio/wav"}}],
            "subagent_trajectory_ref":[{"trajectory_path":"no.json","path":"neither"}]}]}},
            {"again":{"media_type":"image/png","path":"images/1.png"}}]}"#;
        assert_eq!(paths(text), ["a b.wav", "images/1.png"]);
    }

    #[test]
    fn no_path_leaves_the_folder() {
        for path in [
            "../x",
            "/etc/passwd",
            "a/../../x",
            "",
            "a//b",
            "./a",
            "http://h/x",
            "C:x",
            "a/",
        ] {
            let text = format!(r#"{{"media_type":"x","path":{path:?}}}"#);
            assert!(paths(&text).is_empty(), "{path}");
        }
        assert!(paths(r#"{"media_type":"x","path":7}"#).is_empty());
    }

    #[test]
    fn what_comes_before_damage_counts_and_lines_are_read_one_by_one() {
        let one = |name: &str| format!(r#"{{"source":{{"media_type":"x","path":"{name}"}}}}"#);
        assert_eq!(paths(&format!("{}\n{}\n", one("a"), one("b"))), ["a", "b"]);
        assert_eq!(
            paths(&format!("[{},{}, NaN]", one("a"), one("b"))),
            ["a", "b"]
        );
        assert!(paths("").is_empty());
        assert!(paths("media_type").is_empty());
    }

    #[test]
    fn the_key_is_found_across_blocks() {
        for at in BLOCK_BYTES - 12..BLOCK_BYTES + 2 {
            let text = format!("{}{MEDIA_TYPE}", " ".repeat(at));
            assert!(contains(&mut Cursor::new(text.as_bytes()), MEDIA_TYPE.as_bytes()).unwrap());
        }
    }
}
