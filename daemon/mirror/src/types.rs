//! What goes into the mirror and comes out of it.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use docks_proto::error::Candidate;
use docks_proto::event::{ObjectState, Progress};
use docks_proto::object::RawObject;
use docks_proto::routes::RunKind;
use docks_proto::status::RowCounts;
use docks_proto::time::UnixMs;

use docks_proto::freshness::Validator;

/// How a change was learned, kept in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provenance {
    /// Seen in an answer that was polled.
    Polled,
    /// Told by the remote itself, when it happened.
    Event,
    /// Answer to an action of ours.
    OwnAction,
}

impl Provenance {
    /// All of them.
    pub const ALL: [Provenance; 3] = [Provenance::Polled, Provenance::Event, Provenance::OwnAction];

    /// Returns the word that the history keeps.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Provenance::Polled => "polled",
            Provenance::Event => "event",
            Provenance::OwnAction => "own_action",
        }
    }
}

/// Which list or object a stored state of freshness belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Resource {
    /// A list of runs.
    List(RunKind),
    /// One run.
    Run(RunKind, String),
    /// The trials of one evaluation run.
    Trials(String),
}

/// When a resource was last confirmed by the remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// When.
    pub at: UnixMs,
    /// Validator of that answer.
    pub validator: Option<Validator>,
    /// Whether everything of the resource is in the mirror (a list: a sweep ended).
    pub complete: bool,
}

/// Rows of a list, ready to send.
#[derive(Debug, Clone)]
pub struct Listing {
    /// A JSON array of the stored texts, joined.
    pub body: Bytes,
    /// How many rows it holds.
    pub returned: u64,
    /// How many match before the cut.
    pub total: u64,
    /// When the list was confirmed; `None` when it never was.
    pub confirmation: Option<Confirmation>,
}

/// One stored object.
#[derive(Debug, Clone)]
pub struct StoredObject {
    /// Key in the mirror: its id.
    pub id: String,
    /// Its text.
    pub text: String,
    /// Status as the remote wrote it; empty when it has none.
    pub status: String,
    /// When it was last confirmed, by itself or through its list.
    pub confirmed_at: UnixMs,
    /// When it was proved to be gone.
    pub gone_at: Option<UnixMs>,
}

/// What an id, prefix or name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// Exactly one object: its full id.
    Unique(String),
    /// Several: at most 20 of them.
    Ambiguous(Vec<Candidate>),
    /// None.
    NotFound,
}

/// Objects that arrived together and are written in one transaction.
#[derive(Debug)]
pub struct RunBatch {
    /// Which family.
    pub kind: RunKind,
    /// The objects, in the remote's order.
    pub objects: Vec<RawObject>,
    /// When the request that brought them began.
    pub observed_at: UnixMs,
    /// How they were learned.
    pub provenance: Provenance,
}

/// What opening found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Whether the file was made now.
    pub created: bool,
    /// Where a file that was no usable mirror was moved.
    pub set_aside: Option<PathBuf>,
}

/// What a write did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteSummary {
    /// Objects that were not there.
    pub inserted: u64,
    /// Objects with another text than before, and tombstones that came back.
    pub updated: u64,
    /// Objects with the same text, and those of an answer older than what is stored.
    pub unchanged: u64,
    /// Objects that a whole answer no longer holds.
    pub removed: u64,
    /// Rows added to the history.
    pub events: u64,
    /// Trials of the answer that have not ended.
    pub active: u64,
    /// Objects whose stored text stays because the answer took back an end; a second,
    /// later answer that says the same is believed.
    pub deferred: u64,
    /// Whether the answer was empty for a run that has trials, and so removed nothing.
    pub ignored_empty_list: bool,
}

/// Whose statuses are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatusScope {
    /// Runs of a kind.
    Runs(RunKind),
    /// Trials of all runs.
    Trials,
}

/// What the plan of syncing starts from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Both lists, in the order of [`RunKind::ALL`].
    pub lists: Vec<ListState>,
    /// Live runs that have not ended, newest first, at most 10,000 of each kind.
    pub active: Vec<ActiveRun>,
    /// Runs whose trials should be fetched, newest first.
    pub trials_due: Vec<TrialsDue>,
    /// How many there are in all.
    pub trials_due_total: u64,
}

/// State of one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListState {
    /// Which.
    pub kind: RunKind,
    /// When it was confirmed.
    pub confirmation: Option<Confirmation>,
    /// Live rows.
    pub rows: u64,
}

/// A run that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveRun {
    /// Family.
    pub kind: RunKind,
    /// Id.
    pub id: String,
    /// Status as the remote wrote it.
    pub status: String,
    /// When it was last confirmed.
    pub confirmed_at: UnixMs,
    /// Live rows of its kind that are newer: its place in the list. Beyond 10,000, and for a
    /// run that does not say when it was made, this is the length of the list.
    pub newer_rows: u64,
}

/// A run whose trials may be others than those mirrored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsettledRun {
    /// Its id.
    pub id: String,
    /// Whether it has not ended.
    pub active: bool,
    /// Whether its trials are due.
    pub due: bool,
    /// When its trials were last confirmed; `None` when they were never mirrored.
    pub trials_confirmed_at: Option<UnixMs>,
}

/// A run whose trials should be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialsDue {
    /// Its id.
    pub run: String,
    /// Whether it has ended.
    pub ended: bool,
    /// When its trials were last confirmed; `None` when they were never mirrored.
    pub trials_confirmed_at: Option<UnixMs>,
}

/// Size of the mirror.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Rows.
    pub rows: RowCounts,
    /// Bytes of the file and its WAL.
    pub bytes: u64,
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A run of a kind.
    Run(RunKind),
    /// A trial.
    Trial,
}

/// One observed change of a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusEvent {
    /// Number; later events have higher ones, and none is given twice.
    pub seq: u64,
    /// Of what.
    pub subject: Subject,
    /// Run, or the run that the trial belongs to.
    pub run: String,
    /// Trial.
    pub trial: Option<String>,
    /// Status before; `None` when it was seen for the first time.
    pub from: Option<String>,
    /// Status since.
    pub to: String,
    /// The object's own time of the change, else when it was observed.
    pub at: UnixMs,
    /// When the request that showed it began.
    pub observed: UnixMs,
    /// How it was learned.
    pub provenance: Provenance,
}

/// A change with its object.
#[derive(Debug, Clone, PartialEq)]
pub struct EventWithObject {
    /// The change.
    pub event: StatusEvent,
    /// The object as it is now, with the status of the change.
    pub object: ObjectState,
}

/// How far the history reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HistoryBounds {
    /// Tells this history from that of a mirror made anew.
    pub history_id: u64,
    /// Number of the last change.
    pub last_seq: u64,
    /// Highest number that retention took away; 0 when it took none.
    pub pruned_seq: u64,
}

/// A part of the history that was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HistoryPage {
    /// What of it was asked for, oldest first.
    pub events: Vec<EventWithObject>,
    /// Number up to which everything was read.
    pub read_to: u64,
    /// How far the history reaches.
    pub bounds: HistoryBounds,
}

/// How things are, and how far the history goes that led there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StateSnapshot {
    /// Up to which change.
    pub bounds: HistoryBounds,
    /// Runs, then trials.
    pub objects: Vec<ObjectState>,
    /// Counts of the runs that were named.
    pub progress: Vec<Progress>,
}

/// A stretch of time in which something was looked at again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObservationWindow {
    /// First look.
    pub from: UnixMs,
    /// Last look.
    pub until: UnixMs,
}

/// How long what is not needed for lists is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// History.
    pub history: Duration,
    /// Tombstones.
    pub tombstones: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self {
            history: DAY * 90,
            tombstones: DAY * 30,
        }
    }
}
