//! What happens to tokens: renewals, refusals, removals, and a profile that gets the token of another.

use super::harness::Harness;

impl Harness {
    /// Gives a profile or the guest another token of the same person; the remote refuses the old one from
    /// then on, unless somebody else uses it.
    pub(super) fn renew(&mut self) {
        let profile = self.rng.usize(..=self.model.profiles.len());
        let (person, old) = match self.model.profiles.get(profile) {
            Some(profile) => (profile.person, profile.token.clone()),
            None => ("guest", Some(self.model.guest.clone())),
        };
        let token = self.model.new_token(person);
        self.remote.world().accepted.insert(token.clone(), person);
        if profile < self.model.profiles.len() {
            self.model.set_token(profile, Some(token));
            self.write_changed_settings();
        } else {
            self.model.guest = token;
        }
        let in_use = |old: &String| {
            let mut profiles = self.model.profiles.iter();
            *old == self.model.guest || profiles.any(|p| p.token.as_ref() == Some(old))
        };
        if let Some(old) = old.filter(|old| !in_use(old)) {
            self.remote.world().accepted.remove(&old);
            self.refused.remove(&old);
        }
    }

    /// Returns the tokens in use.
    fn tokens(&self) -> Vec<String> {
        let tokens = self.model.profiles.iter().filter_map(|p| p.token.clone());
        tokens.chain([self.model.guest.clone()]).collect()
    }

    /// Lets the remote refuse a token that is in use.
    pub(super) fn refuse(&mut self) {
        let tokens = self.tokens();
        let token = tokens[self.rng.usize(..tokens.len())].clone();
        if let Some(person) = self.remote.world().accepted.remove(&token) {
            self.refused.insert(token, person);
        }
    }

    /// Lets the remote accept a token again.
    pub(super) fn accept_again(&mut self) {
        if let Some((token, person)) = self.refused.pop_first() {
            self.remote.world().accepted.insert(token, person);
        }
    }

    /// Restores the token of a profile that has none, or takes one away.
    pub(super) fn remove_or_restore(&mut self) {
        let mut profiles = self.model.profiles.iter();
        let (index, token) = match profiles.position(|profile| profile.token.is_none()) {
            Some(index) => (index, self.model.profiles[index].tokens.last().cloned()),
            None if self.rng.bool() => (self.rng.usize(..self.model.profiles.len()), None),
            None => return,
        };
        self.model.set_token(index, token);
        self.write_changed_settings();
    }

    /// Profile `b` gets the token of the guest, whose requests are the profile's from then on.
    pub(super) fn adopt(&mut self) {
        self.model.set_token(1, Some(self.model.guest.clone()));
        self.write_changed_settings();
    }
}
