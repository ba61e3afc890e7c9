//! The daemon's own requests, and those that name nobody.

use docks_proto::client::{Client, Request, Transport};
use docks_proto::event::{Event, EventQuery};
use docks_proto::freshness::CachePolicy;
use docks_proto::routes;
use futures_util::future::join_all;
use serde_json::Value;
use tokio::time::timeout;

use super::asker::Asker;
use super::harness::Harness;
use super::model::Owner;
use super::remote::{SECRET, TENANTS};
use crate::test_daemon::DEADLINE;

impl Harness {
    /// Watches until the current state is complete.
    pub(super) async fn events(&mut self) {
        let asker = Asker::pick(&mut self.rng, &self.model, &self.remote);
        self.model.asks(&asker.owner, None);
        let transport = Transport::Unix(self.transport());
        let client = Client::new(transport, asker.tenant, asker.header_map()).unwrap();
        let mut events = client.events(&EventQuery::default(), None).await.unwrap();
        let mut text = String::new();
        loop {
            let event = timeout(DEADLINE, events.next())
                .await
                .unwrap()
                .unwrap()
                .unwrap();
            text.push_str(&event.text);
            text.push('\n');
            if let Event::Ready(_) = event.event {
                break;
            }
        }
        let world = self.remote.world();
        let marks = self.model.check_answer(&world, &asker.owner, None, &text);
        if let Some(person) = asker.person
            && marks > 0
        {
            *self.seen.entry(("events", person)).or_default() += 1;
        }
    }

    /// Asks for a fresh list with several credentials at the same time.
    pub(super) async fn all_at_once(&mut self) {
        let askers: Vec<_> = (0..6)
            .map(|_| Asker::pick(&mut self.rng, &self.model, &self.remote))
            .collect();
        for asker in &askers {
            self.model.asks(&asker.owner, None);
        }
        let daemon = self.daemon();
        let replies = join_all(askers.iter().map(|asker| {
            let path = format!("/tenants/{}/runs", asker.tenant);
            daemon.send(asker.request("GET", &path, CachePolicy::NoCache))
        }));
        let replies = replies.await;
        for (asker, reply) in askers.iter().zip(replies) {
            let body = String::from_utf8_lossy(&reply.body);
            {
                let world = self.remote.world();
                self.model.check_answer(&world, &asker.owner, None, &body);
            }
            if asker.person.is_none() {
                assert_ne!(reply.status, 200, "{asker:?}: {body}");
            } else if reply.status != 200 {
                let path = format!("/tenants/{}/runs", asker.tenant);
                let asked = ("GET", path.as_str(), None);
                self.ask("list", asker, asked, CachePolicy::NoCache, &[200])
                    .await;
            }
        }
    }

    /// Starts a sync, or waits for its end.
    ///
    /// The engine takes its time after a refusal, so a sync is waited for only at a daemon that has seen none.
    pub(super) async fn sync(&mut self, to_the_end: bool) {
        let mut asker = Asker::pick(&mut self.rng, &self.model, &self.remote);
        let full = self.rng.bool();
        let path = format!("{}?full={full}", routes::SYNC);
        asker.headers.retain(|(name, _)| *name != routes::TENANT);
        let tenant = asker.tenant.to_owned();
        asker.headers.push((routes::TENANT, tenant));
        self.model.asks(&asker.owner, None);
        let request = asker.request("POST", &path, CachePolicy::Default);
        let mut reply = self.transport().open(request).await.unwrap();
        let mut text = String::new();
        while let Some(line) = reply.next_line().await.unwrap() {
            text = String::from_utf8(line.to_vec()).unwrap();
            let world = self.remote.world();
            self.model.check_answer(&world, &asker.owner, None, &text);
            if !to_the_end || asker.person.is_none() {
                return;
            }
        }
        let last: Value = serde_json::from_str(&text).unwrap();
        // What another token of the same owner has seen may be gone for this one.
        let is_fine = last["error"].is_null() || last["error"]["code"] == "not_found";
        assert!(is_fine && last["finished"] == true, "{asker:?}: {last}");
    }

    /// The status names no object, and counts for each profile what it was shown.
    pub(super) async fn status(&mut self) {
        let reply = self.daemon().send(Request::get(routes::STATUS)).await;
        let text = String::from_utf8_lossy(&reply.body);
        assert!(!text.contains(SECRET) && !text.contains("<<"), "{text}");
        let status: Value = serde_json::from_str(&text).unwrap();
        let world = self.remote.world();
        for remote in status["remotes"].as_array().unwrap() {
            let Some(profile) = remote["profiles"][0].as_str() else {
                continue;
            };
            let profile = self.model.profile(profile);
            let shown = self.model.shown_to(&world, &Owner::Profile(profile.name));
            for (key, kind) in [("runs", "run-"), ("evaluation_runs", "eval-")] {
                let known = shown
                    .keys()
                    .filter(|id| id.starts_with(kind) && !id.contains('.'));
                let rows = remote["rows"][key].as_u64().unwrap();
                assert!(
                    rows <= known.count() as u64,
                    "{key} of {profile:?}: {remote}"
                );
            }
        }
    }

    /// A profile is not asked for a tenant that is not its own.
    pub(super) async fn wrong_tenant(&mut self) {
        let profile = self.rng.usize(..self.model.profiles.len());
        let profile = &self.model.profiles[profile];
        let other = TENANTS.into_iter().find(|tenant| *tenant != profile.tenant);
        let path = format!("/tenants/{}/runs", other.unwrap());
        let headers = [(routes::PROFILE, profile.name)];
        let reply = self.daemon().get_with(&path, &headers).await;
        assert!(reply.status.is_client_error(), "{reply:?}");
    }

    /// An address without a token gets no profile's token.
    pub(super) async fn without_token(&mut self) {
        let url = self.remote.url();
        let tenant = TENANTS[self.rng.usize(..TENANTS.len())];
        let path = format!("/tenants/{tenant}/runs");
        let headers = [(routes::API_URL, url.as_str())];
        let reply = self.daemon().get_with(&path, &headers).await;
        assert!(reply.status.is_client_error(), "{reply:?}");
    }
}
