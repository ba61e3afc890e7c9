//! Simulations: the real state machine, the real mirror, a remote and clocks made up here.

mod backfill;
mod behaviour;
mod driver;
mod engine;
mod event_delivery;
mod plan;
mod random_histories;
mod request_cost;
mod simulated_remote;
