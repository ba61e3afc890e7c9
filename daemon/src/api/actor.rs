//! Who makes a request that is not made by the daemon's own user.

use std::sync::Arc;

/// Who makes a request through a hub: the name of a token, or what stands for it. It is an extension of
/// the request, which no client can set.
#[derive(Debug, Clone)]
pub(crate) struct Actor(pub(crate) Arc<str>);
