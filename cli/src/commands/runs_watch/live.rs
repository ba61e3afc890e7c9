//! A watch at a terminal: a view that is kept current.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::{End, Limits, interrupted, listen, now};
use crate::args::RunsWatch;
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::screen::{Screen, suspended};
use crate::watch::end_hook::Hook;
use crate::watch::event_subscriber::Heard;
use crate::watch::model::{Model, RunKey};
use crate::watch::view::{Scene, frame};

/// Ages move on by the second; changes are shown with the next frame after them.
const FRAME: Duration = Duration::from_millis(200);

/// What a frame waited for.
enum Happened {
    Heard(Result<Box<Heard>, Failure>),
    Key(Option<u8>),
    Resized,
    Stopped,
    Frame,
    End(End),
}

/// Watches until an end comes.
pub(super) async fn watch(
    context: &Context,
    args: &RunsWatch,
    keys: Vec<RunKey>,
    model: &mut Model,
    limits: &mut Limits,
    hook: &mut Hook,
) -> Result<End, Failure> {
    let gone =
        |error: io::Error| Failure::chain(Kind::Failed, "could not use the terminal", &error);
    let mut resized = signal(SignalKind::window_change()).map_err(gone)?;
    let mut stopped = signal(suspended()).map_err(gone)?;
    let mut screen = Screen::open().map_err(gone)?;
    let mut ear = listen(context, keys);
    let mut ending = std::pin::pin!(interrupted());
    let mut frames = interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut compact, mut help) = (args.compact, false);
    loop {
        // Listening goes on from frame to frame; begun anew each time it would never connect.
        let heard = {
            let mut hearing = std::pin::pin!(ear.next(model));
            loop {
                let happened = tokio::select! {
                    biased;
                    end = &mut ending => Happened::End(end),
                    end = limits.over() => Happened::End(end),
                    _ = resized.recv() => Happened::Resized,
                    _ = stopped.recv() => Happened::Stopped,
                    key = screen.key() => Happened::Key(key),
                    _ = frames.tick() => Happened::Frame,
                    heard = &mut hearing => Happened::Heard(heard.map(Box::new)),
                };
                match happened {
                    Happened::End(end) => return Ok(end),
                    Happened::Heard(heard) => break heard?,
                    Happened::Key(Some(b'q' | b'Q')) => return Ok(End::Quit),
                    Happened::Key(Some(b'?' | b'h')) => help = !help,
                    Happened::Key(Some(b'c')) => compact = !compact,
                    Happened::Key(Some(_)) => {}
                    Happened::Key(None) => return Ok(End::Interrupted),
                    Happened::Resized => screen.resized().map_err(gone)?,
                    Happened::Stopped => screen.stop().map_err(gone)?,
                    Happened::Frame => {
                        let (width, height) = screen.size();
                        let scene = Scene {
                            now: now(),
                            width,
                            height,
                            compact,
                            help,
                            colour: context.output.look().colour,
                        };
                        screen.draw(frame(model, scene)).map_err(gone)?;
                    }
                }
            }
        };
        let note = model.take(&heard.event);
        hook.after(context, model);
        if let Some(end) = limits.reached(model, note.as_ref()) {
            return Ok(end);
        }
    }
}
