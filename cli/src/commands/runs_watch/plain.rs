//! A watch in a pipe: one line per change.

use std::borrow::Cow;

use super::{Limits, StopReason, interrupted};
use crate::args::Format;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::cell::Cell;
use crate::output::lists::status_style;
use crate::watch::change_line::{COLUMNS, change_line};
use crate::watch::end_hook::EndHook;
use crate::watch::event_subscriber::ReceivedEvent;
use crate::watch::model::{Model, StatusChange};
use crate::watch::subscription::Subscription;
use docks_proto::event::Event;
use docks_proto::object::RawObject;

/// Watches until there is a reason to stop.
pub(super) async fn watch(
    context: &Context,
    mut subscription: Subscription<'_>,
    model: &mut Model,
    limits: &mut Limits,
    hook: &mut EndHook,
) -> Result<StopReason, Failure> {
    let output = &context.output;
    if context.global.format == Format::Tsv {
        output.line(COLUMNS.join("\t"));
        output.flush()?;
    }
    let mut interrupt = std::pin::pin!(interrupted());
    let mut reader_lost = std::pin::pin!(output.reader_lost());
    loop {
        let received = tokio::select! {
            biased;
            reason = &mut interrupt => return Ok(reason),
            reason = limits.expired() => return Ok(reason),
            () = &mut reader_lost => return Ok(StopReason::Quit),
            event = subscription.next(model) => event?,
        };
        let had_outage = model.source.unreachable_since.is_some();
        let change = model.apply(&received.event);
        if context.global.format == Format::Jsonl {
            if let Some(line) = json_line(model, &received, change.as_ref()) {
                output.line(line);
            }
        } else if let Some(change) = &change
            && let Some(line) = change_line(model, change)
        {
            output.line(line);
        }
        if let Event::Connection(source) = &received.event {
            match (&source.unreachable_since, &source.reason) {
                (Some(since), why) => {
                    let why = why.as_deref().unwrap_or("unknown reason");
                    output.warn(format!("no updates since {since}: {why}"));
                }
                (None, _) if had_outage => output.note("updates are coming in again"),
                (None, _) => {}
            }
        }
        output.flush()?;
        if output.stdout_is_closed() {
            return Ok(StopReason::Quit);
        }
        hook.run_for_settled(context, model);
        if let Some(reason) = limits.check(model, change.as_ref()) {
            return Ok(reason);
        }
    }
}

/// Returns the line for an event, so that each change of a status is one line with `"event":"change"`:
/// what a restarted daemon sends once more is left out, and what changed while nobody listened, and so
/// comes as a state, becomes a change.
fn json_line<'a>(
    model: &Model,
    received: &'a ReceivedEvent,
    change: Option<&StatusChange>,
) -> Option<Cow<'a, str>> {
    let is_new = match &received.event {
        Event::State(_) if !model.ready => true,
        Event::State(_) => {
            let change = change?;
            let (remote, object) = model.as_its_remote(&change.object);
            let own = StatusChange {
                object,
                ..change.clone()
            };
            let text = ReceivedEvent::new(own.to_event()).text;
            return Some(with_remote(text, remote).into());
        }
        Event::Change(_) => change.is_some(),
        _ => true,
    };
    is_new.then(|| received.text.as_str().into())
}

/// Adds which of several remotes an event is from.
fn with_remote(text: String, remote: Option<&str>) -> String {
    let object = RawObject::parse(&text).ok().flatten();
    match (remote, object) {
        (Some(remote), Some(object)) => {
            let named = object.with_text_member("remote", remote);
            named.text().to_owned()
        }
        _ => text,
    }
}

/// Prints the state of every run, after the view has been closed.
pub(super) fn print_summary(context: &Context, model: &Model) {
    let colour = context.output.style().colour;
    for run in &model.runs {
        let name = Cell::new(run.label()).render(colour);
        let ink = status_style(run.status());
        let status = Cell::new(run.status()).styled(ink).render(colour);
        let counts = run.progress.as_ref().filter(|progress| progress.total > 0);
        let counts = counts.map(|p| {
            let (finished, total, passed) = (p.finished, p.total, p.passed);
            format!("  {finished}/{total} trials, {passed} passed")
        });
        let line = format!("{name}: {status}{}", counts.unwrap_or_default());
        context.output.line(line);
    }
}
