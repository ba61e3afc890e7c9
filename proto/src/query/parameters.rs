//! The parameters of a query string, decoded, and read as what they stand for.

use std::borrow::Cow;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{MAX_NUMBER, QueryError};
use crate::time::UnixMs;

/// Marks a comma that separates values, so that an encoded one stays part of its value. No
/// parameter holds a control character.
const SEPARATOR: char = '\u{1f}';

/// The parameters of a query string. One that is repeated, or has commas in it, has several values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Decodes a query string (`application/x-www-form-urlencoded`), without its `?`.
    ///
    /// # Errors
    ///
    /// [`QueryError::Encoding`] for a value that is not UTF-8.
    pub fn parse(query: &str) -> Result<Self, QueryError> {
        let marked = query.replace(',', "\u{1f}");
        let pairs = form_urlencoded::parse(marked.as_bytes());
        let pairs: Vec<_> = pairs
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        if percent_decode_str(query).decode_utf8().is_err() {
            let broken = pairs
                .into_iter()
                .find(|(_, value)| value.contains('\u{fffd}'));
            let name = broken.map(|(name, _)| name).unwrap_or_default();
            return Err(QueryError::Encoding { name });
        }
        Ok(Self(pairs))
    }

    /// Lists the names and values in their order; empty values are left out.
    pub fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|(name, values)| {
            let values = values.split(SEPARATOR).filter(|value| !value.is_empty());
            values.map(move |value| (name.as_str(), value))
        })
    }

    /// Returns the first value of a parameter; `None` when it is absent or empty.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        let mut values = self.values().filter(|(given, _)| *given == name);
        values.next().map(|(_, value)| value)
    }

    /// Returns all values of a parameter, in their order.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<String> {
        let values = self.values().filter(|(given, _)| *given == name);
        values.map(|(_, value)| value.to_owned()).collect()
    }

    /// Reads `true` or `1`, `false` or `0`; absent is false.
    ///
    /// # Errors
    ///
    /// [`QueryError::Flag`] for anything else.
    pub fn flag(&self, name: &'static str) -> Result<bool, QueryError> {
        match self.whole(name).as_deref() {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(value) => Err(QueryError::Flag {
                name,
                value: value.to_owned(),
            }),
        }
    }

    /// Reads a whole number from 0 up; `None` when it is absent or empty.
    ///
    /// # Errors
    ///
    /// [`QueryError::Number`] for anything else, and above [`MAX_NUMBER`].
    pub fn number(&self, name: &'static str) -> Result<Option<u64>, QueryError> {
        let value = self.whole(name).filter(|value| !value.is_empty());
        value.map(|value| parse_number(name, &value)).transpose()
    }

    /// Reads an ISO 8601 time; `None` when it is absent.
    ///
    /// # Errors
    ///
    /// [`QueryError::Time`] for anything else, also for an empty value: a bound that was meant to be
    /// there must not be lost.
    pub fn time(&self, name: &'static str) -> Result<Option<UnixMs>, QueryError> {
        let value = self.whole(name);
        value.map(|value| parse_time(name, &value)).transpose()
    }

    /// Returns the last value of a parameter as it was written, commas included.
    fn whole(&self, name: &str) -> Option<Cow<'_, str>> {
        let last = self.0.iter().rfind(|(given, _)| given == name);
        last.map(|(_, value)| Cow::Owned(value.replace(SEPARATOR, ",")))
    }
}

/// Appends a parameter once for each value to a path that has parameters already. A comma in a value stays part of it.
pub(crate) fn add_parameters<S: AsRef<str>>(
    path: &mut String,
    name: &str,
    values: impl IntoIterator<Item = S>,
) {
    for value in values {
        let value = utf8_percent_encode(value.as_ref(), NON_ALPHANUMERIC);
        path.push_str(&format!("&{name}={value}"));
    }
}

/// Reads a whole number from 0 up to [`MAX_NUMBER`].
pub(super) fn parse_number(name: &'static str, value: &str) -> Result<u64, QueryError> {
    let number = value.parse().ok().filter(|number| *number <= MAX_NUMBER);
    number.ok_or_else(|| QueryError::Number {
        name,
        value: value.to_owned(),
    })
}

/// Reads an ISO 8601 time.
pub(super) fn parse_time(name: &'static str, value: &str) -> Result<UnixMs, QueryError> {
    UnixMs::parse(value).ok_or_else(|| QueryError::Time {
        name,
        value: value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Parameters {
        Parameters::parse(query).unwrap()
    }

    #[test]
    fn a_comma_separates_values_unless_it_is_encoded() {
        let parameters = read("run=a,b%2Cc&run=d&run=&kind&x=1+2%20%C3%A9");
        let values: Vec<_> = parameters.values().collect();
        assert_eq!(
            values,
            [("run", "a"), ("run", "b,c"), ("run", "d"), ("x", "1 2 é")]
        );
        assert_eq!(parameters.text("run"), Some("a"));
        assert_eq!(parameters.text("kind"), None);
    }

    #[test]
    fn a_value_that_is_not_text_is_named() {
        assert_eq!(
            Parameters::parse("a=b&run=%FF"),
            Err(QueryError::Encoding { name: "run".into() })
        );
    }

    #[test]
    fn flags_numbers_and_times_are_read_or_refused_by_name() {
        let parameters =
            read("kill=1&full=false&limit=7&since=1970-01-01T00:00:01Z&bad=x,y&until=");
        assert_eq!(parameters.flag("kill"), Ok(true));
        assert_eq!(parameters.flag("full"), Ok(false));
        assert_eq!(parameters.flag("absent"), Ok(false));
        assert_eq!(parameters.number("limit"), Ok(Some(7)));
        assert_eq!(parameters.number("absent"), Ok(None));
        assert_eq!(parameters.time("since"), Ok(Some(UnixMs(1_000))));
        assert_eq!(parameters.time("absent"), Ok(None));
        let (name, value) = ("bad", "x,y".to_owned());
        assert_eq!(
            parameters.flag("bad"),
            Err(QueryError::Flag {
                name,
                value: value.clone()
            })
        );
        assert_eq!(
            parameters.number("bad"),
            Err(QueryError::Number { name, value })
        );
        let (name, value) = ("until", String::new());
        assert_eq!(
            parameters.time("until"),
            Err(QueryError::Time { name, value })
        );
    }
}
