//! What the engine says of itself, readable at any moment without asking its task.

use std::time::Duration;

use docks_proto::freshness::{AnsweredBy, Freshness};
use docks_proto::status::SyncFailure;
use docks_proto::time::UnixMs;

use docksd_mirror::Confirmation;
use docksd_remote::ChangeDetection;

use super::circuit_breaker::{Cause, State};
use super::clock::{Clock, Now, Steady};
use super::state::Core;

/// Beyond this age an answer about something active is old: two polls were missed.
const ACTIVE_BOUND: Duration = Duration::from_secs(15);
/// The same for everything else.
const IDLE_BOUND: Duration = Duration::from_secs(180);

/// State of the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// `closed`, `open` or `half_open`.
    pub circuit: &'static str,
    /// Last time a step ended well.
    pub last_success: Option<UnixMs>,
    /// Last failure, until a success follows.
    pub last_error: Option<SyncFailure>,
    /// When the next step is planned.
    pub next_due: Option<UnixMs>,
    /// What it is.
    pub next_step: Option<String>,
    /// Steps to do until the mirror has caught up.
    pub backlog: u64,
    /// Requests of the last hour.
    pub requests_last_hour: u64,
    /// How many of them were answered 304.
    pub not_modified_last_hour: u64,
    /// Requests allowed per minute; 0 for a remote whose requests cost nothing.
    pub budget_per_minute: u32,
    /// Requests left now.
    pub budget_left: u32,
    /// What was learned of the remote.
    pub capabilities: serde_json::Value,
    /// When both lists were last swept: the older of the two.
    pub last_sweep: Option<UnixMs>,
    /// When upkeep last ended well.
    pub last_upkeep: Option<UnixMs>,
    /// How changes are learned.
    pub change_detection: ChangeDetection,
}

/// What readers see of the engine, replaced after each of its turns.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) health: Health,
    pub(super) steady: Steady,
    pub(super) trouble: Option<Trouble>,
}

/// Why answers grow old.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    cause: Option<Cause>,
    since: Duration,
    until: Duration,
    why: String,
}

impl Trouble {
    fn of(core: &Core, now: Now) -> Option<Self> {
        let failure = core.last_failure.as_ref();
        let why = failure.map(|f| f.error.chain()).unwrap_or_default();
        let until = match core.circuit.state() {
            State::Open(_, until) => until,
            _ => now.mono,
        };
        match core.circuit.opened() {
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

    fn words(&self, mono: Duration) -> String {
        let lasted = words_of(mono.saturating_sub(self.since));
        match self.cause {
            Some(Cause::Outage) => format!("remote unreachable for {lasted}: {}", self.why),
            Some(Cause::Auth) => format!("the remote refuses the token: {}", self.why),
            Some(Cause::RateLimited) => format!(
                "rate limited for another {}",
                words_of(self.until.saturating_sub(mono))
            ),
            None => format!("last try failed: {}", self.why),
        }
    }
}

/// Writes a duration as people say it: its largest unit.
fn words_of(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

impl Shared {
    pub(super) fn of(core: &Core, steady: &Steady, now: Now, last_upkeep: Option<UnixMs>) -> Self {
        let planned = core.planned();
        let (requests, not_modified) = core.budget.last_hour(now.mono);
        let (per_minute, left) = core.budget.left();
        let health = Health {
            circuit: match core.circuit.state() {
                State::Closed => "closed",
                State::Open(..) => "open",
                State::HalfOpen(_) => "half_open",
            },
            last_success: core.last_success,
            last_error: core.last_failure.as_ref().map(|failure| SyncFailure {
                at: failure.at.rfc3339(),
                message: failure.error.chain(),
                consecutive: failure.consecutive,
            }),
            next_due: planned.map(|(at, _)| now.stamp.plus(at.saturating_sub(now.mono))),
            next_step: planned.map(|(_, what)| what.clone()),
            backlog: core.backlog(),
            requests_last_hour: requests,
            not_modified_last_hour: not_modified,
            budget_per_minute: per_minute,
            budget_left: left,
            capabilities: serde_json::to_value(&core.facts).unwrap_or_default(),
            last_sweep: core
                .lists
                .iter()
                .map(|track| track.swept_at)
                .min()
                .flatten(),
            last_upkeep,
            change_detection: ChangeDetection::default(),
        };
        Self {
            health,
            steady: steady.clone(),
            trouble: Trouble::of(core, now),
        }
    }

    pub(super) fn freshness(
        &self,
        clock: &dyn Clock,
        confirmed: Option<&Confirmation>,
        active: bool,
    ) -> Freshness {
        let mono = clock.monotonic();
        let trouble = self.trouble.as_ref().map(|trouble| trouble.words(mono));
        let Some(confirmed) = confirmed else {
            return Freshness {
                as_of: UnixMs(0),
                age: clock.wall().since(UnixMs(0)),
                stale_reason: Some(trouble.unwrap_or_else(|| "never confirmed".to_owned())),
                answered_by: AnsweredBy::Mirror,
            };
        };
        let age = self.steady.age(confirmed.at, mono);
        let bound = if active { ACTIVE_BOUND } else { IDLE_BOUND };
        let late = || format!("not confirmed for {}", words_of(age));
        Freshness {
            as_of: confirmed.at,
            age,
            stale_reason: (age > bound).then(|| trouble.unwrap_or_else(late)),
            answered_by: AnsweredBy::Mirror,
        }
    }
}
