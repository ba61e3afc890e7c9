//! A Docks API whose refusals of a token reach the source of its tokens.

use std::sync::Arc;

use async_trait::async_trait;
use docks_proto::object::RawObject;
use docks_proto::routes::{Action, RunKind};

use super::tokens::RemoteTokens;
use docksd_remote::{Fetched, Page, PageRequest, Remote, RemoteError, RemoteProperties, Validator};

/// A remote that reports refused tokens to their source, and explains why a token is missing.
pub(super) struct AuthenticatedRemote<R> {
    inner: R,
    tokens: Arc<RemoteTokens>,
}

impl<R: Remote> AuthenticatedRemote<R> {
    /// Wraps a remote.
    pub(super) fn new(inner: R, tokens: Arc<RemoteTokens>) -> Self {
        Self { inner, tokens }
    }

    fn check_authentication<T>(&self, answer: Result<T, RemoteError>) -> Result<T, RemoteError> {
        match answer {
            Err(error @ RemoteError::Status { status: 401, .. }) => {
                self.tokens.mark_refused();
                Err(error)
            }
            Err(RemoteError::NotSignedIn(reason)) => Err(RemoteError::NotSignedIn(
                self.tokens.lookup_error().unwrap_or(reason),
            )),
            other => other,
        }
    }
}

#[async_trait]
impl<R: Remote> Remote for AuthenticatedRemote<R> {
    fn properties(&self) -> RemoteProperties {
        self.inner.properties()
    }

    async fn list(
        &self,
        kind: RunKind,
        page: &PageRequest,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Page>, RemoteError> {
        self.check_authentication(self.inner.list(kind, page, validator).await)
    }

    async fn run(
        &self,
        kind: RunKind,
        id: &str,
        validator: Option<&Validator>,
    ) -> Result<Fetched<RawObject>, RemoteError> {
        self.check_authentication(self.inner.run(kind, id, validator).await)
    }

    async fn trials(
        &self,
        run: &str,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Page>, RemoteError> {
        self.check_authentication(self.inner.trials(run, validator).await)
    }

    async fn trial(&self, run: &str, trial: &str) -> Result<RawObject, RemoteError> {
        self.check_authentication(self.inner.trial(run, trial).await)
    }

    async fn act(&self, action: Action, id: &str) -> Result<RawObject, RemoteError> {
        self.check_authentication(self.inner.act(action, id).await)
    }
}
