//! Receives the events of the watched runs, across restarts of the daemon.
//!
//! The daemon sends a stream of events. When the stream ends or breaks, the subscriber connects
//! again and continues where it stopped, starting a daemon if none runs. Where no daemon can be
//! started, it polls the remote.

use std::collections::VecDeque;
use std::time::Duration;

use docks_proto::client::{ClientError, EventStream, SendError};
use docks_proto::event::{ConnectionState, Event, EventQuery, ObjectKind};
use docks_proto::settings::Target;
use docks_proto::time::UnixMs;
use tokio::time::{Instant, sleep_until};

use super::model::{Model, RunKey};
use super::poll::{POLL_INTERVAL, Poller};
use crate::ask::{Requester, WaitPolicy};
use crate::context::Context;
use crate::failure::{Answerer, Failure, Kind};

/// Most runs that one request to the daemon can name.
pub(crate) const MOST_RUNS: usize = 1_000;
/// Pause before connecting again after the stream ended: the daemon may be about to be replaced.
const FIRST_PAUSE: Duration = Duration::from_millis(300);
/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Longest pause that a remote can ask for; it may ask for years.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);
/// How long the remote is polled before looking for a daemon again.
const DAEMON_CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// An event and its JSON text.
#[derive(Debug)]
pub(crate) struct ReceivedEvent {
    /// The event.
    pub(crate) event: Event,
    /// The JSON object, as received.
    pub(crate) text: String,
}

impl ReceivedEvent {
    /// Writes an event that did not come from a daemon.
    pub(crate) fn new(event: Event) -> Self {
        let text = serde_json::to_string(&event).expect("it holds only texts and numbers");
        Self { event, text }
    }
}

/// Where events come from at present.
#[derive(Debug)]
enum EventSource {
    Disconnected,
    Daemon(Box<EventStream>),
    /// The remote is polled; the daemon is looked for again at the given time.
    Remote(Box<Poller>, Instant),
}

/// Receives events of the watched runs.
#[derive(Debug)]
pub(crate) struct EventSubscriber<'a> {
    context: &'a Context,
    keys: Vec<RunKey>,
    query: EventQuery,
    /// Whether a view is drawn on the terminal meanwhile.
    on_screen: bool,
    source: EventSource,
    /// Id of the last event of a daemon, to continue from.
    last_event_id: Option<String>,
    queue: VecDeque<ReceivedEvent>,
    next_attempt: Instant,
    failed_attempts: u32,
    /// Since when and why nothing can be received, once the user was told.
    outage: Option<ConnectionState>,
    connected_before: bool,
    /// The daemon's state may be older than what the remote itself has sent.
    daemon_is_behind: bool,
}

impl<'a> EventSubscriber<'a> {
    /// Prepares a subscription to these runs; connects with the first call of [`Self::next`].
    pub(crate) fn new(context: &'a Context, keys: Vec<RunKey>, on_screen: bool) -> Self {
        let mut query = EventQuery {
            runs: keys.iter().map(|(_, id)| id.clone()).collect(),
            ..EventQuery::default()
        };
        if keys.iter().all(|(kind, _)| *kind == ObjectKind::Evaluation) {
            query.kinds = vec![ObjectKind::Evaluation, ObjectKind::Trial];
        }
        Self {
            context,
            keys,
            query,
            on_screen,
            source: EventSource::Disconnected,
            last_event_id: None,
            queue: VecDeque::new(),
            next_attempt: Instant::now(),
            failed_attempts: 0,
            outage: None,
            connected_before: false,
            daemon_is_behind: false,
        }
    }

    /// Waits for the next event. It may be dropped while it waits; a connection attempt then
    /// starts over.
    ///
    /// # Errors
    ///
    /// Only before the first event: why there is no source of events.
    pub(crate) async fn next(&mut self, model: &Model) -> Result<ReceivedEvent, Failure> {
        loop {
            if let Some(received) = self.queue.pop_front() {
                return Ok(received);
            }
            match &mut self.source {
                EventSource::Disconnected => {
                    sleep_until(self.next_attempt).await;
                    self.connect(model).await?;
                }
                EventSource::Daemon(events) => match events.next().await {
                    Ok(Some(sent)) => {
                        self.mark_connected();
                        match &sent.event {
                            Event::Change(change) => self.last_event_id = Some(change.id.clone()),
                            Event::Ready(ready) => {
                                self.last_event_id = Some(ready.id.clone());
                                self.daemon_is_behind = false;
                            }
                            // The daemon will find out next what is known here already.
                            Event::State(state)
                                if self.daemon_is_behind && model.is_past(state) =>
                            {
                                continue;
                            }
                            _ => {}
                        }
                        let (event, text) = (sent.event, sent.text);
                        self.queue.push_back(ReceivedEvent { event, text });
                    }
                    // The daemon ended the stream: it is being replaced, or was stopped.
                    Ok(None) => self.mark_disconnected(None),
                    Err(error) => self.mark_disconnected(Some(error.to_string())),
                },
                EventSource::Remote(poller, daemon_check) => {
                    if self.connected_before && Instant::now() >= *daemon_check {
                        // A daemon may be running by now; until it answers, polling continues.
                        *daemon_check = Instant::now() + DAEMON_CHECK_INTERVAL;
                        if let Ok(Some(events)) = self.subscribe_to_daemon(false).await {
                            self.source = EventSource::Daemon(Box::new(events));
                        }
                        continue;
                    }
                    sleep_until(self.next_attempt).await;
                    match poller.poll().await {
                        Ok(events) => {
                            self.failed_attempts = 0;
                            self.next_attempt = Instant::now() + POLL_INTERVAL;
                            self.queue
                                .extend(events.into_iter().map(ReceivedEvent::new));
                            self.mark_connected();
                        }
                        Err(error) => self.poll_failed(&error)?,
                    }
                }
            }
        }
    }

    fn poll_failed(&mut self, error: &ClientError) -> Result<(), Failure> {
        if !self.connected_before {
            return Err(Failure::from_client_error(error, Answerer::Remote));
        }
        let wait = match error {
            ClientError::Refused { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        self.attempt_failed(&error.to_string());
        let earliest = Instant::now() + wait.min(LONGEST_RETRY_AFTER);
        self.next_attempt = self.next_attempt.max(earliest);
        // The token is read again next time: the user may have signed in meanwhile.
        self.source = EventSource::Disconnected;
        Ok(())
    }

    fn mark_disconnected(&mut self, reason: Option<String>) {
        self.source = EventSource::Disconnected;
        if let Some(reason) = reason {
            self.attempt_failed(&reason);
        }
        let pause = FIRST_PAUSE + Duration::from_millis(fastrand::u64(..300));
        self.next_attempt = self.next_attempt.max(Instant::now() + pause);
    }

    /// Schedules the next attempt; from the second failure on the user is told.
    fn attempt_failed(&mut self, reason: &str) {
        self.failed_attempts += 1;
        let pause = FIRST_PAUSE * 2u32.saturating_pow(self.failed_attempts.min(8));
        let jitter = Duration::from_millis(fastrand::u64(..500));
        self.next_attempt = Instant::now() + pause.min(LONGEST_PAUSE) + jitter;
        // A single broken connection is restored before the user needs to know.
        if self.outage.is_none() && self.failed_attempts > 1 {
            let state = ConnectionState {
                unreachable_since: Some(UnixMs::now().rfc3339()),
                reason: Some(reason.to_owned()),
            };
            self.outage = Some(state.clone());
            self.queue
                .push_back(ReceivedEvent::new(Event::Connection(state)));
        }
    }

    fn mark_connected(&mut self) {
        self.failed_attempts = 0;
        self.connected_before = true;
        if self.outage.take().is_some() {
            let recovered = Event::Connection(ConnectionState::default());
            self.queue.push_front(ReceivedEvent::new(recovered));
        }
    }

    async fn connect(&mut self, model: &Model) -> Result<(), Failure> {
        let first = !self.connected_before;
        match self.subscribe_to_daemon(first).await {
            Ok(Some(events)) => {
                self.source = EventSource::Daemon(Box::new(events));
                return Ok(());
            }
            Ok(None) => {}
            Err(failure) if first && !remote_may_answer(&failure) => return Err(failure),
            Err(failure) => {
                let reason = failure.message.clone();
                if self.needs_daemon() {
                    if first {
                        return Err(failure);
                    }
                    self.attempt_failed(&reason);
                    return Ok(());
                }
                if first {
                    let text = format!("{reason}; asking the remote directly");
                    self.context.output.note(text);
                }
            }
        }
        let client = match self.requester().and_then(|r| r.remote.client()) {
            Ok(client) => client,
            Err(failure) if first => return Err(failure),
            Err(failure) => {
                self.attempt_failed(&failure.message);
                return Ok(());
            }
        };
        // Polled events have no place in the order of any daemon: begin anew with the next one.
        (self.last_event_id, self.daemon_is_behind) = (None, true);
        let poller = Poller::new(client, &self.keys, model);
        let daemon_check = Instant::now() + DAEMON_CHECK_INTERVAL;
        self.source = EventSource::Remote(Box::new(poller), daemon_check);
        Ok(())
    }

    /// Reads the settings anew each time, since hours can pass between two attempts.
    fn requester(&self) -> Result<Requester<'a>, Failure> {
        Requester::new(self.context)
    }

    fn needs_daemon(&self) -> bool {
        let by_daemon_only = |r: Requester<'_>| r.remote.is_asked_by_daemon_only();
        self.requester().is_ok_and(by_daemon_only)
    }

    /// Subscribes to the daemon, starting it if need be; `None` when it is switched off.
    ///
    /// With the first connection a daemon of another protocol is replaced, and a silent daemon is
    /// waited for where nobody else can answer. Later the user is told instead.
    async fn subscribe_to_daemon(&mut self, first: bool) -> Result<Option<EventStream>, Failure> {
        let requester = self.requester()?;
        if requester.remote.disabled_by.is_some() {
            return match requester.remote.profile.target {
                // Fails, and says what to do about it.
                Target::HarborJobs { .. } | Target::HarborServer { .. } => {
                    requester.daemon().await.map(|_| None)
                }
                Target::DocksApi { .. } => Ok(None),
            };
        }
        let endpoint = &requester.remote.endpoint;
        if !first
            && let Err(error @ ClientError::Protocol { .. }) =
                endpoint.is_alive(WaitPolicy::Limited).await
        {
            // Another release took over meanwhile: it must not be stopped from here.
            return Err(Failure::from_client_error(&error, Answerer::Daemon));
        }
        let policy = match first && requester.remote.is_asked_by_daemon_only() {
            true if self.on_screen => WaitPolicy::WhileAlive { notice: None },
            true => WaitPolicy::while_alive(&self.context.output),
            false => WaitPolicy::Limited,
        };
        loop {
            let client = requester.daemon_within(policy).await?;
            let events = client.events(&self.query, self.last_event_id.as_deref());
            match (events.await, policy) {
                (Ok(events), _) => return Ok(Some(events)),
                (
                    Err(ClientError::Send(SendError::Timeout { .. })),
                    WaitPolicy::WhileAlive { .. },
                ) => {}
                (Err(error), _) => {
                    return Err(Failure::from_client_error(&error, Answerer::Daemon));
                }
            }
        }
    }
}

/// Returns whether the remote may know what the daemon could not answer.
fn remote_may_answer(failure: &Failure) -> bool {
    !matches!(
        failure.kind,
        Kind::NotFound | Kind::Ambiguous | Kind::Usage | Kind::Auth
    )
}
