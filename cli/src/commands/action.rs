//! Changing a run: confirming the action, carrying it out, printing the new status.

use docks_proto::object::RunFields;
use docks_proto::routes::{Action, RunKind};
use docks_proto::settings::Target;

use super::print_object::{self, ObjectKind};
use crate::args::Format;
use crate::ask::{Request, Requester, Response};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::cell::Cell;
use crate::output::clean;
use crate::output::lists::status_style;

/// Asks the user to confirm `action`, unless `force` is set; returns the id of the run.
///
/// # Errors
///
/// When the answer is no, or there is no terminal to ask at.
pub(super) async fn confirm(
    context: &Context,
    action: Action,
    given: &str,
    force: bool,
) -> Result<String, Failure> {
    if force {
        return Ok(given.to_owned());
    }
    context.output.require_prompt("--force")?;
    let (kind, verb) = match action {
        Action::Stop => (RunKind::Run, "Stop run"),
        Action::Start => (RunKind::Evaluation, "Start evaluation run"),
        Action::Cancel => (RunKind::Evaluation, "Cancel evaluation run"),
        Action::Pause => (RunKind::Evaluation, "Pause evaluation run"),
        Action::Resume => (RunKind::Evaluation, "Resume evaluation run"),
        Action::Retry => (
            RunKind::Evaluation,
            "Retry the failed and cancelled trials of",
        ),
    };
    let response = Requester::new(context)?
        .request(Request::Run(kind, given))
        .await?;
    let fields = RunFields::from_object(&print_object::parse_object(&print_object::body_text(
        &response.body,
    ))?);
    let id = fields.id.text().unwrap_or_else(|| given.to_owned());
    let known = [fields.name.text(), fields.status.text()];
    if !context.output.confirm(&question(verb, &id, known))? {
        return Err(Failure::failed("nothing was done"));
    }
    // The id that was shown: by now a prefix or a name may match another run.
    Ok(id)
}

/// Describes the action and what it is done to, with its name and status; an id alone means little to people.
pub(super) fn question(verb: &str, id: &str, known: [Option<String>; 2]) -> String {
    let known: Vec<String> = known.into_iter().flatten().collect();
    match known.is_empty() {
        true => format!("{verb} {id}?"),
        false => format!("{verb} {id} ({})?", known.join(", ")),
    }
}

/// Carries out `action` on a run and prints its new status.
pub(super) async fn run(context: &Context, action: Action, given: &str) -> Result<(), Failure> {
    let requester = requester_for(context, action)?;
    let response = requester.request(Request::Act(action, given)).await?;
    print(context, action, given, &response)
}

/// Returns the requester of a remote that may be able to carry out `action`.
///
/// # Errors
///
/// When it certainly cannot.
pub(super) fn requester_for(context: &Context, action: Action) -> Result<Requester<'_>, Failure> {
    let requester = Requester::new(context)?;
    if action.is_of_daemon()
        && let Target::DocksApi { .. } = requester.remote.profile.target
    {
        let text = format!("a Docks API cannot {} runs", action.segment());
        return Err(
            Failure::failed(text).hint("a `harbor serve` can: `docks --harbor-server URL …`")
        );
    }
    Ok(requester)
}

/// Prints the status that a run has after an action.
pub(super) fn print(
    context: &Context,
    action: Action,
    given: &str,
    response: &Response,
) -> Result<(), Failure> {
    let kind = match action {
        Action::Stop => ObjectKind::Run,
        _ => ObjectKind::Evaluation,
    };
    if context.global.format != Format::Table {
        return print_object::print_object(context, kind, response);
    }
    let fields = RunFields::from_object(&print_object::parse_object(&print_object::body_text(
        &response.body,
    ))?);
    let id = fields.id.text().unwrap_or_else(|| given.to_owned());
    let noun = match kind {
        ObjectKind::Run => "run",
        ObjectKind::Evaluation | ObjectKind::Trial => "evaluation run",
    };
    let status = fields.status.text();
    let style = status.as_deref().and_then(status_style);
    let status = Cell::from_option(status)
        .styled(style)
        .render(context.output.style().colour);
    context
        .output
        .line(format!("{noun} {}: {status}", clean::line(&id)));
    Ok(())
}
