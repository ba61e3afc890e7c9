//! Objects as the remote sent them: text that is kept, and fields that are read from it.
//!
//! A mirror must not lose what it does not know, so the text is the object
//! and fields are only ever *read*. Reading is lenient: a missing, null or
//! mistyped field is `None` and never costs the rest of a list; of a repeated
//! key the last one wins, as in most JSON readers.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// One JSON object, byte for byte as it arrived.
#[derive(Debug, Clone)]
pub struct RawObject(Box<RawValue>);

impl RawObject {
    /// Takes a text that is one JSON object.
    ///
    /// # Errors
    ///
    /// When it is not JSON; other JSON values than objects are `Ok(None)`.
    pub fn parse(text: &str) -> Result<Option<Self>, serde_json::Error> {
        let raw: Box<RawValue> = serde_json::from_str(text)?;
        Ok(Self::from_raw(raw))
    }

    /// Serialises a value that was made here, not received.
    ///
    /// # Errors
    ///
    /// When it is no object or cannot be serialised.
    pub fn from_serialize<T: serde::Serialize>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Self)
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

/// A list answer: a bare array, or an object with the array inside.
#[derive(Debug, Default)]
pub struct RawList {
    /// The objects, in the remote's order.
    pub objects: Vec<RawObject>,
    /// Elements that were no objects; they are left out, and said.
    pub skipped: usize,
    /// Where the rest begins, when the server pages by cursor.
    pub next_cursor: Option<String>,
    /// The server's own total, when it says one.
    pub total: Option<u64>,
    /// Whether the array came wrapped in an object.
    pub wrapped: bool,
}

/// Says why a body is no list.
#[derive(Debug, thiserror::Error)]
pub enum NotAList {
    /// Not JSON at all, or cut off.
    #[error("the answer is not complete JSON")]
    Json(#[source] serde_json::Error),
    /// JSON, but neither an array nor an object with one inside.
    #[error("the answer is JSON but not a list")]
    Shape,
}

/// Reads a list answer; invalid UTF-8 is replaced, not fatal.
///
/// # Errors
///
/// [`NotAList`] when there is no array to be found.
pub fn parse_list(body: &[u8]) -> Result<RawList, NotAList> {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.starts_with('[') {
        let mut list = RawList::default();
        fill(&mut list, text)?;
        return Ok(list);
    }
    let wrapper: Wrapper = serde_json::from_str(text).map_err(NotAList::Json)?;
    let array = wrapper.array.ok_or(NotAList::Shape)?;
    let mut list = RawList {
        next_cursor: wrapper.next_cursor,
        total: wrapper.total,
        wrapped: true,
        ..RawList::default()
    };
    fill(&mut list, array.get())?;
    Ok(list)
}

fn fill(list: &mut RawList, array: &str) -> Result<(), NotAList> {
    let raws: Vec<Box<RawValue>> = serde_json::from_str(array).map_err(NotAList::Json)?;
    list.objects.reserve(raws.len());
    for raw in raws {
        match RawObject::from_raw(raw) {
            Some(object) => list.objects.push(object),
            None => list.skipped += 1,
        }
    }
    Ok(())
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
                            found.next_cursor = map.next_value::<Scalar>()?.text()
                        }
                        "total" => {
                            found.total = map.next_value::<Scalar>()?.number().map(|n| n as u64)
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

/// A JSON value as far as a filter or a column can use it.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Scalar {
    /// Absent or null.
    #[default]
    Null,
    /// A string.
    Text(String),
    /// A number.
    Number(f64),
    /// True or false.
    Bool(bool),
    /// An array or an object; its content is left unread.
    Nested,
}

impl Scalar {
    /// Returns a non-empty string, or a number or truth value in text form.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self {
            Scalar::Text(text) if !text.is_empty() => Some(text.clone()),
            Scalar::Number(n) => Some(if n.fract() == 0.0 && n.abs() < 9e15 {
                format!("{}", *n as i64)
            } else {
                n.to_string()
            }),
            Scalar::Bool(b) => Some(b.to_string()),
            _ => None,
        }
    }

    /// Returns a number, also from a string that is one.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Scalar::Number(n) => Some(*n),
            Scalar::Text(text) => text.trim().parse().ok().filter(|n: &f64| n.is_finite()),
            _ => None,
        }
    }
}

/// Integers below this are exact in a float.
const EXACT: u64 = 1 << 53;

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON value")
            }
            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.to_owned()))
            }
            fn visit_f64<E>(self, n: f64) -> Result<Scalar, E> {
                Ok(Scalar::Number(n))
            }
            // An integer that a float would round stays text: two ids must not become one.
            fn visit_i64<E>(self, n: i64) -> Result<Scalar, E> {
                Ok(if n.unsigned_abs() < EXACT {
                    Scalar::Number(n as f64)
                } else {
                    Scalar::Text(n.to_string())
                })
            }
            fn visit_u64<E>(self, n: u64) -> Result<Scalar, E> {
                Ok(if n < EXACT {
                    Scalar::Number(n as f64)
                } else {
                    Scalar::Text(n.to_string())
                })
            }
            fn visit_bool<E>(self, b: bool) -> Result<Scalar, E> {
                Ok(Scalar::Bool(b))
            }
            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar::Null)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar::Nested)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Nested)
            }
        }
        deserializer.deserialize_any(V)
    }
}

macro_rules! fields {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct $name {
            $($(#[$fdoc])* pub $field: Scalar,)+
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct V;
                impl<'de> Visitor<'de> for V {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<$name, A::Error> {
                        let mut found = $name::default();
                        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
                            match key.as_ref() {
                                $(stringify!($field) => found.$field = map.next_value()?,)+
                                _ => { map.next_value::<IgnoredAny>()?; }
                            }
                        }
                        Ok(found)
                    }
                }
                deserializer.deserialize_map(V)
            }
        }

        impl $name {
            /// Reads the fields of `object`; what is not there stays `Null`.
            #[must_use]
            pub fn of(object: &RawObject) -> Self {
                serde_json::from_str(object.text()).unwrap_or_default()
            }
        }
    };
}

fields! {
    /// Fields of a run or evaluation run that columns and filters use.
    RunFields {
        /// Opaque id.
        id,
        /// Name of an evaluation run.
        name,
        /// Template of a plain run.
        template_name,
        /// Id of that template.
        template_id,
        /// Status as the remote wrote it.
        status,
        /// Why it has this status.
        status_reason,
        /// When it was made, ISO 8601.
        created_at,
        /// When it began, ISO 8601.
        started_at,
        /// When it last changed, ISO 8601; not every remote sends it.
        updated_at,
        /// When it ended, ISO 8601.
        completed_at,
        /// Where its dataset lies.
        dataset_uri,
        /// Planned trials.
        total_trials,
        /// Ended trials.
        completed_trials,
        /// Trials that passed.
        passed_trials,
        /// Trials that failed.
        failed_trials,
        /// Host name of a plain run.
        dns_name,
        /// The remote's own reference.
        remote_ref,
    }
}

fields! {
    /// Fields of a trial that columns and filters use; what is nested, [`Trial`](crate::trial::Trial) reads.
    TrialFields {
        /// Opaque id, unique in its run.
        id,
        /// Name, where the remote has one.
        name,
        /// Task.
        task_slug,
        /// Agent variant, newer name.
        agent_variant,
        /// Agent variant, older name.
        variant_name,
        /// Status as the remote wrote it.
        status,
        /// What went wrong.
        error_message,
        /// Wall time in seconds.
        duration_seconds,
        /// When it was made, ISO 8601.
        created_at,
        /// When it began, ISO 8601.
        started_at,
        /// When it ended, ISO 8601.
        completed_at,
        /// Model, where a remote names it here.
        model,
        /// Artifact of type `logs`.
        logs_uri,
        /// Artifact of type `trajectory`.
        trajectory_uri,
        /// Artifact of type `diff`.
        diff_uri,
        /// Artifact of type `result`.
        result_uri,
    }
}

fields! {
    /// What a trial's `result_data` holds.
    TrialResult {
        /// The reward.
        reward,
        /// Tests that passed.
        tests_passed,
        /// Tests in all.
        tests_total,
        /// Wall time in seconds.
        duration_seconds,
        /// Tokens of the prompts, cached ones included.
        prompt_tokens,
        /// Tokens of the answers.
        completion_tokens,
        /// Tokens of the prompts that came from a cache.
        cached_tokens,
        /// Cost in US dollars.
        cost_usd,
        /// Model, where a remote names it here.
        model,
        /// What went wrong, short.
        error,
        /// Its class.
        error_code,
        /// What went wrong, long.
        error_message,
    }
}

fields! {
    /// What the `harbor` object of a trial holds, where the remote is a jobs directory.
    TrialHarbor {
        /// UUID of the attempt.
        trial_uuid,
        /// Full name of the task.
        task_name,
        /// Dataset.
        dataset,
        /// Agent, without its model.
        agent,
        /// Version that the agent reported.
        agent_version,
        /// Model.
        model,
        /// What a trial under way is doing.
        phase,
        /// Remark of whoever told it.
        note,
    }
}

fields! {
    /// The run that a row of a list over all runs belongs to.
    RunMark {
        /// Its id.
        id,
        /// Its name.
        name,
    }
}

/// What a status means for syncing and watching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// May still change by itself; a status that no table knows counts as active.
    Active,
    /// Ended.
    Terminal,
}

/// Statuses after which nothing changes by itself, of runs, evaluation runs and trials.
pub const TERMINAL: &[&str] = &[
    "completed",
    "failed",
    "cancelled",
    "success",
    "passed",
    "error",
    "partial",
];

/// Statuses of runs that `runs.md` documents or that were seen, for messages and completion.
pub const RUN_STATUSES: &[&str] = &[
    "pending",
    "provisioning",
    "running",
    "completed",
    "failed",
    "cancelled",
];

/// The same for evaluation runs.
pub const EVALUATION_STATUSES: &[&str] = &[
    "queued",
    "pending",
    "provisioning",
    "running",
    "completed",
    "failed",
    "cancelled",
    "partial",
];

/// The same for trials.
pub const TRIAL_STATUSES: &[&str] = &[
    "pending",
    "running",
    "success",
    "completed",
    "passed",
    "failed",
    "error",
    "cancelled",
    "partial",
];

/// Tells whether a status is the end; unknown ones are active.
#[must_use]
pub fn phase(status: &str) -> Phase {
    if TERMINAL.iter().any(|t| t.eq_ignore_ascii_case(status)) {
        Phase::Terminal
    } else {
        Phase::Active
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_survives_every_wrapping_and_every_bad_element() {
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
        assert!(matches!(parse_list(br#"{"id":"x"}"#), Err(NotAList::Shape)));
        assert!(matches!(
            parse_list(br#"[{"id":1}"#),
            Err(NotAList::Json(_))
        ));
        assert!(matches!(parse_list(b"<html>"), Err(NotAList::Json(_))));
        assert_eq!(parse_list(b"[{\"a\":\"\xff\"}]").unwrap().objects.len(), 1);
    }

    #[test]
    fn the_text_of_an_object_is_kept_to_the_byte() {
        let text = r#"{ "b" : 1.50, "a":[ ],"b":2 }"#;
        let list = parse_list(format!("[{text}]").as_bytes()).unwrap();
        assert_eq!(list.objects[0].text(), text);
    }

    #[test]
    fn fields_are_read_whatever_their_type() {
        let object = RawObject::parse(
            r#"{"id":7,"name":null,"status":{"x":1},"id":"last","created_at":[1]}"#,
        )
        .unwrap()
        .unwrap();
        let fields = RunFields::of(&object);
        assert_eq!(fields.id.text().as_deref(), Some("last"));
        assert_eq!(fields.name.text(), None);
        assert_eq!(fields.status, Scalar::Nested);
    }

    #[test]
    fn an_unknown_status_is_active() {
        assert_eq!(phase("warming-up"), Phase::Active);
        assert_eq!(phase("Completed"), Phase::Terminal);
    }
}
