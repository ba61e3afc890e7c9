//! Hears what changes, through whatever happens to those who tell it.
//!
//! The daemon tells; when its answer ends or breaks it is asked again, from where it was,
//! and started if there is none. Where no daemon can be had the remote is polled.

use std::collections::VecDeque;
use std::time::Duration;

use docks_proto::client::{ClientError, EventStream};
use docks_proto::event::{ConnectionState, Event, EventQuery, ObjectKind};
use docks_proto::settings::Target;
use docks_proto::time::UnixMs;
use tokio::time::{Instant, sleep_until};

use super::model::{Model, RunKey};
use super::poll::{PACE, Poller};
use crate::ask::Ladder;
use crate::context::Context;
use crate::environment::Environment;
use crate::failure::{Answerer, Failure, Kind};

/// Runs that can be named to the daemon in one request.
pub(crate) const MOST_RUNS: usize = 1_000;
/// Pause before a daemon that went is asked again: it may be about to be replaced.
const FIRST_PAUSE: Duration = Duration::from_millis(300);
/// Longest pause between two tries.
const MOST_PAUSE: Duration = Duration::from_secs(15);
/// Longest pause that a remote is granted; its own words may be of ten years.
const MOST_QUIET: Duration = Duration::from_secs(600);
/// How long the remote is polled before a daemon is looked for again.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Something that was heard.
#[derive(Debug)]
pub(crate) struct Heard {
    /// What.
    pub(crate) event: Event,
    /// Its JSON.
    pub(crate) text: String,
}

impl Heard {
    fn of(event: Event) -> Self {
        let text = serde_json::to_string(&event).expect("it holds only texts and numbers");
        Self { event, text }
    }
}

#[derive(Debug)]
enum Way {
    None,
    Daemon(Box<EventStream>),
    Remote(Box<Poller>, Instant),
}

/// Listens.
#[derive(Debug)]
pub(crate) struct Ear<'a> {
    context: &'a Context,
    keys: Vec<RunKey>,
    wanted: EventQuery,
    way: Way,
    /// Id of the last event of a daemon, to go on from.
    place: Option<String>,
    heard: VecDeque<Heard>,
    next_try: Instant,
    tries: u32,
    blind: Option<ConnectionState>,
    connected_before: bool,
    /// A daemon begins to tell what may be older than what the remote itself told us.
    behind: bool,
}

impl<'a> Ear<'a> {
    /// Listens for these runs.
    pub(crate) fn new(context: &'a Context, keys: Vec<RunKey>) -> Self {
        let mut wanted = EventQuery {
            runs: keys.iter().map(|(_, id)| id.clone()).collect(),
            ..EventQuery::default()
        };
        if keys.iter().all(|(kind, _)| *kind == ObjectKind::Evaluation) {
            wanted.kinds = vec![ObjectKind::Evaluation, ObjectKind::Trial];
        }
        Self {
            context,
            keys,
            wanted,
            way: Way::None,
            place: None,
            heard: VecDeque::new(),
            next_try: Instant::now(),
            tries: 0,
            blind: None,
            connected_before: false,
            behind: false,
        }
    }

    /// Waits for the next event; may be dropped while it waits, except that connecting begins anew.
    ///
    /// # Errors
    ///
    /// Only before anything was heard: why nobody can be listened to.
    pub(crate) async fn next(&mut self, model: &Model) -> Result<Heard, Failure> {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return Ok(heard);
            }
            match &mut self.way {
                Way::None => {
                    sleep_until(self.next_try).await;
                    self.connect(model).await?;
                }
                Way::Daemon(events) => match events.next().await {
                    Ok(Some(told)) => {
                        self.sees();
                        match &told.event {
                            Event::Change(change) => self.place = Some(change.id.clone()),
                            Event::Ready(ready) => {
                                self.place = Some(ready.id.clone());
                                self.behind = false;
                            }
                            // What it finds out next is what we know already.
                            Event::State(state) if self.behind && model.is_past(state) => continue,
                            _ => {}
                        }
                        let (event, text) = (told.event, told.text);
                        self.heard.push_back(Heard { event, text });
                    }
                    // It ended well: it is about to be replaced, or somebody stopped it.
                    Ok(None) => self.lost(None),
                    Err(error) => self.lost(Some(error.to_string())),
                },
                Way::Remote(poller, until) => {
                    if self.connected_before && Instant::now() >= *until {
                        // A daemon may have come; until it answers, the poller goes on.
                        *until = Instant::now() + LOOK_AGAIN;
                        if let Ok(Some(events)) = self.daemon(false).await {
                            self.way = Way::Daemon(Box::new(events));
                            continue;
                        }
                        continue;
                    }
                    sleep_until(self.next_try).await;
                    match poller.step().await {
                        Ok(events) => {
                            self.tries = 0;
                            self.next_try = Instant::now() + PACE;
                            self.heard.extend(events.into_iter().map(Heard::of));
                            self.sees();
                        }
                        Err(error) => self.refused(&error)?,
                    }
                }
            }
        }
    }

    /// The remote gave no answer to us.
    fn refused(&mut self, error: &ClientError) -> Result<(), Failure> {
        if !self.connected_before {
            return Err(Failure::of_client(error, Answerer::Remote));
        }
        let wait = match error {
            ClientError::Refused { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        self.cannot(&error.to_string());
        self.next_try = self.next_try.max(Instant::now() + wait.min(MOST_QUIET));
        // The token is read again: its owner may have signed in meanwhile.
        self.way = Way::None;
        Ok(())
    }

    fn lost(&mut self, why: Option<String>) {
        self.way = Way::None;
        if let Some(why) = why {
            self.cannot(&why);
        }
        let pause = FIRST_PAUSE + Duration::from_millis(fastrand::u64(..300));
        self.next_try = self.next_try.max(Instant::now() + pause);
    }

    /// Notes that nothing can be heard at present, and when to try again.
    fn cannot(&mut self, why: &str) {
        self.tries += 1;
        let pause = FIRST_PAUSE * 2u32.saturating_pow(self.tries.min(8));
        let jitter = Duration::from_millis(fastrand::u64(..500));
        self.next_try = Instant::now() + pause.min(MOST_PAUSE) + jitter;
        // One broken connection is mended before anybody needs to know.
        if self.blind.is_none() && self.tries > 1 {
            let source = ConnectionState {
                unreachable_since: Some(UnixMs::now().rfc3339()),
                reason: Some(why.to_owned()),
            };
            self.blind = Some(source.clone());
            self.heard.push_back(Heard::of(Event::Connection(source)));
        }
    }

    fn sees(&mut self) {
        self.tries = 0;
        self.connected_before = true;
        if self.blind.take().is_some() {
            let source = Event::Connection(ConnectionState::default());
            self.heard.push_front(Heard::of(source));
        }
    }

    async fn connect(&mut self, model: &Model) -> Result<(), Failure> {
        let first = !self.connected_before;
        match self.daemon(first).await {
            Ok(Some(events)) => {
                self.way = Way::Daemon(Box::new(events));
                return Ok(());
            }
            Ok(None) => {}
            Err(failure) if first && !without_daemon(&failure) => return Err(failure),
            Err(failure) => {
                let why = failure.message.clone();
                if self.only_daemon() {
                    if first {
                        return Err(failure);
                    }
                    self.cannot(&why);
                    return Ok(());
                }
                if first {
                    let text = format!("{why}; asking the remote itself");
                    self.context.output.note(text);
                }
            }
        }
        let client = match self.ladder().and_then(|ladder| ladder.remote()) {
            Ok(client) => client,
            Err(failure) if first => return Err(failure),
            Err(failure) => {
                self.cannot(&failure.message);
                return Ok(());
            }
        };
        // What was heard meanwhile is not in any daemon's order: begin anew there.
        (self.place, self.behind) = (None, true);
        let poller = Poller::new(client, &self.keys, model);
        let until = Instant::now() + LOOK_AGAIN;
        self.way = Way::Remote(Box::new(poller), until);
        Ok(())
    }

    /// Settings are read anew each time, since hours lie between.
    fn ladder(&self) -> Result<Ladder, Failure> {
        Ladder::new(&self.context.global, Environment::of_process())
    }

    fn only_daemon(&self) -> bool {
        let target = self.ladder().map(|ladder| ladder.profile.target);
        matches!(target, Ok(Target::HarborJobs { .. }))
    }

    /// Asks the daemon, starting it if need be; `None` when it is switched off.
    async fn daemon(&mut self, replace: bool) -> Result<Option<EventStream>, Failure> {
        let ladder = self.ladder()?;
        if ladder.disabled().is_some() {
            return match ladder.profile.target {
                // Says what to do about it.
                Target::HarborJobs { .. } => ladder.daemon().await.map(|_| None),
                Target::DocksApi { .. } => Ok(None),
            };
        }
        if !replace && let Err(error @ ClientError::Protocol { .. }) = ladder.door.status().await {
            // Another release took over while we watched: it is not ours to end.
            return Err(Failure::of_client(&error, Answerer::Daemon));
        }
        let client = ladder.daemon().await?;
        let events = client.events(&self.wanted, self.place.as_deref()).await;
        let events = events.map_err(|error| Failure::of_client(&error, Answerer::Daemon))?;
        Ok(Some(events))
    }
}

/// Tells whether the remote may know what the daemon could not say.
fn without_daemon(failure: &Failure) -> bool {
    !matches!(
        failure.kind,
        Kind::NotFound | Kind::Ambiguous | Kind::Usage | Kind::Auth
    )
}
