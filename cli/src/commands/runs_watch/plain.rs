//! A watch in a pipe: one line per change.

use super::{End, Limits, interrupted, listen};
use crate::args::Format;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::cell::Cell;
use crate::output::lists::status_ink;
use crate::watch::change_line;
use crate::watch::end_hook::Hook;
use crate::watch::model::{Model, RunKey};
use docks_proto::event::Event;

/// Watches until an end comes.
pub(super) async fn watch(
    context: &Context,
    keys: Vec<RunKey>,
    model: &mut Model,
    limits: &mut Limits,
    hook: &mut Hook,
) -> Result<End, Failure> {
    let output = &context.output;
    if context.global.format == Format::Tsv {
        output.line(change_line::COLUMNS.join("\t"));
        output.flush()?;
    }
    let mut ear = listen(context, keys);
    let mut stopped = std::pin::pin!(interrupted());
    loop {
        let heard = tokio::select! {
            biased;
            end = &mut stopped => return Ok(end),
            end = limits.over() => return Ok(end),
            heard = ear.next(model) => heard?,
        };
        let was_blind = model.source.unreachable_since.is_some();
        let note = model.take(&heard.event);
        if context.global.format == Format::Jsonl {
            output.line(&heard.text);
        } else if let Some(note) = &note
            && let Some(line) = change_line::line(model, note)
        {
            output.line(line);
        }
        if let Event::Connection(source) = &heard.event {
            match (&source.unreachable_since, &source.reason) {
                (Some(since), why) => {
                    let why = why.as_deref().unwrap_or("unknown reason");
                    output.warn(format!("nothing is heard since {since}: {why}"));
                }
                (None, _) if was_blind => output.note("the remote can be seen"),
                (None, _) => {}
            }
        }
        output.flush()?;
        if output.reader_is_gone() {
            return Ok(End::Quit);
        }
        hook.after(context, model);
        if let Some(end) = limits.reached(model, note.as_ref()) {
            return Ok(end);
        }
    }
}

/// Says how the runs are, when the screen that showed it has gone.
pub(super) fn sum_up(context: &Context, model: &Model) {
    let colour = context.output.look().colour;
    for run in &model.runs {
        let name = Cell::new(run.label()).painted(colour);
        let ink = status_ink(run.status());
        let status = Cell::new(run.status()).ink(ink).painted(colour);
        let counts = run.progress.as_ref().filter(|progress| progress.total > 0);
        let counts = counts.map(|p| {
            let (finished, total, passed) = (p.finished, p.total, p.passed);
            format!("  {finished}/{total} trials, {passed} passed")
        });
        let line = format!("{name}: {status}{}", counts.unwrap_or_default());
        context.output.line(line);
    }
}
