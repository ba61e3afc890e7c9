//! News: which jobs are other than what was last handed out, found by looking where events point.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use docks_proto::time::UnixMs;
use tokio::time::Instant;

use crate::disk::cached_file::is_gone;
use crate::follow::{Followers, Inbox, Part};
use crate::published_jobs::Tellings;
use crate::snapshot::job_snapshot::Depth;
use crate::snapshot::jobs_directory::Root;
use crate::snapshot::scan::Index;
use crate::state::{State, unwritable};
use crate::{HarborJobs, hash, page_of, validator_of};
use docksd_remote::{Changes, CompleteRun, RemoteError};

/// Shortest time between an event and the look: Harbor truncates, writes and closes, and several
/// files change together.
const LEAST_WAIT: Duration = Duration::from_millis(20);
/// Longest time that changes are gathered.
const MOST_WAIT: Duration = Duration::from_millis(150);
/// Share of the time that looks may take while a directory changes all the time: one in this many.
const SHARE: u32 = 5;
/// Jobs that are handed out together, at most.
const MOST_JOBS: usize = 16;
/// When a job that changed under the look is looked at again: its files are not young any more.
const AGAIN: Duration = Duration::from_millis(120);
/// How often every trial of finished jobs is looked at, too.
const THOROUGH: Duration = Duration::from_secs(300);

/// What was handed out, and how changes are learned.
#[derive(Debug)]
pub(crate) struct Live {
    inbox: Arc<Inbox>,
    followers: Option<Followers>,
    /// What was handed out of each job: the version it rests on, and a hash of it.
    handed: BTreeMap<PathBuf, (u64, u64)>,
    looked_at_all: bool,
    thorough_at: Option<UnixMs>,
    ids: BTreeMap<String, PathBuf>,
    gone: BTreeMap<String, PathBuf>,
}

impl Live {
    /// Starts without following.
    pub(crate) fn new(inbox: Arc<Inbox>) -> Self {
        Self {
            inbox,
            followers: None,
            handed: BTreeMap::new(),
            looked_at_all: false,
            thorough_at: None,
            ids: BTreeMap::new(),
            gone: BTreeMap::new(),
        }
    }

    /// Returns how thorough the next look at everything is to be.
    pub(crate) fn depth(&mut self, now: UnixMs) -> Depth {
        match self.thorough_at {
            Some(at) if now.since(at) < THOROUGH => Depth::Settled,
            _ => {
                self.thorough_at = Some(now);
                Depth::Every
            }
        }
    }

    /// Has everything looked at soon.
    pub(crate) fn look_again(&self) {
        self.inbox.put_all();
    }

    /// Takes that everything was looked at.
    pub(crate) fn looked_at_all(&mut self, index: &Index, tellings: &Tellings) {
        if let Some(followers) = &mut self.followers {
            followers.retain(|folder| index.jobs.contains_key(folder));
            followers.start(index);
        }
        self.looked_at(index, index.jobs.keys());
        if !std::mem::replace(&mut self.looked_at_all, true) {
            // Whoever looked first stores what it got; news is what differs from then on.
            for (folder, told) in tellings.all() {
                self.handed
                    .entry(folder.clone())
                    .or_insert((told.version, 0));
            }
        }
    }

    /// Takes that some jobs were looked at.
    pub(crate) fn looked_at<'a>(
        &mut self,
        index: &Index,
        names: impl Iterator<Item = &'a PathBuf>,
    ) {
        if let Some(followers) = &mut self.followers {
            followers.keep(index, names);
        }
    }

    /// Takes what is told now; wakes who waits for news when it differs from what was handed out.
    pub(crate) fn told(&mut self, tellings: &Tellings) {
        let current = tellings.all();
        let ids: BTreeMap<String, PathBuf> = current
            .iter()
            .map(|(folder, told)| (told.id.clone(), folder.clone()))
            .collect();
        for (id, folder) in std::mem::replace(&mut self.ids, ids) {
            if !self.ids.contains_key(&id) {
                self.gone.insert(id, folder);
            }
        }
        self.gone.retain(|id, _| !self.ids.contains_key(id));
        self.handed.retain(|folder, _| current.contains_key(folder));
        let differs = || {
            current
                .iter()
                .any(|(folder, told)| self.differs(folder, told.version))
        };
        if !self.gone.is_empty() || (self.looked_at_all && differs()) {
            self.inbox.put_told();
        }
    }

    fn differs(&self, folder: &PathBuf, version: u64) -> bool {
        self.handed
            .get(folder)
            .is_none_or(|(handed, _)| *handed != version)
    }
}

impl State {
    /// Begins to follow what is there; the rest once a look finds it.
    fn follow(&mut self) {
        for root in &mut self.index.roots {
            root.find().ok();
        }
        let inbox = Arc::clone(&self.live.inbox);
        let followers = self
            .live
            .followers
            .get_or_insert_with(|| Followers::new(inbox));
        followers.start(&self.index);
    }

    /// Looks where events point, and returns what differs from what was handed out.
    pub(crate) fn news(&mut self, now: UnixMs) -> Result<Changes, RemoteError> {
        let mut dirt = self.live.inbox.take();
        for unsure in &self.index.unsure {
            dirt.jobs.insert(unsure.clone(), Part::Whole);
        }
        if dirt.everything || !self.index.roots.iter().all(Root::is_as_before) {
            let looked = self.look(now, Depth::Every);
            if !self.index.roots.iter().any(Root::is_there) {
                looked?;
            }
        } else {
            self.steadily(|index| index.look_at_parts(&dirt.jobs, now))?;
            self.tell(now)?;
            self.live.looked_at(&self.index, dirt.jobs.keys());
        }
        self.wake_in_time(now);
        let mut news = Changes {
            runs: Vec::new(),
            gone: self.proved_gone(),
        };
        let differing: Vec<PathBuf> = self
            .tellings
            .all()
            .iter()
            .filter(|(folder, told)| self.live.differs(folder, told.version))
            .map(|(folder, _)| folder.clone())
            .collect();
        if differing.len() > MOST_JOBS {
            self.live.inbox.put_told();
        }
        for folder in differing.into_iter().take(MOST_JOBS) {
            news.runs.extend(self.hand_out(&folder)?);
        }
        Ok(news)
    }

    /// Returns a job as it is told, unless only its version is new.
    fn hand_out(&mut self, folder: &PathBuf) -> Result<Option<CompleteRun>, RemoteError> {
        let trials = self
            .tellings
            .trials(&self.index, folder)
            .map_err(unwritable)?;
        let (trials, trials_hash) = match trials {
            Some(trials) => (trials.to_vec(), page_hash(trials)),
            None => return Ok(None),
        };
        let Some(told) = self.tellings.all().get(folder) else {
            return Ok(None);
        };
        let [run, evaluation] = docks_proto::routes::RunKind::ALL.map(|kind| told.object(kind));
        let texts = [run.text(), evaluation.text()].map(str::as_bytes);
        let whole = hash([texts[0], texts[1], &trials_hash.to_le_bytes()].into_iter());
        let before = self
            .live
            .handed
            .insert(folder.clone(), (told.version, whole));
        let whole = before
            .is_none_or(|(_, before)| before != whole)
            .then(|| CompleteRun {
                id: told.id.clone(),
                run: run.clone(),
                evaluation: evaluation.clone(),
                validator: validator_of(trials_hash),
                trials: page_of(trials),
            });
        Ok(whole)
    }

    /// Returns the ids that no job has any more. A folder that is there after all is looked at first.
    fn proved_gone(&mut self) -> Vec<String> {
        let mut proved = Vec::new();
        let index = &self.index;
        let inbox = &self.live.inbox;
        self.live.gone.retain(|id, folder| {
            let gone = || index.would_show(folder) && is_gone(folder);
            if index.jobs.contains_key(folder) || gone() {
                proved.push(id.clone());
                return false;
            }
            inbox.put(folder, Part::Whole);
            true
        });
        proved
    }

    /// Sees to it that jobs that are too young to be told are told in time, and that those which
    /// changed under the look are looked at again.
    fn wake_in_time(&self, now: UnixMs) {
        let left = self.index.jobs.values().filter(|job| job.is_job());
        let left = left.filter_map(|job| job.settles_in(now)).min();
        let again = (!self.index.unsure.is_empty()).then_some(AGAIN);
        self.live.inbox.wake_in(left.into_iter().chain(again).min());
    }
}

/// Returns the hash that stands for a list of trials.
fn page_hash(objects: &[docks_proto::object::RawObject]) -> u64 {
    hash(objects.iter().map(|object| object.text().as_bytes()))
}

impl HarborJobs {
    /// Waits until there is something to look at and it is time to.
    pub(crate) async fn wait_for_news(&self) {
        let done = Instant::now();
        if self.pace.begin(done) {
            let following = self.looking(|state, _| {
                state.follow();
                Ok(())
            });
            following.await.ok();
        }
        self.inbox.filled().await;
        tokio::time::sleep(self.pace.wait(done, Instant::now())).await;
        self.pace.handed_over(Instant::now());
    }
}

/// Spreads looks out, so that a directory that changes all the time does not cost a whole core.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<Beat>);

#[derive(Debug, Default)]
struct Beat {
    begun: bool,
    handed_over: Option<Instant>,
    cost: Duration,
}

impl Pace {
    fn beat(&self) -> std::sync::MutexGuard<'_, Beat> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes that the last news was dealt with; tells whether there was none before.
    fn begin(&self, now: Instant) -> bool {
        let mut beat = self.beat();
        if let Some(at) = beat.handed_over.take() {
            beat.cost = now.saturating_duration_since(at);
        }
        !std::mem::replace(&mut beat.begun, true)
    }

    fn wait(&self, done: Instant, now: Instant) -> Duration {
        let rest = (self.beat().cost * (SHARE - 1)).min(MOST_WAIT);
        rest.saturating_sub(now.saturating_duration_since(done))
            .max(LEAST_WAIT)
    }

    fn handed_over(&self, now: Instant) {
        self.beat().handed_over = Some(now);
    }
}
