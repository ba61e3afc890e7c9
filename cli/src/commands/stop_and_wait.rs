//! Ending a run and waiting until it has ended.
//!
//! A Docks API answers with the new status. The process of a Harbor job cleans up
//! first, which is shown until its files say that it has ended.

use std::time::{Duration, Instant};

use docks_proto::object::{Lifecycle, RunFields, lifecycle};
use docks_proto::routes::Action;
use indicatif::{ProgressBar, ProgressStyle};

use super::action;
use super::print_object;
use super::requester::Asking;
use crate::ask::request::{Answered, Question};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::clean;

/// How often is looked whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often a pipe hears of it.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
/// How long is waited; containers take up to a minute each.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often the sign of life moves.
const TICK: Duration = Duration::from_millis(120);

/// Ends a run, waits for its end and prints its status.
pub(super) async fn run(
    context: &Context,
    action: Action,
    given: &str,
    kill: bool,
) -> Result<(), Failure> {
    let asking = Asking::new(context)?;
    let asked = if kill {
        asking.ask(Question::Kill(action, given)).await
    } else {
        asking.ask(Question::Act(action, given)).await
    };
    let answered = match asked {
        Err(failure) if failure.kind == Kind::NeedsKill && context.output.can_ask() => {
            let question = format!("{} Kill it? Trials under way are lost.", failure.message);
            if !context.output.confirm(&question)? {
                return Err(Failure::failed("nothing was done"));
            }
            asking.ask(Question::Kill(action, given)).await?
        }
        asked => asked?,
    };
    let answered = until_ended(context, &asking, action, answered).await?;
    action::print(context, action, given, &answered)
}

/// Asks again until the run has ended, when it is a job of a Harbor jobs directory.
async fn until_ended(
    context: &Context,
    asking: &Asking<'_>,
    action: Action,
    mut answered: Answered,
) -> Result<Answered, Failure> {
    let mut shown = Shown::new(context);
    let began = Instant::now();
    loop {
        let object = print_object::object(&print_object::text_of(&answered.body))?;
        let fields = RunFields::from_object(&object);
        let status = fields.status.text().unwrap_or_default();
        let id = fields.id.text().unwrap_or_default();
        // Only a job's own files say what became of it; a service has answered already.
        if !is_job(&object) || lifecycle(&status) != Lifecycle::Active {
            shown.end();
            return Ok(answered);
        }
        let reason = fields.status_reason.text();
        shown.step(reason.as_deref().unwrap_or("stopping"));
        if began.elapsed() > PATIENCE {
            shown.end();
            return Err(Failure::new(
                Kind::StillRunning,
                format!("`{id}` was asked to stop but has not ended"),
            )
            .hint(format!("`docks runs stop {id} --kill` ends it hard")));
        }
        tokio::time::sleep(LOOK_EVERY).await;
        answered = asking.ask(Question::Run(action.kind(), &id)).await?;
    }
}

fn is_job(object: &docks_proto::object::RawObject) -> bool {
    let value: Result<Shape, _> = serde_json::from_str(object.text());
    value.is_ok_and(|shape| shape.harbor.is_some())
}

#[derive(serde::Deserialize)]
struct Shape {
    harbor: Option<serde::de::IgnoredAny>,
}

/// Progress on stderr: one moving line at a terminal, a line per change in a pipe.
struct Shown<'a> {
    context: &'a Context,
    bar: Option<ProgressBar>,
    said: Option<(Instant, String)>,
}

impl<'a> Shown<'a> {
    fn new(context: &'a Context) -> Self {
        let bar = context.output.look().stderr_terminal.then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(TICK);
            bar
        });
        Self {
            context,
            bar,
            said: None,
        }
    }

    fn step(&mut self, reason: &str) {
        let text = clean::line(reason).into_owned();
        if let Some(bar) = &self.bar {
            bar.set_message(text);
            return;
        }
        let old = self
            .said
            .as_ref()
            .is_some_and(|(at, said)| *said == text && at.elapsed() < SIGN_OF_LIFE);
        if !old {
            self.context.output.remark(&text);
            self.said = Some((Instant::now(), text));
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
