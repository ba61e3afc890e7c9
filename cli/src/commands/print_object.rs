//! What verbs that show one object share, and how every answer says its age.

use docks_proto::freshness::{AnsweredBy, Freshness};
use docks_proto::object::RawObject;

use crate::args::Format;
use crate::ask::request::Answered;
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::detail::{self, Detail};
use crate::output::durations;
use crate::output::json;
use crate::output::lists::{EVALUATIONS, RUNS, Rows, Scene, TRIALS};

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// A plain run.
    Run,
    /// An evaluation run.
    Evaluation,
    /// A trial.
    Trial,
}

/// Prints one object.
pub(super) fn print(context: &Context, view: View, answered: &Answered) -> Result<(), Failure> {
    let output = &context.output;
    let text = text_of(&answered.body);
    let scene = Scene {
        now: context.now,
        age: answered.freshness.age,
    };
    match context.global.format {
        Format::Json => print_json(context, &text, answered),
        Format::Jsonl => output.line(json::compact(&text)),
        Format::Tsv => {
            let object = object(&text)?;
            output.data(match view {
                View::Run => tsv(&RUNS, object, scene)?,
                View::Evaluation => tsv(&EVALUATIONS, object, scene)?,
                View::Trial => tsv(&TRIALS, object, scene)?,
            });
        }
        Format::Table => {
            let object = object(&text)?;
            let detail: Detail = match view {
                View::Run => detail::run(&object, scene),
                View::Evaluation => detail::evaluation(&object, scene, output.look().width),
                View::Trial => detail::trial(&object, scene, output.look().width),
            };
            output.data(detail.print(output.look().colour));
        }
    }
    output.flush()?;
    say_age(context, &answered.freshness);
    Ok(())
}

fn tsv<R>(rows: &Rows<R>, object: RawObject, scene: Scene) -> Result<String, Failure> {
    let specs = rows.pick(&[])?;
    Ok(rows.table(&[object], &specs, false, scene).tsv(true))
}

/// Reads an answer that is one object.
pub(super) fn object(text: &str) -> Result<RawObject, Failure> {
    match RawObject::parse(text) {
        Ok(Some(object)) => Ok(object),
        Ok(None) => Err(Failure::new(Kind::Failed, "the answer is no object")),
        Err(error) => Err(Failure::chain(
            Kind::Failed,
            "could not read the answer",
            &error,
        )),
    }
}

/// Returns a body as text, without what may stand around the JSON.
pub(super) fn text_of(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.trim_start_matches('\u{feff}').trim().to_owned()
}

/// Prints JSON: as it came in a pipe, indented at a terminal.
pub(super) fn print_json(context: &Context, text: &str, answered: &Answered) {
    let output = &context.output;
    let whole = if context.global.meta {
        json::with_meta(&answered.freshness, answered.total, text)
    } else {
        text.to_owned()
    };
    match output.look().width {
        Some(_) => output.line(json::indent(&whole)),
        None => output.line(whole),
    }
}

/// Says on stderr that an answer is older than it should be, and why; `--verbose` of every
/// answer where it is from.
pub(super) fn say_age(context: &Context, freshness: &Freshness) {
    let age = durations::age(freshness.age).unwrap_or_else(|| "0s".to_owned());
    match (&freshness.stale_reason, freshness.answered_by) {
        (Some(reason), _) => context.output.note(format!("data is {age} old: {reason}")),
        (None, AnsweredBy::Mirror) => context.output.verbose(format!(
            "from the mirror; the remote confirmed it {age} ago"
        )),
        (None, AnsweredBy::Remote) => context.output.verbose("from the remote"),
    }
}
