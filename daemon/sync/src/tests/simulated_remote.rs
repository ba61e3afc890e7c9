//! A remote in memory, with all habits and faults that remotes are known to have.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use docks_proto::client::SendError;
use docks_proto::error::RemoteErrorBody;
use docks_proto::object::RawObject;
use docks_proto::routes::{Action, RunKind};

use super::remote_habits::{Fault, Habits, Order, Run};
use super::versions::Versions;
use crate::clock::Clock;
use crate::clock::manual::ManualClock;
use docksd_remote::{Fetched, Page, PageRequest, Remote, RemoteError, RemoteProperties, Validator};

pub(super) struct World {
    pub(super) habits: Habits,
    pub(super) fault: Fault,
    /// Oldest first.
    pub(super) runs: [Vec<Run>; 2],
    pub(super) before: [Vec<Run>; 2],
    /// Numbers of the runs that lists do not show.
    pub(super) unlisted: std::ops::Range<u64>,
    /// Requests that always fail.
    pub(super) broken: std::collections::HashSet<String>,
    pub(super) log: Vec<(Duration, String)>,
    pub(super) flaky: fastrand::Rng,
    pub(super) clock: Arc<ManualClock>,
    /// What it had at which time, for tests that judge answers by it.
    pub(super) versions: Option<Versions>,
}

pub(super) struct Simulated(pub(super) Arc<Mutex<World>>);

fn kind_index(kind: RunKind) -> usize {
    usize::from(kind == RunKind::Evaluation)
}

fn status(status: u16, retry_after: Option<Duration>) -> RemoteError {
    RemoteError::Status {
        status,
        body: Box::new(RemoteErrorBody::default()),
        retry_after,
    }
}

fn truncated() -> RemoteError {
    RemoteError::InvalidResponse {
        why: "it is truncated".to_owned(),
    }
}

fn objects(texts: impl Iterator<Item = String>) -> Vec<RawObject> {
    texts
        .map(|text| RawObject::parse(&text).unwrap().unwrap())
        .collect()
}

impl World {
    pub(super) fn new(habits: Habits, clock: Arc<ManualClock>, seed: u64) -> Self {
        Self {
            habits,
            fault: Fault::None,
            runs: [Vec::new(), Vec::new()],
            before: [Vec::new(), Vec::new()],
            unlisted: 0..0,
            broken: std::collections::HashSet::new(),
            log: Vec::new(),
            flaky: fastrand::Rng::with_seed(seed),
            clock,
            versions: None,
        }
    }

    fn record(&mut self, what: String) -> Result<(), RemoteError> {
        self.log.push((self.clock.monotonic(), what));
        let broken = self
            .log
            .last()
            .is_some_and(|(_, what)| self.broken.contains(what));
        match self.fault {
            _ if broken => Err(status(500, None)),
            Fault::Outage => Err(truncated()),
            Fault::Error500 => Err(status(500, None)),
            Fault::RateLimited(after) => Err(status(429, after.map(Duration::from_secs))),
            Fault::Refused401 => Err(status(401, None)),
            Fault::Flaky if self.flaky.u8(..4) == 0 => Err(truncated()),
            _ => Ok(()),
        }
    }

    /// Remembers what it has now.
    pub(super) fn record_versions(&mut self) {
        let real = self.clock.real();
        if let Some(versions) = &mut self.versions {
            versions.record(&self.runs, real);
            if self.fault.lies() {
                versions.record_lie(real);
            }
        }
    }

    fn served(&self, kind: RunKind) -> &[Run] {
        match self.fault {
            Fault::Lag => &self.before[kind_index(kind)],
            _ => &self.runs[kind_index(kind)],
        }
    }

    fn find(&self, kind: RunKind, id: &str) -> Result<Run, RemoteError> {
        let found = self.served(kind).iter().find(|run| run.id == id);
        found.cloned().ok_or_else(|| status(404, None))
    }

    fn list(&self, kind: RunKind, request: &PageRequest) -> Result<Page, RemoteError> {
        if self
            .habits
            .refuses_above
            .is_some_and(|n| request.limit.is_none_or(|limit| limit > n))
        {
            let too_large = SendError::TooLarge {
                to: "remote".to_owned(),
                limit_bytes: 64 << 20,
            };
            return Err(match self.habits.sends_too_much {
                true => RemoteError::Send(too_large),
                false => status(422, None),
            });
        }
        if self.fault == Fault::Empty {
            return Ok(Page::default());
        }
        let is_listed = |run: &&Run| !self.unlisted.contains(&run.made);
        let mut runs: Vec<&Run> = self.served(kind).iter().filter(is_listed).collect();
        match self.habits.order {
            Order::Oldest => {}
            Order::Newest => runs.reverse(),
            Order::Scattered => runs.sort_by_key(|run| run.scatter()),
        }
        let key = |run: &&Run| self.habits.order.key(run).to_string();
        let limit = self
            .habits
            .cap
            .unwrap_or(usize::MAX)
            .min(request.limit.map_or(usize::MAX, |limit| limit as usize));
        let from = match &request.cursor {
            // Whatever is deleted meanwhile, a cursor goes on after the same row.
            Some(cursor) => {
                let last: i64 = cursor.parse().unwrap();
                runs.partition_point(|run| self.habits.order.key(run) <= last)
            }
            None if self.habits.offset => usize::try_from(request.offset).unwrap(),
            None => 0,
        };
        let page: Vec<&Run> = runs.iter().skip(from).take(limit).copied().collect();
        let next = from + page.len();
        Ok(Page {
            next_cursor: (page
                .last()
                .filter(|_| self.habits.cursor && next < runs.len()))
            .map(key),
            total: self.habits.counts.then_some(runs.len() as u64),
            objects: objects(page.into_iter().map(Run::text)),
            ..Page::default()
        })
    }

    fn with_validator<T>(&self, value: T, text: &str, validator: Option<&Validator>) -> Fetched<T> {
        if !self.habits.etag {
            return Fetched::New {
                value,
                validator: None,
            };
        }
        let tag = Validator(format!("{:x}", hash(text)));
        if validator == Some(&tag) {
            return Fetched::NotModified;
        }
        Fetched::New {
            value,
            validator: Some(tag),
        }
    }
}

fn hash(text: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[async_trait]
impl Remote for Simulated {
    fn properties(&self) -> RemoteProperties {
        let files = self.0.lock().unwrap().habits.files;
        RemoteProperties {
            kind: if files { "harbor_jobs" } else { "docks_api" },
            metered: !files,
            whole_lists: files,
        }
    }

    async fn list(
        &self,
        kind: RunKind,
        page: &PageRequest,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Page>, RemoteError> {
        let mut world = self.0.lock().unwrap();
        world.record(format!("list {} {page:?}", kind.name()))?;
        let answer = world.list(kind, page)?;
        let text: String = answer.objects.iter().map(RawObject::text).collect();
        Ok(world.with_validator(answer, &text, validator))
    }

    async fn run(
        &self,
        kind: RunKind,
        id: &str,
        validator: Option<&Validator>,
    ) -> Result<Fetched<RawObject>, RemoteError> {
        let mut world = self.0.lock().unwrap();
        world.record(format!("run {id}"))?;
        let text = world.find(kind, id)?.text();
        let object = RawObject::parse(&text).unwrap().unwrap();
        Ok(world.with_validator(object, &text, validator))
    }

    async fn trials(
        &self,
        run: &str,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Page>, RemoteError> {
        let mut world = self.0.lock().unwrap();
        world.record(format!("trials {run}"))?;
        let texts = world.find(RunKind::Evaluation, run)?.trial_texts();
        let page = Page {
            objects: objects(texts.clone().into_iter()),
            ..Page::default()
        };
        Ok(world.with_validator(page, &texts.concat(), validator))
    }

    async fn trial(&self, run: &str, trial: &str) -> Result<RawObject, RemoteError> {
        let mut world = self.0.lock().unwrap();
        world.record(format!("trial {trial}"))?;
        let texts = world.find(RunKind::Evaluation, run)?.trial_texts();
        let named = format!("\"id\":\"{trial}\"");
        let found = texts.into_iter().find(|text| text.contains(&named));
        let text = found.ok_or_else(|| status(404, None))?;
        Ok(RawObject::parse(&text).unwrap().unwrap())
    }

    async fn act(&self, action: Action, id: &str) -> Result<RawObject, RemoteError> {
        let mut world = self.0.lock().unwrap();
        world.record(format!("{} {id}", action.segment()))?;
        let runs = &mut world.runs[kind_index(action.kind())];
        let found = runs.iter_mut().find(|run| run.id == id);
        let run = found.ok_or_else(|| status(404, None))?;
        run.status = if action == Action::Start {
            "running"
        } else {
            "cancelled"
        };
        run.version += 1;
        Ok(RawObject::parse(&run.text()).unwrap().unwrap())
    }
}
