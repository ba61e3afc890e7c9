//! Stops a run and waits until it has ended.
//!
//! A Docks API answers with the new status. The process of a Harbor job cleans up first, which is
//! shown until its files say that it has ended.

use std::time::{Duration, Instant};

use docks_proto::object::{Lifecycle, RawObject, RunFields, lifecycle};
use docks_proto::routes::{Action, ProcessStop};

use super::action;
use super::print_object;
use crate::ask::{Request, Requester, Response, WaitPolicy, when_slow};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::clean;
use crate::output::spinner::Spinner;

/// How often the run is requested while it ends.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// How often progress is repeated in a pipe.
const REPEAT_AFTER: Duration = Duration::from_secs(5);
/// How long to wait; containers take up to a minute each.
const END_TIMEOUT: Duration = Duration::from_secs(600);

/// Stops a run, waits for its end and prints its status.
pub(super) async fn run(
    context: &Context,
    action: Action,
    given: &str,
    options: ProcessStop,
) -> Result<(), Failure> {
    let requester = Requester::new(context)?;
    let request = match options == ProcessStop::default() {
        true => Request::Act(action, given),
        false => Request::StopProcess(action, given, options),
    };
    let outcome = requester.request(request).await;
    let response = match outcome {
        Err(failure) if failure.kind == Kind::NeedsKill && context.output.can_prompt() => {
            let question = format!("{} Kill it? Running trials are lost.", failure.message);
            if !context.output.confirm(&question)? {
                return Err(Failure::failed("nothing was done"));
            }
            let options = ProcessStop {
                kill: true,
                ..options
            };
            let request = Request::StopProcess(action, given, options);
            requester.request(request).await?
        }
        outcome => outcome?,
    };
    let response = wait_for_end(context, action, response).await?;
    action::print(context, action, given, &response)
}

/// Requests a job of a Harbor jobs directory again until it has ended.
async fn wait_for_end(
    context: &Context,
    action: Action,
    mut response: Response,
) -> Result<Response, Failure> {
    // The progress below is drawn where the requester would show what it waits for.
    let quiet = WaitPolicy::WhileAlive { notice: None };
    let requester = Requester::new(context)?.patience(quiet);
    let mut progress = EndProgress::new(context);
    let start = Instant::now();
    loop {
        let object = print_object::parse_object(&print_object::body_text(&response.body))?;
        let fields = RunFields::from_object(&object);
        let status = fields.status.text().unwrap_or_default();
        let id = fields.id.text().unwrap_or_default();
        // Only a job's own files show when it has ended; a service has answered already.
        if !is_job(&object) || lifecycle(&status) != Lifecycle::Active {
            return Ok(response);
        }
        let reason = fields.status_reason.text();
        progress.show(reason.as_deref().unwrap_or("stopping"));
        if start.elapsed() > END_TIMEOUT {
            return Err(Failure::new(
                Kind::StillRunning,
                format!("`{id}` was asked to stop but has not ended"),
            )
            .hint(format!("`docks runs stop {id} --kill` kills it")));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
        let request = requester.request(Request::Run(action.kind(), &id));
        let notice = requester.remote.endpoint.wait_notice();
        response = when_slow(|| progress.show_at_terminal(&notice), request).await?;
    }
}

/// Returns whether an object describes a Harbor job.
fn is_job(object: &RawObject) -> bool {
    let job: Result<JobMarker, _> = serde_json::from_str(object.text());
    job.is_ok_and(|job| job.harbor.is_some())
}

#[derive(serde::Deserialize)]
struct JobMarker {
    harbor: Option<serde::de::IgnoredAny>,
}

/// Progress on stderr: one moving line at a terminal, a line per change in a pipe.
struct EndProgress<'a> {
    context: &'a Context,
    spinner: Option<Spinner>,
    last_line: Option<(Instant, String)>,
}

impl<'a> EndProgress<'a> {
    fn new(context: &'a Context) -> Self {
        let at_terminal = context.output.style().stderr_terminal;
        Self {
            context,
            spinner: at_terminal.then(|| Spinner::show(String::new())),
            last_line: None,
        }
    }

    fn show(&mut self, reason: &str) {
        if self.spinner.is_some() {
            self.show_at_terminal(reason);
            return;
        }
        let text = clean::line(reason).into_owned();
        let is_recent = self
            .last_line
            .as_ref()
            .is_some_and(|(at, last)| *last == text && at.elapsed() < REPEAT_AFTER);
        if !is_recent {
            self.context.output.message(&text);
            self.last_line = Some((Instant::now(), text));
        }
    }

    fn show_at_terminal(&self, text: &str) {
        if let Some(spinner) = &self.spinner {
            spinner.set_text(clean::line(text).into_owned());
        }
    }
}
