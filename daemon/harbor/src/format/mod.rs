//! What the files that Harbor writes contain.

pub(crate) mod job;
pub(crate) mod json;
pub(crate) mod times;
pub(crate) mod trial;
