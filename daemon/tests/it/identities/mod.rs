//! A model of identities: random requests of credentials that see different parts of one tenant, with
//! renewals, refusals and restarts. No object crosses from one to another, and no token goes with
//! another's request.

mod asker;
mod daemon_requests;
mod harness;
mod model;
mod reads;
mod remote;
mod tokens;

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use self::harness::Harness;
use self::remote::{PEOPLE, visible};

/// Steps of a usual test run; `DOCKS_IDENTITY_STEPS` sets another number.
const STEPS: usize = 3_000;

/// Where the random numbers begin; `DOCKS_IDENTITY_SEED` sets another one.
const SEED: u64 = 20_261_129;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_object_crosses_to_another_credential_and_no_token_goes_with_its_requests() {
    let seed = number("DOCKS_IDENTITY_SEED").unwrap_or(SEED);
    let steps = number("DOCKS_IDENTITY_STEPS").map_or(STEPS, |steps| steps.try_into().unwrap());
    let mut harness = Harness::start(seed).await;
    for number in 0..steps {
        let outcome = AssertUnwindSafe(step(&mut harness)).catch_unwind().await;
        assert!(
            outcome.is_ok(),
            "failed with DOCKS_IDENTITY_SEED={seed} at step {number}"
        );
    }
    let seen = std::mem::take(&mut harness.seen);
    harness.end().await;
    println!("{steps} steps; answers with objects: {seen:?}");
    if steps >= STEPS {
        let whats = [
            "list", "get", "trials", "history", "changes", "events", "stop",
        ];
        for what in whats {
            for (person, _) in PEOPLE {
                assert!(
                    seen.contains_key(&(what, person)),
                    "{what} of {person}: {seen:?}"
                );
            }
        }
    }
}

/// Does one random step, and checks what the remote received.
async fn step(harness: &mut Harness) {
    if harness.rng.u8(..3) == 0 {
        let (person, _) = PEOPLE[harness.rng.usize(..PEOPLE.len())];
        let kind = ["run", "eval"][harness.rng.usize(..2)];
        let ids = visible(kind, person);
        let id = ids[harness.rng.usize(..ids.len())].clone();
        harness.remote.world().advance(person, id, &mut harness.rng);
    }
    match harness.rng.u16(..200) {
        0 => harness.restart().await,
        1 => {
            harness.restart().await;
            harness.sync(true).await;
        }
        2..9 => harness.renew(),
        9..13 => harness.refuse(),
        13..22 => harness.accept_again(),
        22..29 => harness.remove_or_restore(),
        29..31 => harness.adopt(),
        31..36 => harness.wrong_tenant().await,
        36..41 => harness.without_token().await,
        41..45 => harness.sync(false).await,
        45..50 => harness.status().await,
        50..60 => harness.events().await,
        60..75 => harness.stop().await,
        75..80 => harness.all_at_once().await,
        80..130 => harness.list().await,
        130..165 => harness.get().await,
        165..180 => harness.trials().await,
        180..190 => harness.history().await,
        _ => harness.changes().await,
    }
    harness.check_received(None);
    harness.model.step_ended();
}
