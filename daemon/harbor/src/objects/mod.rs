//! Jobs and trials as objects of the Docks API, with a `harbor` object for what it has no field for.

mod artifact;
mod figures;
mod job;
mod maps;
mod trial;

pub(crate) use self::job::{EvaluationObject, HarborDetails, RunObject};
pub(crate) use self::trial::TrialObject;
