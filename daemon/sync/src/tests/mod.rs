//! Simulations: the real state machine and mirror, with simulated remotes and clocks.

mod backfill;
mod behaviour;
mod catching_up;
mod driver;
mod engine;
mod event_delivery;
mod incidents;
mod invariants;
mod list_parts;
mod plan;
mod random_changes;
mod random_histories;
mod recovery;
mod remote_habits;
mod request_cost;
mod simulated_remote;
mod versions;
mod wrong_clocks;
