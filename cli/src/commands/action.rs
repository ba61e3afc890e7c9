//! What the verbs that change a run share: asking first, acting, saying the new status.

use docks_proto::object::RunFields;
use docks_proto::routes::{Action, RunKind};

use super::print_object::{self, View};
use super::requester::Asking;
use crate::args::Format;
use crate::ask::request::{Answered, Question};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::cell::Cell;
use crate::output::clean;
use crate::output::lists::status_ink;

/// Asks whether `action` is to be done, unless `force` says not to; returns to which run.
///
/// # Errors
///
/// When the answer is no, or nobody can be asked.
pub(super) async fn agree_on(
    context: &Context,
    action: Action,
    given: &str,
    force: bool,
) -> Result<String, Failure> {
    if force {
        return Ok(given.to_owned());
    }
    context.output.must_be_able_to_ask()?;
    let (kind, verb) = match action {
        Action::Stop => (RunKind::Run, "Stop run"),
        Action::Start => (RunKind::Evaluation, "Start evaluation run"),
        Action::Cancel => (RunKind::Evaluation, "Cancel evaluation run"),
    };
    let found = Asking::new(context)?
        .ask(Question::Run(kind, given))
        .await?;
    let fields =
        RunFields::from_object(&print_object::object(&print_object::text_of(&found.body))?);
    let id = fields.id.text().unwrap_or_else(|| given.to_owned());
    if !context.output.confirm(&question(verb, &id, &fields))? {
        return Err(Failure::failed("nothing was done"));
    }
    // What was shown is what it is done to, whatever a prefix or a name fits by now.
    Ok(id)
}

/// Says what would be done to which run: an id alone tells people little.
fn question(verb: &str, id: &str, fields: &RunFields) -> String {
    let known = [fields.name.text(), fields.status.text()];
    let known: Vec<String> = known.into_iter().flatten().collect();
    match known.is_empty() {
        true => format!("{verb} {id}?"),
        false => format!("{verb} {id} ({})?", known.join(", ")),
    }
}

/// Does `action` to a run and prints its new status.
pub(super) async fn run(context: &Context, action: Action, given: &str) -> Result<(), Failure> {
    let answered = Asking::new(context)?
        .ask(Question::Act(action, given))
        .await?;
    print(context, action, given, &answered)
}

/// Prints the status that a run has after an action.
pub(super) fn print(
    context: &Context,
    action: Action,
    given: &str,
    answered: &Answered,
) -> Result<(), Failure> {
    let view = match action {
        Action::Stop => View::Run,
        Action::Start | Action::Cancel => View::Evaluation,
    };
    if context.global.format != Format::Table {
        return print_object::print(context, view, answered);
    }
    let fields = RunFields::from_object(&print_object::object(&print_object::text_of(
        &answered.body,
    ))?);
    let id = fields.id.text().unwrap_or_else(|| given.to_owned());
    let noun = match view {
        View::Run => "run",
        View::Evaluation | View::Trial => "evaluation run",
    };
    let status = fields.status.text();
    let ink = status.as_deref().and_then(status_ink);
    let status = Cell::of(status)
        .ink(ink)
        .painted(context.output.look().colour);
    context
        .output
        .line(format!("{noun} {}: {status}", clean::line(&id)));
    Ok(())
}
