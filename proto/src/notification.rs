//! The desktop notification about a run that has ended, or has exceeded a limit.
//!
//! Text from a remote is cleaned of escapes and of the markup that notification services
//! interpret. Showing it is the daemon's (`daemon/desktop`).

use serde::{Deserialize, Serialize};

use crate::clean;
use crate::event::{ObjectState, Progress};

/// Longest line in characters; services cut or scroll longer ones.
const MAX_CHARS: usize = 200;

/// A notification about a run, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEndNotice {
    title: String,
    text: String,
}

impl RunEndNotice {
    /// Describes how a run ended.
    #[must_use]
    pub fn new(run: &ObjectState, progress: Option<&Progress>) -> Self {
        Self::with_parts(run, &run.status, [counts(progress), run.error.clone()])
    }

    /// Says that a run has exceeded a limit: `exceeded` is which, and by what.
    #[must_use]
    pub fn of_limit(
        run: &ObjectState,
        progress: Option<&Progress>,
        exceeded: &str,
        is_stopped: bool,
    ) -> Self {
        let stopped = is_stopped.then(|| "it is being stopped".to_owned());
        Self::with_parts(run, exceeded, [counts(progress), stopped])
    }

    fn with_parts(run: &ObjectState, what: &str, parts: [Option<String>; 2]) -> Self {
        let name = match run.name.as_str() {
            "" => &run.run_id,
            name => name,
        };
        let text: Vec<String> = parts.into_iter().flatten().collect();
        Self {
            title: harmless(&format!("{name}: {what}")),
            text: harmless(&text.join(" · ")),
        }
    }

    /// Returns the title.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Returns the text below the title; may be empty.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn counts(progress: Option<&Progress>) -> Option<String> {
    let p = progress.filter(|progress| progress.total > 0)?;
    let (finished, total, passed) = (p.finished, p.total, p.passed);
    Some(format!("{finished}/{total} trials, {passed} passed"))
}

/// Why a notification cannot be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum NotifyError {
    /// There is no desktop session.
    #[error("there is no desktop session (no session bus)")]
    NoSession,
    /// The session has no notification service, or the service failed.
    #[error("the notification service cannot be reached: {0}")]
    Unreachable(String),
    /// The service did not answer in time.
    #[error("the notification service did not answer in time")]
    Silent,
}

/// Cleans and shortens text; characters that start markup are replaced with similar ones.
///
/// Escaping instead would show as `&amp;` in services that do not interpret markup.
fn harmless(text: &str) -> String {
    let clean = clean::line(text);
    let mut shown: String = (clean.chars().take(MAX_CHARS))
        .map(|c| match c {
            '<' => '‹',
            '>' => '›',
            '&' => '＆',
            c => c,
        })
        .collect();
    if clean.chars().nth(MAX_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::RawObject;
    use crate::routes::RunKind;

    fn notice(run: &str, progress: Option<&Progress>) -> RunEndNotice {
        let object = RawObject::parse(run).unwrap().unwrap();
        RunEndNotice::new(
            &ObjectState::from_run(RunKind::Evaluation, &object),
            progress,
        )
    }

    #[test]
    fn an_end_is_said_with_its_counts_and_reason() {
        let progress = Progress {
            total: 4,
            finished: 3,
            passed: 2,
            ..Progress::default()
        };
        let run = r#"{"id":"r1","name":"night","status":"failed","status_reason":"too late"}"#;
        let notice = notice(run, Some(&progress));
        assert_eq!(notice.title(), "night: failed");
        assert_eq!(notice.text(), "3/4 trials, 2 passed · too late");
    }

    #[test]
    fn a_limit_that_is_exceeded_is_said_with_what_happens_now() {
        let object = RawObject::parse(r#"{"id":"r1"}"#).unwrap().unwrap();
        let run = ObjectState::from_run(RunKind::Evaluation, &object);
        let notice = RunEndNotice::of_limit(&run, None, "cost $25.00 is over $20.00", true);
        assert_eq!(notice.title(), "r1: cost $25.00 is over $20.00");
        assert_eq!(notice.text(), "it is being stopped");
    }

    #[test]
    fn neither_escapes_nor_markup_nor_length_of_a_remote_get_through() {
        let long = "x".repeat(5_000);
        let run = format!(
            r#"{{"id":"r1","name":"<b>&amp;\u001b[31mred\u0000\u202e","status":"done\n","status_reason":"<a href=\"http://x\">{long}"}}"#
        );
        let notice = notice(&run, None);
        assert_eq!(notice.title(), "‹b›＆amp;red\u{fffd}: done ");
        assert!(notice.text().starts_with("‹a href="), "{notice:?}");
        assert_eq!(notice.text().chars().count(), MAX_CHARS + 1);
        assert!(notice.text().ends_with('…'));
    }
}
