//! Why trials failed: their class and cause, by rules, and clusters of like messages.

mod classify;
mod cluster;
mod report;
mod rules;
mod template;

pub use classify::Reason;
pub use report::report;
pub use rules::{Rule, RuleSet};
