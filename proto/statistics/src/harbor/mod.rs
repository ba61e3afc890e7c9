//! Harbor's own rules: which rewards and exceptions count. They changed with 0.25.

mod error_policy;
mod reward_rules;

pub use error_policy::ErrorPolicy;
#[cfg(test)]
pub(crate) use error_policy::known_types;
pub use reward_rules::{RewardRules, main_reward};
