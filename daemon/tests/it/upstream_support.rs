//! A daemon in this process with a remote that can fail. Starts what production starts, with a clock that can be
//! set forward, and sends requests over the socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use docks_proto::client::{
    Answer, Client, ClientError, Deadlines, Limits, Transport, UnixTransport, body,
};
use docks_proto::error::{ErrorCode, ErrorDetail};
use docks_proto::freshness::CachePolicy;
use docks_proto::paths::Paths;
use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;
use docks_proto::settings::Target;
use docks_proto::status::RemoteStatus;
use docks_proto::time::UnixMs;
use docksd::config::{ArtifactPrefetch, Config};
use docksd::instance::Instance;
use docksd::registry::tokens::Credentials;
use docksd::registry::{MirrorArchive, NetworkConnector, RemoteConnector};
use docksd::{Dependencies, RunError, run};
use docksd_remote::{Remote, RemoteError};
use docksd_sync::{Clock, SystemClock};
use http::HeaderMap;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use docksd_testkit::fake_remote::{FakeRemote, RemoteData, TENANT};

/// The time limit of every answer.
pub(crate) const MAX_ANSWER_TIME: Duration = Duration::from_secs(10);

/// How long to wait for an expected state on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longer than every wait that a remote can demand.
pub(crate) const LONG: Duration = Duration::from_secs(700);

/// The clocks of the machine, set forward together, as after a sleep.
#[derive(Clone, Default)]
struct ShiftedClock(Arc<AtomicU64>);

impl ShiftedClock {
    fn by(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn advance(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap();
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ShiftedClock {
    fn wall(&self) -> UnixMs {
        SystemClock.wall().plus(self.by())
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic() + self.by()
    }
}

/// Connects to another address than that of the profile, as a name server can cause.
struct Detour(Option<String>);

impl RemoteConnector for Detour {
    fn connect(
        &self,
        target: &Target,
        limits: Limits,
        is_mirrored: bool,
        credentials: &Credentials,
        archive: Arc<MirrorArchive>,
    ) -> Result<Arc<dyn Remote>, RemoteError> {
        let target = match (&self.0, target) {
            (Some(url), Target::DocksApi { tenant, .. }) => Target::DocksApi {
                api_url: url.clone(),
                tenant: tenant.clone(),
            },
            (_, target) => target.clone(),
        };
        NetworkConnector.connect(&target, limits, is_mirrored, credentials, archive)
    }
}

struct Running {
    stop: oneshot::Sender<&'static str>,
    task: JoinHandle<Result<(), RunError>>,
}

/// A remote, a home with a profile for it, and the daemon between the two.
pub(crate) struct Site {
    pub(crate) remote: FakeRemote,
    home: TempDir,
    clock: ShiftedClock,
    limits: Limits,
    backfill: bool,
    /// What it fetches when runs end.
    pub(crate) prefetch: ArtifactPrefetch,
    running: Option<Running>,
}

impl Site {
    /// Starts the remote, and writes a profile with its address or with another one.
    pub(crate) async fn new(data: RemoteData, api_url: Option<&str>, limits: Limits) -> Self {
        let remote = FakeRemote::start(data).await;
        let home = tempfile::tempdir().unwrap();
        let site = Self {
            remote,
            home,
            clock: ShiftedClock::default(),
            limits,
            backfill: true,
            prefetch: ArtifactPrefetch::default(),
            running: None,
        };
        site.remote
            .configure(|behaviour| behaviour.token = Some("s3cret".to_owned()));
        site.point_at(api_url.unwrap_or(&site.remote.url()));
        site
    }

    /// Writes the profile.
    pub(crate) fn point_at(&self, api_url: &str) {
        let text = format!(
            "[default]\napi_url = \"{api_url}\"\ntenant_id = \"{TENANT}\"\ntoken = \"s3cret\"\n"
        );
        std::fs::write(self.places().config_file(), text).unwrap();
    }

    /// Fetches no trials without a request for them.
    pub(crate) fn without_backfill(mut self) -> Self {
        self.backfill = false;
        self
    }

    pub(crate) fn places(&self) -> Paths {
        Paths {
            home: self.home.path().to_owned(),
            socket: self.home.path().join("run/docksd.sock"),
        }
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Returns the time that the daemon sees.
    pub(crate) fn now(&self) -> UnixMs {
        self.clock.wall()
    }

    /// Starts the daemon; it connects to `detour` instead of the profile's address, if given.
    pub(crate) async fn start(&mut self, detour: Option<String>) {
        let mut config = Config::new(self.places());
        config.keyring.use_keyring = Some("false".to_owned());
        config.limits = self.limits;
        config.sync.backfill = self.backfill;
        config.prefetch = self.prefetch.clone();
        // Requests to a remote on this machine must not wait for the budget of the minute.
        config.sync.budget_per_minute = 60_000;
        let claimed = Instance::claim(&config.paths).await.unwrap();
        let dependencies = Dependencies {
            connector: Box::new(Detour(detour)),
            clock: Arc::new(self.clock.clone()),
            hub: None,
        };
        let (stop, requested) = oneshot::channel();
        let shutdown = async move { requested.await.unwrap_or("the test ended") };
        let task = tokio::spawn(run(config, claimed, dependencies, shutdown));
        self.running = Some(Running { stop, task });
    }

    /// Stops the daemon, which must stop without error and in time.
    pub(crate) async fn stop(&mut self) {
        let Some(Running { stop, task }) = self.running.take() else {
            return;
        };
        stop.send("the test stops it").ok();
        let ended = timeout(PATIENCE, task).await.expect("the daemon stops");
        ended.unwrap().unwrap();
    }

    pub(crate) fn client(&self) -> Client {
        let deadlines = Deadlines {
            connect: MAX_ANSWER_TIME,
            answer: None,
            ..Deadlines::default()
        };
        let transport = UnixTransport::new(self.places().socket, deadlines);
        Client::new(Transport::Unix(transport), TENANT, HeaderMap::new()).unwrap()
    }

    /// Sends one request, which must be answered in time.
    pub(crate) async fn ask(&self, question: &Question, allowed: CachePolicy) -> Outcome {
        let sent = timeout(MAX_ANSWER_TIME, question.ask(&self.client(), allowed)).await;
        match sent {
            Err(_) => panic!("{question:?} took too long"),
            Ok(Ok(answer)) => Outcome::Answer(answer),
            Ok(Err(ClientError::Refused { body, .. })) => match &body.detail {
                Some(detail) => Outcome::Refused(detail.clone()),
                None => panic!("not a coded error: {body:?}"),
            },
            Ok(Err(other)) => panic!("the CLI has no code for this: {other:?}"),
        }
    }

    /// Returns the status of the only remote.
    pub(crate) async fn status(&self) -> RemoteStatus {
        let mut status = self.client().status().await.unwrap();
        status.remotes.pop().expect("a remote is open")
    }

    /// Syncs until that succeeds, then checks that the mirror equals the remote.
    pub(crate) async fn becomes_equal(&self, about: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut error = None;
            let synced = self.client().sync(true, |line| error = line.error).await;
            if synced.is_ok() && error.is_none() {
                break;
            }
            assert!(Instant::now() < deadline, "{about}: {synced:?} {error:?}");
            self.advance(LONG);
            sleep(Duration::from_millis(20)).await;
        }
        let difference = self.difference().await;
        assert_eq!(
            difference, None,
            "{about}: the mirror differs from the remote"
        );
    }

    /// Waits until the engine has done all planned work, without requesting a sweep.
    pub(crate) async fn catches_up(&self) {
        let mut error = None;
        let synced = self.client().sync(false, |line| error = line.error).await;
        assert!(synced.is_ok() && error.is_none(), "{synced:?} {error:?}");
    }

    /// Returns how the lists of the mirror differ from those of the remote.
    pub(crate) async fn difference(&self) -> Option<String> {
        let (client, all) = (self.client(), everything());
        for kind in RunKind::ALL {
            let mirrored = client
                .list_runs(kind, &all, CachePolicy::OnlyIfCached)
                .await;
            let mirrored = texts(&mirrored.ok()?.body);
            let original = self.remote.with_data(|data| sorted(data.of_kind(kind)));
            if mirrored != original {
                return Some(describe_difference(
                    &format!("{kind:?}"),
                    &mirrored,
                    &original,
                ));
            }
        }
        let trials = self.remote.with_data(|data| data.trials.clone());
        for (run, trials) in trials {
            let mirrored = client.trials(&run, &all, CachePolicy::OnlyIfCached).await;
            let mirrored = match mirrored {
                Ok(answer) => texts(&answer.body),
                Err(error) => return Some(format!("trials of {run}: {error}")),
            };
            if mirrored != sorted(&trials) {
                return Some(describe_difference(
                    &format!("trials of {run}"),
                    &mirrored,
                    &sorted(&trials),
                ));
            }
        }
        None
    }
}

fn describe_difference(what: &str, mirrored: &[String], original: &[String]) -> String {
    let only = |a: &[String], b: &[String]| -> Vec<String> {
        a.iter().filter(|text| !b.contains(text)).cloned().collect()
    };
    format!(
        "{what}: {} mirrored, {} at the remote; only mirrored {:?}; only at the remote {:?}",
        mirrored.len(),
        original.len(),
        only(mirrored, original),
        only(original, mirrored)
    )
}

pub(crate) fn everything() -> ListQuery {
    ListQuery {
        limit: 0,
        ..ListQuery::default()
    }
}

/// Returns the objects of a list as texts, sorted.
pub(crate) fn texts(body: &[u8]) -> Vec<String> {
    let list = body::parse_list(body).expect("a list of objects");
    assert_eq!(list.skipped, 0);
    let mut texts: Vec<String> = list.objects.iter().map(|o| o.text().to_owned()).collect();
    texts.sort();
    texts
}

fn sorted(items: &[docksd_testkit::fake_remote::data::StoredObject]) -> Vec<String> {
    let mut texts: Vec<String> = items.iter().map(|item| item.text.clone()).collect();
    texts.sort();
    texts
}

/// The outcome of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answer(Answer),
    Refused(ErrorDetail),
}

impl Outcome {
    /// Returns the exit code of the CLI; its own tests have the same table.
    pub(crate) fn exit(&self) -> u8 {
        use ErrorCode as E;
        match self {
            Outcome::Answer(_) => 0,
            Outcome::Refused(detail) => match detail.code {
                E::RunNotFound | E::TrialNotFound | E::NotFound | E::UnknownProfile => 3,
                E::Unauthorized | E::Forbidden | E::NotSignedIn => 4,
                E::NotCached | E::RemoteUnreachable | E::RemoteBroken => 5,
                E::FreshnessUnmet => 6,
                E::RateLimited => 7,
                E::AmbiguousId => 9,
                E::InvalidRequest => 2,
                _ => 1,
            },
        }
    }
}

/// One of the six requests that are checked for every fault.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Question {
    List(RunKind),
    Run(RunKind, String),
    Trials(String),
    Trial(String, String),
}

impl Question {
    /// Returns requests for both lists, for trials, and for one object of each kind.
    pub(crate) fn six(data: &RemoteData) -> Vec<Question> {
        let (run, evaluation) = (data.runs[2].id.clone(), data.evaluations[2].id.clone());
        let trial = data.trials[&evaluation][1].id.clone();
        vec![
            Question::List(RunKind::Run),
            Question::Run(RunKind::Run, run),
            Question::List(RunKind::Evaluation),
            Question::Run(RunKind::Evaluation, evaluation.clone()),
            Question::Trials(evaluation.clone()),
            Question::Trial(evaluation, trial),
        ]
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self, Question::List(_) | Question::Trials(_))
    }

    /// Returns what the remote would answer without a fault.
    pub(crate) fn truth(&self, data: &RemoteData) -> Vec<String> {
        match self {
            Question::List(kind) => sorted(data.of_kind(*kind)),
            Question::Run(kind, id) => vec![data.find(*kind, id).unwrap().text.clone()],
            Question::Trials(run) => sorted(&data.trials[run]),
            Question::Trial(run, id) => {
                let all = &data.trials[run];
                vec![all.iter().find(|t| t.id == *id).unwrap().text.clone()]
            }
        }
    }

    async fn ask(&self, client: &Client, allowed: CachePolicy) -> Result<Answer, ClientError> {
        let all = everything();
        match self {
            Question::List(kind) => client.list_runs(*kind, &all, allowed).await,
            Question::Run(kind, id) => client.run(*kind, id, allowed).await,
            Question::Trials(run) => client.trials(run, &all, allowed).await,
            Question::Trial(run, trial) => client.trial(run, trial, allowed).await,
        }
    }

    /// Returns the objects in an answer.
    pub(crate) fn objects(&self, answer: &Answer) -> Vec<String> {
        if self.is_list() {
            return texts(&answer.body);
        }
        let text = std::str::from_utf8(&answer.body).expect("an answer is text");
        serde_json::from_str::<serde_json::Value>(text).expect("an answer is JSON");
        vec![text.to_owned()]
    }
}
