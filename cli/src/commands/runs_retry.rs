//! `docks runs retry`.

use docks_proto::object::TrialFields;
use docks_proto::routes::Action;

use super::{action, print_object};
use crate::args::RunsRetry;
use crate::ask::{Request, Requester};
use crate::context::Context;
use crate::failure::Failure;

/// Runs the failed and cancelled trials of an evaluation run again, or the named one, after asking.
pub(super) async fn run(context: &Context, args: &RunsRetry) -> Result<(), Failure> {
    let Some(given) = &args.trial_id else {
        let id = action::confirm(context, Action::Retry, &args.run_id, args.force).await?;
        return action::run(context, Action::Retry, &id).await;
    };
    let requester = action::requester_for(context, Action::Retry)?;
    let trial = match args.force {
        true => given.clone(),
        false => confirm_trial(&requester, context, &args.run_id, given).await?,
    };
    let request = Request::RetryTrial(&args.run_id, &trial);
    let response = requester.request(request).await?;
    action::print(context, Action::Retry, &args.run_id, &response)
}

/// Asks the user to confirm that a trial runs again; returns its full id.
async fn confirm_trial(
    requester: &Requester<'_>,
    context: &Context,
    run: &str,
    given: &str,
) -> Result<String, Failure> {
    context.output.require_prompt("--force")?;
    let response = requester.request(Request::Trial(run, given)).await?;
    let body = print_object::body_text(&response.body);
    let fields = TrialFields::from_object(&print_object::parse_object(&body)?);
    let id = fields.id.text().unwrap_or_else(|| given.to_owned());
    let known = [fields.name.text(), fields.status.text()];
    if !context
        .output
        .confirm(&action::question("Retry trial", &id, known))?
    {
        return Err(Failure::failed("nothing was done"));
    }
    Ok(id)
}
