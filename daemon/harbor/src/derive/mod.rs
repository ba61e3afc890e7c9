//! From what lies in a job's folder to statuses and counts; pure.

pub(super) mod groups;
pub(super) mod job;
pub(super) mod plan;
pub(super) mod retry;
pub(super) mod trial;
