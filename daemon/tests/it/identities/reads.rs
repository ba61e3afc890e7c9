//! The requests of the Docks API, and those for the history of runs.

use docks_proto::freshness::CachePolicy;
use docks_proto::routes;
use serde_json::Value;

use super::asker::Asker;
use super::harness::Harness;
use super::remote::{all_ids, visible};

impl Harness {
    fn policy(&mut self) -> CachePolicy {
        match self.rng.u8(..6) {
            0..3 => CachePolicy::Default,
            3 => CachePolicy::OnlyIfCached,
            _ => CachePolicy::NoCache,
        }
    }

    /// Lists runs; a fresh and whole list has every run that its person sees.
    pub(super) async fn list(&mut self) {
        let asker = Asker::pick(&mut self.rng, &self.model, &self.remote);
        let policy = self.policy();
        let (kind, collection) = [("run", "runs"), ("eval", "harbor/runs")][self.rng.usize(..2)];
        let query = ["", "?limit=3", "?status=running", "?sort=name"][self.rng.usize(..4)];
        let path = format!("/tenants/{}/{collection}{query}", asker.tenant);
        let reply = self
            .ask("list", &asker, ("GET", &path, None), policy, &[200])
            .await;
        if let (Some(person), CachePolicy::NoCache, "") = (asker.person, policy, query) {
            let listed: Value = serde_json::from_slice(&reply.body).unwrap();
            let text = listed.to_string();
            for id in visible(kind, person) {
                assert!(
                    text.contains(&id),
                    "`{id}` is missing for {asker:?}: {text}"
                );
            }
        }
    }

    /// Picks the id of a run, and says which statuses an answer about it may have.
    fn id(&mut self, kind: &str, asker: &Asker) -> (String, Vec<u16>) {
        let ids: Vec<_> = all_ids()
            .into_iter()
            .filter(|id| id.starts_with(kind))
            .collect();
        let of_person = asker.person.map(|person| visible(kind, person));
        let choice = match &of_person {
            Some(own) if self.rng.bool() => own,
            _ => &ids,
        };
        let id = choice[self.rng.usize(..choice.len())].clone();
        let is_visible = of_person.is_some_and(|own| own.contains(&id));
        let world = self.remote.world();
        let was_shown = self.model.shown_to(&world, &asker.owner).contains_key(&id);
        let expected = match (is_visible, was_shown) {
            (true, _) if self.model.is_one_person(&asker.owner) => vec![200],
            (false, false) => vec![404],
            // A profile that got the token of another person keeps what it was shown, and has noticed what
            // that person does not see.
            _ => vec![200, 404],
        };
        (id, expected)
    }

    /// Gets a run, which may be another's.
    pub(super) async fn get(&mut self) {
        let asker = Asker::pick(&mut self.rng, &self.model, &self.remote);
        let policy = self.policy();
        let (kind, collection) = [("run", "runs"), ("eval", "harbor/runs")][self.rng.usize(..2)];
        let (id, expected) = self.id(kind, &asker);
        let path = format!("/tenants/{}/{collection}/{id}", asker.tenant);
        let asked = ("GET", path.as_str(), Some(id.as_str()));
        self.ask("get", &asker, asked, policy, &expected).await;
    }

    /// Lists the trials of a run, which may be another's.
    pub(super) async fn trials(&mut self) {
        let asker = Asker::pick(&mut self.rng, &self.model, &self.remote);
        let policy = self.policy();
        let (id, expected) = self.id("eval", &asker);
        let path = format!("/tenants/{}/harbor/runs/{id}/trials", asker.tenant);
        let asked = ("GET", path.as_str(), Some(id.as_str()));
        self.ask("trials", &asker, asked, policy, &expected).await;
    }

    /// Asks for the history of a run, which may be another's.
    pub(super) async fn history(&mut self) {
        let asker = Asker::pick(&mut self.rng, &self.model, &self.remote);
        let kind = ["run", "eval"][self.rng.usize(..2)];
        let (id, expected) = self.id(kind, &asker);
        let path = format!("{}?run={id}&tenant={}", routes::HISTORY, asker.tenant);
        let asked = ("GET", path.as_str(), Some(id.as_str()));
        self.ask("history", &asker, asked, CachePolicy::Default, &expected)
            .await;
    }

    /// Asks for the changes of all runs.
    pub(super) async fn changes(&mut self) {
        let asker = Asker::pick(&mut self.rng, &self.model, &self.remote);
        let path = format!("{}?tenant={}", routes::CHANGES, asker.tenant);
        let asked = ("GET", path.as_str(), None);
        self.ask("changes", &asker, asked, CachePolicy::Default, &[200])
            .await;
    }

    /// Stops a run, which may be another's; only the token of who asks may go with it.
    pub(super) async fn stop(&mut self) {
        let asker = Asker::pick(&mut self.rng, &self.model, &self.remote);
        let (id, expected) = self.id("run", &asker);
        let path = format!("/tenants/{}/runs/{id}/stop", asker.tenant);
        let asked = ("POST", path.as_str(), Some(id.as_str()));
        self.ask("stop", &asker, asked, CachePolicy::Default, &expected)
            .await;
        let token = asker.token.unwrap_or_default();
        self.check_received(Some((&path, &token)));
    }
}
