//! What all handlers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::HeaderMap;
use docks_proto::freshness::CachePolicy;
use docks_proto::status::HubStatus;
use docks_proto::time::UnixMs;
use docks_statistics::failures::RuleSet;
use tokio::sync::Semaphore;

use super::error::ApiError;
use super::extract;
use super::own_actions::OwnActions;
use super::revalidate::FreshnessRequirement;
use crate::config::Config;
use crate::cron::Schedule;
use crate::registry::{MirroredRemote, Registry, RemoteRequest};
use crate::shutdown::ShutdownSignal;

/// Returns the current status of a hub.
pub type HubStatusSource = Box<dyn Fn() -> HubStatus + Send + Sync>;

/// What all handlers share.
pub struct Service {
    /// The remotes.
    pub registry: Arc<Registry>,
    /// The cron jobs.
    pub schedule: Schedule,
    /// The configuration of the daemon.
    pub config: Config,
    /// What identifies this daemon to its user's commands: the headers of its build and its proxies.
    pub identity: HeaderMap,
    /// Returns the status of the hub, if there is one.
    pub hub_status: Option<HubStatusSource>,
    /// Why trials fail: the rules of the settings, then those of this release.
    pub failure_rules: Arc<RuleSet>,
    /// Notes of what this machine has done to runs.
    pub own_actions: OwnActions,
    /// Requests the shutdown of the daemon.
    pub shutdown: ShutdownSignal,
    /// Limits how many clients watch at once.
    pub watchers: Arc<Semaphore>,
    /// Monotonic time at which the daemon started.
    pub started: Duration,
    /// Monotonic time of the last request, in milliseconds.
    pub last_request_ms: AtomicU64,
}

impl Service {
    /// Opens the remote that the headers select, for a read: what this machine has done to its runs is
    /// confirmed first.
    ///
    /// `tenant` is the one in the path or the query, if there is one.
    pub(super) async fn open_for_reading(
        &self,
        headers: &HeaderMap,
        tenant: Option<&str>,
    ) -> Result<Arc<MirroredRemote>, ApiError> {
        let request = extract::remote_request(headers, tenant)?;
        self.open_request_for_reading(request, headers).await
    }

    /// Does the same for the remote of a request that is not in the headers.
    pub(super) async fn open_request_for_reading(
        &self,
        request: RemoteRequest,
        headers: &HeaderMap,
    ) -> Result<Arc<MirroredRemote>, ApiError> {
        let remote = self.registry.open(request).await?;
        let policy = CachePolicy::from_headers(headers);
        let now = self.wall_time();
        let version = self.registry.notes_version();
        self.own_actions
            .settle(&remote, version, policy, now)
            .await?;
        Ok(remote)
    }

    /// Opens the remote that the headers select.
    ///
    /// `tenant` is the one in the path or the query, if there is one.
    pub(super) async fn open_remote(
        &self,
        headers: &HeaderMap,
        tenant: Option<&str>,
    ) -> Result<Arc<MirroredRemote>, ApiError> {
        let request = extract::remote_request(headers, tenant)?;
        Ok(self.registry.open(request).await?)
    }

    /// Reads how fresh the response to a request that has just arrived must be.
    pub(super) fn freshness_requirement(&self, headers: &HeaderMap) -> FreshnessRequirement {
        FreshnessRequirement {
            policy: CachePolicy::from_headers(headers),
            received_at: self.wall_time(),
        }
    }

    pub(super) fn wall_time(&self) -> UnixMs {
        self.registry.clock().wall()
    }

    pub(super) fn monotonic_time(&self) -> Duration {
        self.registry.clock().monotonic()
    }

    /// Returns how long ago the last request was.
    #[must_use]
    pub fn idle_time(&self) -> Duration {
        let last = Duration::from_millis(self.last_request_ms.load(Ordering::Relaxed));
        self.monotonic_time().saturating_sub(last)
    }

    /// Records that a request has arrived, so that the daemon does not exit for idleness.
    pub(crate) fn record_request(&self) {
        let now_ms = u64::try_from(self.monotonic_time().as_millis()).unwrap_or(u64::MAX);
        self.last_request_ms.store(now_ms, Ordering::Relaxed);
    }
}
