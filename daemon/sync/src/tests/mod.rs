//! Simulations: the real core, the real mirror, a remote and clocks made up here.

mod backfill;
mod behaviour;
mod cost;
mod driver;
mod engine;
mod model;
mod nights;
mod plan;
mod world;
