//! `docksd`: mirrors runs, trials and statuses of a remote and serves them on a Unix socket.

pub mod api;
pub mod config;
pub mod cron;
pub mod hooks;
pub mod hub;
pub mod instance;
pub mod limits;
pub mod list_response;
pub mod logging;
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

use api::Service;
use config::Config;
use cron::Schedule;
use docks_proto::error::error_chain;
use docksd_sync::Clock;
use hub::Hub;
use instance::Instance;
use registry::{Connect, Registry};
use shutdown::Ending;

/// What the daemon asks besides its own files: remotes and the time.
pub struct World {
    /// Makes remotes.
    pub connect: Box<dyn Connect>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Shares a jobs directory with other machines, if that is wanted.
    pub hub: Option<Hub>,
}

/// Says why the daemon could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The cron jobs could not be set up.
    #[error("could not start the schedule")]
    Schedule(#[source] JobSchedulerError),
}

/// Serves until `shutdown`, a request or long idleness ends it; everything is closed then.
///
/// # Errors
///
/// [`RunError`] when it could not begin.
pub async fn run(
    config: Config,
    (mut instance, listener): (Instance, UnixListener),
    world: World,
    shutdown: impl Future<Output = &'static str>,
) -> Result<(), RunError> {
    let World {
        connect,
        clock,
        hub,
    } = world;
    let registry = Arc::new(Registry::new(&config, connect, Arc::clone(&clock)));
    let schedule = Schedule::start(&registry, &config.calendar, config.retention)
        .await
        .map_err(RunError::Schedule)?;
    let ending = Ending::default();
    let started = clock.monotonic();
    let service = Arc::new(Service {
        registry: Arc::clone(&registry),
        schedule,
        ending: ending.clone(),
        watching: api::serve::watching(),
        started,
        last_request_ms: AtomicU64::new(u64::try_from(started.as_millis()).unwrap_or(0)),
        config,
        hub: hub.as_ref().map(Hub::counts),
    });
    let mut sharing = JoinSet::new();
    if let Some(hub) = hub {
        sharing.spawn(hub::serve(hub, Arc::clone(&service), ending.clone()));
    }
    let mut behind = JoinSet::new();
    behind.spawn({
        let registry = Arc::clone(&registry);
        async move { registry.open_likely().await }
    });
    behind.spawn({
        let registry = Arc::clone(&registry);
        async move { registry.mend().await }
    });
    behind.spawn(hooks::artifact_prefetch::keep_pulling(
        Arc::clone(&registry),
        service.config.pull.clone(),
    ));
    behind.spawn(hooks::keep_acting(
        Arc::clone(&registry),
        service.config.on_end.clone(),
        service.config.keyring.clone(),
    ));
    if let Some(limit) = service.config.idle_exit.after() {
        behind.spawn(end_when_idle(Arc::clone(&service), limit));
    }
    let asked = async {
        ending.ask(shutdown.await);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = api::serve::serve(Arc::clone(&service), &mut instance, listener, &ending) => {}
        () = asked => {}
    }
    // Its requests end by themselves soon, and need the mirrors until then.
    while sharing.join_next().await.is_some() {}
    behind.shutdown().await;
    service.schedule.stop().await;
    registry.close().await;
    tracing::info!("ended");
    Ok(())
}

/// Ends the daemon when nobody has asked anything for `limit` and no run is active.
async fn end_when_idle(service: Arc<Service>, limit: Duration) {
    loop {
        let left = limit.saturating_sub(service.idle());
        // Looked at again now and then, since time also passes while the machine sleeps.
        tokio::time::sleep(left.clamp(Duration::from_secs(1), Duration::from_secs(60))).await;
        if service.idle() >= limit && !anything_active(&service.registry).await {
            service.ending.ask("nobody has asked anything for long");
            return;
        }
    }
}

async fn anything_active(registry: &Registry) -> bool {
    for source in registry.open_sources() {
        match source.mirror.stats().await {
            Ok(stats) if stats.rows.active == 0 => {}
            Ok(_) => return true,
            // A mirror that cannot be read keeps nobody up.
            Err(error) => {
                tracing::warn!(error = error_chain(&error), "could not count active runs")
            }
        }
    }
    false
}
