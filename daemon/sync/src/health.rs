//! The state of the engine as its users see it, readable at any time without asking its task.

use std::time::Duration;

use docks_proto::freshness::{AnsweredBy, Freshness};
use docks_proto::routes::RunKind;
use docks_proto::status::SyncFailure;
use docks_proto::time::UnixMs;

use docksd_mirror::Confirmation;
use docksd_remote::{ChangeDetection, FaultClass};

use super::circuit_breaker::{OpenCause, State};
use super::clock::{Clock, Now, SteadyClock};
use super::error::SyncError;
use super::state::{EngineState, list_index};

/// Age beyond which an answer about something active is stale: two polls were missed.
const MAX_ACTIVE_AGE: Duration = Duration::from_secs(15);
/// Age beyond which any other answer is stale.
const MAX_IDLE_AGE: Duration = Duration::from_secs(180);

/// State of the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// `closed`, `open` or `half_open`.
    pub circuit: &'static str,
    /// When a step last succeeded.
    pub last_success: Option<UnixMs>,
    /// Last failure, until a success follows.
    pub last_error: Option<SyncFailure>,
    /// When the next step is planned.
    pub next_due: Option<UnixMs>,
    /// Description of the next step.
    pub next_step: Option<String>,
    /// Number of steps until the mirror has caught up.
    pub backlog: u64,
    /// Number of requests in the last hour.
    pub requests_last_hour: u64,
    /// Number of 304s in the last hour.
    pub not_modified_last_hour: u64,
    /// Requests allowed per minute; 0 for a remote whose requests cost nothing.
    pub budget_per_minute: u32,
    /// Requests left now.
    pub budget_left: u32,
    /// What was learned about the remote.
    pub capabilities: serde_json::Value,
    /// When both lists were last swept: the older of the two.
    pub last_sweep: Option<UnixMs>,
    /// When upkeep last succeeded.
    pub last_upkeep: Option<UnixMs>,
    /// How changes of the remote are noticed.
    pub change_detection: ChangeDetection,
}

/// What users see of the engine; replaced after each turn of its task.
#[derive(Debug, Clone)]
pub(super) struct EngineSnapshot {
    pub(super) health: Health,
    pub(super) clock: SteadyClock,
    pub(super) stale_cause: Option<StaleCause>,
    /// Why the mirror could not be written, until a step succeeds and no sweep is left unstored.
    pub(super) mirror_error: Option<SyncError>,
    /// For each list whose last poll failed: when that began, and why.
    failed_polls: [Option<(UnixMs, String)>; 2],
    /// When every row of each list was last read.
    pub(super) whole_lists_confirmed: [UnixMs; 2],
}

/// Why answers become stale.
#[derive(Debug, Clone)]
pub(super) struct StaleCause {
    cause: Option<OpenCause>,
    since: Duration,
    until: Duration,
    why: String,
}

impl StaleCause {
    fn from_state(state: &EngineState, now: Now) -> Option<Self> {
        let failure = state.last_failure.as_ref();
        let why = failure.map(|f| f.error.chain()).unwrap_or_default();
        let until = match state.circuit.state() {
            State::Open(_, until) => until,
            _ => now.mono,
        };
        match state.circuit.opened() {
            Some((cause, since)) => Some(Self {
                cause: Some(cause),
                since,
                until,
                why,
            }),
            None => failure.map(|_| Self {
                cause: None,
                since: now.mono,
                until,
                why,
            }),
        }
    }

    fn describe(&self, mono: Duration) -> String {
        let lasted = format_duration(mono.saturating_sub(self.since));
        match self.cause {
            Some(OpenCause::Outage) => format!("remote unreachable for {lasted}: {}", self.why),
            Some(OpenCause::Auth) => format!("the remote refuses the token: {}", self.why),
            Some(OpenCause::RateLimited) => format!(
                "rate limited for another {}",
                format_duration(self.until.saturating_sub(mono))
            ),
            None => format!("the last attempt failed: {}", self.why),
        }
    }
}

/// Returns why the mirror could not be read or written. A step that fits on a disk that is almost full does
/// not mean that a whole sweep does.
fn mirror_error(state: &EngineState) -> Option<SyncError> {
    let last = state.last_failure.as_ref().map(|failure| &failure.error);
    let last = last.filter(|error| matches!(error, SyncError::Mirror(_)));
    let mut lists = state.lists.iter();
    last.or_else(|| lists.find_map(|list| list.unstored_sweep.as_ref()))
        .cloned()
}

/// Returns when the last poll of a list began and why it failed, if the remote was out of reach or refused the
/// token.
fn failed_poll(state: &EngineState, kind: RunKind) -> Option<(UnixMs, String)> {
    let (at, error) = state.lists[list_index(kind)].failed.as_ref()?;
    let is_cut_off = matches!(error.class(), Some(FaultClass::Outage | FaultClass::Auth));
    is_cut_off.then(|| (*at, error.chain()))
}

/// Returns a duration in its largest unit.
fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

impl EngineSnapshot {
    pub(super) fn from_state(
        state: &EngineState,
        steady: &SteadyClock,
        now: Now,
        last_upkeep: Option<UnixMs>,
    ) -> Self {
        let planned = state.planned();
        let (requests, not_modified) = state.budget.last_hour(now.mono);
        let (per_minute, left) = state.budget.left();
        let health = Health {
            circuit: match state.circuit.state() {
                State::Closed => "closed",
                State::Open(..) => "open",
                State::HalfOpen(_) => "half_open",
            },
            last_success: state.last_success,
            last_error: state.last_failure.as_ref().map(|failure| SyncFailure {
                at: failure.at.rfc3339(),
                message: failure.error.chain(),
                consecutive: failure.consecutive,
            }),
            next_due: planned.map(|(at, _)| now.stamp.plus(at.saturating_sub(now.mono))),
            next_step: planned.map(|(_, what)| what.clone()),
            backlog: state.backlog(),
            requests_last_hour: requests,
            not_modified_last_hour: not_modified,
            budget_per_minute: per_minute,
            budget_left: left,
            capabilities: serde_json::to_value(&state.capabilities).unwrap_or_default(),
            last_sweep: state
                .lists
                .iter()
                .map(|list| list.last_sweep_at)
                .min()
                .flatten(),
            last_upkeep,
            change_detection: ChangeDetection::default(),
        };
        Self {
            health,
            clock: steady.clone(),
            stale_cause: StaleCause::from_state(state, now),
            mirror_error: mirror_error(state),
            failed_polls: RunKind::ALL.map(|kind| failed_poll(state, kind)),
            whole_lists_confirmed: RunKind::ALL
                .map(|kind| state.lists[list_index(kind)].whole_confirmed),
        }
    }

    /// Returns how fresh an answer is. A list is not current if the last poll could not confirm it, however
    /// short ago it was confirmed.
    pub(super) fn freshness(
        &self,
        clock: &dyn Clock,
        confirmed: Option<&Confirmation>,
        active: bool,
        list: Option<RunKind>,
    ) -> Freshness {
        let mono = clock.monotonic();
        let cause = self.stale_cause.as_ref().map(|cause| cause.describe(mono));
        let Some(confirmed) = confirmed else {
            return Freshness {
                as_of: UnixMs(0),
                age: clock.wall().since(UnixMs(0)),
                stale_reason: Some(cause.unwrap_or_else(|| "never confirmed".to_owned())),
                incomplete: None,
                notice: None,
                answered_by: AnsweredBy::Mirror,
            };
        };
        let age = self.clock.age(confirmed.at, mono);
        let max_age = if active { MAX_ACTIVE_AGE } else { MAX_IDLE_AGE };
        let failed = list
            .and_then(|kind| self.failed_polls[list_index(kind)].as_ref())
            .filter(|(at, _)| confirmed.at < *at);
        let late = || format!("not confirmed for {}", format_duration(age));
        let stale_reason = match failed {
            _ if age > max_age => Some(cause.unwrap_or_else(late)),
            Some((_, why)) => {
                Some(cause.unwrap_or_else(|| format!("the last attempt failed: {why}")))
            }
            None => None,
        };
        Freshness {
            as_of: confirmed.at,
            age,
            stale_reason,
            incomplete: None,
            notice: None,
            answered_by: AnsweredBy::Mirror,
        }
    }
}
