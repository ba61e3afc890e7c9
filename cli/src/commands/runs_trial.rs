//! `docks runs trial`.

use super::print_object::{self, View};
use super::requester::Asking;
use crate::args::RunsTrial;
use crate::ask::request::Question;
use crate::context::Context;
use crate::failure::Failure;

/// Shows one trial with its results and artifact URIs.
pub(super) async fn run(context: &Context, args: &RunsTrial) -> Result<(), Failure> {
    let question = Question::Trial(&args.run_id, &args.trial_id);
    let answered = Asking::new(context)?.ask(question).await?;
    print_object::print(context, View::Trial, &answered)
}
