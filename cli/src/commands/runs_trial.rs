//! `docks runs trial`.

use super::asking::Asking;
use super::showing::{self, View};
use crate::args::RunsTrial;
use crate::context::Context;
use crate::failure::Failure;
use crate::source::Question;

/// Shows one trial with its results and artifact URIs.
pub(super) async fn run(context: &Context, args: &RunsTrial) -> Result<(), Failure> {
    let question = Question::Trial(&args.run_id, &args.trial_id);
    let answered = Asking::new(context)?.ask(question).await?;
    showing::print(context, View::Trial, &answered)
}
