//! Which runs are fetched at the same time: a few, in turns, so that none holds up the others.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::registry::OwnedRemote;

/// Runs that are fetched at once.
const MAX_CONCURRENT: usize = 4;

/// How long a run keeps its slot while others wait for one. It doubles each time, so that also what
/// cannot be resumed gets done.
const FIRST_TURN: Duration = Duration::from_secs(60);
const MAX_DOUBLINGS: u32 = 6;

/// The runs that are being fetched.
#[derive(Debug, Default)]
pub(super) struct Slots(Vec<Slot>);

#[derive(Debug)]
struct Slot {
    remote: OwnedRemote,
    run: String,
    /// Monotonic time at which its turn is over.
    ends: Duration,
    yield_now: Arc<Notify>,
}

impl Slots {
    /// Whether a further run can be fetched.
    pub(super) fn is_free(&self) -> bool {
        self.0.len() < MAX_CONCURRENT
    }

    /// Returns how many runs of a remote are being fetched.
    pub(super) fn count_of(&self, remote: &OwnedRemote) -> usize {
        let of_remote = self.0.iter().filter(|slot| slot.remote == *remote);
        of_remote.count()
    }

    /// Whether a run is being fetched.
    pub(super) fn contains(&self, remote: &OwnedRemote, run: &str) -> bool {
        let mut slots = self.0.iter();
        slots.any(|slot| slot.remote == *remote && slot.run == run)
    }

    /// Takes a slot for a run that has made room `yields` times; returns what is notified when it has
    /// to do so again.
    pub(super) fn take(
        &mut self,
        remote: &OwnedRemote,
        run: &str,
        yields: u32,
        now: Duration,
    ) -> Arc<Notify> {
        let yield_now = Arc::new(Notify::new());
        self.0.push(Slot {
            remote: remote.clone(),
            run: run.to_owned(),
            ends: now + FIRST_TURN * (1 << yields.min(MAX_DOUBLINGS)),
            yield_now: Arc::clone(&yield_now),
        });
        yield_now
    }

    pub(super) fn release(&mut self, remote: &OwnedRemote, run: &str) {
        self.0
            .retain(|slot| slot.remote != *remote || slot.run != run);
    }

    /// Asks the run whose turn has been over for longest to make room, if there is one.
    pub(super) fn make_room(&self, now: Duration) {
        let over = self.0.iter().filter(|slot| slot.ends <= now);
        if let Some(slot) = over.min_by_key(|slot| slot.ends) {
            slot.yield_now.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use docks_proto::mirrors::Owner;
    use docks_proto::settings::Target;
    use futures_util::FutureExt;

    use super::*;

    fn remote() -> OwnedRemote {
        OwnedRemote {
            target: Target::DocksApi {
                api_url: "http://127.0.0.1".to_owned(),
                tenant: "ten".to_owned(),
            },
            owner: Owner::User,
        }
    }

    #[tokio::test]
    async fn a_run_makes_room_after_its_turn_which_is_longer_the_next_time() {
        let (mut slots, remote) = (Slots::default(), remote());
        let mut turns = Vec::new();
        for yields in 0..4 {
            assert!(slots.is_free());
            turns.push(slots.take(&remote, &format!("r-{yields}"), yields, Duration::ZERO));
        }
        assert!(!slots.is_free());
        let asked = |turns: &[Arc<Notify>]| -> Vec<bool> {
            let asked = turns.iter().map(|turn| turn.notified().now_or_never());
            asked.map(|asked| asked.is_some()).collect()
        };
        slots.make_room(FIRST_TURN - Duration::from_millis(1));
        assert_eq!(asked(&turns), [false; 4]);
        slots.make_room(FIRST_TURN);
        assert_eq!(asked(&turns), [true, false, false, false]);
        slots.release(&remote, "r-0");
        assert!(slots.is_free() && slots.count_of(&remote) == 3);
        slots.make_room(2 * FIRST_TURN);
        assert_eq!(asked(&turns), [false, true, false, false]);
    }
}
