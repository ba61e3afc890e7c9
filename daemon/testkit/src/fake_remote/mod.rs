//! A Docks API on a loopback port, with habits and faults that a test scripts.
//!
//! [`World`] is what it holds, [`Habits`] how it pages, tags and lets in,
//! [`Fault`] what it does instead of answering. Every request is in its log.

pub mod behaviour;
pub mod data;
pub mod fault;
pub mod http1;
pub mod respond;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use behaviour::{Habits, Order, Wrap};
pub use data::World;
pub use fault::{Fault, Wait};
pub use respond::TENANT;

/// One request that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Method.
    pub method: String,
    /// Path with query, as it came.
    pub target: String,
    /// `Authorization`, as it came.
    pub authorization: Option<String>,
    /// `If-None-Match`, as it came.
    pub if_none_match: Option<String>,
    /// `User-Agent`, as it came.
    pub user_agent: Option<String>,
    /// Status of the right answer; a fault may have sent another.
    pub status: u16,
}

/// A fault that waits for its requests.
struct Script {
    part: String,
    fault: Fault,
    left: Option<u32>,
}

#[derive(Default)]
struct Shared {
    world: World,
    habits: Habits,
    scripts: Vec<Script>,
    log: Vec<Seen>,
}

/// The server; it ends, with every connection, when it is dropped.
pub struct FakeRemote {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    open: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl FakeRemote {
    /// Starts on a free port.
    pub async fn start(world: World) -> Self {
        Self::start_on(([127, 0, 0, 1], 0).into(), world)
            .await
            .expect("a free loopback port can be bound")
    }

    /// Starts on a given address.
    pub async fn start_on(address: SocketAddr, world: World) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Mutex::new(Shared {
            world,
            ..Shared::default()
        }));
        let (open, _) = watch::channel(true);
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared), open.subscribe()));
        Ok(Self {
            address,
            shared,
            open,
            accepting,
        })
    }

    /// Returns the base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Reads or changes what there is.
    pub fn world<R>(&self, change: impl FnOnce(&mut World) -> R) -> R {
        change(&mut lock(&self.shared).world)
    }

    /// Changes how it behaves.
    pub fn habits(&self, change: impl FnOnce(&mut Habits)) {
        change(&mut lock(&self.shared).habits);
    }

    /// Plays a fault for every request until [`FakeRemote::clear`].
    pub fn fault(&self, fault: Fault) {
        self.script("", fault, None);
    }

    /// Plays a fault for the next `times` requests, which must come.
    pub fn fault_times(&self, fault: Fault, times: u32) {
        self.script("", fault, Some(times));
    }

    /// Plays a fault for requests whose target contains `part`, until cleared.
    pub fn fault_at(&self, part: &str, fault: Fault) {
        self.script(part, fault, None);
    }

    fn script(&self, part: &str, fault: Fault, left: Option<u32>) {
        lock(&self.shared).scripts.push(Script {
            part: part.to_owned(),
            fault,
            left,
        });
    }

    /// Ends every fault.
    pub fn clear(&self) {
        lock(&self.shared).scripts.clear();
    }

    /// Closes the port and every connection: connecting is refused until [`FakeRemote::reopen`].
    pub async fn close(&mut self) {
        self.open.send_replace(false);
        // Its end means that the listener is closed.
        if let Err(error) = (&mut self.accepting).await {
            assert!(error.is_cancelled(), "accepting failed: {error}");
        }
    }

    /// Listens again, on the same port.
    pub async fn reopen(&mut self) {
        let listener = TcpListener::bind(self.address)
            .await
            .expect("the port that was just ours can be bound again");
        self.open.send_replace(true);
        let shared = Arc::clone(&self.shared);
        self.accepting = tokio::spawn(accept(listener, shared, self.open.subscribe()));
    }

    /// Returns every request so far, oldest first.
    pub fn log(&self) -> Vec<Seen> {
        lock(&self.shared).log.clone()
    }

    /// Returns the log and empties it.
    pub fn take_log(&self) -> Vec<Seen> {
        std::mem::take(&mut lock(&self.shared).log)
    }
}

impl Drop for FakeRemote {
    fn drop(&mut self) {
        self.open.send_replace(false);
        self.accepting.abort();
        let unused = lock(&self.shared)
            .scripts
            .iter()
            .find(|script| script.left.is_some_and(|left| left > 0))
            .map(|script| format!("{:?}", script.fault));
        if let Some(fault) = unused
            && !std::thread::panicking()
        {
            panic!("a scripted fault was never asked for: {fault}");
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared
        .lock()
        .expect("no test panics while it holds the fake remote")
}

async fn accept(listener: TcpListener, shared: Arc<Mutex<Shared>>, open: watch::Receiver<bool>) {
    let mut closing = open.clone();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closing.wait_for(|open| !open) => return,
        };
        let Ok((stream, _)) = stream else { return };
        let (shared, mut closing) = (Arc::clone(&shared), open.clone());
        drop(tokio::spawn(async move {
            tokio::select! {
                // How a connection ends is the client's to notice.
                ended = serve(stream, shared) => drop(ended),
                _ = closing.wait_for(|open| !open) => {}
            }
        }));
    }
}

/// Serves one connection until the client leaves or a fault breaks it.
async fn serve(mut stream: TcpStream, shared: Arc<Mutex<Shared>>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    while let Some(head) = http1::read_request(&mut stream).await? {
        let (response, fault, latency) = decide(&mut lock(&shared), &head);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        match fault {
            None => response.write(&mut stream).await?,
            Some(fault) => return fault.play(&mut stream, &head, response).await,
        }
    }
    Ok(())
}

fn decide(
    shared: &mut Shared,
    head: &http1::Head,
) -> (http1::Response, Option<Fault>, std::time::Duration) {
    let fault = next_fault(shared, &head.target);
    let mut habits = shared.habits.clone();
    match &fault {
        Some(Fault::ClockSkew(seconds)) => habits.skew_s = *seconds,
        Some(Fault::PageDrift) => {
            let name = format!("drift-{}", shared.log.len());
            shared.world.add_run(&name, "completed");
            shared.world.add_evaluation(&name, "completed");
        }
        // A fault that changes the body needs one, as it is.
        Some(_) => (habits.etag, habits.gzip) = (false, false),
        None => {}
    }
    let response = respond::answer(&mut shared.world, &habits, head);
    let header = |name| head.header(name).map(str::to_owned);
    shared.log.push(Seen {
        method: head.method.clone(),
        target: head.target.clone(),
        authorization: header("authorization"),
        if_none_match: header("if-none-match"),
        user_agent: header("user-agent"),
        status: response.status,
    });
    // These two are whole in the answer already.
    let played = fault.filter(|f| !matches!(f, Fault::ClockSkew(_) | Fault::PageDrift));
    (response, played, habits.latency)
}

fn next_fault(shared: &mut Shared, target: &str) -> Option<Fault> {
    let script = shared
        .scripts
        .iter_mut()
        .find(|script| script.left != Some(0) && target.contains(&script.part))?;
    if let Some(left) = &mut script.left {
        *left -= 1;
    }
    Some(script.fault.clone())
}
