//! `sweep` and `upkeep`: when a scheduled job is due.

use std::fmt;
use std::str::FromStr;

use chrono::DateTime;
use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds};

/// When a scheduled job is due, in local time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobSchedule {
    /// Once an hour, at a minute that each process chooses at random.
    Hourly,
    /// Every night after three, at a minute that each process chooses at random.
    Nightly,
    /// A cron line of six fields: second, minute, hour, day of month, month, day of week.
    Cron(String),
}

/// Why a text is not a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a schedule: {problem}; write a cron line of minute, hour, day of month, month \
     and day of week, such as \"30 3 * * *\" for 03:30 each day, with a field of seconds before it if \
     needed, or \"hourly\" or \"nightly\""
)]
pub struct InvalidJobSchedule {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub problem: String,
}

impl FromStr for JobSchedule {
    type Err = InvalidJobSchedule;

    fn from_str(text: &str) -> Result<Self, InvalidJobSchedule> {
        match text.trim() {
            "hourly" => Ok(Self::Hourly),
            "nightly" => Ok(Self::Nightly),
            line => cron_line(line)
                .map(Self::Cron)
                .map_err(|problem| InvalidJobSchedule {
                    text: text.to_owned(),
                    problem,
                }),
        }
    }
}

impl fmt::Display for JobSchedule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            JobSchedule::Hourly => "hourly",
            JobSchedule::Nightly => "nightly",
            JobSchedule::Cron(line) => line,
        })
    }
}

impl JobSchedule {
    /// Returns the cron line of six fields; `minute` and `second` are those of this process, for the
    /// schedules that leave them open.
    #[must_use]
    pub fn cron_line(&self, minute: u8, second: u8) -> String {
        match self {
            JobSchedule::Hourly => format!("{second} {minute} * * * *"),
            JobSchedule::Nightly => format!("{second} {minute} 3 * * *"),
            JobSchedule::Cron(line) => line.clone(),
        }
    }
}

/// Checks a cron line and gives it a field of seconds.
fn cron_line(line: &str) -> Result<String, String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let line = match fields.len() {
        5 => format!("0 {}", fields.join(" ")),
        6 => fields.join(" "),
        count => return Err(format!("it has {count} fields, not 5 or 6")),
    };
    let cron = parse_cron(&line).map_err(|error| describe(&error))?;
    // A date such as 30 February never comes, whenever the search begins.
    cron.find_next_occurrence(&DateTime::UNIX_EPOCH, false)
        .map_err(|_| "it is never due".to_owned())?;
    Ok(line)
}

/// Words an error of the parser so that it fits into a sentence.
fn describe(error: &CronError) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("Component error: ").unwrap_or(&text);
    let mut chars = text.trim_end_matches('.').chars();
    let first = chars.next().map(|c| c.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}

/// Parses a line of six fields as the scheduler does: a day must match both of its fields.
pub(crate) fn parse_cron(line: &str) -> Result<Cron, CronError> {
    let parser = CronParser::builder()
        .seconds(Seconds::Required)
        .dom_and_dow(true)
        .build();
    parser.parse(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<JobSchedule, String> {
        text.parse()
            .map_err(|error: InvalidJobSchedule| error.to_string())
    }

    #[test]
    fn lines_of_five_and_six_fields_and_two_words_are_schedules() {
        for (text, line) in [
            ("30 3 * * *", "0 30 3 * * *"),
            (" */10  * * * 1-5 ", "0 */10 * * * 1-5"),
            ("15 30 3 * * *", "15 30 3 * * *"),
            ("0 0 29 2 *", "0 0 0 29 2 *"),
            ("0 4 * * SUN", "0 0 4 * * SUN"),
        ] {
            assert_eq!(
                parse(text),
                Ok(JobSchedule::Cron(line.to_owned())),
                "{text}"
            );
        }
        assert_eq!(parse("hourly").unwrap().cron_line(7, 30), "30 7 * * * *");
        assert_eq!(parse("nightly").unwrap().cron_line(7, 30), "30 7 3 * * *");
    }

    #[test]
    fn an_invalid_line_is_quoted_with_the_reason_and_an_example() {
        for (text, problem) in [
            ("", "0 fields"),
            ("daily", "1 fields"),
            ("* * *", "3 fields"),
            ("0 0 3 * * * 2030", "7 fields"),
            ("61 * * * *", "not a schedule: number out of bounds; write"),
            ("0 25 * * *", ""),
            ("0 3 * * noday", ""),
            ("0 0 30 2 *", "never due"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(
                error.starts_with(&format!("`{text}` is not a schedule: ")),
                "{error}"
            );
            assert!(
                error.contains(problem) && error.contains("\"30 3 * * *\""),
                "{error}"
            );
        }
    }
}
