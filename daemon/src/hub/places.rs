//! The places of connections: few for strangers, which have not shown the token yet, and most for those that have.
//!
//! Where there is no place, the oldest stranger of the address that has most of them loses its own, so that whoever comes
//! to show the token is let in, however many others only sit there. It has had [`MIN_TIME`] by then, enough to send a
//! request. Addresses that have shown the token before have places of their own, which strangers at other addresses
//! cannot take.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::address_group::AddressGroup;

/// Addresses that are remembered because they have shown the token.
const MAX_KNOWN_ADDRESSES: usize = 4_096;

/// Time that each stranger has, however many others come; those wait in the system's queue meanwhile. Longer, and that
/// queue would overflow: whom it refuses tries again after a second.
const MIN_TIME: Duration = Duration::from_millis(30);

/// How many connections there may be at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Strangers at addresses that have never shown the token.
    pub(super) strangers: usize,
    /// Strangers at addresses that have.
    pub(super) known: usize,
    /// Connections that have shown the token.
    pub(super) authenticated: usize,
}

impl Limits {
    /// Divides a number of connections.
    pub(super) fn of(connections: usize) -> Self {
        let (strangers, known) = ((connections / 4).max(1), (connections / 4).max(1));
        Self {
            strangers,
            known,
            authenticated: connections.saturating_sub(strangers + known).max(1),
        }
    }

    /// Returns how many there may be of all kinds.
    pub(super) fn all(&self) -> usize {
        self.strangers + self.known + self.authenticated
    }
}

/// What a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It has not shown the token.
    Stranger,
    /// It has shown one that is being verified, so nobody takes its place.
    Verified,
    /// It has.
    Authenticated,
    /// It has lost its place to another one.
    Evicted,
}

/// Who has which place.
#[derive(Debug)]
pub(super) struct Places {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    strangers: Strangers,
    known: Strangers,
    authenticated: usize,
    /// Number of the last event, a connection or a token that was shown.
    last: u64,
    /// Addresses that have shown the token, each with the event.
    known_addresses: HashMap<AddressGroup, u64>,
}

/// Strangers that share a number of places, by address and in the order of arrival.
#[derive(Debug, Default)]
struct Strangers {
    of: HashMap<AddressGroup, BTreeMap<u64, Stranger>>,
    count: usize,
}

#[derive(Debug, Clone)]
struct Stranger {
    since: Instant,
    standing: Arc<watch::Sender<Standing>>,
}

impl Strangers {
    fn insert(&mut self, address: AddressGroup, number: u64, stranger: Stranger) {
        self.of.entry(address).or_default().insert(number, stranger);
        self.count += 1;
    }

    fn remove(&mut self, address: AddressGroup, number: u64) {
        let Some(of_address) = self.of.get_mut(&address) else {
            return;
        };
        let was_here = of_address.remove(&number).is_some();
        self.count -= usize::from(was_here);
        if of_address.is_empty() {
            self.of.remove(&address);
        }
    }

    /// Takes the place of the oldest stranger of the address with most of them; of several such addresses, of the one
    /// whose stranger has been here for longest.
    ///
    /// # Errors
    ///
    /// When its time is up, if it is not yet.
    fn evict(&mut self, now: Instant) -> Result<(), Instant> {
        let oldest = |of: &BTreeMap<u64, _>| of.keys().next().copied();
        let addresses = self.of.iter();
        let most = addresses.max_by_key(|(_, of)| (of.len(), Reverse(oldest(of))));
        let oldest = most.and_then(|(address, of)| Some((*address, of.first_key_value()?)));
        let Some((address, (&number, stranger))) = oldest else {
            return Ok(());
        };
        let until = stranger.since + MIN_TIME;
        if now < until {
            return Err(until);
        }
        stranger.standing.send_replace(Standing::Evicted);
        self.remove(address, number);
        Ok(())
    }
}

impl State {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn remember(&mut self, address: AddressGroup) {
        let number = self.next();
        self.known_addresses.insert(address, number);
        if self.known_addresses.len() > MAX_KNOWN_ADDRESSES {
            let oldest = self
                .known_addresses
                .iter()
                .min_by_key(|(_, number)| **number);
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                self.known_addresses.remove(&oldest);
            }
        }
    }
}

impl Places {
    /// Creates empty places.
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            state: Mutex::default(),
        })
    }

    /// Gives a place to a new connection.
    pub(super) async fn enter(self: &Arc<Self>, address: AddressGroup) -> Place {
        loop {
            match self.try_enter(address, Instant::now()) {
                Ok(place) => return place,
                Err(until) => sleep_until(until).await,
            }
        }
    }

    fn try_enter(self: &Arc<Self>, address: AddressGroup, now: Instant) -> Result<Place, Instant> {
        let mut state = self.lock();
        let number = state.next();
        let is_known = state.known_addresses.contains_key(&address);
        let (strangers, limit) = match is_known {
            true => (&mut state.known, self.limits.known),
            false => (&mut state.strangers, self.limits.strangers),
        };
        while strangers.count >= limit {
            strangers.evict(now)?;
        }
        let stranger = Stranger {
            since: now,
            standing: Arc::new(watch::Sender::new(Standing::Stranger)),
        };
        let standing = Arc::clone(&stranger.standing);
        strangers.insert(address, number, stranger);
        Ok(Place {
            places: Arc::clone(self),
            address,
            number,
            since: now,
            is_known,
            standing,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    address: AddressGroup,
    number: u64,
    since: Instant,
    /// Whether its address had shown the token when it came.
    is_known: bool,
    standing: Arc<watch::Sender<Standing>>,
}

impl Place {
    /// Returns the address of the connection.
    pub(super) fn address(&self) -> AddressGroup {
        self.address
    }

    /// Keeps the place while a token is verified, which takes moments.
    pub(super) fn begin_verifying(&self) {
        let mut state = self.places.lock();
        if self.is(Standing::Stranger) {
            self.strangers(&mut state).remove(self.address, self.number);
            self.standing.send_replace(Standing::Verified);
        }
    }

    /// Makes the connection a stranger again, as old as it was: the token was wrong.
    pub(super) fn end_verifying(&self) {
        let mut state = self.places.lock();
        if self.is(Standing::Verified) {
            self.standing.send_replace(Standing::Stranger);
            let stranger = Stranger {
                since: self.since,
                standing: Arc::clone(&self.standing),
            };
            self.strangers(&mut state)
                .insert(self.address, self.number, stranger);
        }
    }

    /// Gives the connection one of the places of those that have shown the token, since it has. Returns whether there
    /// was one.
    pub(super) fn authenticate(&self) -> bool {
        let mut state = self.places.lock();
        if self.is(Standing::Authenticated) {
            return true;
        }
        state.remember(self.address);
        if self.is(Standing::Evicted) || state.authenticated >= self.places.limits.authenticated {
            return false;
        }
        state.authenticated += 1;
        self.strangers(&mut state).remove(self.address, self.number);
        self.standing.send_replace(Standing::Authenticated);
        true
    }

    /// Waits until the connection has shown the token.
    pub(super) async fn authenticated(&self) {
        self.becomes(Standing::Authenticated).await;
    }

    /// Waits until the connection loses its place.
    pub(super) async fn evicted(&self) {
        self.becomes(Standing::Evicted).await;
    }

    async fn becomes(&self, awaited: Standing) {
        let mut standing = self.standing.subscribe();
        // `self` owns the sender, so waiting cannot fail.
        let _seen = standing
            .wait_for(|standing| *standing == awaited)
            .await
            .is_ok();
    }

    fn is(&self, standing: Standing) -> bool {
        *self.standing.borrow() == standing
    }

    /// Returns those among whom its place is until it has shown the token.
    fn strangers<'a>(&self, state: &'a mut State) -> &'a mut Strangers {
        match self.is_known {
            true => &mut state.known,
            false => &mut state.strangers,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.lock();
        if self.is(Standing::Authenticated) {
            state.authenticated -= 1;
        } else {
            self.strangers(&mut state).remove(self.address, self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::LazyLock;

    const LIMITS: Limits = Limits {
        strangers: 4,
        known: 2,
        authenticated: 2,
    };

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);

    fn address(number: u8) -> AddressGroup {
        AddressGroup::of([192, 0, 2, number].into())
    }

    /// Comes after everybody has had time enough.
    fn enter(places: &Arc<Places>, address: AddressGroup) -> Place {
        let last = places.lock().last;
        let later = *START + MIN_TIME * u32::try_from(last + 1).unwrap();
        places.try_enter(address, later).unwrap()
    }

    fn is_evicted(place: &Place) -> bool {
        *place.standing.borrow() == Standing::Evicted
    }

    #[test]
    fn the_oldest_stranger_of_the_address_with_most_of_them_makes_room() {
        let places = Places::new(LIMITS);
        let alone = enter(&places, address(1));
        let crowd: Vec<Place> = (0..10).map(|_| enter(&places, address(2))).collect();
        assert!(!is_evicted(&alone));
        let evicted: Vec<bool> = crowd.iter().map(is_evicted).collect();
        assert_eq!(evicted, [[true; 7].as_slice(), &[false; 3]].concat());
        drop(crowd);
        // Of addresses with one each, the one that has been here for longest.
        let others: Vec<Place> = (3..7)
            .map(|number| enter(&places, address(number)))
            .collect();
        assert!(is_evicted(&alone) && !others.iter().any(is_evicted));
        drop((alone, others));
        assert_eq!(places.lock().strangers.count, 0);
        assert!(places.lock().strangers.of.is_empty());
    }

    #[test]
    fn strangers_take_neither_the_place_of_who_has_shown_the_token_nor_those_of_its_address() {
        let places = Places::new(LIMITS);
        let friend = enter(&places, address(1));
        assert!(friend.authenticate() && friend.authenticate());
        let again = enter(&places, address(1));
        let _strangers: Vec<Place> = (0..100).map(|n| enter(&places, address(n + 2))).collect();
        assert!(!is_evicted(&friend) && !is_evicted(&again));
        assert!(again.authenticate());
        // More connections with the token than there are places for.
        let third = enter(&places, address(1));
        assert!(!third.authenticate());
        drop(friend);
        assert!(third.authenticate());
        drop((again, third));
        assert_eq!(places.lock().authenticated, 0);
    }

    #[test]
    fn nobody_takes_the_place_of_a_connection_whose_token_is_being_verified() {
        let places = Places::new(LIMITS);
        let first = enter(&places, address(1));
        first.begin_verifying();
        let others: Vec<Place> = (0..9).map(|_| enter(&places, address(1))).collect();
        assert!(!is_evicted(&first));
        // The token was wrong: it is the oldest one.
        first.end_verifying();
        let last = enter(&places, address(2));
        assert!(is_evicted(&first) && !is_evicted(&last));
        drop((first, others, last));
        assert_eq!(places.lock().strangers.count, 0);
    }

    #[test]
    fn every_stranger_has_some_time() {
        let places = Places::new(LIMITS);
        let now = *START;
        let enter_at = |now| places.try_enter(address(1), now);
        let first: Vec<_> = (0..4).map(|_| enter_at(now).unwrap()).collect();
        assert_eq!(enter_at(now).unwrap_err(), now + MIN_TIME);
        let _fifth = enter_at(now + MIN_TIME).unwrap();
        assert!(is_evicted(&first[0]) && !is_evicted(&first[1]));
    }

    #[test]
    fn an_evicted_connection_cannot_show_the_token_any_more() {
        let places = Places::new(LIMITS);
        let first = enter(&places, address(1));
        let _others: Vec<Place> = (0..4).map(|_| enter(&places, address(1))).collect();
        assert!(!first.authenticate());
        assert_eq!(places.lock().authenticated, 0);
    }

    #[test]
    fn the_known_addresses_are_bounded_and_the_last_ones() {
        let places = Places::new(LIMITS);
        let of = |number: u32| AddressGroup::of(std::net::IpAddr::V4(number.into()));
        for number in 0..5_000 {
            assert!(enter(&places, of(number)).authenticate());
        }
        let state = places.lock();
        assert_eq!(state.known_addresses.len(), MAX_KNOWN_ADDRESSES);
        assert!(state.known_addresses.contains_key(&of(4_999)));
        assert!(!state.known_addresses.contains_key(&of(0)));
    }
}
