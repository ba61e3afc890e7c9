//! Reads a trajectory step by step, so that it need not fit into memory.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Seek};

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Names under which agents keep their steps; the first is that of ATIF.
const STEPS: &[&str] = &["steps", "messages", "trajectory", "history", "events"];

/// Largest JSON of another shape that is laid out; more has to be in memory for it.
const MOST_BYTES: u64 = 64 << 20;

/// Marks that the reader has gone; nobody sees it.
const STOPPED: &str = "nobody reads any more";

/// What is found on the way.
pub(super) enum Event<'a> {
    /// A step, as JSON.
    Step(&'a str),
    /// The sums at the end, as JSON.
    Total(&'a str),
    /// Another file in which it goes on.
    Continued(&'a str),
}

/// How it ended.
pub(super) enum Read {
    /// All steps were given out.
    Steps,
    /// Whoever hears them had enough.
    Stopped,
    /// It is JSON without steps.
    Other(String),
}

/// Gives out events in their order until `hear` says false.
///
/// # Errors
///
/// When it is no JSON, cut off, or of another shape and too large.
pub(super) fn read(
    file: File,
    hear: &mut dyn FnMut(Event<'_>) -> bool,
) -> Result<Read, serde_json::Error> {
    let mut again = file.try_clone().map_err(serde_json::Error::io)?;
    let size_bytes = file.metadata().map_or(0, |meta| meta.len());
    let mut found = Found { hear, steps: false };
    let mut reader = serde_json::Deserializer::from_reader(BufReader::new(file));
    let mut values = 0;
    loop {
        // Several values one after the other are steps: a file of JSON lines.
        let place = if values > 0 {
            Place::Later
        } else {
            Place::First
        };
        match Walk(&mut found, place).deserialize(&mut reader) {
            Ok(()) => values += 1,
            Err(error) if error.to_string().contains(STOPPED) => return Ok(Read::Stopped),
            Err(error) if error.is_eof() && values > 0 && reader.end().is_ok() => break,
            Err(error) => return Err(error),
        }
        if reader.end().is_ok() {
            break;
        }
        if !found.steps {
            again.rewind().map_err(serde_json::Error::io)?;
            return lines(again, hear);
        }
    }
    if found.steps {
        return Ok(Read::Steps);
    }
    if size_bytes > MOST_BYTES {
        return Err(serde_json::Error::custom(format!(
            "it has no steps, and {size_bytes} bytes are too many to lay out"
        )));
    }
    again.rewind().map_err(serde_json::Error::io)?;
    let text = std::io::read_to_string(again).map_err(serde_json::Error::io)?;
    Ok(Read::Other(text))
}

/// Gives out each of several values as a step.
fn lines(file: File, hear: &mut dyn FnMut(Event<'_>) -> bool) -> Result<Read, serde_json::Error> {
    let reader = serde_json::Deserializer::from_reader(BufReader::new(file));
    for value in reader.into_iter::<Box<RawValue>>() {
        if !hear(Event::Step(value?.get())) {
            return Ok(Read::Stopped);
        }
    }
    Ok(Read::Steps)
}

struct Found<'a> {
    hear: &'a mut dyn FnMut(Event<'_>) -> bool,
    steps: bool,
}

/// What a value is taken for.
#[derive(PartialEq)]
enum Place {
    /// The first value of the file.
    First,
    /// One that comes after another; its steps are left to [`lines`].
    Later,
    /// The list of steps; what is no list has none.
    Steps,
}

/// A value that is walked through; what is neither a list nor an object holds nothing.
struct Walk<'a, 'b>(&'a mut Found<'b>, Place);

impl<'de> DeserializeSeed<'de> for Walk<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a trajectory")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Walk(found, place) = self;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                name if STEPS.contains(&name) && place == Place::First && !found.steps => {
                    map.next_value_seed(Walk(found, Place::Steps))?;
                }
                "final_metrics" if found.steps && place != Place::Steps => {
                    let raw: Box<RawValue> = map.next_value()?;
                    give(found, Event::Total(raw.get()))?;
                }
                "continued_trajectory_ref" if found.steps && place != Place::Steps => {
                    let raw: Box<RawValue> = map.next_value()?;
                    if let Ok(text) = serde_json::from_str::<String>(raw.get()) {
                        give(found, Event::Continued(&text))?;
                    }
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.0.steps = true;
        while let Some(raw) = seq.next_element::<Box<RawValue>>()? {
            give(self.0, Event::Step(raw.get()))?;
        }
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

fn give<E: serde::de::Error>(found: &mut Found<'_>, event: Event<'_>) -> Result<(), E> {
    if (found.hear)(event) {
        Ok(())
    } else {
        Err(E::custom(STOPPED))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn heard(text: &str) -> (Result<&'static str, ()>, Vec<String>) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.rewind().unwrap();
        let mut events = Vec::new();
        let read = read(file, &mut |event| {
            events.push(match event {
                Event::Step(text) => format!("step {text}"),
                Event::Total(text) => format!("total {text}"),
                Event::Continued(text) => format!("continued {text}"),
            });
            true
        });
        let read = read.map_err(drop).map(|read| match read {
            Read::Steps => "steps",
            Read::Stopped => "stopped",
            Read::Other(_) => "other",
        });
        (read, events)
    }

    #[test]
    fn steps_are_found_in_every_shape() {
        for (text, expected) in [
            (
                r#"{"a":{"steps":1},"steps":[{"b":1},2],"final_metrics":{"c":3},"continued_trajectory_ref":"d"}"#,
                &[
                    r#"step {"b":1}"#,
                    "step 2",
                    r#"total {"c":3}"#,
                    "continued d",
                ][..],
            ),
            (
                r#"{"messages":[{"role":"user"}]}"#,
                &[r#"step {"role":"user"}"#],
            ),
            (r#"[{"x":1}]"#, &[r#"step {"x":1}"#]),
            (
                "{\"x\":1}\n{\"x\":2}\n",
                &[r#"step {"x":1}"#, r#"step {"x":2}"#],
            ),
            (r#"{"steps":[]}"#, &[]),
        ] {
            assert_eq!(
                heard(text),
                (
                    Ok("steps"),
                    expected.iter().map(|e| (*e).to_owned()).collect()
                ),
                "{text}"
            );
        }
        for text in [r#"{"x":[1]}"#, r#"{"steps":"none"}"#, "7", "\"text\""] {
            assert_eq!(heard(text), (Ok("other"), vec![]), "{text}");
        }
        assert_eq!(heard(r#"{"steps":[{"a":1},{"#).0, Err(()));
        assert_eq!(heard("no json").0, Err(()));
        assert_eq!(heard("").0, Err(()));
    }
}
