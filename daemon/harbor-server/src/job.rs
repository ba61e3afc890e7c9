//! One job: its row, its attempts while they are needed, and its objects.

use std::sync::Arc;

use docks_proto::object::RawObject;
use docks_proto::routes::RunKind;
use docksd_harbor::served::{
    ServedCount, ServedJob, ServedState, ServedTrials, job_objects, trial_objects,
};
use docksd_remote::{RemoteError, Validator};
use tokio::time::Instant;

use crate::attempts::Attempts;
use crate::client::invalid;
use crate::queries::{JobRow, micros};

/// One job.
#[derive(Debug)]
pub(crate) struct Job {
    /// Its UUID.
    pub(crate) id: String,
    name: String,
    url: String,
    /// Its state.
    pub(crate) state: ServedState,
    /// When it was submitted.
    pub(crate) created_us: Option<i64>,
    started_us: Option<i64>,
    /// When the server last changed it.
    pub(crate) updated_us: Option<i64>,
    finished_us: Option<i64>,
    config: Arc<str>,
    counts: Vec<ServedCount>,
    /// Its attempts; dropped once it has ended and what is known of them is mirrored.
    pub(crate) attempts: Option<Attempts>,
    /// The [`Job::updated_us`] with which attempts, counts or objects agree.
    agrees_with: Option<Option<i64>>,
    objects: Option<[RawObject; 2]>,
    /// Whether the objects do not show what is known by now.
    is_dirty: bool,
    /// Whether its objects say all that the server has.
    is_complete: bool,
    /// Whether its trials were delivered without all results, and are not kept.
    is_outlined: bool,
    /// Whether the engine was not given what its objects are now.
    pub(crate) is_undelivered: bool,
    /// When it was last delivered.
    pub(crate) delivered: Option<Instant>,
    /// When somebody last asked for it.
    pub(crate) looked_at: Option<Instant>,
}

impl Job {
    /// Creates a job of which only the row is known.
    pub(crate) fn new(row: &JobRow, base: &str) -> Self {
        let mut job = Self {
            url: format!("{base}/jobs/{}", row.id),
            id: row.id.clone(),
            name: String::new(),
            state: ServedState::Queued,
            created_us: None,
            started_us: None,
            updated_us: None,
            finished_us: None,
            config: "{}".into(),
            counts: Vec::new(),
            attempts: None,
            agrees_with: None,
            objects: None,
            is_dirty: true,
            is_complete: false,
            is_outlined: false,
            is_undelivered: false,
            delivered: None,
            looked_at: None,
        };
        job.set_row(row);
        job
    }

    /// Takes a newer row.
    pub(crate) fn set_row(&mut self, row: &JobRow) {
        let name = row.name.clone().filter(|name| !name.is_empty());
        self.name = name.unwrap_or_else(|| row.id.clone());
        // What a later release calls otherwise still counts as under way.
        self.state = ServedState::parse(&row.state).unwrap_or(ServedState::Running);
        self.created_us = micros(row.created_at.as_deref());
        self.started_us = micros(row.started_at.as_deref());
        let updated_us = micros(row.updated_at.as_deref());
        self.is_dirty |= updated_us != self.updated_us;
        self.updated_us = updated_us;
        self.finished_us = micros(row.finished_at.as_deref());
    }

    /// Returns its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether what is kept of it is of the newest row.
    pub(crate) fn is_current(&self) -> bool {
        self.agrees_with == Some(self.updated_us)
    }

    /// Whether its trials were read, now or by an earlier process.
    pub(crate) fn is_read(&self) -> bool {
        self.attempts.is_some() || self.is_complete || self.is_outlined
    }

    /// Whether it has ended and its objects say everything.
    pub(crate) fn is_settled(&self) -> bool {
        self.state.has_ended() && self.is_complete && self.is_current() && !self.is_dirty
    }

    /// Whether it has ended and results of its trials were not read yet.
    pub(crate) fn lacks_results(&self) -> bool {
        self.state.has_ended() && self.is_read() && !self.is_complete
    }

    /// Whether its attempts can be read again when they are needed: it has ended, and what is known of them was
    /// delivered.
    pub(crate) fn can_spare_attempts(&self) -> bool {
        let is_shown = self.is_current() && !self.is_dirty && !self.is_undelivered;
        self.state.has_ended() && is_shown && self.objects.is_some()
    }

    /// Whether all of it must be read again.
    pub(crate) fn is_doubted(&self) -> bool {
        self.agrees_with.is_none()
    }

    /// Forgets that what is kept agrees with the server.
    pub(crate) fn doubt(&mut self) {
        self.agrees_with = None;
        self.is_dirty = true;
    }

    /// Takes the objects that an earlier process mirrored when the job was as it is now.
    pub(crate) fn adopt(&mut self, objects: [RawObject; 2]) {
        self.objects = Some(objects);
        self.is_complete = true;
        self.is_outlined = false;
        self.is_dirty = false;
        self.agrees_with = Some(self.updated_us);
    }

    /// Takes how many trials there are of each kind, while they are not read.
    pub(crate) fn set_counts(&mut self, counts: Vec<ServedCount>) {
        self.counts = counts;
        self.agrees_with = Some(self.updated_us);
        self.is_dirty = true;
    }

    /// Sets the configuration, as JSON.
    pub(crate) fn set_config(&mut self, config: String) {
        self.config = config.into();
    }

    /// Takes attempts that agree with the newest row.
    pub(crate) fn set_attempts(&mut self, attempts: Attempts) {
        self.attempts = Some(attempts);
        self.is_outlined = false;
        self.counts = Vec::new();
        self.agrees_with = Some(self.updated_us);
        self.is_dirty = true;
    }

    /// Notes that something changed that the objects do not show.
    pub(crate) fn mark_dirty(&mut self) {
        self.is_dirty = true;
    }

    /// Drops the attempts, which [`Job::can_spare_attempts`] allows.
    pub(crate) fn drop_attempts(&mut self) {
        self.is_outlined = self.attempts.take().is_some() && !self.is_complete;
    }

    /// Returns when its objects say that it last changed.
    pub(crate) fn shown_update_us(&self) -> Option<i64> {
        self.updated_us.max(self.finished_us)
    }

    fn served(&self) -> ServedJob<'_> {
        ServedJob {
            id: &self.id,
            name: &self.name,
            url: &self.url,
            state: self.state,
            config: &self.config,
            created_us: self.created_us,
            started_us: self.started_us,
            updated_us: self.updated_us,
            finished_us: self.finished_us,
        }
    }

    fn trials(&self) -> ServedTrials<'_> {
        match &self.attempts {
            Some(attempts) => attempts.trials(),
            None => ServedTrials::Counted(&self.counts),
        }
    }

    /// Builds the objects again if something changed; returns whether they differ.
    pub(crate) fn rebuild(&mut self) -> Result<bool, RemoteError> {
        if !self.is_dirty && self.objects.is_some() {
            return Ok(false);
        }
        let is_complete = self
            .attempts
            .as_ref()
            .is_some_and(|attempts| attempts.without_result().is_empty());
        let objects = job_objects(&self.served(), &self.trials()).map_err(not_serializable)?;
        let differs = match &self.objects {
            Some(before) => before
                .iter()
                .zip(&objects)
                .any(|(a, b)| a.text() != b.text()),
            None => true,
        };
        self.objects = Some(objects);
        self.is_complete = is_complete;
        self.is_dirty = false;
        Ok(differs)
    }

    /// Returns its object of a kind; `None` before the first [`Job::rebuild`].
    pub(crate) fn object(&self, kind: RunKind) -> Option<&RawObject> {
        let [run, evaluation] = self.objects.as_ref()?;
        Some(match kind {
            RunKind::Run => run,
            RunKind::Evaluation => evaluation,
        })
    }

    /// Returns its trials, oldest first; `None` if they were not read.
    pub(crate) fn trial_objects(&self, base: &str) -> Result<Option<Vec<RawObject>>, RemoteError> {
        if self.attempts.is_none() {
            return Ok(None);
        }
        let download = |uri: &str| download_address(base, uri);
        trial_objects(&self.served(), &self.trials(), &download)
            .map(Some)
            .map_err(not_serializable)
    }

    /// Returns the validator of its trials, if they change only together with its row.
    pub(crate) fn settled_validator(&self) -> Option<Validator> {
        self.ended_validator().filter(|_| self.is_settled())
    }

    /// Returns the validator that its trials have once all is read of them; `None` while it has not ended.
    pub(crate) fn ended_validator(&self) -> Option<Validator> {
        let updated_us = self.updated_us.filter(|_| self.state.has_ended())?;
        Some(Validator(format!(
            "\"harbor-served-{}-{updated_us}\"",
            docksd_harbor::served::MAPPING
        )))
    }
}

/// Returns the address of a file at the server's download route: `uri` percent-encoded once more.
pub(crate) fn download_address(base: &str, uri: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("uri", uri)
        .finish();
    format!("{base}/download?{query}")
}

fn not_serializable(error: serde_json::Error) -> RemoteError {
    invalid(format!("an object could not be written: {error}"))
}
