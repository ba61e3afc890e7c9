//! Desktop notifications: what is said of a run that has ended, and saying it in bounded time.
//!
//! What a remote says is cleaned of escapes and of the markup that notification services read.

#[cfg(feature = "notification")]
mod desktop;

#[cfg(feature = "notification")]
pub use desktop::{DesktopNotifier, NotifyError};

use crate::clean;
use crate::event::{ObjectState, Progress};

/// Characters of a line at most; services cut or scroll what is longer.
const MOST: usize = 200;

/// A notification, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEndNotice {
    title: String,
    text: String,
}

impl RunEndNotice {
    /// Says how a run ended.
    #[must_use]
    pub fn new(run: &ObjectState, progress: Option<&Progress>) -> Self {
        let name = match run.name.as_str() {
            "" => &run.run_id,
            name => name,
        };
        let counts = progress.filter(|progress| progress.total > 0);
        let counts = counts.map(|p| {
            let (finished, total, passed) = (p.finished, p.total, p.passed);
            format!("{finished}/{total} trials, {passed} passed")
        });
        let parts = [counts, run.error.clone()];
        let text: Vec<_> = parts.into_iter().flatten().collect();
        Self {
            title: harmless(&format!("{name}: {}", run.status)),
            text: harmless(&text.join(" · ")),
        }
    }

    /// Returns the line above.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Returns what stands below it; may be empty.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Cleans and shortens; what begins markup becomes a character that looks like it.
///
/// Escaped, it would be shown as `&amp;` by the services that read no markup.
fn harmless(text: &str) -> String {
    let clean = clean::line(text);
    let mut shown: String = (clean.chars().take(MOST))
        .map(|c| match c {
            '<' => '‹',
            '>' => '›',
            '&' => '＆',
            c => c,
        })
        .collect();
    if clean.chars().nth(MOST).is_some() {
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
    fn neither_escapes_nor_markup_nor_length_of_a_remote_get_through() {
        let long = "x".repeat(5_000);
        let run = format!(
            r#"{{"id":"r1","name":"<b>&amp;\u001b[31mred\u0000\u202e","status":"done\n","status_reason":"<a href=\"http://x\">{long}"}}"#
        );
        let notice = notice(&run, None);
        assert_eq!(notice.title(), "‹b›＆amp;red\u{fffd}: done ");
        assert!(notice.text().starts_with("‹a href="), "{notice:?}");
        assert_eq!(notice.text().chars().count(), MOST + 1);
        assert!(notice.text().ends_with('…'));
    }
}
