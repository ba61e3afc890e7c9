//! What was removed when a mirror was forgotten.

use serde::{Deserialize, Serialize};

/// Response of `POST /v1/forget`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetReport {
    /// Number of files of the mirror that were deleted.
    pub mirror_files: u64,
    /// Their size in bytes.
    pub mirror_bytes: u64,
    /// Number of cached artifacts that were removed.
    pub artifacts: u64,
    /// Size of the content that was deleted, in bytes; what others have as well is kept.
    pub artifact_bytes: u64,
}
