//! The daemon, its settings and the remote of the model, and what every step checks.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use docks_proto::client::{Deadlines, Reply, UnixTransport};
use docks_proto::credentials::files::write_private;
use docks_proto::freshness::CachePolicy;
use docksd_sync::Options;
use tempfile::TempDir;

use super::asker::Asker;
use super::model::Model;
use super::remote::IdentityRemote;
use crate::test_daemon::{DEADLINE, TestDaemon};

/// A poll that began in the same millisecond as a request may answer it, with the token of that moment.
const ATTEMPTS: usize = 3;

/// The daemon, the remote, and what may happen between them.
pub(super) struct Harness {
    pub(super) remote: IdentityRemote,
    daemon: Option<TestDaemon>,
    pub(super) model: Model,
    pub(super) rng: fastrand::Rng,
    /// Tokens that the remote refuses for a while, with their people.
    pub(super) refused: BTreeMap<String, &'static str>,
    /// Answers with marks, by what was asked and of whom.
    pub(super) seen: BTreeMap<(&'static str, &'static str), usize>,
}

impl Harness {
    /// Starts a remote that accepts all tokens, and a daemon with three profiles.
    pub(super) async fn start(seed: u64) -> Self {
        let remote = IdentityRemote::start().await;
        let mut model = Model::new();
        model.guest = model.new_token("guest");
        remote.world().accepted.insert(model.guest.clone(), "guest");
        for profile in 0..model.profiles.len() {
            let person = model.profiles[profile].person;
            let token = model.new_token(person);
            remote.world().accepted.insert(token.clone(), person);
            model.set_token(profile, Some(token));
        }
        let mut harness = Self {
            remote,
            daemon: None,
            model,
            rng: fastrand::Rng::with_seed(seed),
            refused: BTreeMap::new(),
            seen: BTreeMap::new(),
        };
        let home = tempfile::tempdir().unwrap();
        harness.write_settings(&home.path().join("config.toml"));
        harness.start_daemon(home).await;
        harness
    }

    async fn start_daemon(&mut self, home: TempDir) {
        let started = TestDaemon::start_in(home, |config| {
            config.sync = Options {
                budget_per_minute: 1_000_000,
                active_interval: Duration::from_millis(200),
                idle_interval: Duration::from_millis(500),
                watched_interval: Duration::from_millis(200),
                ..Options::default()
            };
        });
        self.daemon = Some(started.await);
    }

    /// Returns the daemon that runs.
    pub(super) fn daemon(&self) -> &TestDaemon {
        self.daemon.as_ref().unwrap()
    }

    /// Writes the settings as `docks auth login` does.
    fn write_settings(&self, path: &Path) {
        let url = self.remote.url();
        let profiles = self.model.profiles.iter().map(|profile| {
            let token = profile.token.iter();
            let token: String = token
                .map(|token| format!("token = \"{token}\"\n"))
                .collect();
            let (name, tenant) = (profile.name, profile.tenant);
            format!("[{name}]\napi_url = \"{url}\"\ntenant_id = \"{tenant}\"\n{token}\n")
        });
        write_private(path, &profiles.collect::<String>()).unwrap();
    }

    /// Writes the settings after a change of a token.
    pub(super) fn write_changed_settings(&self) {
        self.write_settings(&self.daemon().places().config_file());
    }

    /// Checks what the remote has received since the last call; actions have to be `action`.
    pub(super) fn check_received(&mut self, action: Option<(&str, &str)>) {
        let mut world = self.remote.world();
        for received in world.take_received() {
            self.model.check_received(&world, &received);
            if received.method == "POST" {
                let sent = (received.path.as_str(), received.token.as_deref());
                let expected = action.map(|(path, token)| (path, Some(token)));
                assert_eq!(Some(sent), expected, "an action of somebody else");
            }
        }
    }

    /// Stops the daemon, which ends every connection to the remote, and starts the next one.
    pub(super) async fn restart(&mut self) {
        let home = self.daemon.take().unwrap().end().await;
        self.remote.reconnect().await;
        self.check_received(None);
        self.model.restarted();
        self.start_daemon(home).await;
    }

    /// Stops the daemon.
    pub(super) async fn end(mut self) {
        self.daemon.take().unwrap().end().await;
    }

    /// Returns a transport that is as patient as the test.
    pub(super) fn transport(&self) -> UnixTransport {
        let deadlines = Deadlines {
            connect: DEADLINE,
            answer: Some(DEADLINE),
            ..Deadlines::default()
        };
        UnixTransport::new(self.daemon().places().socket, deadlines)
    }

    /// Asks as one of the credentials, and checks the answer.
    pub(super) async fn ask(
        &mut self,
        what: &'static str,
        asker: &Asker,
        (method, path, named): (&str, &str, Option<&str>),
        policy: CachePolicy,
        expected: &[u16],
    ) -> Reply {
        self.model.asks(&asker.owner, named);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let reply = self
                .daemon()
                .send(asker.request(method, path, policy))
                .await;
            let body = String::from_utf8_lossy(&reply.body).into_owned();
            let marks = {
                let world = self.remote.world();
                self.model.check_answer(&world, &asker.owner, named, &body)
            };
            let status = reply.status.as_u16();
            let place = || format!("{what} {path} {policy:?} of {asker:?}: {status} {body}");
            match asker.person {
                Some(_) if policy == CachePolicy::OnlyIfCached => {}
                Some(_) if expected.contains(&status) => {}
                Some(_) if attempts < ATTEMPTS => continue,
                Some(_) => panic!("an accepted token gets no answer: {}", place()),
                None if policy == CachePolicy::NoCache || method == "POST" => {
                    assert_ne!(status, 200, "a refused token gets an answer: {}", place());
                }
                None => {}
            }
            if let (Some(person), 200) = (asker.person, status)
                && marks > 0
            {
                *self.seen.entry((what, person)).or_default() += 1;
            }
            return reply;
        }
    }
}
