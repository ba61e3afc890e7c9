//! Printing a response that is one object, and the age of any response.

use docks_proto::freshness::{AnsweredBy, Freshness};
use docks_proto::object::{RawObject, RunFields};

use crate::args::Format;
use crate::ask::Response;
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::OddValueReport;
use crate::output::detail::{self, Detail};
use crate::output::durations;
use crate::output::json;
use crate::output::lists::{EVALUATIONS, ListColumns, RUNS, RowContext, TRIALS};

/// What kind of object is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectKind {
    /// A plain run.
    Run,
    /// An evaluation run.
    Evaluation,
    /// A trial.
    Trial,
}

/// Prints one object in the format that the options ask for.
pub(super) fn print_object(
    context: &Context,
    kind: ObjectKind,
    response: &Response,
) -> Result<(), Failure> {
    let output = &context.output;
    let text = body_text(&response.body);
    let row_context = RowContext {
        now: context.now,
        age: response.freshness.age,
    };
    match context.global.format {
        Format::Json => print_json(context, &text, response),
        Format::Jsonl => output.line(json::compact(&text)),
        Format::Tsv => {
            let object = parse_object(&text)?;
            output.data(match kind {
                ObjectKind::Run => tsv(&RUNS, object, row_context)?,
                ObjectKind::Evaluation => tsv(&EVALUATIONS, object, row_context)?,
                ObjectKind::Trial => tsv(&TRIALS, object, row_context)?,
            });
        }
        Format::Table | Format::Markdown | Format::Csv | Format::Latex => {
            let object = parse_object(&text)?;
            let detail: Detail = match kind {
                ObjectKind::Run => detail::run(&object, row_context),
                ObjectKind::Evaluation => {
                    detail::evaluation(&object, row_context, output.style().width)
                }
                ObjectKind::Trial => detail::trial(&object, row_context, output.style().width),
            };
            output.data(detail.render(output.style().colour));
        }
    }
    output.flush()?;
    if output.is_verbose() {
        report_odd_values(context, &[parse_object(&text)?]);
    }
    report_age(context, &response.freshness);
    Ok(())
}

/// Says with `--verbose` which values of objects are not what they should be.
pub(super) fn report_odd_values<'a>(
    context: &Context,
    objects: impl IntoIterator<Item = &'a RawObject>,
) {
    let mut report = OddValueReport::new(&context.output);
    for object in objects {
        if !report.is_wanted() {
            return;
        }
        let id = RunFields::from_object(object).id.text();
        report.add(&format!("`{}`", id.unwrap_or_default()), object.text());
    }
}

fn tsv<R>(
    rows: &ListColumns<R>,
    object: RawObject,
    row_context: RowContext,
) -> Result<String, Failure> {
    let specs = rows.select(&[])?;
    Ok(rows.table(&[object], &specs, row_context).tsv(true))
}

/// Parses a response body that is one object.
pub(super) fn parse_object(text: &str) -> Result<RawObject, Failure> {
    match RawObject::parse(text) {
        Ok(Some(object)) => Ok(object),
        Ok(None) => Err(Failure::new(Kind::Failed, "the answer is not an object")),
        Err(error) => Err(Failure::chain(
            Kind::Failed,
            "could not read the answer",
            &error,
        )),
    }
}

/// Returns a body as text, without whitespace and byte order mark around the JSON.
pub(super) fn body_text(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.trim_start_matches('\u{feff}').trim().to_owned()
}

/// Prints JSON: as received in a pipe, indented at a terminal.
pub(super) fn print_json(context: &Context, text: &str, response: &Response) {
    print_json_text(
        context,
        match context.global.meta {
            true => json::with_meta(&response.freshness, response.total, text),
            false => text.to_owned(),
        },
    );
}

/// Does the same for a JSON text that is complete.
pub(super) fn print_json_text(context: &Context, text: String) {
    let output = &context.output;
    match output.style().width {
        Some(_) => output.line(json::indent(&text)),
        None => output.line(text),
    }
}

/// Says on stderr when rows may be missing, or a response is older than it should be, and why; with `--verbose`, where
/// every response comes from.
pub(super) fn report_age(context: &Context, freshness: &Freshness) {
    report_age_of(context, None, freshness);
}

/// Does the same for the answer of one of several remotes.
pub(super) fn report_remote_age(context: &Context, name: &str, freshness: &Freshness) {
    report_age_of(context, Some(name), freshness);
}

fn report_age_of(context: &Context, remote: Option<&str>, freshness: &Freshness) {
    let output = &context.output;
    let named = |text: String| match remote {
        Some(name) => format!("{name}: {text}"),
        None => text,
    };
    if let Some(notice) = &freshness.notice {
        output.note(named(notice.clone()));
    }
    if let Some(reason) = &freshness.incomplete {
        output.note(named(format!("rows may be missing: {reason}")));
    }
    let age = durations::format_age(freshness.age).unwrap_or_else(|| "0s".to_owned());
    match (&freshness.stale_reason, freshness.answered_by) {
        (Some(reason), _) => output.note(named(format!("data is {age} old: {reason}"))),
        (None, AnsweredBy::Mirror) => output.verbose(named(format!(
            "from the mirror; the remote confirmed it {age} ago"
        ))),
        (None, AnsweredBy::Remote) => output.verbose(named("from the remote".to_owned())),
    }
}
