//! `docksd`: mirrors the runs, trials and statuses of remotes and serves them on a Unix socket.

pub mod api;
pub mod config;
pub mod cron;
pub mod hooks;
pub mod hub;
pub mod instance;
pub mod limits;
pub mod list_response;
pub mod logging;
pub mod process;
pub mod registry;
pub mod run_end_cursor;
pub mod shutdown;
pub mod startup_report;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::task::JoinSet;
use tokio_cron_scheduler::JobSchedulerError;

use api::own_actions::OwnActions;
use api::{HubStatusSource, Service};
use config::Config;
use cron::Schedule;
use docks_proto::error::error_chain;
use docks_proto::routes;
use docks_statistics::failures::RuleSet;
use docksd_sync::Clock;
use http::{HeaderMap, HeaderName, HeaderValue};
use hub::Hub;
use instance::Instance;
use registry::{Registry, RemoteConnector};
use shutdown::ShutdownSignal;

/// How long closing the mirrors may take. A file system that hangs would keep the process for good.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(8);

/// What the daemon needs from its caller besides its configuration.
pub struct Dependencies {
    /// Connects to remotes.
    pub connector: Box<dyn RemoteConnector>,
    /// The wall clock and the monotonic clock of all parts.
    pub clock: Arc<dyn Clock>,
    /// The hub, if a jobs directory is shared with other machines.
    pub hub: Option<Hub>,
}

/// Why the daemon could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The cron jobs could not be set up.
    #[error("could not start the cron jobs")]
    Schedule(#[source] JobSchedulerError),
}

/// Serves until `shutdown` resolves, a client requests the shutdown, or the daemon was idle for too long.
///
/// All mirrors are closed when this returns.
///
/// # Errors
///
/// [`RunError`] when it could not start.
pub async fn run(
    config: Config,
    (mut instance, listener): (Instance, UnixListener),
    dependencies: Dependencies,
    shutdown: impl Future<Output = &'static str>,
) -> Result<(), RunError> {
    let Dependencies {
        connector,
        clock,
        hub,
    } = dependencies;
    let registry = Arc::new(Registry::new(&config, connector, Arc::clone(&clock)));
    let schedule = Schedule::start(&registry, &config.schedules, config.retention)
        .await
        .map_err(RunError::Schedule)?;
    let shutdown_signal = ShutdownSignal::default();
    let started = clock.monotonic();
    let service = Arc::new(Service {
        registry: Arc::clone(&registry),
        schedule,
        shutdown: shutdown_signal.clone(),
        failure_rules: Arc::new(RuleSet::with_built_in(config.failure_rules.clone())),
        own_actions: OwnActions::new(&config.paths),
        watchers: api::serve::watcher_slots(),
        started,
        last_request_ms: AtomicU64::new(u64::try_from(started.as_millis()).unwrap_or(0)),
        identity: identity(&config),
        config,
        hub_status: hub.as_ref().map(hub_status),
    });
    let mut hub_task = JoinSet::new();
    if let Some(hub) = hub {
        hub_task.spawn(hub::serve(
            hub,
            Arc::clone(&service),
            shutdown_signal.clone(),
        ));
    }
    let mut background = spawn_background_tasks(&service);
    let shutdown_requests = async {
        shutdown_signal.request(shutdown.await);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = api::serve::serve(Arc::clone(&service), &mut instance, listener, &shutdown_signal) => {}
        () = shutdown_requests => {}
    }
    let closing = async {
        // Open requests of the hub finish soon, and need the mirrors until then.
        while hub_task.join_next().await.is_some() {}
        background.shutdown().await;
        service.schedule.stop().await;
        registry.close().await;
    };
    match tokio::time::timeout(CLOSE_TIMEOUT, closing).await {
        Ok(()) => tracing::info!("stopped"),
        // A mirror is intact however its process ends; the next daemon finds it as after a kill.
        Err(_) => tracing::warn!("stopped although a file system does not answer"),
    }
    Ok(())
}

/// Returns the headers by which a command recognises another build, or another environment.
fn identity(config: &Config) -> HeaderMap {
    let build = config.build.map(|build| build.to_string());
    let named = [
        (routes::BUILD, build),
        (routes::PROXIES, config.proxies.fingerprint()),
    ];
    named
        .into_iter()
        .filter_map(|(name, value)| {
            let value = HeaderValue::from_str(&value?).ok()?;
            Some((HeaderName::from_static(name), value))
        })
        .collect()
}

/// Lets the API report a hub without knowing it.
fn hub_status(hub: &Hub) -> HubStatusSource {
    let counters = hub.counters();
    Box::new(move || counters.status())
}

/// Spawns the tasks that run without a request.
fn spawn_background_tasks(service: &Arc<Service>) -> JoinSet<()> {
    let registry = &service.registry;
    let mut tasks = JoinSet::new();
    tasks.spawn({
        let registry = Arc::clone(registry);
        async move { registry.open_recent().await }
    });
    tasks.spawn({
        let registry = Arc::clone(registry);
        async move { registry.replace_damaged_mirrors().await }
    });
    tasks.spawn({
        let registry = Arc::clone(registry);
        async move { registry.close_abandoned_mirrors().await }
    });
    tasks.spawn({
        let registry = Arc::clone(registry);
        async move { registry.replace_lost_mirrors().await }
    });
    spawn_prefetch(service);
    tasks.spawn(hooks::run(
        Arc::clone(registry),
        service.config.on_end.clone(),
        service.config.keyring.clone(),
        service.config.umask,
    ));
    tasks.spawn(hooks::run_limits::run(Arc::clone(service)));
    tasks.spawn({
        let service = Arc::clone(service);
        async move { service.schedule.follow_utc_offset().await }
    });
    if let Some(limit) = service.config.idle_exit.after() {
        tasks.spawn(shut_down_when_idle(Arc::clone(service), limit));
    }
    tasks
}

/// Prefetches artifacts on a thread of its own, since downloads write to a disk that may hang.
fn spawn_prefetch(service: &Arc<Service>) {
    let prefetching = hooks::artifact_prefetch::run(
        Arc::clone(&service.registry),
        service.config.prefetch.clone(),
    );
    let shutdown = service.shutdown.clone();
    let runtime = tokio::runtime::Handle::current();
    // Not among the tasks that are waited for at the end: what it writes can be cut off anywhere.
    drop(tokio::task::spawn_blocking(move || {
        runtime.block_on(async {
            tokio::select! {
                () = prefetching => {}
                () = shutdown.requested() => {}
            }
        });
    }));
}

/// Requests the shutdown after `limit` without a request, unless a run is active.
async fn shut_down_when_idle(service: Arc<Service>, limit: Duration) {
    loop {
        let left = limit.saturating_sub(service.idle_time());
        // Checked at least once a minute, since time also passes while the machine is suspended.
        tokio::time::sleep(left.clamp(Duration::from_secs(1), Duration::from_secs(60))).await;
        if service.idle_time() >= limit && !has_active_runs(&service.registry).await {
            service.shutdown.request("no request for a long time");
            return;
        }
    }
}

async fn has_active_runs(registry: &Registry) -> bool {
    for remote in registry.open_remotes() {
        match remote.mirror.stats().await {
            Ok(stats) if stats.rows.active == 0 => {}
            Ok(_) => return true,
            // An unreadable mirror does not keep the daemon running.
            Err(error) => {
                tracing::warn!(error = error_chain(&error), "could not count active runs")
            }
        }
    }
    false
}
