//! The remote of the model of identities: what it shows depends on the token, and says so.
//!
//! Each object carries a mark of the token that it was shown to. The people behind the tokens see
//! different runs, and the same runs with different contents.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use docksd_testkit::fake_remote::http1::{RequestHead, Response, read_request};
use docksd_testkit::fake_remote::respond::error_response;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// People, each with the tenant that their tokens are for.
pub(super) const PEOPLE: [(&str, &str); 4] = [
    ("ada", "ten"),
    ("ben", "ten"),
    ("guest", "ten"),
    ("cleo", "other"),
];

/// The tenants.
pub(super) const TENANTS: [&str; 2] = ["ten", "other"];

/// Every token begins so, and no answer may contain it.
pub(super) const SECRET: &str = "secret-";

/// Statuses of runs; the first two are active.
const STATUSES: [&str; 4] = ["pending", "running", "completed", "failed"];

/// Runs that only one person sees, and runs that everybody sees.
const RUNS_OF_EACH: usize = 3;

/// Returns the ids of all runs that a group has, of one kind: `run` or `eval`.
fn ids_of(kind: &str, group: &str) -> impl Iterator<Item = String> {
    let prefix = format!("{kind}-{group}-");
    (0..RUNS_OF_EACH).map(move |index| format!("{prefix}{index}"))
}

/// Returns the ids of all runs of a kind that a person sees.
pub(super) fn visible(kind: &str, person: &str) -> Vec<String> {
    ids_of(kind, "all").chain(ids_of(kind, person)).collect()
}

/// Returns the ids of all runs, of both kinds.
pub(super) fn all_ids() -> Vec<String> {
    let groups = PEOPLE.iter().map(|(person, _)| *person).chain(["all"]);
    groups
        .flat_map(|group| ids_of("run", group).chain(ids_of("eval", group)))
        .collect()
}

/// Returns what marks an object that was shown to a token.
pub(super) fn mark_of(token: &str) -> &str {
    token.strip_prefix(SECRET).unwrap_or(token)
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(super) struct ReceivedRequest {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) token: Option<String>,
    /// The token that was shown what the request's `If-None-Match` names.
    pub(super) validator_of: Option<String>,
}

/// The statuses that a token was shown, by the id of the object.
pub(super) type Shown = BTreeMap<String, BTreeSet<String>>;

/// What the remote has, accepts and has shown.
#[derive(Default)]
pub(super) struct World {
    /// The accepted tokens, each with its person.
    pub(super) accepted: HashMap<String, &'static str>,
    statuses: HashMap<(&'static str, String), &'static str>,
    shown: HashMap<String, Shown>,
    validators: HashMap<String, String>,
    received: Vec<ReceivedRequest>,
    generation: u64,
}

impl World {
    /// Returns what was shown to a token.
    pub(super) fn shown(&self, token: &str) -> Option<&Shown> {
        self.shown.get(token)
    }

    /// Returns the requests since the last call.
    pub(super) fn take_received(&mut self) -> Vec<ReceivedRequest> {
        std::mem::take(&mut self.received)
    }

    /// Changes the status of a run, as one person sees it.
    pub(super) fn advance(&mut self, person: &'static str, id: String, rng: &mut fastrand::Rng) {
        let status = STATUSES[rng.usize(..STATUSES.len())];
        self.statuses.insert((person, id), status);
    }

    fn respond(&mut self, head: &RequestHead) -> Response {
        let authorization = head.header("authorization").unwrap_or_default();
        let token = authorization.strip_prefix("Bearer ").map(str::to_owned);
        let validator = head.header("if-none-match");
        self.received.push(ReceivedRequest {
            method: head.method.clone(),
            path: head.path().to_owned(),
            token: token.clone(),
            validator_of: validator.and_then(|tag| self.validators.get(tag).cloned()),
        });
        let token = token.unwrap_or_default();
        let Some(&person) = self.accepted.get(&token) else {
            return error_response(401, "Invalid token");
        };
        let mut response = self.answer(head, person, &token);
        if head.method == "GET" && response.status == 200 {
            let tag = format!("\"{:016x}\"", hash(&response.body));
            self.validators.insert(tag.clone(), token);
            if validator == Some(&tag) {
                response = Response::new(304);
            }
            response.header("etag", &tag);
        }
        response
    }

    fn answer(&mut self, head: &RequestHead, person: &'static str, token: &str) -> Response {
        let parts: Vec<&str> = head.path().split('/').skip(1).collect();
        let ["tenants", tenant, rest @ ..] = &parts[..] else {
            return error_response(404, "Not Found");
        };
        if !PEOPLE.contains(&(person, tenant)) {
            return error_response(404, "Tenant not found");
        }
        let sees = |kind: &str, id: &str| visible(kind, person).iter().any(|seen| seen == id);
        match (head.method.as_str(), rest) {
            ("GET", ["runs"]) => self.list("run", head, person, token),
            ("GET", ["harbor", "runs"]) => self.list("eval", head, person, token),
            ("GET", ["runs", id]) if sees("run", id) => self.one(id, person, token),
            ("GET", ["harbor", "runs", id]) if sees("eval", id) => self.one(id, person, token),
            ("GET", ["harbor", "runs", id, "trials"]) if sees("eval", id) => {
                let trials: Vec<_> = (0..2)
                    .map(|index| self.show(&format!("{id}.trial-{index}"), person, token))
                    .collect();
                Response::json(200, Value::from(trials).to_string())
            }
            ("POST", ["runs", id, "stop"]) if sees("run", id) => {
                self.statuses.insert((person, (*id).to_owned()), "stopped");
                self.one(id, person, token)
            }
            _ => error_response(404, "Run not found"),
        }
    }

    fn list(
        &mut self,
        kind: &str,
        head: &RequestHead,
        person: &'static str,
        token: &str,
    ) -> Response {
        let number = |name| head.query(name).and_then(|text| text.parse().ok());
        let ids = visible(kind, person).into_iter();
        let page = ids
            .skip(number("offset").unwrap_or(0))
            .take(number("limit").unwrap_or(50));
        let runs: Vec<_> = page.map(|id| self.show(&id, person, token)).collect();
        Response::json(200, Value::from(runs).to_string())
    }

    fn one(&mut self, id: &str, person: &'static str, token: &str) -> Response {
        Response::json(200, self.show(id, person, token).to_string())
    }

    /// Returns an object with the mark of the token, and records what the token was shown.
    fn show(&mut self, id: &str, person: &'static str, token: &str) -> Value {
        let status = self.statuses.get(&(person, id.to_owned()));
        let status = status.copied().unwrap_or("running");
        let shown = self.shown.entry(token.to_owned()).or_default();
        let statuses = shown.entry(id.to_owned()).or_default();
        statuses.insert(status.to_owned());
        let mark = mark_of(token);
        json!({
            "id": id, "name": format!("{person} <<{mark}>>"), "status": status,
            "created_at": "2026-11-01T00:00:00Z", "note": format!("<<{mark}>>"),
        })
    }
}

fn hash(bytes: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// The server.
pub(super) struct IdentityRemote {
    address: SocketAddr,
    /// Stays open, so that nothing else on the machine takes the port.
    listener: std::net::TcpListener,
    world: Arc<Mutex<World>>,
    accepting: JoinHandle<()>,
}

impl IdentityRemote {
    /// Starts on a free port of loopback.
    pub(super) async fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let world = Arc::default();
        let accepting = tokio::spawn(accept(clone(&listener), Arc::clone(&world), 0));
        Self {
            address,
            listener,
            world,
            accepting,
        }
    }

    /// Returns its URL.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns what it has, accepts and has shown.
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Closes every connection, so that no request of an earlier daemon arrives from now on.
    pub(super) async fn reconnect(&mut self) {
        self.accepting.abort();
        (&mut self.accepting).await.unwrap_err();
        let generation = {
            let mut world = self.world();
            world.generation += 1;
            world.generation
        };
        // Connections that nobody has accepted are closed as well.
        while self.listener.accept().is_ok() {}
        let world = Arc::clone(&self.world);
        self.accepting = tokio::spawn(accept(clone(&self.listener), world, generation));
    }
}

impl Drop for IdentityRemote {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Returns another handle to the same listener, for the runtime.
fn clone(listener: &std::net::TcpListener) -> TcpListener {
    TcpListener::from_std(listener.try_clone().unwrap()).unwrap()
}

async fn accept(listener: TcpListener, world: Arc<Mutex<World>>, generation: u64) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&world), generation));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(mut stream: TcpStream, world: Arc<Mutex<World>>, generation: u64) {
    stream.set_nodelay(true).unwrap();
    while let Ok(Some(head)) = read_request(&mut stream).await {
        let response = {
            let mut world = world.lock().unwrap();
            if world.generation != generation {
                return;
            }
            world.respond(&head)
        };
        if response.write(&mut stream).await.is_err() {
            return;
        }
    }
}
