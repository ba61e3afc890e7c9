//! What the remote had, and when: every version of every object, with the time from its first moment to its
//! last. An answer is checked against this.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use docks_proto::routes::RunKind;
use docksd_testkit::fake_remote::RemoteData;
use docksd_testkit::fake_remote::data::StoredObject;
use serde_json::Value;

/// A list of the remote.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Collection {
    Runs(RunKind),
    Trials(String),
}

/// One state of an object.
#[derive(Debug, Clone)]
struct Version {
    number: u64,
    status: String,
    created: String,
    text: String,
    from: Instant,
    until: Option<Instant>,
}

/// A stretch of time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) from: Instant,
    pub(super) until: Instant,
}

/// The rows that a list asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Selection {
    /// Any of these; all if it is empty.
    pub(super) statuses: Vec<&'static str>,
    /// The number of rows; 0 for all.
    pub(super) limit: usize,
    /// Another order than that of the list.
    pub(super) sort: Option<&'static str>,
}

/// Every version that the remote had.
#[derive(Debug, Default)]
pub(super) struct History {
    objects: BTreeMap<Collection, BTreeMap<String, Vec<Version>>>,
    /// When the trials of an ended run changed and the run itself did not, by its id: from the first such change
    /// to the next change of the run. Only who asks for the trials of this run, or of all, can notice.
    unnoticeable: BTreeMap<String, Vec<Window>>,
}

/// Any time that lies before a change and not before another one.
const JUST_BEFORE: Duration = Duration::from_nanos(1);

/// Longer than any test.
const FOREVER: Duration = Duration::from_secs(86_400);

impl Version {
    fn new(text: &str, now: Instant) -> Self {
        let object: Value = serde_json::from_str(text).unwrap();
        let field = |name: &str| object[name].as_str().unwrap().to_owned();
        Self {
            number: object["version"].as_u64().unwrap(),
            status: field("status"),
            created: field("created_at"),
            text: text.to_owned(),
            from: now,
            until: None,
        }
    }

    fn overlaps(&self, window: Window) -> bool {
        self.from <= window.until && self.until.is_none_or(|until| until >= window.from)
    }
}

impl Selection {
    fn has_status(&self, status: &str) -> bool {
        self.statuses.is_empty() || self.statuses.contains(&status)
    }
}

impl History {
    /// Records what the remote has from now on. The caller holds the lock under which it answers.
    pub(super) fn record(&mut self, data: &RemoteData, now: Instant) {
        for kind in RunKind::ALL {
            self.record_list(Collection::Runs(kind), data.of_kind(kind), now);
        }
        let known = self
            .objects
            .keys()
            .filter_map(|collection| match collection {
                Collection::Trials(run) => Some(run.clone()),
                Collection::Runs(_) => None,
            });
        let runs: BTreeSet<String> = known.chain(data.trials.keys().cloned()).collect();
        for run in runs {
            let trials = data.trials.get(&run).map_or(&[][..], |trials| trials);
            self.record_list(Collection::Trials(run), trials, now);
        }
    }

    fn record_list(&mut self, collection: Collection, present: &[StoredObject], now: Instant) {
        let objects = self.objects.entry(collection).or_default();
        let texts: BTreeMap<&str, &str> = present
            .iter()
            .map(|object| (object.id.as_str(), object.text.as_str()))
            .collect();
        for (id, versions) in objects.iter_mut() {
            let last = versions.last_mut().unwrap();
            if last.until.is_none() && texts.get(id.as_str()) != Some(&last.text.as_str()) {
                last.until = Some(now);
            }
        }
        for (id, text) in texts {
            let versions = objects.entry(id.to_owned()).or_default();
            if versions.last().is_none_or(|last| last.until.is_some()) {
                versions.push(Version::new(text, now));
            }
        }
    }

    /// Records whether the trials of a run have just changed without the run, although it has ended.
    pub(super) fn record_unnoticeable(&mut self, run: &str, has_changed: bool, now: Instant) {
        let windows = self.unnoticeable.entry(run.to_owned()).or_default();
        let open = windows.last_mut().filter(|window| window.until > now);
        match (open, has_changed) {
            (None, true) => windows.push(Window {
                from: now,
                until: now + FOREVER,
            }),
            (Some(window), false) => window.until = now,
            _ => {}
        }
    }

    /// Returns the window in which the trials of a run may have been read: it begins before a change that nobody
    /// could notice, if all was not read since then.
    pub(super) fn noticeable(
        &self,
        collection: &Collection,
        window: Window,
        read_since: Instant,
    ) -> Window {
        let Collection::Trials(run) = collection else {
            return window;
        };
        let mut windows = self.unnoticeable.get(run).into_iter().flatten();
        let within = windows.find(|w| w.from <= window.from && window.from <= w.until);
        Window {
            from: within.map_or(window.from, |within| {
                let unnoticed = (within.from - JUST_BEFORE).max(read_since);
                unnoticed.min(window.from)
            }),
            ..window
        }
    }

    fn versions(&self, collection: &Collection, id: &str) -> &[Version] {
        let objects = self.objects.get(collection);
        let versions = objects.and_then(|objects| objects.get(id));
        versions.map_or(&[], Vec::as_slice)
    }

    /// Checks that the remote had this object in this state at some time of the window.
    pub(super) fn check_object(
        &self,
        collection: &Collection,
        object: &Value,
        window: Window,
    ) -> Result<(), String> {
        let id = object["id"].as_str().ok_or("an object without an id")?;
        let number = object["version"].as_u64();
        let versions = self.versions(collection, id);
        let version = versions
            .iter()
            .find(|version| Some(version.number) == number)
            .ok_or_else(|| format!("`{id}` of {collection:?} never was {object}"))?;
        if Some(version.status.as_str()) != object["status"].as_str() {
            return Err(format!("version {number:?} of `{id}` never was {object}"));
        }
        if version.overlaps(window) {
            return Ok(());
        }
        let late = |until: Instant| window.from.saturating_duration_since(until);
        Err(format!(
            "`{id}` of {collection:?} was {} (version {}) until {:?} before the window; the remote had {}",
            version.status,
            version.number,
            version.until.map(late),
            describe(versions, window),
        ))
    }

    /// Checks that an object had this status at some time of the window.
    pub(super) fn check_status(
        &self,
        collection: &Collection,
        id: &str,
        status: &str,
        window: Window,
    ) -> Result<(), String> {
        let versions = self.versions(collection, id);
        let had = |version: &Version| version.status == status && version.overlaps(window);
        match versions.iter().any(had) {
            true => Ok(()),
            false => Err(format!(
                "`{id}` of {collection:?} is not `{status}`; the remote had {}",
                describe(versions, window)
            )),
        }
    }

    /// Checks that an object was this version at some time of the window.
    pub(super) fn check_version(
        &self,
        collection: &Collection,
        id: &str,
        number: u64,
        window: Window,
    ) -> Result<(), String> {
        let versions = self.versions(collection, id);
        let is_there = |version: &Version| version.number == number && version.overlaps(window);
        match versions.iter().any(is_there) {
            true => Ok(()),
            false => Err(format!(
                "version {number} of `{id}` is shown; the remote had {}",
                describe(versions, window)
            )),
        }
    }

    /// Checks that a trial had this result at some time of the window.
    pub(super) fn check_result(
        &self,
        collection: &Collection,
        id: &str,
        result: &Value,
        window: Window,
    ) -> Result<(), String> {
        let versions = self.versions(collection, id);
        let has = |version: &Version| {
            let object: Value = serde_json::from_str(&version.text).unwrap();
            version.overlaps(window) && object["result_data"] == *result
        };
        match versions.iter().any(has) {
            true => Ok(()),
            false => Err(format!(
                "{result} is not the result of `{id}`; the remote had {}",
                describe(versions, window)
            )),
        }
    }

    /// Returns the status that an object had in the whole window, if it had only one.
    pub(super) fn status_throughout(
        &self,
        collection: &Collection,
        id: &str,
        window: Window,
    ) -> Option<&str> {
        let versions = self.versions(collection, id);
        let there = versions.iter().filter(|version| version.overlaps(window));
        let mut statuses = there.map(|version| version.status.as_str());
        let first = statuses.next()?;
        let is_only = statuses.all(|status| status == first);
        (is_only && self.existed_throughout(collection, id, window)).then_some(first)
    }

    /// Returns the least and the largest number of objects that a list may have had in the window.
    pub(super) fn numbers(&self, collection: &Collection, window: Window) -> (u64, u64) {
        self.numbers_of(std::slice::from_ref(collection), |_| true, window)
    }

    /// Returns the same of objects with some statuses.
    pub(super) fn numbers_of(
        &self,
        collections: &[Collection],
        has_status: impl Fn(&str) -> bool,
        window: Window,
    ) -> (u64, u64) {
        let (mut least, mut most) = (0, 0);
        for collection in collections {
            for (id, versions) in self.objects.get(collection).into_iter().flatten() {
                let mut there = versions.iter().filter(|version| version.overlaps(window));
                let is_always = self.existed_throughout(collection, id, window)
                    && there.clone().all(|version| has_status(&version.status));
                least += u64::from(is_always);
                most += u64::from(there.any(|version| has_status(&version.status)));
            }
        }
        (least, most)
    }

    /// Checks a list: each row, and that no row is missing that was there in the whole window.
    pub(super) fn check_list(
        &self,
        collections: &[Collection],
        rows: &[(Collection, Value)],
        selection: &Selection,
        is_whole: bool,
        of: impl Fn(&Collection) -> Window,
    ) -> Result<(), String> {
        let mut shown = BTreeSet::new();
        for (collection, row) in rows {
            self.check_object(collection, row, of(collection))?;
            let status = row["status"].as_str().unwrap_or_default();
            if !selection.has_status(status) {
                return Err(format!("{row} does not match {selection:?}"));
            }
            if !shown.insert((collection.clone(), row["id"].as_str().unwrap().to_owned())) {
                return Err(format!("{row} is listed twice"));
            }
        }
        check_order(rows, selection)?;
        let is_cut = selection.limit > 0 && rows.len() >= selection.limit;
        if !is_whole || (is_cut && selection.sort.is_some()) {
            return Ok(());
        }
        // Of a list that is cut, only what is newer than its last row has to be there.
        let oldest = rows.last().filter(|_| is_cut);
        let oldest = oldest.and_then(|(_, row)| row["created_at"].as_str());
        for collection in collections {
            let window = of(collection);
            for (id, versions) in self.objects.get(collection).into_iter().flatten() {
                let is_due = selects_throughout(versions, selection, window)
                    && oldest.is_none_or(|oldest| versions[0].created.as_str() > oldest);
                if is_due && !shown.contains(&(collection.clone(), id.clone())) {
                    return Err(format!(
                        "`{id}` of {collection:?} is missing; the remote had {}",
                        describe(versions, window)
                    ));
                }
            }
        }
        Ok(())
    }

    /// Whether the object was there in the whole window.
    pub(super) fn existed_throughout(
        &self,
        collection: &Collection,
        id: &str,
        window: Window,
    ) -> bool {
        let versions = self.versions(collection, id);
        selects_throughout(versions, &Selection::default(), window)
    }

    /// Returns the number of versions.
    pub(super) fn size(&self) -> usize {
        let lists = self.objects.values().flat_map(BTreeMap::values);
        lists.map(Vec::len).sum()
    }

    /// Lists the ids of all objects that ever were in a list.
    pub(super) fn ids(&self, collection: &Collection) -> Vec<String> {
        let objects = self.objects.get(collection);
        objects.map_or_else(Vec::new, |objects| objects.keys().cloned().collect())
    }
}

/// Whether an object existed and was selected from the beginning of the window to its end.
fn selects_throughout(versions: &[Version], selection: &Selection, window: Window) -> bool {
    let mut reached = window.from;
    for version in versions {
        let ended = version.until.is_some_and(|until| until <= reached);
        if ended || version.from > reached {
            continue;
        }
        if !selection.has_status(&version.status) {
            return false;
        }
        match version.until {
            Some(until) if until <= window.until => reached = until,
            _ => return true,
        }
    }
    false
}

fn check_order(rows: &[(Collection, Value)], selection: &Selection) -> Result<(), String> {
    // The trials of a run are in the order of the remote.
    let of_runs = |(collection, _): &(Collection, Value)| matches!(collection, Collection::Runs(_));
    if !rows.iter().all(of_runs) {
        return Ok(());
    }
    let field = match selection.sort {
        None | Some("created" | "-created") => "created_at",
        Some(key) => key,
    };
    let mut values: Vec<&str> = rows
        .iter()
        .filter_map(|(_, row)| row[field].as_str())
        .collect();
    if matches!(selection.sort, None | Some("created")) {
        values.reverse();
    }
    match values.is_sorted() {
        true => Ok(()),
        false => Err(format!("not in the order of {selection:?}: {values:?}")),
    }
}

/// Says what an object was around a window, for a failure: times are relative to the beginning of the window.
fn describe(versions: &[Version], window: Window) -> String {
    let relative = |at: Instant| match at.checked_duration_since(window.from) {
        Some(after) => format!("+{after:?}"),
        None => format!("-{:?}", window.from.duration_since(at)),
    };
    let lines = versions.iter().rev().take(6).rev().map(|version| {
        let until = version.until.map_or("now".to_owned(), relative);
        let (number, status) = (version.number, &version.status);
        format!(
            "{number} {status} from {} to {until}",
            relative(version.from)
        )
    });
    let length = window.until.duration_since(window.from);
    format!(
        "[{}] in a window of {length:?}",
        lines.collect::<Vec<_>>().join("; ")
    )
}
