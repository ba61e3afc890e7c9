//! The events of runs in one remote, or in several at once.
//!
//! Of several remotes, each is subscribed to on its own, with a model of its own. In the one model that
//! the command shows, ids and names of runs are `REMOTE:RUN`, as every command takes them.

use std::pin::Pin;

use docks_proto::event::{ConnectionState, Event, ObjectKind, ObjectState};
use docks_proto::object::RawObject;
use futures_util::stream::{self, SelectAll, Stream, StreamExt};

use super::event_subscriber::{EventSubscriber, ReceivedEvent};
use super::model::{Model, RunKey};
use crate::ask::{NamedRemote, SeveralRemotes};
use crate::context::Context;
use crate::failure::Failure;

/// Events of one of several remotes, by its place among them.
type RemoteEvents<'a> = Pin<Box<dyn Stream<Item = (usize, Result<ReceivedEvent, Failure>)> + 'a>>;

/// Receives the events of the watched runs.
pub(crate) enum Subscription<'a> {
    /// Of one remote.
    One(Box<EventSubscriber<'a>>),
    /// Of several.
    Several(SeveralSubscriptions<'a>),
}

/// The subscriptions to several remotes.
pub(crate) struct SeveralSubscriptions<'a> {
    events: SelectAll<RemoteEvents<'a>>,
    remotes: Vec<RemoteState<'a>>,
}

/// What is known of the subscription to one of several remotes.
struct RemoteState<'a> {
    remote: &'a NamedRemote,
    is_ready: bool,
    outage: Option<ConnectionState>,
}

impl<'a> Subscription<'a> {
    /// Prepares a subscription to runs of one remote.
    pub(crate) fn of_one(context: &'a Context, keys: Vec<RunKey>, on_screen: bool) -> Self {
        Self::One(Box::new(EventSubscriber::new(context, keys, on_screen)))
    }

    /// Prepares subscriptions to runs of several remotes, given by their places.
    pub(crate) fn of_several(
        several: &'a SeveralRemotes,
        keys: &[(usize, RunKey)],
        on_screen: bool,
    ) -> Self {
        let mut events = SelectAll::new();
        let mut remotes = Vec::new();
        for (place, remote) in several.remotes.iter().enumerate() {
            let own = keys.iter().filter(|(index, _)| *index == place);
            let own: Vec<RunKey> = own.map(|(_, key)| key.clone()).collect();
            if own.is_empty() {
                continue;
            }
            let index = remotes.len();
            remotes.push(RemoteState {
                remote,
                is_ready: false,
                outage: None,
            });
            let model = Model::new(own.clone());
            let subscriber = EventSubscriber::new(&remote.context, own, on_screen);
            let received = stream::unfold(
                (subscriber, model),
                move |(mut subscriber, mut model)| async move {
                    let event = subscriber.next(&model).await;
                    if let Ok(received) = &event {
                        model.apply(&received.event);
                    }
                    Some(((index, event), (subscriber, model)))
                },
            );
            events.push(Box::pin(received) as RemoteEvents<'a>);
        }
        Self::Several(SeveralSubscriptions { events, remotes })
    }

    /// Waits for the next event. It may be dropped while it waits.
    ///
    /// # Errors
    ///
    /// Only before the first event: why there is no source of events.
    pub(crate) async fn next(&mut self, model: &Model) -> Result<ReceivedEvent, Failure> {
        match self {
            Subscription::One(subscriber) => subscriber.next(model).await,
            Subscription::Several(several) => several.next().await,
        }
    }
}

impl SeveralSubscriptions<'_> {
    async fn next(&mut self) -> Result<ReceivedEvent, Failure> {
        loop {
            let Some((index, received)) = self.events.next().await else {
                return std::future::pending().await;
            };
            let Some(state) = self.remotes.get_mut(index) else {
                continue;
            };
            let name = &state.remote.name;
            let ReceivedEvent { event, text } = match received {
                Ok(received) => received,
                Err(failure) => return Err(state.remote.explain(failure)),
            };
            let named = RawObject::parse(&text).ok().flatten();
            let text = match named {
                Some(object) => object.with_text_member("remote", name).text().to_owned(),
                None => text,
            };
            let event = match event {
                Event::Ready(ready) => {
                    state.is_ready = true;
                    // The model is ready once the state of every remote is known.
                    if !self.remotes.iter().all(|state| state.is_ready) {
                        continue;
                    }
                    Event::Ready(ready)
                }
                Event::Connection(connection) => {
                    let outage = connection.unreachable_since.is_some();
                    state.outage = outage.then(|| ConnectionState {
                        reason: Some(format!(
                            "{name}: {}",
                            connection.reason.as_deref().unwrap_or("unknown reason")
                        )),
                        ..connection
                    });
                    // One that is still out of reach is shown before none.
                    let outages = self.remotes.iter().rev();
                    let outage = outages.filter_map(|state| state.outage.clone()).next();
                    Event::Connection(outage.unwrap_or_default())
                }
                other => with_remote(name, other),
            };
            return Ok(ReceivedEvent { event, text });
        }
    }
}

/// Returns the key of a run in the model of several remotes.
pub(crate) fn merged_key(remote: &str, (kind, id): &RunKey) -> RunKey {
    (*kind, qualified(remote, id))
}

fn qualified(remote: &str, run: &str) -> String {
    format!("{remote}:{run}")
}

/// Names the remote in the ids and names of an event.
fn with_remote(remote: &str, mut event: Event) -> Event {
    match &mut event {
        Event::State(state) => qualify(remote, state),
        Event::Change(change) => qualify(remote, &mut change.object),
        Event::Progress(progress) => progress.run_id = qualified(remote, &progress.run_id),
        Event::Connection(_) | Event::Ready(_) | Event::Resync(_) | Event::Unknown => {}
    }
    event
}

fn qualify(remote: &str, state: &mut ObjectState) {
    state.run_id = qualified(remote, &state.run_id);
    if state.kind != ObjectKind::Trial && !state.name.is_empty() {
        state.name = qualified(remote, &state.name);
    }
}
