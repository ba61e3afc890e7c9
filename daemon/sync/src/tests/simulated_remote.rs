//! A remote in memory that can be served, and broken, in every way that is known.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use docks_proto::error::RemoteErrorBody;
use docks_proto::object::RawObject;
use docks_proto::routes::{Action, RunKind};

use crate::clock::Clock;
use crate::clock::manual::ManualClock;
use docksd_remote::{Fetched, Page, PageRequest, Remote, RemoteError, RemoteProperties, Validator};

/// How the server serves lists.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mode {
    pub(super) offset: bool,
    pub(super) cap: Option<usize>,
    pub(super) refuses_above: Option<u32>,
    pub(super) cursor: bool,
    pub(super) order: Order,
    pub(super) etag: bool,
    /// A directory instead of a server: always whole, and free of charge.
    pub(super) files: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Newest,
    Oldest,
    Scattered,
}

impl Mode {
    pub(super) const PLAIN: Mode = Mode {
        offset: true,
        cap: None,
        refuses_above: None,
        cursor: false,
        order: Order::Newest,
        etag: false,
        files: false,
    };

    pub(super) const FILES: Mode = Mode {
        files: true,
        ..Mode::PLAIN
    };

    /// Every mode in which the whole list can be had at all.
    pub(super) fn all() -> Vec<Mode> {
        let mut modes = Vec::new();
        for order in [Order::Newest, Order::Oldest, Order::Scattered] {
            for etag in [false, true] {
                let plain = Mode {
                    order,
                    etag,
                    ..Mode::PLAIN
                };
                modes.extend([
                    plain,
                    Mode {
                        offset: false,
                        ..plain
                    },
                    Mode {
                        cap: Some(7),
                        ..plain
                    },
                    Mode {
                        refuses_above: Some(20),
                        ..plain
                    },
                    Mode {
                        cursor: true,
                        offset: false,
                        cap: Some(9),
                        ..plain
                    },
                ]);
            }
        }
        modes.push(Mode::FILES);
        modes
    }
}

/// What is wrong with the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    Outage,
    Error500,
    RateLimited(Option<u64>),
    Refused401,
    Empty,
    Lag,
    Flaky,
}

#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) status: &'static str,
    pub(super) made: u64,
    pub(super) version: u64,
    pub(super) trials: BTreeMap<String, (&'static str, u64)>,
}

impl Run {
    pub(super) fn text(&self) -> String {
        let made = docks_proto::time::UnixMs(1_764_000_000_000 + 1_000 * self.made as i64);
        let changed = made.plus(Duration::from_secs(self.version));
        format!(
            r#"{{"id":"{}","status":"{}","created_at":"{}","updated_at":"{}","version":{}}}"#,
            self.id,
            self.status,
            made.rfc3339(),
            changed.rfc3339(),
            self.version
        )
    }

    pub(super) fn trial_texts(&self) -> Vec<String> {
        let trial = |(id, (status, version)): (&String, &(&str, u64))| {
            format!(r#"{{"id":"{id}","status":"{status}","version":{version}}}"#)
        };
        self.trials.iter().map(trial).collect()
    }

    fn scatter(&self) -> u64 {
        self.made.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7
    }
}

pub(super) struct World {
    pub(super) mode: Mode,
    pub(super) fault: Fault,
    /// Oldest first.
    pub(super) runs: [Vec<Run>; 2],
    pub(super) before: [Vec<Run>; 2],
    /// Requests that always fail.
    pub(super) broken: std::collections::HashSet<String>,
    pub(super) log: Vec<(Duration, String)>,
    pub(super) flaky: fastrand::Rng,
    pub(super) clock: Arc<ManualClock>,
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

fn cut() -> RemoteError {
    RemoteError::InvalidResponse {
        why: "it is cut off".to_owned(),
    }
}

fn objects(texts: impl Iterator<Item = String>) -> Vec<RawObject> {
    texts
        .map(|text| RawObject::parse(&text).unwrap().unwrap())
        .collect()
}

impl World {
    fn enter(&mut self, what: String) -> Result<(), RemoteError> {
        self.log.push((self.clock.monotonic(), what));
        let broken = self
            .log
            .last()
            .is_some_and(|(_, what)| self.broken.contains(what));
        match self.fault {
            _ if broken => Err(status(500, None)),
            Fault::Outage => Err(cut()),
            Fault::Error500 => Err(status(500, None)),
            Fault::RateLimited(after) => Err(status(429, after.map(Duration::from_secs))),
            Fault::Refused401 => Err(status(401, None)),
            Fault::Flaky if self.flaky.u8(..4) == 0 => Err(cut()),
            _ => Ok(()),
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
            .mode
            .refuses_above
            .is_some_and(|n| request.limit.is_none_or(|limit| limit > n))
        {
            return Err(status(422, None));
        }
        if self.fault == Fault::Empty {
            return Ok(Page::default());
        }
        let mut runs: Vec<&Run> = self.served(kind).iter().collect();
        match self.mode.order {
            Order::Oldest => {}
            Order::Newest => runs.reverse(),
            Order::Scattered => runs.sort_by_key(|run| run.scatter()),
        }
        let limit = self
            .mode
            .cap
            .unwrap_or(usize::MAX)
            .min(request.limit.map_or(usize::MAX, |limit| limit as usize));
        let from = match &request.cursor {
            Some(cursor) => cursor.parse().unwrap(),
            None if self.mode.offset => usize::try_from(request.offset).unwrap(),
            None => 0,
        };
        let page: Vec<&Run> = runs.iter().skip(from).take(limit).copied().collect();
        let next = from + page.len();
        Ok(Page {
            next_cursor: (self.mode.cursor && next < runs.len()).then(|| next.to_string()),
            objects: objects(page.into_iter().map(Run::text)),
            ..Page::default()
        })
    }

    fn tagged<T>(&self, value: T, text: &str, validator: Option<&Validator>) -> Fetched<T> {
        if !self.mode.etag {
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
        let files = self.0.lock().unwrap().mode.files;
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
        world.enter(format!("list {} {page:?}", kind.name()))?;
        let answer = world.list(kind, page)?;
        let text: String = answer.objects.iter().map(RawObject::text).collect();
        Ok(world.tagged(answer, &text, validator))
    }

    async fn run(
        &self,
        kind: RunKind,
        id: &str,
        validator: Option<&Validator>,
    ) -> Result<Fetched<RawObject>, RemoteError> {
        let mut world = self.0.lock().unwrap();
        world.enter(format!("run {id}"))?;
        let text = world.find(kind, id)?.text();
        let object = RawObject::parse(&text).unwrap().unwrap();
        Ok(world.tagged(object, &text, validator))
    }

    async fn trials(
        &self,
        run: &str,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Page>, RemoteError> {
        let mut world = self.0.lock().unwrap();
        world.enter(format!("trials {run}"))?;
        let texts = world.find(RunKind::Evaluation, run)?.trial_texts();
        let page = Page {
            objects: objects(texts.clone().into_iter()),
            ..Page::default()
        };
        Ok(world.tagged(page, &texts.concat(), validator))
    }

    async fn trial(&self, run: &str, trial: &str) -> Result<RawObject, RemoteError> {
        let mut world = self.0.lock().unwrap();
        world.enter(format!("trial {trial}"))?;
        let texts = world.find(RunKind::Evaluation, run)?.trial_texts();
        let named = format!("\"id\":\"{trial}\"");
        let found = texts.into_iter().find(|text| text.contains(&named));
        let text = found.ok_or_else(|| status(404, None))?;
        Ok(RawObject::parse(&text).unwrap().unwrap())
    }

    async fn act(&self, action: Action, id: &str) -> Result<RawObject, RemoteError> {
        let mut world = self.0.lock().unwrap();
        world.enter(format!("{} {id}", action.segment()))?;
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
