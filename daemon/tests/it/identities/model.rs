//! What may happen in the model of identities: whose a token is, what its owner may see, and which
//! requests may reach the remote.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::remote::{PEOPLE, ReceivedRequest, SECRET, Shown, World, all_ids, mark_of};

/// Who asks: what was shown to one of them must not be shown to another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    /// A profile, whatever its token is.
    Profile(&'static str),
    /// A token that is no profile's, and the tenant that it asks for.
    Token(String, &'static str),
}

/// A profile in the settings file.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) name: &'static str,
    pub(super) person: &'static str,
    pub(super) tenant: &'static str,
    /// Its token; `None` while it is removed.
    pub(super) token: Option<String>,
    /// Every token that it ever had, the latest last.
    pub(super) tokens: Vec<String>,
}

/// The identities and what each has asked for.
pub(super) struct Model {
    /// In the order of the settings file.
    pub(super) profiles: Vec<Profile>,
    /// The token of the guest, who has no profile.
    pub(super) guest: String,
    /// Who has asked, and what each has named in this step.
    asked: HashMap<Owner, BTreeSet<String>>,
    /// The tokens that this daemon may have been given.
    given: BTreeSet<String>,
    serial: usize,
}

impl Model {
    /// Creates three profiles, of which two have the same address and tenant, and a guest.
    pub(super) fn new() -> Self {
        let names = [("default", "ada"), ("b", "ben"), ("c", "cleo")];
        let tenant_of = |person| PEOPLE.iter().find(|(name, _)| *name == person).unwrap().1;
        let profiles = names.map(|(name, person)| Profile {
            name,
            person,
            tenant: tenant_of(person),
            token: None,
            tokens: Vec::new(),
        });
        Self {
            profiles: profiles.into(),
            guest: String::new(),
            asked: HashMap::new(),
            given: BTreeSet::new(),
            serial: 0,
        }
    }

    /// Makes a token that was never used. Lengths differ, so that no two settings files that follow each
    /// other have the same size.
    pub(super) fn new_token(&mut self, person: &str) -> String {
        self.serial += 1;
        let padding = "x".repeat(self.serial % 17);
        format!("{SECRET}{person}-{}{padding}", self.serial)
    }

    /// Gives a token to a profile, or takes it away.
    pub(super) fn set_token(&mut self, profile: usize, token: Option<String>) {
        let profile = &mut self.profiles[profile];
        if let Some(token) = &token {
            profile.tokens.push(token.clone());
            self.given.insert(token.clone());
        }
        profile.token = token;
    }

    /// Forgets which tokens the last daemon was given: the next one has those of the settings file.
    pub(super) fn restarted(&mut self) {
        let tokens = self
            .profiles
            .iter()
            .filter_map(|profile| profile.token.clone());
        self.given = tokens.collect();
    }

    /// Forgets what this step has named: from now on an owner's requests are about what it was shown.
    pub(super) fn step_ended(&mut self) {
        self.asked.values_mut().for_each(BTreeSet::clear);
    }

    /// Returns whose a token is that a request carries.
    pub(super) fn owner_of(&self, token: &str, tenant: &'static str) -> Owner {
        let mut profiles = self.profiles.iter();
        let same = profiles.find(|p| p.tenant == tenant && p.token.as_deref() == Some(token));
        same.map_or_else(
            || Owner::Token(token.to_owned(), tenant),
            |profile| Owner::Profile(profile.name),
        )
    }

    /// Records that an owner asks, with which token, and for what.
    pub(super) fn asks(&mut self, owner: &Owner, named: Option<&str>) {
        if let Owner::Token(token, _) = owner {
            self.given.insert(token.clone());
        }
        let asked = self.asked.entry(owner.clone()).or_default();
        asked.extend(named.map(str::to_owned));
    }

    /// Returns the token that an owner has now.
    pub(super) fn current_token(&self, owner: &Owner) -> Option<String> {
        match owner {
            Owner::Token(token, _) => Some(token.clone()),
            Owner::Profile(name) => self.profile(name).token.clone(),
        }
    }

    /// Returns a profile by its name.
    pub(super) fn profile(&self, name: &str) -> &Profile {
        let mut profiles = self.profiles.iter();
        profiles.find(|profile| profile.name == name).unwrap()
    }

    /// Returns every token that an owner ever had.
    pub(super) fn tokens_of(&self, owner: &Owner) -> Vec<String> {
        match owner {
            Owner::Token(token, _) => vec![token.clone()],
            Owner::Profile(name) => self.profile(name).tokens.clone(),
        }
    }

    /// Returns whether all tokens of an owner are the same person's.
    pub(super) fn is_one_person(&self, owner: &Owner) -> bool {
        let tokens = self.tokens_of(owner);
        let people = tokens.iter().map(|token| mark_of(token).split('-').next());
        people.collect::<BTreeSet<_>>().len() == 1
    }

    /// Returns what an owner was shown, whatever its token was.
    pub(super) fn shown_to(&self, world: &World, owner: &Owner) -> Shown {
        let mut shown = Shown::new();
        for token in self.tokens_of(owner) {
            for (id, statuses) in world.shown(&token).into_iter().flatten() {
                shown
                    .entry(id.clone())
                    .or_default()
                    .extend(statuses.clone());
            }
        }
        shown
    }

    /// Returns the owners for whom a request with this token may be sent to a tenant.
    fn owners_of(&self, token: &str, tenant: &str) -> Vec<Owner> {
        let has = |p: &&Profile| p.tenant == tenant && p.tokens.iter().any(|own| own == token);
        let profiles = self
            .profiles
            .iter()
            .filter(has)
            .map(|p| Owner::Profile(p.name));
        let tokens = self.asked.keys().filter(
            |owner| matches!(owner, Owner::Token(own, to) if own == token && *to == tenant),
        );
        profiles.chain(tokens.cloned()).collect()
    }

    /// Checks that a request which the remote has received was sent for an owner of its token.
    pub(super) fn check_received(&self, world: &World, received: &ReceivedRequest) {
        let token = received.token.as_deref().unwrap_or_default();
        assert!(
            self.given.contains(token),
            "no credential of this daemon has the token: {received:?}"
        );
        let mut parts = received.path.split('/').skip(2);
        let owners = self.owners_of(token, parts.next().unwrap_or_default());
        assert!(
            !owners.is_empty(),
            "the token is for another tenant: {received:?}"
        );
        let named = parts.find(|part| !["runs", "harbor"].contains(part));
        let is_for = |owner: &&Owner| {
            named.is_none_or(|named| {
                let asked = self.asked.get(owner);
                asked.is_some_and(|asked| asked.contains(named))
                    || self.shown_to(world, owner).contains_key(named)
            })
        };
        assert!(
            owners.iter().any(|owner| is_for(&owner)),
            "no owner of the token knows `{named:?}`: {received:?}"
        );
        let knows_validator = |owner: &Owner| {
            let of = received.validator_of.as_ref();
            of.is_none_or(|of| self.tokens_of(owner).contains(of))
        };
        assert!(
            owners.iter().any(knows_validator),
            "the validator is another owner's: {received:?}"
        );
    }

    /// Checks that an answer has only what its owner was shown, besides what the request named; returns the
    /// number of marks in it.
    pub(super) fn check_answer(
        &self,
        world: &World,
        owner: &Owner,
        named: Option<&str>,
        body: &str,
    ) -> usize {
        assert!(
            !body.contains(SECRET),
            "a token is in an answer to {owner:?}: {body}"
        );
        let tokens = self.tokens_of(owner);
        let mut marks = 0;
        for rest in body.split("<<").skip(1) {
            let mark = rest.split(">>").next().unwrap_or_default();
            assert!(
                tokens.iter().any(|token| mark_of(token) == mark),
                "{owner:?} sees what was shown to `{mark}`: {body}"
            );
            marks += 1;
        }
        let shown = self.shown_to(world, owner);
        for id in all_ids() {
            let is_known = shown.contains_key(&id) || named == Some(&id);
            assert!(
                is_known || !body.contains(&id),
                "{owner:?} sees `{id}`: {body}"
            );
        }
        let lines = body.lines().map(|line| line.trim_start_matches("data: "));
        for value in lines.filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            check_statuses(&value, &shown, owner);
        }
        marks
    }
}

/// Checks that no object has a status that its owner was not shown.
fn check_statuses(value: &Value, shown: &Shown, owner: &Owner) {
    match value {
        Value::Array(values) => {
            for value in values {
                check_statuses(value, shown, owner);
            }
        }
        Value::Object(object) => {
            let text = |key: &str| object.get(key).and_then(Value::as_str);
            let run = text("run_id").or_else(|| text("id"));
            let id = text("trial_id").or(run);
            let known = id.and_then(|id| shown.get(id));
            let mut statuses: Vec<_> = text("status").into_iter().collect();
            for change in object
                .get("changes")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                statuses.extend(["from", "to"].iter().filter_map(|key| change[key].as_str()));
            }
            statuses.extend(text("from").filter(|_| object.contains_key("run_id")));
            for status in statuses {
                assert!(
                    known.is_some_and(|known| known.contains(status)),
                    "{owner:?} sees {id:?} with the status `{status}`: {object:?}"
                );
            }
        }
        _ => {}
    }
}
