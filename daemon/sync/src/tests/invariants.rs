//! What must hold at any time in a history, whatever happens in it.

use std::collections::HashMap;
use std::time::Duration;

use docks_proto::event::EventQuery;
use docks_proto::object::{Lifecycle, lifecycle};
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use docksd_mirror::{Resource, Retention, StatusEvent, Subject};

use super::driver::{Driver, id_of};
use super::incidents::Answer;
use super::random_changes::has_ended;

const DAY: Duration = Duration::from_secs(86_400);
/// More events than a history has.
const ALL: usize = 1_000_000;

/// Checks a mirror against what was seen of it and of the remote.
#[derive(Default)]
pub(super) struct Invariants {
    /// When each list was confirmed.
    as_of: [UnixMs; 2],
    went_back: usize,
    /// Every event, and when it was first seen, in real time since the test began.
    events: Vec<(StatusEvent, Duration)>,
    pub(super) answers: usize,
}

impl Invariants {
    /// Takes over what a kill has left, which may be less than was there.
    pub(super) async fn after_kill(&mut self, driver: &Driver) {
        self.as_of = [UnixMs(0); 2];
        let all = EventQuery::default();
        let page = driver.mirror.history_page(0, 1, &all).await.unwrap();
        let last = page.bounds.last_seq;
        self.events.retain(|(event, _)| event.seq <= last);
    }

    /// Reads what is new in the mirror.
    pub(super) async fn look(&mut self, driver: &Driver) {
        let real = driver.clock.real();
        if driver.went_back > std::mem::replace(&mut self.went_back, driver.went_back) {
            self.as_of = [UnixMs(0); 2];
        }
        for (place, kind) in RunKind::ALL.into_iter().enumerate() {
            let list = Resource::List(kind);
            if let Some(confirmed) = driver.mirror.confirmation(&list).await.unwrap() {
                assert!(confirmed.at >= self.as_of[place], "as_of went back");
                self.as_of[place] = confirmed.at;
            }
        }
        let after = self.events.last().map_or(0, |(event, _)| event.seq);
        let new = driver.mirror.events_after(after, ALL).await.unwrap();
        self.events
            .extend(new.into_iter().map(|event| (event, real)));
    }

    /// Checks that upkeep has deleted nothing that is too young for it.
    pub(super) async fn check_retention(&mut self, driver: &Driver, retention: Retention) {
        let real = driver.clock.real();
        let is_young = |seen: Duration, limit: Duration| real - seen + DAY < limit;
        let kept = driver.mirror.events_after(0, ALL).await.unwrap();
        let young = self.events.iter();
        let young = young.filter(|(_, seen)| is_young(*seen, retention.history));
        for (event, seen) in young {
            let found = kept.binary_search_by_key(&event.seq, |kept| kept.seq);
            assert!(found.is_ok(), "pruned {event:?} of {seen:?} at {real:?}");
        }
        for (place, kind) in RunKind::ALL.into_iter().enumerate() {
            let deleted: Vec<String> = {
                let world = driver.world.lock().unwrap();
                let versions = world.versions.as_ref().unwrap();
                let deleted = versions.deleted(place).into_iter();
                let young = deleted.filter(|(_, at)| is_young(*at, retention.tombstones));
                young.map(|(id, _)| id.to_owned()).collect()
            };
            for id in deleted {
                let was_mirrored = (self.events.iter())
                    .any(|(event, _)| event.subject == Subject::Run(kind) && event.run == id);
                let stored = driver.mirror.run(kind, &id).await.unwrap();
                assert!(
                    !was_mirrored || stored.is_some(),
                    "the tombstone of {id} is gone at {real:?}"
                );
            }
        }
    }

    /// Checks an answer by what the remote had when it claims to be from.
    pub(super) fn check_answer(&mut self, driver: &Driver, what: &Resource, answer: &Answer) {
        let world = driver.world.lock().unwrap();
        let versions = world.versions.as_ref().unwrap();
        let Answer { rows, since, .. } = answer;
        if world.fault.lies() || !versions.is_honest_since(*since) {
            return;
        }
        self.answers += 1;
        let real = driver.clock.real();
        let (place, listed) = match what {
            Resource::List(kind) => (usize::from(*kind == RunKind::Evaluation), true),
            Resource::Run(kind, _) => (usize::from(*kind == RunKind::Evaluation), false),
            Resource::Trials(run) => {
                assert!(
                    rows.is_empty() || !answer.by_remote || versions.had_trials(run, rows, *since),
                    "trials of {run} at {real:?} claim to be of {since:?}: {rows:#?}\n{}",
                    versions.describe(1, run)
                );
                return;
            }
        };
        for text in rows {
            let id = id_of(text);
            assert!(
                versions.had(place, &id, text, *since)
                    || (!answer.by_remote && versions.may_be_reopened(place, &id, text)),
                "{what:?} at {real:?}, by remote: {}, claims to be of {since:?}: {text}\n{}",
                answer.by_remote,
                versions.describe(place, &id),
            );
        }
        if listed {
            let ids: Vec<String> = rows.iter().map(|text| id_of(text)).collect();
            for id in versions.always_there(place, *since) {
                assert!(
                    ids.iter().any(|listed| listed == id),
                    "{what:?} at {real:?} claims to be of {since:?} and has no {id}\n{}",
                    versions.describe(place, id)
                );
            }
        }
    }

    /// Checks that the history of each object joins on, and has each end once.
    pub(super) fn check_events(&self, driver: &Driver) {
        let world = driver.world.lock().unwrap();
        let versions = world.versions.as_ref().unwrap();
        let mut last: HashMap<(Subject, &str, Option<&str>), (&str, usize)> = HashMap::new();
        for (event, _) in &self.events {
            let object = (event.subject, event.run.as_str(), event.trial.as_deref());
            let before = last.get(&object).copied();
            if let Some(from) = &event.from {
                let known = before.map(|(status, _)| status);
                assert_eq!(known, Some(from.as_str()), "{event:?}");
            }
            let mut ends = before.map_or(0, |(_, ends)| ends);
            let is_end = |status: &str| lifecycle(status) == Lifecycle::Terminal;
            // A run whose tombstone was deleted is new when it returns.
            let returned = event.from.is_none() && before.is_some_and(|(status, _)| is_end(status));
            ends += usize::from(is_end(&event.to) && !returned);
            last.insert(object, (&event.to, ends));
        }
        if !versions.is_honest_since(Duration::ZERO) {
            return;
        }
        for ((subject, run, trial), (_, ends)) in &last {
            let place = usize::from(*subject != Subject::Run(RunKind::Run));
            let most = versions.ends(place, run, *trial);
            assert!(
                *ends <= most,
                "{run} {trial:?} ended {ends} times of {most}"
            );
        }
        for (place, kind) in RunKind::ALL.into_iter().enumerate() {
            let subject = Subject::Run(kind);
            for run in &world.runs[place] {
                let known = last.get(&(subject, run.id.as_str(), None));
                let (status, ends) = known.copied().unwrap_or_default();
                assert_eq!(status, run.status, "{} at the end", run.id);
                // An end that a reopening followed at once may have been missed.
                if has_ended(run) && versions.ends(place, &run.id, None) == 1 {
                    assert_eq!(ends, 1, "{} has ended once", run.id);
                }
            }
        }
    }
}
