//! A Docks API on a loopback port, with objects, behaviour and faults that a test scripts.
//!
//! [`RemoteData`] holds its objects, [`Behaviour`] says how it pages, tags and authenticates, and
//! [`Fault`] what it does instead of answering correctly. It logs every request.

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

pub use behaviour::{Behaviour, ListEnvelope, ListOrder};
pub use data::RemoteData;
pub use fault::{Fault, RetryAfter};
pub use respond::{TENANT, profile_settings};

/// A request that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedRequest {
    /// Method.
    pub method: String,
    /// Path with query, as received.
    pub target: String,
    /// `Authorization`, as received.
    pub authorization: Option<String>,
    /// `If-None-Match`, as received.
    pub if_none_match: Option<String>,
    /// `User-Agent`, as received.
    pub user_agent: Option<String>,
    /// Status of the correct response; a fault may have sent another.
    pub status: u16,
}

/// A fault, and the requests that it applies to.
struct ScriptedFault {
    part: String,
    fault: Fault,
    left: Option<u32>,
}

#[derive(Default)]
struct Shared {
    data: RemoteData,
    behaviour: Behaviour,
    scripts: Vec<ScriptedFault>,
    log: Vec<ReceivedRequest>,
}

/// The server. Dropping it closes every connection.
pub struct FakeRemote {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    open: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl FakeRemote {
    /// Starts on a free port.
    pub async fn start(data: RemoteData) -> Self {
        Self::start_on(([127, 0, 0, 1], 0).into(), data)
            .await
            .expect("a free loopback port can be bound")
    }

    /// Starts on a given address.
    pub async fn start_on(address: SocketAddr, data: RemoteData) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Mutex::new(Shared {
            data,
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

    /// Reads or changes its objects.
    pub fn with_data<R>(&self, change: impl FnOnce(&mut RemoteData) -> R) -> R {
        change(&mut lock(&self.shared).data)
    }

    /// Changes how it behaves.
    pub fn configure(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut lock(&self.shared).behaviour);
    }

    /// Applies a fault to every request until [`FakeRemote::clear`].
    pub fn fault(&self, fault: Fault) {
        self.script("", fault, None);
    }

    /// Applies a fault to the next `times` requests, which must arrive before the remote is dropped.
    pub fn fault_times(&self, fault: Fault, times: u32) {
        self.script("", fault, Some(times));
    }

    /// Applies a fault to requests whose target contains `part`, until cleared.
    pub fn fault_at(&self, part: &str, fault: Fault) {
        self.script(part, fault, None);
    }

    fn script(&self, part: &str, fault: Fault, left: Option<u32>) {
        lock(&self.shared).scripts.push(ScriptedFault {
            part: part.to_owned(),
            fault,
            left,
        });
    }

    /// Removes every fault.
    pub fn clear(&self) {
        lock(&self.shared).scripts.clear();
    }

    /// Closes the port and every connection: connecting is refused until [`FakeRemote::reopen`].
    pub async fn close(&mut self) {
        self.open.send_replace(false);
        // Once this task has ended, the listener is closed.
        if let Err(error) = (&mut self.accepting).await {
            assert!(error.is_cancelled(), "accepting failed: {error}");
        }
    }

    /// Listens again, on the same port.
    pub async fn reopen(&mut self) {
        let listener = TcpListener::bind(self.address)
            .await
            .expect("the port that was just released can be bound again");
        self.open.send_replace(true);
        let shared = Arc::clone(&self.shared);
        self.accepting = tokio::spawn(accept(listener, shared, self.open.subscribe()));
    }

    /// Returns every request so far, oldest first.
    pub fn log(&self) -> Vec<ReceivedRequest> {
        lock(&self.shared).log.clone()
    }

    /// Returns the log and empties it.
    pub fn take_log(&self) -> Vec<ReceivedRequest> {
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
            panic!("no request used a scripted fault: {fault}");
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared
        .lock()
        .expect("no test panics while it locks the fake remote")
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
                // The client sees how its connection ends.
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
        let (response, fault, latency) = prepare_response(&mut lock(&shared), &head);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        match fault {
            None => response.write(&mut stream).await?,
            Some(fault) => return fault.send(&mut stream, &head, response).await,
        }
    }
    Ok(())
}

fn prepare_response(
    shared: &mut Shared,
    head: &http1::RequestHead,
) -> (http1::Response, Option<Fault>, std::time::Duration) {
    let fault = next_fault(shared, &head.target);
    let mut behaviour = shared.behaviour.clone();
    match &fault {
        Some(Fault::ClockSkew(seconds)) => behaviour.skew_s = *seconds,
        Some(Fault::PageDrift) => {
            let name = format!("drift-{}", shared.log.len());
            shared.data.add_run(&name, "completed");
            shared.data.add_evaluation(&name, "completed");
        }
        // A fault that changes the body needs a body that is neither absent nor compressed.
        Some(_) => (behaviour.etag, behaviour.gzip) = (false, false),
        None => {}
    }
    let response = respond::respond(&mut shared.data, &behaviour, head);
    let header = |name| head.header(name).map(str::to_owned);
    shared.log.push(ReceivedRequest {
        method: head.method.clone(),
        target: head.target.clone(),
        authorization: header("authorization"),
        if_none_match: header("if-none-match"),
        user_agent: header("user-agent"),
        status: response.status,
    });
    // These two are already part of the response.
    let sent_by_fault = fault.filter(|f| !matches!(f, Fault::ClockSkew(_) | Fault::PageDrift));
    (response, sent_by_fault, behaviour.latency)
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
