//! A run with all that comparisons need of its trials, as a file or a part of a request.

use serde::{Deserialize, Serialize};

/// The format that this release writes. Files of it are read by every later release.
pub const SAVED_RUN_FORMAT: u32 = 1;

/// A run with what comparisons need of its trials: no messages, no addresses.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SavedRun {
    /// [`SAVED_RUN_FORMAT`] of the release that wrote it.
    pub docks_saved_run: u32,
    /// Which of several remotes has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// Its id.
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its status, as the remote wrote it.
    #[serde(default)]
    pub status: String,
    /// When it was created, RFC 3339.
    #[serde(default)]
    pub created_at: Option<String>,
    /// When its trials were last confirmed, RFC 3339.
    #[serde(default)]
    pub confirmed_at: Option<String>,
    /// Whether all of its trials are here.
    #[serde(default)]
    pub complete: bool,
    /// Its trials.
    pub trials: Vec<SavedTrial>,
}

/// What comparisons need of a trial; what is false, empty or unknown is left out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedTrial {
    /// Its id.
    pub id: String,
    /// Its task.
    pub task: String,
    /// Its agent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub agent: String,
    /// Its model.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// Its status, as the remote wrote it.
    pub status: String,
    /// Whether it ended.
    #[serde(skip_serializing_if = "is_false")]
    pub ended: bool,
    /// Whether its process was gone before.
    #[serde(skip_serializing_if = "is_false")]
    pub lost: bool,
    /// Whether it was cancelled.
    #[serde(skip_serializing_if = "is_false")]
    pub cancelled: bool,
    /// Whether it has a reward.
    #[serde(skip_serializing_if = "is_false")]
    pub graded: bool,
    /// Whether its reward is valid.
    #[serde(skip_serializing_if = "is_false")]
    pub valid: bool,
    /// Whether it counts in pass@k.
    #[serde(skip_serializing_if = "is_false")]
    pub counts: bool,
    /// Whether its status and its reward contradict each other.
    #[serde(skip_serializing_if = "is_false")]
    pub contradictory: bool,
    /// Whether it solved its task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub solved: Option<bool>,
    /// *The* reward.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reward: Option<f64>,
    /// What it counts in the mean reward.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted_reward: Option<f64>,
    /// Rewards by key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rewards: Vec<(String, f64)>,
    /// Types of its exceptions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<String>,
    /// Cost in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// Input tokens, with cached ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Output tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Wall time in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<f64>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(flag: &bool) -> bool {
    !*flag
}
