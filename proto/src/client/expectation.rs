//! What a command expects of the daemon besides its protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderMap;

use super::ClientError;
use super::answer::text;
use crate::build::BuildId;
use crate::routes;

/// What a command expects of the daemon; clones share what was found.
#[derive(Debug, Clone, Default)]
pub struct Expectation {
    /// The build that the command would start; any will do without it.
    pub build: Option<BuildId>,
    /// The [fingerprint](crate::proxies::Proxies::fingerprint) of the command's proxies, if it has any.
    pub proxies: Option<String>,
    /// Whether a daemon has answered that has other proxies.
    found_other_proxies: Arc<AtomicBool>,
}

impl Expectation {
    /// Creates an expectation.
    #[must_use]
    pub fn new(build: Option<BuildId>, proxies: Option<String>) -> Self {
        Self {
            build,
            proxies,
            found_other_proxies: Arc::default(),
        }
    }

    /// Returns the expectation with any build.
    #[must_use]
    pub fn with_any_build(mut self) -> Self {
        self.build = None;
        self
    }

    /// Returns whether a daemon has answered that has other proxies than the command.
    #[must_use]
    pub fn found_other_proxies(&self) -> bool {
        self.found_other_proxies.load(Ordering::Relaxed)
    }

    /// Checks what a daemon says about itself in the headers of a response.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), ClientError> {
        if let Some(installed) = &self.build
            // A daemon that does not name its build is one of another implementation.
            && let Some(running) = text(headers, routes::BUILD).and_then(|id| id.parse().ok())
            && installed.replaces(&running)
        {
            return Err(ClientError::OtherBuild);
        }
        if text(headers, routes::PROXIES) != self.proxies.as_deref() {
            self.found_other_proxies.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}
