//! The facts of one trial: all that figures are made of.

mod encoding;
mod facts;
mod read;

pub use encoding::{FORMAT, decode, encode};
pub use facts::{FactsList, RunFacts, TrialFacts};
