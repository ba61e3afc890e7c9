//! What the verbs that change a run share: asking first, acting, saying the new status.

use docks_proto::object::RunFields;
use docks_proto::routes::Action;

use super::asking::Asking;
use super::showing::{self, View};
use crate::args::Format;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::cell::Cell;
use crate::output::clean;
use crate::output::rows::status_ink;
use crate::source::Question;

/// Does `action` to a run and prints its new status.
pub(super) async fn run(context: &Context, action: Action, given: &str) -> Result<(), Failure> {
    let answered = Asking::new(context)?
        .ask(Question::Act(action, given))
        .await?;
    let view = match action {
        Action::Stop => View::Run,
        Action::Start | Action::Cancel => View::Evaluation,
    };
    if context.global.format != Format::Table {
        return showing::print(context, view, &answered);
    }
    let fields = RunFields::of(&showing::object(&showing::text_of(&answered.body))?);
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

/// Asks before something that cannot be undone.
///
/// # Errors
///
/// When the answer is no, or nobody can be asked.
pub(super) fn confirm(context: &Context, force: bool, question: &str) -> Result<(), Failure> {
    if force || context.output.confirm(question)? {
        return Ok(());
    }
    Err(Failure::failed("nothing was done"))
}
