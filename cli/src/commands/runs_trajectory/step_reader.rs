//! Reads a trajectory step by step, so that it does not have to fit into memory.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Seek};

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::commands::repairing_reader::RepairingReader;

/// Keys under which agents store their steps; the first is that of ATIF.
const STEP_KEYS: &[&str] = &["steps", "messages", "trajectory", "history", "events"];

/// Largest JSON without steps that is formatted, in bytes, since it has to fit into memory.
const MAX_BYTES: u64 = 64 << 20;

/// Error text that marks a stop by the callback; it is never shown.
const STOPPED: &str = "stopped by the callback";

/// What a trajectory contains.
pub(super) enum Event<'a> {
    /// A step, as JSON.
    Step(&'a str),
    /// The totals at the end, as JSON.
    Total(&'a str),
    /// The file in which it continues.
    Continued(&'a str),
}

/// How reading ended.
pub(super) enum ReadResult {
    /// All steps were passed on.
    Steps,
    /// The callback stopped it.
    Stopped,
    /// The file is JSON without steps.
    Other(String),
}

/// Calls back with each event, in order, until `on_event` returns false.
///
/// # Errors
///
/// When the file is not JSON, is cut off, or has no steps and is too large.
pub(super) fn read(
    file: File,
    on_event: &mut dyn FnMut(Event<'_>) -> bool,
) -> Result<ReadResult, serde_json::Error> {
    let mut again = file.try_clone().map_err(serde_json::Error::io)?;
    let size_bytes = file.metadata().map_or(0, |meta| meta.len());
    let mut events = Events {
        on_event,
        found_steps: false,
    };
    let mut reader = serde_json::Deserializer::from_reader(buffered(file));
    let mut values = 0;
    loop {
        // Several values in a row are steps: the file is JSON Lines.
        let position = if values > 0 {
            Position::Later
        } else {
            Position::First
        };
        match Walk(&mut events, position).deserialize(&mut reader) {
            Ok(()) => values += 1,
            Err(error) if error.to_string().contains(STOPPED) => return Ok(ReadResult::Stopped),
            Err(error) if error.is_eof() && values > 0 && reader.end().is_ok() => break,
            Err(error) => return Err(error),
        }
        if reader.end().is_ok() {
            break;
        }
        if !events.found_steps {
            again.rewind().map_err(serde_json::Error::io)?;
            return read_json_lines(again, on_event);
        }
    }
    if events.found_steps {
        return Ok(ReadResult::Steps);
    }
    if size_bytes > MAX_BYTES {
        return Err(serde_json::Error::custom(format!(
            "it has no steps, and {size_bytes} bytes are too many to format"
        )));
    }
    again.rewind().map_err(serde_json::Error::io)?;
    let text =
        std::io::read_to_string(RepairingReader::new(again)).map_err(serde_json::Error::io)?;
    Ok(ReadResult::Other(text))
}

/// Calls back with each value of the file as a step.
fn read_json_lines(
    file: File,
    on_event: &mut dyn FnMut(Event<'_>) -> bool,
) -> Result<ReadResult, serde_json::Error> {
    let reader = serde_json::Deserializer::from_reader(buffered(file));
    for value in reader.into_iter::<Box<RawValue>>() {
        if !on_event(Event::Step(value?.get())) {
            return Ok(ReadResult::Stopped);
        }
    }
    Ok(ReadResult::Steps)
}

/// Reads a file in which one bad value spoils only itself.
fn buffered(file: File) -> BufReader<RepairingReader> {
    BufReader::new(RepairingReader::new(file))
}

struct Events<'a> {
    on_event: &'a mut dyn FnMut(Event<'_>) -> bool,
    /// Whether a list of steps was found.
    found_steps: bool,
}

/// Where a value is in the file.
#[derive(PartialEq)]
enum Position {
    /// The first value of the file.
    First,
    /// A later value; its steps are left to [`read_json_lines`].
    Later,
    /// The list of steps; any other value has none.
    Steps,
}

/// Visits a value; one that is neither a list nor an object has no steps.
struct Walk<'a, 'b>(&'a mut Events<'b>, Position);

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
        let Walk(events, position) = self;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                name if STEP_KEYS.contains(&name)
                    && position == Position::First
                    && !events.found_steps =>
                {
                    map.next_value_seed(Walk(events, Position::Steps))?;
                }
                "final_metrics" if events.found_steps && position != Position::Steps => {
                    let raw: Box<RawValue> = map.next_value()?;
                    emit(events, Event::Total(raw.get()))?;
                }
                "continued_trajectory_ref" if events.found_steps && position != Position::Steps => {
                    let raw: Box<RawValue> = map.next_value()?;
                    if let Ok(text) = serde_json::from_str::<String>(raw.get()) {
                        emit(events, Event::Continued(&text))?;
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
        self.0.found_steps = true;
        while let Some(raw) = seq.next_element::<Box<RawValue>>()? {
            emit(self.0, Event::Step(raw.get()))?;
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

fn emit<E: serde::de::Error>(events: &mut Events<'_>, event: Event<'_>) -> Result<(), E> {
    if (events.on_event)(event) {
        Ok(())
    } else {
        Err(E::custom(STOPPED))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn events_of(text: impl AsRef<[u8]>) -> (Result<&'static str, ()>, Vec<String>) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_ref()).unwrap();
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
            ReadResult::Steps => "steps",
            ReadResult::Stopped => "stopped",
            ReadResult::Other(_) => "other",
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
                events_of(text),
                (
                    Ok("steps"),
                    expected.iter().map(|e| (*e).to_owned()).collect()
                ),
                "{text}"
            );
        }
        let odd = b"{\"steps\":[{\"a\":\"\\ud83d\"},NaN,\"\xff\",3],\"final_metrics\":Infinity}";
        let (read, events) = events_of(odd);
        assert_eq!(read, Ok("steps"));
        let expected = [
            r#"step {"a":"\ufffd"}"#,
            r#"step "NaN""#,
            "step \"\u{fffd}\"",
            "step 3",
            r#"total "Infinity""#,
        ];
        assert_eq!(events, expected);
        for text in [r#"{"x":[1]}"#, r#"{"steps":"none"}"#, "7", "\"text\""] {
            assert_eq!(events_of(text), (Ok("other"), vec![]), "{text}");
        }
        assert_eq!(events_of(r#"{"steps":[{"a":1},{"#).0, Err(()));
        assert_eq!(events_of("no json").0, Err(()));
        assert_eq!(events_of("").0, Err(()));
    }
}
