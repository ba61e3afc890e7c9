//! A watch at a terminal: a view that is updated in place.

use std::io;
use std::time::Duration;

use docks_proto::time::UnixMs;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::{Limits, StopReason, interrupted};
use crate::args::RunsWatch;
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::screen::{Screen, suspend_signal};
use crate::watch::end_hook::EndHook;
use crate::watch::event_subscriber::ReceivedEvent;
use crate::watch::model::Model;
use crate::watch::subscription::Subscription;
use crate::watch::view::{ViewOptions, frame};

/// Time between two frames; a change is shown with the next frame.
const FRAME_INTERVAL: Duration = Duration::from_millis(200);

/// What the view reacts to.
enum Input {
    Event(Result<Box<ReceivedEvent>, Failure>),
    Key(Option<u8>),
    Resized,
    Suspended,
    Frame,
    Stop(StopReason),
}

/// Watches until there is a reason to stop.
pub(super) async fn watch(
    context: &Context,
    args: &RunsWatch,
    mut subscription: Subscription<'_>,
    model: &mut Model,
    limits: &mut Limits,
    hook: &mut EndHook,
) -> Result<StopReason, Failure> {
    let failed =
        |error: io::Error| Failure::chain(Kind::Failed, "could not use the terminal", &error);
    let mut resized = signal(SignalKind::window_change()).map_err(failed)?;
    let mut suspend = signal(suspend_signal()).map_err(failed)?;
    let mut screen = Screen::open().map_err(failed)?;
    let mut interrupt = std::pin::pin!(interrupted());
    let mut frames = interval(FRAME_INTERVAL);
    frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut compact, mut help) = (args.compact, false);
    loop {
        // One future for many frames: started anew with each frame, it would never connect.
        let received = {
            let mut next_event = std::pin::pin!(subscription.next(model));
            loop {
                let input = tokio::select! {
                    biased;
                    reason = &mut interrupt => Input::Stop(reason),
                    reason = limits.expired() => Input::Stop(reason),
                    _ = resized.recv() => Input::Resized,
                    _ = suspend.recv() => Input::Suspended,
                    key = screen.next_key() => Input::Key(key),
                    _ = frames.tick() => Input::Frame,
                    event = &mut next_event => Input::Event(event.map(Box::new)),
                };
                match input {
                    Input::Stop(reason) => return Ok(reason),
                    Input::Event(event) => break event?,
                    Input::Key(Some(b'q' | b'Q')) => return Ok(StopReason::Quit),
                    Input::Key(Some(b'?' | b'h')) => help = !help,
                    Input::Key(Some(b'c')) => compact = !compact,
                    Input::Key(Some(_)) => {}
                    Input::Key(None) => return Ok(StopReason::Interrupted),
                    Input::Resized => screen.clear().map_err(failed)?,
                    Input::Suspended => screen.suspend().map_err(failed)?,
                    Input::Frame => {
                        let (width, height) = screen.size();
                        let options = ViewOptions {
                            now: UnixMs::now(),
                            width,
                            height,
                            compact,
                            help,
                            colour: context.output.style().colour,
                        };
                        screen.draw(frame(model, options)).map_err(failed)?;
                    }
                }
            }
        };
        let change = model.apply(&received.event);
        hook.run_for_settled(context, model);
        if let Some(reason) = limits.check(model, change.as_ref()) {
            return Ok(reason);
        }
    }
}
