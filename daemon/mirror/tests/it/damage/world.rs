//! What the remote holds, and a mirror of it to damage.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use docks_proto::object::RawObject;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docksd_mirror::{
    AgeOfTrials, Confirmation, Mirror, MirrorError, Provenance, Resource, RunBatch, StatusEvent,
};

use crate::support::{everything, object};

/// The remote that all mirrors here are of.
pub(super) const IDENTITY: &str = "https://api.example/tenants/t";

/// Runs of each kind.
const RUNS: usize = 40;
const TRIALS: usize = 6;

/// The run that is gone from the remote.
const GONE: &str = "run-3";

/// What the remote holds, and all that it ever held.
#[derive(Default)]
pub(super) struct World {
    /// Texts of the runs of each kind, by id.
    runs: BTreeMap<(&'static str, String), String>,
    trials: BTreeMap<String, Vec<String>>,
    ever: HashSet<String>,
    /// Events that were recorded.
    pub(super) events: Vec<StatusEvent>,
}

impl World {
    /// Sets everything to its state after `round` changes; the runs end one after the other.
    pub(super) fn change(&mut self, round: usize) {
        for n in 0..RUNS {
            let ended = n % 4 < round;
            let status = if ended { "completed" } else { "running" };
            let id = format!("run-{n}");
            for kind in RunKind::ALL {
                let text = format!(
                    r#"{{"id":"{id}","name":"nightly {n}","status":"{status}","created_at":"2026-01-{:02}T00:00:00Z","notes":"{}","kind":"{}"}}"#,
                    1 + n % 28,
                    "long ".repeat(n * 20),
                    kind.name(),
                );
                self.ever.insert(text.clone());
                self.runs.insert((kind.name(), id.clone()), text);
            }
            let trials = (0..TRIALS).map(|t| {
                let status = if ended { "passed" } else { "running" };
                format!(
                    r#"{{"id":"{id}-trial-{t}","evaluation_run_id":"{id}","status":"{status}","task_slug":"task-{t}","agent_variant":"agent-{}","reward":{}}}"#,
                    n % 3,
                    usize::from(ended),
                )
            });
            let trials: Vec<String> = trials.collect();
            self.ever.extend(trials.iter().cloned());
            self.trials.insert(id, trials);
        }
        for kind in RunKind::ALL {
            self.runs.remove(&(kind.name(), GONE.to_owned()));
        }
    }

    fn objects(texts: &[String]) -> Vec<RawObject> {
        texts.iter().map(|text| object(text)).collect()
    }

    fn runs_of(&self, kind: RunKind) -> Vec<String> {
        let of_kind = self
            .runs
            .iter()
            .filter(|((name, _), _)| *name == kind.name());
        of_kind.map(|(_, text)| text.clone()).collect()
    }

    /// Mirrors everything at `at`, as the first sync does.
    pub(super) async fn fill(&self, mirror: &Mirror, at: i64) {
        self.sweep(mirror, at).await.unwrap();
        for run in self.trials.keys() {
            self.store_trials(mirror, run, at).await.unwrap();
        }
    }

    /// Stores the trials as requested just after the lists that were requested at `at`.
    async fn store_trials(&self, mirror: &Mirror, run: &str, at: i64) -> Result<(), MirrorError> {
        let trials = Self::objects(&self.trials[run]);
        mirror
            .replace_trials(run, trials, UnixMs(at + 1), None, Provenance::Polled)
            .await
            .map(drop)
    }

    /// What a full sweep does: looks for damage, reads both lists, checks what they do not show, and
    /// fetches the trials that are due.
    pub(super) async fn sweep(&self, mirror: &Mirror, at: i64) -> Result<(), MirrorError> {
        mirror.verify().await?;
        for kind in RunKind::ALL {
            let sweep = mirror.begin_sweep(kind).await?;
            let batch = RunBatch {
                kind,
                objects: Self::objects(&self.runs_of(kind)),
                observed_at: UnixMs(at),
                provenance: Provenance::Polled,
            };
            mirror.upsert_runs(batch).await?;
            for id in mirror.runs_missed_by_sweep(kind, sweep).await? {
                mirror.tombstone_run(kind, &id, UnixMs(at)).await?;
            }
            let confirmation = Confirmation {
                at: UnixMs(at),
                validator: None,
                complete: true,
            };
            mirror
                .record_confirmation(Resource::List(kind), confirmation)
                .await?;
        }
        for due in mirror.summary(usize::MAX, None).await?.trials_due {
            self.store_trials(mirror, &due.run, at).await?;
        }
        Ok(())
    }

    /// Reads everything in every way; whatever is given out must have been true once.
    pub(super) async fn read_all(&self, mirror: &Mirror, when: &str) -> Result<(), MirrorError> {
        for kind in RunKind::ALL {
            let listed = mirror.list_runs(kind, &everything()).await?;
            self.are_true(&listed.body, when);
            for (_, id) in self.runs.keys() {
                if let Some(run) = mirror.run(kind, id).await? {
                    assert!(self.ever.contains(&run.text), "{when}: {}", run.text);
                }
            }
        }
        for run in self.trials.keys() {
            if let Some(listed) = mirror.list_trials(run, &everything()).await? {
                self.are_true(&listed.body, when);
            }
            if let Some(trial) = mirror.trial(run, &format!("{run}-trial-1")).await? {
                assert!(self.ever.contains(&trial.text), "{when}: {}", trial.text);
            }
        }
        mirror
            .list_all_trials(&everything(), AgeOfTrials::Unsettled)
            .await?;
        for event in mirror.events_after(0, usize::MAX >> 1).await? {
            let is_true = self.events.iter().any(|known| is_same(known, &event));
            assert!(is_true, "{when}: {event:?}");
        }
        Ok(())
    }

    fn are_true(&self, array: &[u8], when: &str) {
        let texts: Vec<&serde_json::value::RawValue> = serde_json::from_slice(array)
            .unwrap_or_else(|error| panic!("{when}: a list is no JSON: {error}"));
        for text in texts {
            assert!(self.ever.contains(text.get()), "{when}: {}", text.get());
        }
    }

    /// Checks that the mirror holds exactly what the remote does.
    pub(super) async fn equals(&self, mirror: &Mirror, when: &str) {
        for kind in RunKind::ALL {
            let listed = mirror.list_runs(kind, &everything()).await.unwrap();
            let expected: BTreeSet<String> = self.runs_of(kind).into_iter().collect();
            assert_eq!(texts(&listed.body), expected, "{when}");
            assert_eq!(listed.total, expected.len() as u64, "{when}");
        }
        for (run, trials) in self.trials.iter().filter(|(run, _)| *run != GONE) {
            let listed = mirror.list_trials(run, &everything()).await.unwrap();
            let found = listed.map(|listed| texts(&listed.body)).unwrap_or_default();
            assert_eq!(found, trials.iter().cloned().collect(), "{when}: {run}");
        }
    }

    /// Returns how many of the recorded events the mirror no longer has.
    pub(super) async fn lost_events(&self, mirror: &Mirror) -> usize {
        let kept = mirror.events_after(0, usize::MAX >> 1).await.unwrap();
        let is_kept = |event: &&StatusEvent| kept.iter().any(|known| is_same(known, event));
        self.events.len() - self.events.iter().filter(is_kept).count()
    }
}

/// Whether two events tell of the same change.
fn is_same(a: &StatusEvent, b: &StatusEvent) -> bool {
    a == &StatusEvent {
        seq: a.seq,
        ..b.clone()
    }
}

fn texts(array: &[u8]) -> BTreeSet<String> {
    let all: Vec<&serde_json::value::RawValue> = serde_json::from_slice(array).unwrap();
    all.iter().map(|text| text.get().to_owned()).collect()
}

/// Opens the mirror at `path`.
pub(super) fn open(path: &Path) -> Result<Mirror, MirrorError> {
    Mirror::open(path, IDENTITY, UnixMs(1_000_000)).map(|(mirror, _)| mirror)
}
