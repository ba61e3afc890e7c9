//! A `harbor serve` on a loopback port: its tables, which tests fill, and the routes that docks uses.
//!
//! Statements sent to `/query` are run by SQLite on tables with the server's columns, so that what is tested is what
//! the real server gets.

mod data;
mod routes;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use data::{FakeAttempt, ServerData};

use crate::fake_remote::http1::{RequestHead, Response, read_whole_request};

/// The server. Dropping it closes every connection.
pub struct FakeHarbor {
    address: SocketAddr,
    data: Arc<Mutex<ServerData>>,
    open: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl FakeHarbor {
    /// Starts on a free port, without jobs.
    pub async fn start() -> Self {
        Self::start_on(([127, 0, 0, 1], 0).into())
            .await
            .expect("a free loopback port can be bound")
    }

    /// Starts on a given address, without jobs: another data directory at the same place.
    pub async fn start_on(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let data = Arc::new(Mutex::new(ServerData::new()));
        let (open, _) = watch::channel(true);
        let accepting = tokio::spawn(accept(listener, Arc::clone(&data), open.subscribe()));
        Ok(Self {
            address,
            data,
            open,
            accepting,
        })
    }

    /// Returns its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the address that it listens at.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reads or changes what it has.
    pub fn with<R>(&self, change: impl FnOnce(&mut ServerData) -> R) -> R {
        change(&mut lock(&self.data))
    }

    /// Returns the requests so far, as method and path with query.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.data).requests.clone()
    }
}

impl Drop for FakeHarbor {
    fn drop(&mut self) {
        self.open.send_replace(false);
        self.accepting.abort();
    }
}

fn lock(data: &Mutex<ServerData>) -> MutexGuard<'_, ServerData> {
    data.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, data: Arc<Mutex<ServerData>>, open: watch::Receiver<bool>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (data, mut open) = (Arc::clone(&data), open.clone());
        tokio::spawn(async move {
            tokio::select! {
                _ = serve(stream, &data) => {}
                _ = open.wait_for(|open| !open) => {}
            }
        });
    }
}

async fn serve(mut stream: TcpStream, data: &Mutex<ServerData>) -> io::Result<()> {
    while let Some((head, body)) = read_whole_request(&mut stream).await? {
        let response = answer(&mut lock(data), &head, &body);
        if head.path().starts_with("/rollouts/") {
            let delay = lock(data).delay_of_results;
            tokio::time::sleep(delay).await;
        }
        response.write(&mut stream).await?;
    }
    Ok(())
}

fn answer(data: &mut ServerData, head: &RequestHead, body: &[u8]) -> Response {
    data.requests
        .push(format!("{} {}", head.method, head.target));
    routes::answer(data, head, body)
}
