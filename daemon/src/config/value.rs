//! The values of `daemon.toml`: each read with a message that says what is expected.

use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::time::Duration;

use docks_artifacts::ArtifactType;
use docks_proto::time::parse_duration;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use toml::Value;

use super::idle_exit::{IdleExit, parse_idle_exit};
use super::job_schedule::JobSchedule;

/// Longest time for which history can be kept; a larger number is most likely a typing error.
const MAX_RETENTION_DAYS: u64 = 36_500;

const MAX_BUDGET_PER_MINUTE: u64 = 60_000;

/// Largest number of trials that a rule can ask for.
const MAX_COUNT: u64 = 1_000_000;

/// Deserializes tables, each under this heading.
pub(super) fn tables<'de, T, D>(deserializer: D, heading: &'static str) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct Tables<T>(&'static str, PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Tables<T> {
        type Value = Vec<T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "tables, each under `{}`", self.0)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut given: A) -> Result<Self::Value, A::Error> {
            let mut tables = Vec::new();
            while let Some(table) = given.next_element()? {
                tables.push(table);
            }
            Ok(tables)
        }
    }

    deserializer.deserialize_seq(Tables(heading, PhantomData))
}

/// Deserializes any value and reads it with `read`, whose error is for people.
fn read_value<'de, D, T>(
    deserializer: D,
    read: impl FnOnce(&Value) -> Result<T, String>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    let value = Value::deserialize(deserializer)?;
    read(&value).map_err(D::Error::custom)
}

fn read_string(value: &Value) -> Result<&str, String> {
    value
        .as_str()
        .ok_or_else(|| "it must be a string in quotes".to_owned())
}

fn read_number(value: &Value, min: u64, max: u64) -> Result<u64, String> {
    let number = value.as_integer().and_then(|n| u64::try_from(n).ok());
    number
        .filter(|n| (min..=max).contains(n))
        .ok_or_else(|| format!("it must be a whole number from {min} to {max}"))
}

fn read_strings(value: &Value) -> Option<Vec<String>> {
    let values = value.as_array()?.iter();
    values
        .map(|value| value.as_str().map(str::to_owned))
        .collect()
}

pub(super) fn boolean<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    read_value(deserializer, |value| {
        let boolean = value.as_bool();
        boolean.ok_or_else(|| "it must be true or false".to_owned())
    })
}

pub(super) fn string<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    read_value(deserializer, |value| Ok(read_string(value)?.to_owned()))
}

/// One string, or a list of them. An empty list is refused: a rule with one would never apply.
pub(super) fn one_or_more_strings<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    read_value(deserializer, |value| {
        let strings = match value.as_str() {
            Some(text) => vec![text.to_owned()],
            None => {
                read_strings(value).ok_or("it must be a string in quotes, or a list of strings")?
            }
        };
        match strings.is_empty() || strings.iter().any(String::is_empty) {
            true => Err("it must not be empty".to_owned()),
            false => Ok(strings),
        }
    })
}

/// One string, or a list of them; an empty string counts as none.
pub(super) fn strings<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<String>>, D::Error> {
    read_value(deserializer, |value| match value.as_str() {
        Some(text) => Ok(Some(vec![text.to_owned()])),
        None => read_strings(value)
            .map(Some)
            .ok_or_else(|| "it must be a string in quotes, or a list of strings".to_owned()),
    })
}

/// A program and its arguments. One string is refused: it would need a shell, and quoting.
pub(super) fn command<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    read_value(deserializer, |value| {
        let problem = "it must be a list: the program, then its arguments";
        let command = read_strings(value).filter(|command| !command.is_empty());
        command.ok_or_else(|| problem.to_owned())
    })
}

pub(super) fn timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    read_value(deserializer, |value| {
        let time = parse_duration(read_string(value)?).map_err(|error| error.to_string())?;
        match time.is_zero() {
            true => Err("it must be longer than 0s".to_owned()),
            false => Ok(time),
        }
    })
}

pub(super) fn optional_timeout<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    timeout(deserializer).map(Some)
}

fn read_float(value: &Value) -> Option<f64> {
    let whole = || value.as_integer().map(|number| number as f64);
    value.as_float().or_else(whole)
}

pub(super) fn dollars<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    read_value(deserializer, |value| {
        let dollars = read_float(value).filter(|dollars| dollars.is_finite() && *dollars > 0.0);
        let problem = "it must be a number of US dollars above 0, such as 20 or 0.5";
        dollars.map(Some).ok_or_else(|| problem.to_owned())
    })
}

/// A share: `"20%"`, or a number from 0 to 1.
pub(super) fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    read_value(deserializer, |value| {
        let percent = |text: &str| {
            let number: f64 = text.strip_suffix('%')?.trim().parse().ok()?;
            Some(number / 100.0)
        };
        let share = value.as_str().and_then(percent).or(read_float(value));
        let share = share.filter(|share| (0.0..1.0).contains(share));
        let problem = "it must be a share below 1, such as \"20%\" or 0.2";
        share.map(Some).ok_or_else(|| problem.to_owned())
    })
}

pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    read_value(deserializer, |value| {
        read_number(value, 1, MAX_COUNT).map(Some)
    })
}

/// An interval; below one second it would flood the remote and keep this machine awake.
pub(super) fn interval<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    read_value(deserializer, |value| {
        let time = parse_duration(read_string(value)?).map_err(|error| error.to_string())?;
        match time < Duration::from_secs(1) {
            true => Err("it must be 1s or more".to_owned()),
            false => Ok(Some(time)),
        }
    })
}

pub(super) fn retention<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    read_value(deserializer, |value| {
        let days = read_number(value, 1, MAX_RETENTION_DAYS)?;
        Ok(Some(Duration::from_secs(days * 86_400)))
    })
}

pub(super) fn budget<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    read_value(deserializer, |value| {
        let requests = read_number(value, 1, MAX_BUDGET_PER_MINUTE)?;
        Ok(u32::try_from(requests).ok())
    })
}

pub(super) fn idle_exit<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<IdleExit>, D::Error> {
    read_value(deserializer, |value| {
        parse_idle_exit(read_string(value)?).map(Some)
    })
}

pub(super) fn job_schedule<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<JobSchedule>, D::Error> {
    read_value(deserializer, |value| {
        let schedule: Result<JobSchedule, _> = read_string(value)?.parse();
        schedule.map(Some).map_err(|error| error.to_string())
    })
}

/// Artifact types, comma-separated; an empty string is an empty list.
pub(super) fn artifact_types<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<ArtifactType>>, D::Error> {
    read_value(deserializer, |value| {
        let names = read_string(value)?.split(',').map(str::trim);
        let types = names.filter(|name| !name.is_empty()).map(|name| {
            let known = ArtifactType::MAIN.map(ArtifactType::name).join(", ");
            let problem = || format!("`{name}` cannot be pulled; the types are {known}");
            let kind = ArtifactType::from_name(name).filter(|kind| kind.is_main());
            kind.ok_or_else(problem)
        });
        types.collect::<Result<_, _>>().map(Some)
    })
}

pub(super) fn optional_boolean<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<bool>, D::Error> {
    boolean(deserializer).map(Some)
}

pub(super) fn optional_string<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    string(deserializer).map(Some)
}

/// The address of a hub as text; an empty string means no address.
pub(super) fn address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    read_value(deserializer, |value| {
        let text = read_string(value)?;
        if !text.is_empty() && text.parse::<SocketAddr>().is_err() {
            return Err(format!(
                "it must be an address and a port, such as 127.0.0.1:7433, not `{text}`"
            ));
        }
        Ok(Some(text.to_owned()))
    })
}
